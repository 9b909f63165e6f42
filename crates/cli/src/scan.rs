//! `hotcell scan`: personal data and secrets in files, whatever they are encoded in.

mod files;
mod sarif;
mod told;

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use hotcell_inspect::scan::{Scanner, StreamScanner};
use hotcell_types::Exit;

use crate::app::App;
use crate::failure::Failure;
use crate::print;
use files::Looked;
use told::Form;

/// Find personal data and secrets in files, folders, archives or standard input.
///
/// Looks through encodings: percent, base64, base32, hexadecimal, escapes, UTF-16, full-width digits, gzip, zlib,
/// deflate, brotli, zstd, zip, and these within each other. Tells kind and place of what it finds, never the value.
/// Exits with 0 when nothing was found and 1 when something was. `--json` gives one object for each finding on a line of
/// its own.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Files and folders to look at; `-` is standard input.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Answer as SARIF 2.1.0, which forges and editors show beside the code.
    #[arg(long, conflicts_with = "json")]
    sarif: bool,
    /// Tell for each finding its detector, its check digit, its context and the encodings it was found in.
    #[arg(long)]
    explain: bool,
    /// Further detectors, in TOML; one of the same id replaces a built-in one. May be repeated.
    #[arg(long, value_name = "FILE")]
    detectors: Vec<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, app: &App) -> Result<Exit, Failure> {
    let scanner = scanner(&arguments.detectors)?;
    let form = match (arguments.sarif, app.json) {
        (true, _) => Form::Sarif,
        (_, true) => Form::Json { explain: arguments.explain },
        _ => Form::Text { explain: arguments.explain },
    };
    let mut teller = told::Teller::new(form, &scanner);
    let mut unread = None;
    for path in &arguments.paths {
        if path == Path::new("-") {
            teller.tell(&standard_input(&scanner)?)?;
            continue;
        }
        let listed = files::list(path)?;
        files::look(&scanner, listed, |looked| match looked {
            Ok(looked) => teller.tell(&looked).map_err(Failure::from),
            Err(failure) => {
                // The others are looked at all the same; what was not seen is no yes in the end.
                unread.get_or_insert(failure);
                Ok(())
            }
        })?;
    }
    let found = teller.finish()?;
    match (unread, found) {
        (Some(failure), _) => Err(failure),
        (None, 0) => Ok(Exit::Yes),
        (None, _) => Ok(Exit::No),
    }
}

/// The built-in detectors and those of the named files.
fn scanner(named: &[PathBuf]) -> Result<Scanner, Failure> {
    let mut texts = Vec::new();
    for path in named {
        let text = fs::read_to_string(path).map_err(|error| Failure::file("read", path, error))?;
        texts.push((path.display().to_string(), text));
    }
    let files: Vec<_> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    Ok(Scanner::with(&files)?)
}

fn standard_input(scanner: &Scanner) -> Result<Looked, Failure> {
    let mut stream = StreamScanner::new(scanner);
    let mut buffer = vec![0; 256 << 10];
    let mut input = io::stdin().lock();
    let mut bytes = 0;
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                bytes += count as u64;
                stream.push(buffer.get(..count).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::file("read", Path::new("-"), error)),
        }
    }
    Ok(Looked { path: PathBuf::from("-"), bytes, report: stream.finish(), lines: Vec::new() })
}

/// Every regular file at or below a path, with its size.
pub(crate) fn files_at(path: &Path) -> Result<Vec<(PathBuf, u64)>, Failure> {
    files::list(path)
}

/// What a scan as a whole found, on standard error.
pub(crate) fn closing(findings: u64, files: u64, bytes: u64) -> io::Result<()> {
    let found = match findings {
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    let looked = match files {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    };
    writeln!(print::err(), "scanned {looked}, {}: {found}", hotcell_types::ByteSize(bytes))
}
