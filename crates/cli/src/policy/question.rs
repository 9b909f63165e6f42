//! `hotcell policy explain --ask`: why a question gets its answer.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use hotcell_policy::{Answer, Ask, Examination, MAX_FILE_BYTES, RuleView};
use hotcell_types::Exit;

use super::folder;
use crate::app::App;
use crate::failure::Failure;
use crate::print::{self, theirs};

pub(crate) fn run(ask: &str, policy: Option<&Path>, trust: &[String], app: &App) -> Result<Exit, Failure> {
    let text = match ask.trim_start().starts_with('{') {
        true => ask.to_owned(),
        false => {
            let path = Path::new(ask);
            let mut text = String::new();
            File::open(path)
                .and_then(|file| file.take(MAX_FILE_BYTES as u64 + 1).read_to_string(&mut text))
                .map_err(|source| Failure::file("read", path, source))?;
            text
        }
    };
    let no_question = |problem: String| {
        let remedy = "write it as docs/formats/policy.md says: {\"principal\": …, \"action\": …, \"resource\": …}";
        Failure::usage(format!("the question cannot be put: {problem}"), remedy)
    };
    let ask: Ask = serde_json::from_str(&text).map_err(|error| no_question(error.to_string()))?;
    let engine = folder::engine(policy, &folder::keys(trust)?, app)?;
    let found = engine.examine(ask).map_err(|error| no_question(error.to_string()))?;
    match app.json {
        true => print::json(&found)?,
        false => tell(&found, &mut print::out())?,
    }
    Ok(if found.answer == Answer::Allow { Exit::Yes } else { Exit::No })
}

fn tell(found: &Examination, to: &mut dyn Write) -> io::Result<()> {
    match found.answer {
        Answer::Allow => writeln!(to, "allowed")?,
        Answer::Deny => writeln!(to, "denied")?,
    }
    rules("permitted by", &found.permits, to)?;
    rules("forbidden by", &found.forbids, to)?;
    rules("would be permitted by", &found.lacking, to)?;
    for error in &found.errors {
        writeln!(to, "cannot be evaluated: {}", theirs(error))?;
    }
    if !found.obligations.is_none() {
        let demands = serde_json::to_string(&found.obligations).unwrap_or_default();
        writeln!(to, "demanded in return: {}", theirs(demands))?;
    }
    if !found.ways.is_empty() {
        writeln!(to, "for the other answer, it would have to be that:")?;
    }
    for way in &found.ways {
        let changes: Vec<_> =
            way.iter().map(|change| format!("{} is {}, not {}", change.attribute, change.to, change.from)).collect();
        writeln!(to, "  {}", theirs(changes.join("; ")))?;
    }
    Ok(())
}

fn rules(words: &str, rules: &[RuleView], to: &mut dyn Write) -> io::Result<()> {
    for rule in rules {
        writeln!(to, "{words} {}: {}", theirs(&rule.id), theirs(&rule.reason))?;
        for seen in &rule.attributes {
            match &seen.value {
                Some(value) => writeln!(to, "  {}", theirs(format!("{} = {value}", seen.attribute)))?,
                None => writeln!(to, "  {}", theirs(&seen.attribute))?,
            }
        }
    }
    Ok(())
}
