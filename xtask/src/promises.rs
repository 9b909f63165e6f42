//! Every test that `THREAT_MODEL.md` cites as a proof exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::command::{Result, no_arguments, root, title};

/// A name in backticks with at least this many underscores is a test: tests are sentences, and
/// no option, field or system call of ours is that long.
const UNDERSCORES_OF_A_SENTENCE: usize = 3;

/// Checks the threat model against the sources.
pub(crate) fn check(args: &[String]) -> Result {
    no_arguments(args)?;
    title("tests that the threat model cites");
    let cited = cited(&fs::read_to_string(root().join("THREAT_MODEL.md"))?);
    if cited.is_empty() {
        return Err("THREAT_MODEL.md cites no test at all".into());
    }
    let mut tests = BTreeSet::new();
    collect(&root().join("crates"), &mut tests)?;
    collect(&root().join("xtask/src"), &mut tests)?;
    let missing: Vec<&str> = cited.iter().filter(|name| !tests.contains(*name)).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("THREAT_MODEL.md cites tests that do not exist:\n  {}", missing.join("\n  ")).into())
}

fn cited(text: &str) -> BTreeSet<String> {
    let in_backticks = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    in_backticks.filter(|word| is_sentence(word)).map(str::to_owned).collect()
}

fn is_sentence(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && word.matches('_').count() >= UNDERSCORES_OF_A_SENTENCE
}

fn collect(folder: &Path, tests: &mut BTreeSet<String>) -> Result {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, tests)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            tests.extend(defined(&fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

/// The functions that follow a test attribute.
fn defined(source: &str) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    let mut marked = false;
    for line in source.lines().map(str::trim) {
        if line == "#[test]" {
            marked = true;
        } else if let Some(name) = line.strip_prefix("fn ").and_then(|rest| rest.split(['(', '<']).next()) {
            if std::mem::take(&mut marked) {
                tests.insert(name.to_owned());
            }
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            marked = false;
        }
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_in_backticks_are_cited_and_other_words_are_not() {
        let text = "| x | `a_key_opens_nothing`, `process_vm_readv` |\n`kill -9` and a_bare_word_is_none `one_more_cited_test`";
        let expected = ["a_key_opens_nothing", "one_more_cited_test"].map(str::to_owned);
        assert_eq!(cited(text), BTreeSet::from(expected));
    }

    #[test]
    fn only_marked_functions_are_tests() {
        let source =
            "#[test]\n    fn a() {}\nfn b() {}\n#[test]\n#[expect(x)]\n// why\nfn c() {\n#[test]\nmod x {\nfn d() {}";
        assert_eq!(defined(source), BTreeSet::from(["a".to_owned(), "c".to_owned()]));
    }
}
