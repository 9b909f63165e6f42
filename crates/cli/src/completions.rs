//! `hotcell completions`: what shells and `man` want to know of the command line.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::{Generator, Shell};
use clap_mangen::Man;
use hotcell_types::Exit;

use crate::failure::Failure;

/// Write completions for a shell, or the manual pages.
///
/// Bash, for example: hotcell completions bash > ~/.local/share/bash-completion/completions/hotcell
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What they are for.
    #[arg(value_enum, value_name = "SHELL")]
    reader: Reader,
    /// Folder for the files, which is made if need be. Default: standard output.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Who reads them.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Reader {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
    /// The manual pages, one for each command.
    Man,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let files = match shell(arguments.reader) {
        Some(shell) => vec![completion(shell)],
        None => pages()?,
    };
    match &arguments.output {
        None => {
            let mut to = io::stdout().lock();
            for (_, text) in files {
                to.write_all(&text)?;
            }
        }
        Some(folder) => {
            fs::create_dir_all(folder).map_err(|source| Failure::file("make", folder, source))?;
            for (name, text) in files {
                let path = folder.join(name);
                fs::write(&path, text).map_err(|source| Failure::file("write", &path, source))?;
            }
        }
    }
    Ok(Exit::Yes)
}

fn shell(reader: Reader) -> Option<Shell> {
    match reader {
        Reader::Bash => Some(Shell::Bash),
        Reader::Elvish => Some(Shell::Elvish),
        Reader::Fish => Some(Shell::Fish),
        Reader::Powershell => Some(Shell::PowerShell),
        Reader::Zsh => Some(Shell::Zsh),
        Reader::Man => None,
    }
}

/// A file's name and text. It is made in memory: the generator itself stops the process where it cannot write.
fn completion(shell: Shell) -> (String, Vec<u8>) {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut crate::Arguments::<crate::Command>::command(), NAME, &mut text);
    (shell.file_name(NAME), text)
}

/// A page for each command, those of deeper commands after their parent's.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = crate::Arguments::<crate::Command>::command().disable_help_subcommand(true);
    command.build();
    let mut files = Vec::new();
    page(&command, &mut files)?;
    Ok(files)
}

fn page(command: &clap::Command, files: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let man = Man::new(command.clone());
    let mut text = Vec::new();
    man.render(&mut text)?;
    files.push((man.get_filename(), text));
    command.get_subcommands().filter(|command| !command.is_hide_set()).try_for_each(|command| page(command, files))
}

const NAME: &str = "hotcell";
