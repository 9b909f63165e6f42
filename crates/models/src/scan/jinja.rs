//! Templates of chats (Jinja): loops, conditions, the usual filters and methods, and nothing by which one gets at the
//! program that fills them in.
//!
//! INVARIANT (only-named-calls): what is called is a function or method of the lists below, or a macro of the template's
//! own. Whatever a template may get hold of by computed names, it cannot call.

use std::collections::BTreeSet;

use super::refusal::{Bad, Why, shown};

/// Checks a template.
pub(crate) fn check(template: &str) -> Result<(), Bad> {
    if template.len() > MAX_TEMPLATE {
        return Err(Bad::new(Why::TooLarge, format!("a template is longer than {MAX_TEMPLATE} bytes")));
    }
    let mut blocks = Vec::new();
    let mut rest = template;
    while let Some((start, kind)) =
        first_of(rest, &[("{{", Part::Value), ("{%", Part::Statement), ("{#", Part::Comment)])
    {
        let inside = rest.get(start + 2..).unwrap_or_default();
        let (tokens, after) = match kind {
            Part::Comment => (Vec::new(), inside.split_once("#}").ok_or_else(unclosed)?.1),
            Part::Value => tokens(inside, "}}")?,
            Part::Statement => tokens(inside, "%}")?,
        };
        let raw = kind == Part::Statement && tokens == [Token::Name("raw")];
        blocks.push((kind, tokens));
        rest = match raw {
            true => {
                let end = after.find("endraw").ok_or_else(unclosed)?;
                let after = after.get(end..).unwrap_or_default();
                after.split_once("%}").ok_or_else(unclosed)?.1
            }
            false => after,
        };
    }
    let macros = macros(&blocks);
    for (kind, tokens) in &blocks {
        match kind {
            Part::Comment => {}
            Part::Value => expression(tokens, &macros)?,
            Part::Statement => statement(tokens, &macros)?,
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Value,
    Statement,
    Comment,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token<'a> {
    Name(&'a str),
    Text(&'a str),
    Number,
    Sign(char),
}

fn first_of(text: &str, marks: &[(&str, Part)]) -> Option<(usize, Part)> {
    marks.iter().filter_map(|(mark, part)| text.find(mark).map(|place| (place, *part))).min_by_key(|(place, _)| *place)
}

/// The tokens up to the end of a block, and what follows it.
fn tokens<'a>(text: &'a str, end: &str) -> Result<(Vec<Token<'a>>, &'a str), Bad> {
    let mut tokens = Vec::new();
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut depth = 0usize;
    loop {
        rest = rest.trim_start();
        let closed =
            rest.strip_prefix(end).or_else(|| rest.strip_prefix(['-', '+']).and_then(|rest| rest.strip_prefix(end)));
        if let Some(after) = closed.filter(|_| depth == 0) {
            return Ok((tokens, after));
        }
        let first = rest.chars().next().ok_or_else(unclosed)?;
        let length = match first {
            '\'' | '"' => {
                let inner = rest.get(1..).unwrap_or_default();
                let close = closing_quote(inner, first).ok_or_else(unclosed)?;
                let text = inner.get(..close).unwrap_or_default();
                plain_text(text)?;
                tokens.push(Token::Text(text));
                close + 2
            }
            letter if letter == '_' || letter.is_alphabetic() => {
                let end = rest.find(|letter: char| letter != '_' && !letter.is_alphanumeric()).unwrap_or(rest.len());
                tokens.push(Token::Name(rest.get(..end).unwrap_or_default()));
                end
            }
            letter if letter.is_ascii_digit() => {
                tokens.push(Token::Number);
                let end =
                    rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
                // `1.5` is a number, `1.x` is none.
                match rest.get(end..).and_then(|rest| rest.strip_prefix('.')) {
                    Some(fraction) if fraction.starts_with(|letter: char| letter.is_ascii_digit()) => {
                        end + 1 + fraction.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(fraction.len())
                    }
                    _ => end,
                }
            }
            '(' | '[' | '{' => {
                depth += 1;
                tokens.push(Token::Sign(first));
                1
            }
            ')' | ']' | '}' => {
                depth = depth.checked_sub(1).ok_or_else(unclosed)?;
                tokens.push(Token::Sign(first));
                1
            }
            sign if "|.,:=+-*/%~<>!".contains(sign) => {
                tokens.push(Token::Sign(sign));
                1
            }
            other => return Err(bad(format!("the sign `{}` is no part of a template", other.escape_debug()))),
        };
        rest = rest.get(length..).unwrap_or_default();
        if tokens.len() > MAX_TOKENS {
            return Err(Bad::new(Why::TooLarge, "a template's block is too long"));
        }
    }
}

fn closing_quote(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (place, letter) in text.char_indices() {
        match (escaped, letter) {
            (true, _) => escaped = false,
            (false, '\\') => escaped = true,
            (false, letter) if letter == quote => return Some(place),
            _ => {}
        }
    }
    None
}

/// A text could name what is hidden in every object, in parts or by escapes.
fn plain_text(text: &str) -> Result<(), Bad> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('\\') {
        if !after.starts_with(['n', 't', 'r', '\\', '\'', '"', '/', '\n']) {
            return Err(bad(format!("the text `{}` has an escape", shown(text))));
        }
        rest = after.get(1..).unwrap_or_default();
    }
    match text.contains("__") {
        true => Err(bad(format!("the text `{}` could name what is hidden in every object", shown(text)))),
        false => Ok(()),
    }
}

/// The names of the template's own macros.
fn macros<'a>(blocks: &[(Part, Vec<Token<'a>>)]) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for (part, tokens) in blocks {
        if let (Part::Statement, [Token::Name("macro"), Token::Name(name), ..]) = (part, tokens.as_slice()) {
            names.insert(*name);
        }
    }
    names
}

fn statement(tokens: &[Token<'_>], macros: &BTreeSet<&str>) -> Result<(), Bad> {
    let Some((Token::Name(word), rest)) = tokens.split_first() else {
        return Err(bad("a statement has no name".to_owned()));
    };
    match *word {
        "if" | "elif" | "for" | "set" | "macro" => {
            bound(word, rest, macros)?;
            // The name of a macro stands before its parameters as if it were called.
            let rest = if *word == "macro" { rest.get(1..).unwrap_or_default() } else { rest };
            expression(rest, macros)
        }
        "else" | "endif" | "endfor" | "endset" | "endmacro" | "raw" | "break" | "continue" | "generation"
        | "endgeneration" => match rest.is_empty() {
            true => Ok(()),
            false => Err(bad(format!("the statement `{word}` says more than its name"))),
        },
        other => Err(bad(format!("the statement `{}` is none of a plain template", shown(other)))),
    }
}

/// What is bound to a value may not be called, and what is called may not be bound.
fn bound(word: &str, rest: &[Token<'_>], macros: &BTreeSet<&str>) -> Result<(), Bad> {
    let until = |stop: &dyn Fn(&Token<'_>) -> bool| rest.iter().take_while(|token| !stop(token)).collect::<Vec<_>>();
    let targets = match word {
        "for" => until(&|token| matches!(token, Token::Name("in"))),
        "set" => until(&|token| matches!(token, Token::Sign('='))),
        "macro" => rest.iter().skip(1).collect(),
        _ => return Ok(()),
    };
    for target in targets {
        if let Token::Name(name) = target
            && (FUNCTIONS.contains(name) || macros.contains(name))
        {
            return Err(bad(format!("`{}` is given another meaning", shown(name))));
        }
    }
    Ok(())
}

fn expression(tokens: &[Token<'_>], macros: &BTreeSet<&str>) -> Result<(), Bad> {
    for (place, token) in tokens.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|place| tokens.get(place));
        let before_that = place.checked_sub(2).and_then(|place| tokens.get(place));
        match token {
            Token::Name(name) => {
                if name.starts_with('_') || name.contains("__") {
                    return Err(bad(format!("`{}` names what is hidden", shown(name))));
                }
                if before == Some(&Token::Sign('|')) && !FILTERS.contains(name) {
                    return Err(bad(format!("the filter `{}` is none of the usual ones", shown(name))));
                }
                if before == Some(&Token::Sign('.')) && HIDDEN.contains(name) {
                    return Err(bad(format!("`.{}` leads into the program", shown(name))));
                }
            }
            Token::Sign('(') => called(before, before_that, macros)?,
            _ => {}
        }
    }
    Ok(())
}

/// What stands before a bracket: nothing that is called, or something of the lists.
fn called(before: Option<&Token<'_>>, before_that: Option<&Token<'_>>, macros: &BTreeSet<&str>) -> Result<(), Bad> {
    match (before, before_that) {
        (Some(Token::Name(name)), Some(Token::Sign('.'))) if METHODS.contains(name) => Ok(()),
        (Some(Token::Name(name)), Some(Token::Sign('.'))) => {
            Err(bad(format!("the method `{}` is none of the usual ones", shown(name))))
        }
        (Some(Token::Name(name)), Some(Token::Sign('|'))) if FILTERS.contains(name) => Ok(()),
        // A test: `x is divisibleby(2)`.
        (Some(Token::Name(name)), Some(Token::Name("is" | "not"))) if TESTS.contains(name) => Ok(()),
        (Some(Token::Name(name)), _) if FUNCTIONS.contains(name) || macros.contains(name) || WORDS.contains(name) => {
            Ok(())
        }
        (Some(Token::Name(name)), _) => {
            Err(bad(format!("it calls `{}`, which is none of the usual functions", shown(name))))
        }
        (Some(Token::Sign(')' | ']' | '}') | Token::Text(_) | Token::Number), _) => {
            Err(bad("it calls something that it has computed".to_owned()))
        }
        _ => Ok(()),
    }
}

fn unclosed() -> Bad {
    Bad::malformed("a template has a block without an end")
}

fn bad(reason: String) -> Bad {
    Bad::new(Why::Template, reason)
}

/// Functions that the usual libraries give to templates.
const FUNCTIONS: &[&str] = &["raise_exception", "strftime_now", "namespace", "range", "dict"];
/// Methods of texts, lists and dictionaries that only reckon; not `format`, which reads fields by name.
const METHODS: &[&str] = &[
    "strip",
    "lstrip",
    "rstrip",
    "split",
    "rsplit",
    "splitlines",
    "startswith",
    "endswith",
    "replace",
    "upper",
    "lower",
    "title",
    "capitalize",
    "join",
    "find",
    "count",
    "index",
    "items",
    "keys",
    "values",
    "get",
    "append",
    "isdigit",
    "removeprefix",
    "removesuffix",
    "strftime",
    "pop",
    "update",
    "insert",
    "extend",
];
/// Filters that only reckon; not `attr`, nor those that call a filter by its name.
const FILTERS: &[&str] = &[
    "trim",
    "tojson",
    "length",
    "count",
    "join",
    "upper",
    "lower",
    "capitalize",
    "title",
    "default",
    "d",
    "first",
    "last",
    "list",
    "items",
    "replace",
    "string",
    "int",
    "float",
    "indent",
    "safe",
    "e",
    "escape",
    "sort",
    "unique",
    "sum",
    "min",
    "max",
    "round",
    "abs",
    "reverse",
    "dictsort",
    "batch",
    "slice",
    "wordcount",
    "from_json",
    "map",
    "selectattr",
    "rejectattr",
    "select",
    "reject",
    "groupby",
];
/// Tests that take arguments.
const TESTS: &[&str] = &["divisibleby", "equalto", "eq", "ne", "in", "sameas", "defined"];
/// Words after which a bracket only groups.
const WORDS: &[&str] =
    &["if", "else", "elif", "and", "or", "not", "in", "is", "for", "set", "recursive", "defined", "none", "string"];
/// Fields that lead from a value to the program.
const HIDDEN: &[&str] = &[
    "func_globals",
    "gi_frame",
    "gi_code",
    "cr_frame",
    "cr_code",
    "ag_frame",
    "f_globals",
    "f_builtins",
    "f_locals",
    "tb_frame",
    "environment",
    "mro",
    "format_map",
];
const MAX_TEMPLATE: usize = 1 << 20;
const MAX_TOKENS: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_templates_pass() {
        for good in [
            "",
            "plain { text } and 100%",
            "{{ messages[0]['content'] | trim }}",
            "{%- for m in messages -%}{{- m.role + '\\n' ~ m['content'].strip() }}{%- endfor -%}",
            "{% set ns = namespace(found=false) %}{% set ns.found = true %}{% if (a and (b or c)) and not (d) %}x{% endif %}",
            "{% macro show(x, y=1) %}{{ x }}{% endmacro %}{{ show('a', 2) }}",
            "{# {{ ''.__class__ }} #}",
            "{% raw %}{{ ''.__class__ }}{% endraw %}",
            "{{ range(1, 10)[2:4] }}{{ {'a': [1, 2]} | tojson(indent=4) }}{{ x if x is divisibleby(2) else raise_exception(\"no\") }}",
            "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}",
            "{{ x[1:][::-1] }}{{ 1.5 }}{{ tools | map(attribute='name') | join(', ') }}",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn templates_that_reach_for_the_program_are_refused() {
        for bad in [
            "{{ ''.__class__.__mro__[1].__subclasses__() }}",
            "{{ ''['__class__'] }}",
            "{{ ''['\\x5f\\x5fclass\\x5f\\x5f'] }}",
            "{{ ''['_' ~ '_class_' ~ '_']() }}",
            "{{ ''|attr('x') }}",
            "{{ x['a']() }}",
            "{{ (x)() }}",
            "{{ 'a'() }}",
            "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
            "{{ lipsum() }}",
            "{{ joiner().x }}",
            "{{ '{0.a}'.format(x) }}",
            "{% include 'x' %}",
            "{% import 'x' as y %}",
            "{% from 'x' import y %}",
            "{% extends 'x' %}",
            "{% call x() %}{% endcall %}",
            "{% filter upper %}{% endfilter %}",
            "{% set range = x['y'] %}{{ range() }}",
            "{% for dict in x %}{{ dict() }}{% endfor %}",
            "{% macro m(range) %}{{ range() }}{% endmacro %}",
            "{% macro m() %}{% endmacro %}{% set m = x.y %}{{ m() }}",
            "{%- set x = namespace(a=self.__init__) %}",
            "{{ x.gi_frame.f_globals }}",
            "{{ x",
            "{{ `x` }}",
            "{% if x %}{{ y.z() }}{% endif %}",
            "{{ \"}}\" }}{{ x.system('id') }}",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
