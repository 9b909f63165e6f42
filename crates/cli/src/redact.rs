//! `hotcell redact`: a table as a role sees it, and back.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use hotcell_audit::Durability;
use hotcell_crypto::{SecretKey, keyfile};
use hotcell_disclosure::sampler::SystemBits;
use hotcell_disclosure::{
    DisclosureError, Format, MAX_HIERARCHY_BYTES, MAX_RULES_BYTES, Method, Redaction, Report, Scan, View, Views,
    redact, reverse,
};
use hotcell_inspect::CellScan;
use hotcell_inspect::scan::Scanner;
use hotcell_policy::Ask;
use hotcell_task::{open_log, policy_in_force};
use hotcell_types::{Clock, Event, EventKind, Exit};
use serde_json::json;

use crate::app::App;
use crate::failure::Failure;
use crate::new_file::NewFile;
use crate::print;
use crate::source::Source;

/// Show a table as a role sees it: columns kept, masked, hashed, made into tokens, encrypted, made coarser or noisy, left out.
///
/// The rules (docs/formats/views.md) say what is done with each column; a column that they do not name is left out. Where
/// they demand classes of at least k people, the least generalisation that gives them is searched; where there is none the
/// table is refused. What comes of it is looked at by the detectors of `hotcell scan` before it leaves. The output appears
/// whole or not at all.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Rules, in TOML. Hierarchies that they name lie beside them.
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// Role whose view is made.
    #[arg(long)]
    role: String,
    /// Dataset that the rules know the table as. Default: the name of the input without its ending.
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Key for hashes, tokens and encrypted fields (`hotcell keygen`).
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Open the tokens and encrypted fields of a view. Needs the key, and the right to read those columns by the policy
    /// in force.
    #[arg(long, requires = "key")]
    pub(crate) reverse: bool,
    /// Purpose for which fields are opened, for policy and log.
    #[arg(long, requires = "reverse", default_value = "")]
    purpose: String,
    /// How the table is written, where the input's name does not say: csv or jsonl.
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    format: Option<Format>,
    /// File to write. Default: standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the output if it exists.
    #[arg(long, requires = "output")]
    force: bool,
    /// The table: CSV with a header, or JSON lines; `-` is standard input.
    #[arg(value_name = "INPUT")]
    input: PathBuf,
}

fn format(text: &str) -> Result<Format, String> {
    Format::of_name(&format!(".{text}")).ok_or_else(|| "expected csv or jsonl".to_owned())
}

pub(crate) fn run(arguments: &Arguments, app: &App) -> Result<Exit, Failure> {
    if app.json && arguments.output.is_none() {
        return Err(Failure::usage(
            "--json tells of the view, which would stand beside it",
            "name a file for the view: --output FILE",
        ));
    }
    let views = read_rules(&arguments.rules)?;
    let name = arguments.input.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let format = arguments.format.or_else(|| Format::of_name(&name)).ok_or_else(|| {
        Failure::usage("it is not known how the table is written", "say it: --format csv, or --format jsonl")
    })?;
    let dataset = match &arguments.dataset {
        Some(dataset) => dataset.clone(),
        None if arguments.input == Path::new("-") => {
            return Err(Failure::usage("standard input has no name", "say which dataset it is: --dataset NAME"));
        }
        None => name.rsplit_once('.').map_or(name.clone(), |(stem, _)| stem.to_owned()),
    };
    let view = views
        .of_role(&arguments.role, &dataset)
        .ok_or_else(|| DisclosureError::NoView { dataset: dataset.clone(), role: arguments.role.clone() })?;
    let key = arguments.key.as_deref().map(keyfile::read_encryption).transpose()?;
    if let Some(key) = key.as_ref().filter(|_| arguments.reverse) {
        return open_again(arguments, app, view, format, key);
    }
    let from = Source::open(&arguments.input, "redacting", app.json)?;
    let mut to = Target::create(arguments)?;
    let scanner = Scanner::builtin()?;
    let mut cells = CellScan::new(&scanner);
    let redaction = Redaction {
        view,
        format,
        key: key.as_ref(),
        granted: None,
        bits: &mut SystemBits::default(),
        look: &mut |column, _, value| cells.look(column, value),
    };
    let report = redact(redaction, from, &mut to)?;
    let found = cells.finish();
    if view.scan == Scan::Refuse && !found.is_empty() {
        return Err(DisclosureError::Sensitive { what: hotcell_inspect::told(&found) }.into());
    }
    to.publish()?;
    tell(&report, &found, arguments, app)?;
    Ok(Exit::Yes)
}

fn read_rules(path: &Path) -> Result<Views, Failure> {
    let read = |path: &Path, most: usize| -> io::Result<String> {
        let mut text = String::new();
        fs::File::open(path)?.take(most as u64 + 1).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = read(path, MAX_RULES_BYTES).map_err(|error| Failure::file("read", path, error))?;
    let beside = |name: &str| read(&path.with_file_name(name), MAX_HIERARCHY_BYTES).ok();
    Ok(Views::parse(&path.display().to_string(), &text, &beside)?)
}

/// Opens tokens and encrypted fields, where policy lets who asks read those columns. The log says so first.
fn open_again(arguments: &Arguments, app: &App, view: &View, format: Format, key: &SecretKey) -> Result<Exit, Failure> {
    let engine = policy_in_force(&app.state)?.engine;
    let reversible = |method: &Method| matches!(method, Method::Token { .. } | Method::Encrypt);
    let columns: Vec<_> =
        view.columns.iter().filter(|(_, column)| reversible(&column.method)).map(|(name, _)| name.as_str()).collect();
    for column in &columns {
        let context = [("purpose", &arguments.purpose), ("role", &arguments.role)];
        let ask = Ask {
            principal: crate::run::principal(),
            local: true,
            roles: Vec::new(),
            user: BTreeMap::new(),
            action: "readField".into(),
            resource: format!("{}/{column}", view.dataset),
            attributes: BTreeMap::new(),
            context: context.map(|(name, value)| (name.into(), value.as_str().into())).into(),
        };
        let answer =
            engine.answer(ask).map_err(|error| Failure::usage(error.to_string(), "name the dataset as policy does"))?;
        answer?;
    }
    let now = app.clock.now();
    let log = open_log(&app.state, crate::VERSION, now)?;
    let opened = Event { time: now, task: None, kind: EventKind::FieldsOpened, data: BTreeMap::new() }
        .with("dataset", view.dataset.as_str())
        .with("view", view.name.as_str())
        .with("columns", columns);
    log.append(&[opened], Durability::Durable)?;
    let from = Source::open(&arguments.input, "opening", app.json)?;
    let mut to = Target::create(arguments)?;
    let fields = reverse(view, format, key, from, &mut to)?;
    to.publish()?;
    match (app.json, &arguments.output) {
        (true, output) => print::json(&json!({ "output": output, "fields_opened": fields }))?,
        (false, Some(output)) => writeln!(print::out(), "{}: {fields} fields opened", print::theirs(output.display()))?,
        (false, None) => writeln!(print::err(), "{fields} fields opened")?,
    }
    Ok(Exit::Yes)
}

/// Where the view goes: a file that appears whole, or standard output when all of it is there.
enum Target {
    File(NewFile),
    Output(Vec<u8>),
}

/// What a view may have that is held for standard output.
const MAX_HELD_BYTES: usize = 256 << 20;
/// What was secret stays its owner's.
const OPENED_MODE: u32 = 0o600;
const VIEW_MODE: u32 = 0o666;

impl Target {
    fn create(arguments: &Arguments) -> Result<Self, Failure> {
        let mode = if arguments.reverse { OPENED_MODE } else { VIEW_MODE };
        Ok(match &arguments.output {
            Some(path) => Self::File(NewFile::create(path, mode, arguments.force)?),
            None => Self::Output(Vec::new()),
        })
    }

    fn publish(self) -> Result<(), Failure> {
        match self {
            Self::File(file) => file.publish()?,
            Self::Output(bytes) => io::stdout().lock().write_all(&bytes)?,
        }
        Ok(())
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Output(held) if held.len() + bytes.len() > MAX_HELD_BYTES => {
                let why = format!("the view has more than {MAX_HELD_BYTES} bytes: name a file with --output");
                Err(io::Error::new(io::ErrorKind::FileTooLarge, why))
            }
            Self::Output(held) => held.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Output(_) => Ok(()),
        }
    }
}

/// What was done: on standard output beside a file, on standard error beside the view itself.
fn tell(report: &Report, found: &BTreeMap<String, u64>, arguments: &Arguments, app: &App) -> io::Result<()> {
    if app.json {
        let mut told = serde_json::to_value(report)?;
        told["output"] = json!(arguments.output);
        told["findings"] = json!(found);
        return print::json(&told);
    }
    if arguments.output.is_none() {
        return writeln!(print::err(), "{}", closing(report));
    }
    let mut out = print::out();
    for column in &report.columns {
        let mut line = format!("{}  {}", print::theirs(&column.column), column.done);
        if let (Some(by), Some([level, height])) = (&column.by, column.level) {
            line.push_str(&format!("  by {}, level {level} of {height}", print::theirs(by)));
        }
        if let Some(promise) = &column.promise {
            line.push_str(&format!("  {promise}"));
        }
        if column.not_understood > 0 {
            line.push_str(&format!("  {} values not understood, shown as *", column.not_understood));
        }
        writeln!(out, "{line}")?;
    }
    if let Some(reached) = &report.anonymity {
        writeln!(
            out,
            "{} classes; the smallest has {} people ({} demanded); {} different sensitive values at least ({} demanded); loss {} of 1",
            reached.classes, reached.k_reached, reached.k, reached.l_reached, reached.l, reached.loss
        )?;
    }
    for (kind, count) in found {
        writeln!(out, "holds {kind}: {count}")?;
    }
    writeln!(out, "{}", closing(report))
}

fn closing(report: &Report) -> String {
    format!("{} rows read, {} in the view, {} left out", report.rows_read, report.rows_written, report.rows_suppressed)
}
