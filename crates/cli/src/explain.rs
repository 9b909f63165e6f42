//! `hotcell explain`: what a code means.

use std::io::{self, Write};

use clap::Args;
use hotcell_inspect::{FindingKind, SchemaProblem};
use hotcell_types::Exit;
use serde::Serialize;

use crate::app::App;
use crate::failure::Failure;
use crate::print;

/// Tell what the code of an error means, and what to do.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The code, as CRY-044.
    #[arg(value_name = "CODE")]
    code: String,
}

/// A code and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Explanation {
    code: &'static str,
    title: &'static str,
    meaning: &'static str,
    remedy: &'static str,
}

pub(crate) fn run(arguments: &Arguments, app: &App) -> Result<Exit, Failure> {
    let wanted = arguments.code.trim().to_uppercase();
    let found = all().find(|explanation| explanation.code == wanted).ok_or_else(|| {
        Failure::not_found(
            format!("no error has the code `{}`", arguments.code),
            "give a code as errors and receipts show it: three letters, a dash, three digits, as CRY-044",
        )
    })?;
    match app.json {
        true => print::json(&found)?,
        false => {
            let Explanation { code, title, meaning, remedy } = found;
            writeln!(io::stdout().lock(), "{code}: {title}\n\n{meaning}\n\nWhat to do: {remedy}.")?;
        }
    }
    Ok(Exit::Yes)
}

/// What to do about an error or finding of this code.
pub(crate) fn remedy(code: &str) -> Option<&'static str> {
    all().find(|explanation| explanation.code == code).map(|explanation| explanation.remedy)
}

/// Every code there is: those of our table, and those of inspection, which has a table of its own.
fn all() -> impl Iterator<Item = Explanation> {
    let findings = FindingKind::ALL.iter().map(|kind| of_inspection(kind.code(), kind.what(), kind.remedy()));
    let problems = SchemaProblem::ALL.iter().map(|kind| of_inspection(kind.code(), kind.what(), kind.remedy()));
    CODES.split("\n\n").filter_map(read).chain(problems).chain(findings)
}

fn of_inspection(code: &'static str, title: &'static str, remedy: &'static str) -> Explanation {
    let meaning = match code.get(..5) {
        Some("INS-0") => "The task declares an output that cannot be, or not be checked. Nothing was run.",
        Some("INS-1") => {
            "A table that the workload wrote is not what the task declares. The message names the row and the column, \
             never the value. No output was released."
        }
        Some("INS-2") => "Something that the workload left in the output folder may not leave. No output was released.",
        _ => "What the workload printed may not leave. It was withheld, which the receipt says.",
    };
    Explanation { code, title, meaning, remedy }
}

/// One block of the table: code and title, meaning, remedy.
fn read(block: &'static str) -> Option<Explanation> {
    let mut lines = block.trim().lines();
    let (code, title) = lines.next()?.split_once(' ')?;
    let (meaning, remedy) = (lines.next()?, lines.next()?.strip_prefix("> ")?);
    lines.next().is_none().then_some(Explanation { code, title, meaning, remedy })
}

/// The table: a block for each code, with an empty line between them.
const CODES: &str = include_str!("codes.txt");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    #[test]
    fn every_block_of_the_table_has_its_three_lines_and_a_code_of_its_own() {
        for block in CODES.split("\n\n") {
            assert!(read(block).is_some(), "{block}");
        }
        let mut seen = BTreeSet::new();
        for explanation in all() {
            assert!(seen.insert(explanation.code), "{} is explained twice", explanation.code);
            assert!(!explanation.remedy.ends_with('.'), "{}", explanation.code);
            assert!(explanation.meaning.ends_with('.'), "{}", explanation.code);
        }
    }

    #[test]
    fn every_code_of_the_sources_is_explained_and_no_other() {
        let crates = hotcell_testkit::workspace().join("crates");
        let mut used = BTreeSet::new();
        for entry in fs::read_dir(&crates).unwrap() {
            sources(&entry.unwrap().path().join("src"), &mut |text| used.extend(codes_in(text)));
        }
        let explained: BTreeSet<_> = all().map(|explanation| explanation.code.to_owned()).collect();
        let missing: Vec<_> = used.difference(&explained).collect();
        assert!(missing.is_empty(), "not explained: {missing:?}");
        let stale: Vec<_> = explained.difference(&used).collect();
        assert!(stale.is_empty(), "explained, but in no source: {stale:?}");
    }

    /// Every source file below a folder, without its tests.
    fn sources(folder: &Path, to: &mut dyn FnMut(&str)) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        let paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        for path in paths {
            if path.is_dir() {
                sources(&path, to);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).unwrap();
                to(text.split("#[cfg(test)]\nmod tests {").next().unwrap());
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
}
