//! How we may look where we print: colour, Unicode, width, language. Nobody else asks the environment for it.

use std::env;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

/// What one of our streams can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) is_terminal: bool,
    /// Whether a line can be written anew, as a bar does.
    pub(crate) moves: bool,
    pub(crate) colour: bool,
    pub(crate) unicode: bool,
    /// Columns.
    pub(crate) width: u16,
}

/// The language of what people read. JSON, logs and receipts keep their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Chinese,
}

pub(crate) fn stdout() -> Look {
    Look::of(&io::stdout())
}

pub(crate) fn stderr() -> Look {
    Look::of(&io::stderr())
}

/// The language that the locale asks for. Without Unicode there is no Chinese.
pub(crate) fn language() -> Language {
    language_of(&|name| env::var(name).ok())
}

impl Look {
    fn of(stream: &(impl IsTerminal + AsFd)) -> Self {
        let is_terminal = stream.is_terminal();
        let size = rustix::termios::tcgetwinsize(stream).map_or(0, |size| size.ws_col);
        let variable = |name: &str| env::var(name).ok();
        Self {
            is_terminal,
            moves: is_terminal && variable("TERM").is_some_and(|term| term != "dumb"),
            colour: has_colour(is_terminal, &variable),
            unicode: has_unicode(&variable),
            // Some terminals say that they have no width; and in less than this nothing can be read.
            width: if size == 0 { USUAL_WIDTH } else { size.max(LEAST_WIDTH) },
        }
    }
}

type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// NO_COLOR forbids, CLICOLOR_FORCE demands; else a terminal that is not dumb has colour unless CLICOLOR is 0.
fn has_colour(is_terminal: bool, variable: Variables<'_>) -> bool {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if set("NO_COLOR").is_some() {
        return false;
    }
    if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    is_terminal && set("TERM").is_some_and(|term| term != "dumb") && set("CLICOLOR").is_none_or(|value| value != "0")
}

/// Whether the locale's characters are UTF-8.
fn has_unicode(variable: Variables<'_>) -> bool {
    locale("LC_CTYPE", variable).to_lowercase().replace('-', "").contains("utf8")
}

fn language_of(variable: Variables<'_>) -> Language {
    let is_chinese = locale("LC_MESSAGES", variable).starts_with("zh");
    if is_chinese && has_unicode(variable) { Language::Chinese } else { Language::English }
}

/// The locale of a category: the first of these variables that says something.
fn locale(category: &str, variable: Variables<'_>) -> String {
    let mut values = ["LC_ALL", category, "LANG"].into_iter().filter_map(variable);
    values.find(|value| !value.is_empty()).unwrap_or_default()
}

/// A text with signs that every terminal has in place of those that only a Unicode one shows.
pub(crate) fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '→' => plain.push_str("->"),
            '…' => plain.push_str("..."),
            '×' => plain.push('x'),
            '─' | '—' | '–' => plain.push('-'),
            '“' | '”' => plain.push('"'),
            '‘' | '’' => plain.push('\''),
            _ => plain.push(letter),
        }
    }
    plain
}

/// Of a stream that does not tell.
const USUAL_WIDTH: u16 = 80;
const LEAST_WIDTH: u16 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn from<'a>(set: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn colour_follows_the_variables_that_users_know() {
        let xterm = ("TERM", "xterm");
        for (is_terminal, set, expected) in [
            (true, &[xterm][..], true),
            (false, &[xterm], false),
            (true, &[], false),
            (true, &[("TERM", "dumb")], false),
            (true, &[xterm, ("NO_COLOR", "1")], false),
            (true, &[xterm, ("NO_COLOR", "")], true),
            (true, &[xterm, ("CLICOLOR", "0")], false),
            (true, &[xterm, ("CLICOLOR", "1")], true),
            (false, &[("CLICOLOR_FORCE", "1")], true),
            (false, &[("CLICOLOR_FORCE", "0")], false),
            (true, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        ] {
            assert_eq!(has_colour(is_terminal, &from(set)), expected, "{is_terminal} {set:?}");
        }
    }

    #[test]
    fn unicode_and_language_follow_the_locale() {
        for (set, unicode, language) in [
            (&[][..], false, Language::English),
            (&[("LANG", "C")], false, Language::English),
            (&[("LANG", "C.UTF-8")], true, Language::English),
            (&[("LANG", "zh_CN.UTF-8")], true, Language::Chinese),
            (&[("LANG", "zh_CN.utf8")], true, Language::Chinese),
            (&[("LANG", "zh_CN.GB18030")], false, Language::English),
            (&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C")], false, Language::English),
            (&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "")], true, Language::Chinese),
            (&[("LANG", "zh_CN.UTF-8"), ("LC_MESSAGES", "en_US.UTF-8")], true, Language::English),
            (&[("LANG", "de_DE.UTF-8"), ("LC_MESSAGES", "zh_CN.UTF-8")], true, Language::Chinese),
        ] {
            assert_eq!((has_unicode(&from(set)), language_of(&from(set))), (unicode, language), "{set:?}");
        }
    }

    #[test]
    fn signs_have_a_plain_form() {
        assert_eq!(ascii("a → b… “x” 2×3 — 热室"), "a -> b... \"x\" 2x3 - 热室");
    }
}
