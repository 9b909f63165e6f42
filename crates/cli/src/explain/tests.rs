//! Every code of the sources against the table: what, why, remedy, exit status. The sources are read as text, as no
//! program knows all errors that it could meet.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use hotcell_types::Exit;

use super::{CHINESE, CODES, all, in_chinese, read};

#[test]
fn every_block_of_the_table_is_whole_and_has_a_code_of_its_own() {
    for block in CODES.split("\n\n") {
        assert!(read(block).is_some(), "{block}");
    }
    let mut seen = BTreeSet::new();
    for explanation in all() {
        let code = explanation.code;
        assert!(seen.insert(code), "{code} is explained twice");
        assert!(explanation.meaning.ends_with('.') && !explanation.meaning.starts_with(char::is_lowercase), "{code}");
        for text in [explanation.title, explanation.remedy] {
            assert!(fault(text).is_none(), "{code}: `{text}` {}", fault(text).unwrap());
        }
        let known = [0, 1, 2, 120, 121, 122, 123, 124, 125, 126, 127, 130];
        assert!(explanation.exit.iter().all(|status| known.contains(status)), "{code}");
    }
}

#[test]
fn every_code_is_explained_in_chinese_and_no_other() {
    let missing: Vec<_> = all().map(|explanation| explanation.code).filter(|code| in_chinese(code).is_none()).collect();
    assert!(missing.is_empty(), "not in crates/cli/src/codes.zh-CN.txt: {missing:?}");
    let known: BTreeSet<_> = all().map(|explanation| explanation.code).collect();
    for block in CHINESE.split("\n\n") {
        let code = block.trim_start().get(..7).unwrap();
        assert!(known.contains(code), "{code} is no code any more");
        let [title, meaning, remedy] = in_chinese(code).unwrap();
        let is_chinese = |text: &str| text.chars().any(|letter| ('\u{4e00}'..='\u{9fff}').contains(&letter));
        assert!([title, meaning, remedy].into_iter().all(is_chinese), "{block}");
        assert!(meaning.ends_with('。') && !title.ends_with('。') && !remedy.ends_with('。'), "{block}");
        // What is to be typed is the same in both languages.
        let english = all().find(|explanation| explanation.code == code).unwrap().remedy;
        for typed in english.split('`').skip(1).step_by(2) {
            assert!(remedy.contains(&format!("`{typed}`")), "{code} lacks `{typed}`");
        }
    }
}

#[test]
fn every_code_of_the_sources_is_explained_and_no_other() {
    let mut used = BTreeSet::new();
    for (_, text) in sources() {
        used.extend(codes_in(&text));
    }
    let explained: BTreeSet<_> = all().map(|explanation| explanation.code.to_owned()).collect();
    let missing: Vec<_> = used.difference(&explained).collect();
    assert!(missing.is_empty(), "not explained in crates/cli/src/codes.txt: {missing:?}");
    let stale: Vec<_> = explained.difference(&used).collect();
    assert!(stale.is_empty(), "explained, but in no source: {stale:?}");
}

#[test]
fn the_table_tells_the_exit_status_that_the_sources_give() {
    let told: BTreeMap<_, _> = all().map(|explanation| (explanation.code.to_owned(), explanation.exit)).collect();
    let mut seen = 0;
    for (file, text) in sources() {
        for (code, exits) in explained_in(&text) {
            let given: BTreeSet<u8> = exits.iter().map(|exit| exit.status()).collect();
            let table: BTreeSet<u8> = told.get(&code).into_iter().flatten().copied().collect();
            assert!(
                table == given,
                "{code}, {}: the source exits with {given:?}, the table says {table:?}",
                file.display()
            );
            seen += 1;
        }
    }
    assert!(seen > 150, "only {seen} codes were found with their status");
}

#[test]
fn every_error_text_and_remedy_is_a_plain_phrase() {
    let mut seen = 0;
    for (file, text) in sources() {
        for phrase in phrases_after(&text, "#[error(\"").into_iter().chain(remedies(&text)) {
            seen += 1;
            assert!(fault(&phrase).is_none(), "{}: `{phrase}` {}", file.display(), fault(&phrase).unwrap());
        }
    }
    assert!(seen > 250, "only {seen} texts were found");
}

#[test]
fn nothing_that_is_shipped_prints_in_a_way_that_can_fail_loudly() {
    // `println!` and its like panic when a reader has left.
    for (file, text) in sources() {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            let bad = ["println!(", " print!(", "eprint!(", "dbg!("].iter().find(|word| line.contains(*word));
            let fine = line.contains("write");
            assert!(bad.is_none() || fine, "{}: {line}", file.display());
        }
    }
}

#[test]
fn the_reader_of_the_sources_reads_them() {
    let source = "\nimpl Explain for SomeError {
    fn code(&self) -> &'static str {
        match self {
            Self::One { .. } | Self::Two => \"ABC-001\",
            Self::Three(error) => error.code(),
            Self::Four => match self.kind {
                Kind::A => \"ABC-002\",
                Kind::B => \"ABC-003\",
            },
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::One { .. } => Exit::Usage,
            Self::Three(error) => error.exit(),
            _ => Exit::Integrity,
        }
    }
}
impl Explain for Other {
    fn code(&self) -> &'static str {
        \"ABC-004\"
    }
}
";
    let read = explained_in(source);
    let of = |code: &str| -> Vec<Exit> {
        read.iter().filter(|(read, _)| read == code).flat_map(|(_, exits)| exits.clone()).collect()
    };
    let expected = |exits: &[Exit]| exits.to_vec();
    assert_eq!(of("ABC-001"), expected(&[Exit::Usage, Exit::Integrity]));
    assert_eq!(of("ABC-003"), expected(&[Exit::Integrity]));
    assert_eq!(of("ABC-004"), expected(&[Exit::Failed]));
    for (phrase, good) in [
        ("cannot read `{}`", true),
        ("`{}` is gone", true),
        ("AES failed", true),
        ("Cannot read", false),
        ("cannot read.", false),
        ("got Option<u8>", false),
        ("in serde_json::Error", false),
        ("InvalidInput happened", false),
        ("", false),
    ] {
        assert_eq!(fault(phrase).is_none(), good, "{phrase}");
    }
}

/// What is wrong with a text that users read.
fn fault(phrase: &str) -> Option<&'static str> {
    let bare = phrase.replace("{}", "x");
    let mut letters = bare.chars();
    let (first, second) = (letters.next(), letters.next());
    let is_sentence = first.is_some_and(char::is_uppercase) && second.is_some_and(char::is_lowercase);
    let is_camel = |word: &str| {
        word.starts_with(char::is_uppercase)
            && word.chars().skip(1).any(char::is_uppercase)
            && word.chars().any(char::is_lowercase)
    };
    let camel_names = ["WebSocket", "OpenID", "NaN"];
    let words = || phrase.split(|letter: char| !letter.is_alphanumeric());
    match () {
        () if phrase.trim().is_empty() => Some("is empty"),
        () if is_sentence && !["Linux", "Landlock", "Hotcell", "Cedar"].iter().any(|name| phrase.starts_with(name)) => {
            Some("begins like a sentence")
        }
        () if phrase.ends_with(['.', '!']) => Some("ends like a sentence"),
        () if phrase.contains("::") || phrase.contains("Option<") || phrase.contains("Some(") => Some("speaks of Rust"),
        () if words().any(|word| is_camel(word) && !camel_names.contains(&word)) => Some("names a type"),
        () if ["panic", "unwrap", "errno"].iter().any(|word| phrase.contains(word)) => Some("speaks of Rust"),
        () => None,
    }
}

/// The codes of a source, each with the statuses that its error can exit with. A code whose error asks another one
/// is left out: that one is read too.
fn explained_in(source: &str) -> Vec<(String, Vec<Exit>)> {
    let mut found = Vec::new();
    for implementation in source.split("\nimpl Explain for ").skip(1) {
        let body = implementation.split("\n}\n").next().unwrap();
        let exits = function(body, "exit").map_or_else(|| vec![("_".to_owned(), "Exit::Failed".to_owned())], arms);
        for (pattern, expression) in function(body, "code").map(arms).unwrap_or_default() {
            let mut variants = variants(&pattern);
            if variants.is_empty() {
                variants.push("_".to_owned());
            }
            let fitting = |variant: &String| {
                let fits = |(pattern, _): &&(String, String)| self::variants(pattern).contains(variant);
                let own: Vec<_> = exits.iter().filter(fits).collect();
                let others = || exits.iter().filter(|(pattern, _)| pattern.starts_with('_')).collect();
                if own.is_empty() { others() } else { own }
            };
            let given: Vec<Exit> = variants.iter().flat_map(fitting).flat_map(|(_, text)| exits_in(text)).collect();
            for code in codes_in(&expression).into_iter().filter(|_| !given.is_empty()) {
                found.push((code, given.clone()));
            }
        }
    }
    found
}

/// The lines of a method.
fn function<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("\n    fn {name}(&self)"))?;
    let (_, rest) = rest.split_once("{\n")?;
    Some(rest.split("\n    }").next().unwrap())
}

/// The arms of its match: pattern and expression; the whole under `_` where there is none.
fn arms(function: &str) -> Vec<(String, String)> {
    if !function.trim_start().starts_with("match self") {
        return vec![("_".to_owned(), function.to_owned())];
    }
    let (mut arms, mut pattern): (Vec<(String, String)>, String) = (Vec::new(), String::new());
    for line in function.lines().skip(1) {
        let starts = line.starts_with("            ")
            && !line.starts_with("             ")
            && !line.trim().starts_with(['}', ')']);
        match (starts, line.split_once("=>"), arms.last_mut()) {
            (true, Some((last, expression)), _) => {
                arms.push((std::mem::take(&mut pattern) + last.trim(), expression.to_owned()));
            }
            (true, None, _) => pattern.push_str(line.trim()),
            (false, _, Some((_, expression))) => expression.push_str(line),
            (false, _, None) => {}
        }
    }
    arms
}

fn variants(pattern: &str) -> Vec<String> {
    let names = pattern.split("Self::").skip(1);
    names.map(|name| name.chars().take_while(|letter| letter.is_alphanumeric()).collect()).collect()
}

fn exits_in(text: &str) -> Vec<Exit> {
    let names = text.split("Exit::").skip(1);
    let names = names.map(|name| name.chars().take_while(|letter| letter.is_alphanumeric()).collect::<String>());
    names
        .map(|name| match name.as_str() {
            "Yes" => Exit::Yes,
            "No" => Exit::No,
            "Usage" => Exit::Usage,
            "Held" => Exit::Held,
            "Refused" => Exit::Refused,
            "HostLacks" => Exit::HostLacks,
            "Integrity" => Exit::Integrity,
            "Limit" => Exit::Limit,
            "Failed" => Exit::Failed,
            "NotExecutable" => Exit::NotExecutable,
            "NotFound" => Exit::NotFound,
            _ => panic!("the exit `{name}` is new: tell it to this test"),
        })
        .collect()
}

/// The string literals of every `fn remedy`.
fn remedies(source: &str) -> Vec<String> {
    let bodies = source.split("\n    fn remedy(&self)").skip(1).map(|rest| rest.split("\n    }").next().unwrap());
    let literals =
        bodies.flat_map(|body| body.split("=> ").skip(1).flat_map(|arm| phrases_after(arm, "\"").into_iter().take(1)));
    // Words that only join others.
    literals.filter(|literal| literal.len() > 12).collect()
}

/// The literals that follow this beginning, with `{}` for each value and without line breaks.
fn phrases_after(source: &str, beginning: &str) -> Vec<String> {
    source.split(beginning).skip(1).map(literal).collect()
}

/// A literal, up to its closing quote.
fn literal(text: &str) -> String {
    let (mut phrase, mut letters) = (String::new(), text.chars().peekable());
    let mut depth = 0;
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' if letters.peek() == Some(&'\n') => {
                while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
            }
            '\\' => phrase.extend(letters.next()),
            '{' => {
                depth += 1;
                phrase.push('{');
            }
            '}' => {
                depth -= 1;
                phrase.push('}');
            }
            _ if depth > 0 => {}
            _ => phrase.push(letter),
        }
    }
    phrase
}

/// Every source file that is shipped, without its tests.
fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(hotcell_testkit::workspace().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.ends_with("testkit") {
            below(&folder.join("src"), &mut files);
        }
    }
    files
}

fn below(folder: &Path, files: &mut Vec<(PathBuf, String)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            below(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            files.push((path, text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned()));
        }
    }
}

/// Every literal of the form `"ABC-123"`.
fn codes_in(text: &str) -> Vec<String> {
    let is_code = |text: &&str| {
        let bytes = text.as_bytes();
        let fits = |range: std::ops::Range<usize>, is: fn(&u8) -> bool| bytes[range].iter().all(is);
        bytes.len() == 7 && bytes[3] == b'-' && fits(0..3, u8::is_ascii_uppercase) && fits(4..7, u8::is_ascii_digit)
    };
    text.split('"').filter(is_code).map(str::to_owned).collect()
}
