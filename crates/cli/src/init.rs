//! `hotcell init`: a task file for this folder, from what lies in it, a few questions, or a learned run.

mod draft;
mod folder;
mod learn;

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use hotcell_task::parse_task_file;
use hotcell_types::Exit;
use serde_json::json;

use self::draft::{Draft, Runs};
use crate::app::App;
use crate::doctor::is_yes;
use crate::failure::Failure;
use crate::new_file::NewFile;
use crate::print;

/// Write a commented task file for this folder.
///
/// It is made from what lies in the folder (a model and a table, a script), from a few questions on a terminal, or,
/// with --learn, from a run of the command: contained as any other, without network, with limits so wide that it is not
/// held up; what it used and left is then proposed, and you confirm. Nothing is ever overwritten.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The file to write.
    #[arg(long, value_name = "FILE", default_value = "task.toml")]
    output: PathBuf,
    /// Run the command once, in a wide but contained sandbox, and propose limits from what was seen.
    #[arg(long, requires = "command")]
    learn: bool,
    /// Ask nothing: take what is proposed.
    #[arg(long)]
    yes: bool,
    /// The command that the task is to run, instead of what the folder suggests.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(crate) fn run(arguments: Arguments, app: &App) -> Result<Exit, Failure> {
    // Before anything runs: what cannot be written need not be learned.
    if arguments.output.symlink_metadata().is_ok() {
        return Err(Failure::usage(
            format!("`{}` exists, and init overwrites nothing", arguments.output.display()),
            "name another file: --output FILE",
        ));
    }
    let here = Path::new(".");
    let found = folder::look(here).map_err(|source| Failure::file("look into the folder", here, source))?;
    let asks = !arguments.yes && !app.json && io::stdin().is_terminal();
    let command = texts(&arguments.command)?;
    let mut draft = match (command.is_empty(), asks) {
        (false, _) => Draft::of_command(command, &found),
        (true, true) => match Draft::of_folder(&found) {
            Some(draft) => draft,
            None => Draft::of_command(words(&ask("What is to run (a command)?", "")?), &found),
        },
        (true, false) => Draft::of_folder(&found).ok_or_else(nothing_here)?,
    };
    if matches!(&draft.runs, Runs::Command(command) if command.is_empty()) {
        return Err(nothing_here());
    }
    if asks {
        questions(&mut draft)?;
    }
    if arguments.learn {
        learn::learn(&mut draft, app)?;
    }
    let text = draft.text();
    // What was written has to be what a run reads.
    let name = arguments.output.to_string_lossy();
    let parsed = parse_task_file(&text, &name, here);
    if draft.is_complete() {
        parsed?;
    }
    if asks && !agreed(&text, &arguments.output)? {
        return Ok(Exit::No);
    }
    let mut file = NewFile::create(&arguments.output, 0o644, false)?;
    file.write_all(text.as_bytes()).map_err(|source| Failure::file("write", &arguments.output, source))?;
    file.publish()?;
    match app.json {
        true => print::json(&json!({ "file": arguments.output, "text": text, "remarks": draft.remarks }))?,
        false => {
            let mut out = print::out();
            for remark in &draft.remarks {
                writeln!(out, "note: {}", print::plain_line(remark))?;
            }
            writeln!(out, "wrote {0}; run it: hotcell run --task {0}", print::theirs(name))?;
        }
    }
    Ok(Exit::Yes)
}

fn nothing_here() -> Failure {
    Failure::usage(
        "there is nothing here that a task could be made of: no model with a table, and no script",
        "give the command: hotcell init -- COMMAND, or hotcell init --learn -- COMMAND",
    )
}

/// A task file is text, so its command is.
fn texts(command: &[OsString]) -> Result<Vec<String>, Failure> {
    let text = |word: &OsString| word.clone().into_string().ok();
    command.iter().map(text).collect::<Option<_>>().ok_or_else(|| {
        Failure::usage("the command is not UTF-8, which a task file has to be", "give it to `hotcell run` directly")
    })
}

fn questions(draft: &mut Draft) -> Result<(), Failure> {
    if let Runs::Command(command) = &mut draft.runs {
        *command = words(&ask("What is to run?", &command.join(" "))?);
    }
    draft.purpose = ask("What for (the log and the receipt say so)?", &draft.purpose)?;
    draft.output_folder = ask("Where do results go?", &draft.output_folder)?;
    let inputs = std::mem::take(&mut draft.inputs);
    for (name, path) in inputs {
        if is_yes(&ask(&format!("Show `{path}` to it, as /input/{name}?"), "yes")?) {
            draft.inputs.push((name, path));
        }
    }
    Ok(())
}

/// Shows the file, and asks whether it is to be written.
fn agreed(text: &str, output: &Path) -> Result<bool, Failure> {
    let mut told = print::err();
    writeln!(told)?;
    for line in text.lines() {
        // Word for word, for it is the file's.
        writeln!(told, "  {}", print::theirs(line))?;
    }
    writeln!(told)?;
    drop(told);
    let agreed = is_yes(&ask(&format!("Write this to `{}`?", output.display()), "yes")?);
    if !agreed {
        writeln!(print::err(), "nothing was written")?;
    }
    Ok(agreed)
}

/// A question on the terminal; the proposal when only return is pressed.
fn ask(question: &str, proposal: &str) -> Result<String, Failure> {
    let mut told = print::err();
    write!(told, "{}", print::plain(question))?;
    told.flush()?;
    match proposal {
        "" => write!(told, " ")?,
        _ => write!(told, " [{}] ", print::theirs(proposal))?,
    }
    told.flush()?;
    let mut answer = String::new();
    let typed = io::stdin().lock().read_line(&mut answer);
    if typed.map_err(|source| Failure::system("reading the answer", source))? == 0 {
        writeln!(told)?;
        return Err(Failure::usage(
            "the input ended before all was answered, and nothing was written",
            "answer the questions, or take what is proposed with --yes",
        ));
    }
    let answer = answer.trim();
    Ok(if answer.is_empty() { proposal.to_owned() } else { answer.to_owned() })
}

/// The words of a simple command line; whoever needs quotes gives the command as an argument.
fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}
