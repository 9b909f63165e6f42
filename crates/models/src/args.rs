//! The runner's command line: written by the parent, read inside the sandbox.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use hotcell_types::{Exit, Explain};

use crate::outputs::OutputColumn;

/// Everything that a scoring run is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerArgs {
    /// The model, or a folder that holds it alone.
    pub model: PathBuf,
    /// The table, or a folder that holds it alone.
    pub input: PathBuf,
    /// The file to write; `.jsonl` and `.ndjson` are JSON lines, anything else CSV.
    pub output: PathBuf,
    /// Columns carried over; none: the first column that is not a number, or else the row's number.
    pub keys: Vec<String>,
    /// Columns that the model is given, in its order; none: all numeric columns but the keys, in file order.
    pub features: Vec<String>,
    /// Columns written; none: all that the model gives.
    pub columns: Vec<OutputColumn>,
    /// Whether empty and non-finite values are given to the model (as NaN) instead of refused.
    pub allow_missing: bool,
    /// Whether it works without clocks and cycle counter.
    pub without_clocks: bool,
    /// Threads that may be used.
    pub threads: usize,
    /// Rows held in memory at once, for each thread.
    pub batch_rows: usize,
}

/// A command line that the runner does not understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunnerArgsError {
    /// An option that does not exist.
    #[error("the runner has no option `{option}`")]
    Unknown {
        /// The option.
        option: String,
    },
    /// An option without its value, or a needed option that is not there.
    #[error("the runner needs a value for `{option}`")]
    Missing {
        /// The option.
        option: &'static str,
    },
    /// A value that does not fit its option.
    #[error("`{value}` does not fit the runner's option `{option}`: {why}")]
    Value {
        /// The option.
        option: &'static str,
        /// The value.
        value: String,
        /// Why.
        why: String,
    },
    /// An option given twice that can be given once.
    #[error("the runner's option `{option}` is given twice")]
    Twice {
        /// The option.
        option: &'static str,
    },
}

impl Explain for RunnerArgsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "MDL-040",
            Self::Missing { .. } => "MDL-041",
            Self::Value { .. } => "MDL-042",
            Self::Twice { .. } => "MDL-043",
        }
    }

    fn remedy(&self) -> String {
        "start models with `hotcell run --model FILE`, which writes the runner's command line itself".into()
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

impl RunnerArgs {
    /// A run of this model on this table, with the defaults: one thread, everything that the model gives.
    pub fn new(model: impl Into<PathBuf>, input: impl Into<PathBuf>, output: impl Into<PathBuf>) -> Self {
        Self {
            model: model.into(),
            input: input.into(),
            output: output.into(),
            keys: Vec::new(),
            features: Vec::new(),
            columns: Vec::new(),
            allow_missing: false,
            without_clocks: false,
            threads: 1,
            batch_rows: DEFAULT_BATCH_ROWS,
        }
    }

    /// Reads a command line, without the program's name.
    ///
    /// # Errors
    /// [`RunnerArgsError`] names the option that is unknown, lacking, doubled or has a wrong value.
    pub fn from_args<A: Into<OsString>>(args: impl IntoIterator<Item = A>) -> Result<Self, RunnerArgsError> {
        let mut args = args.into_iter().map(Into::into);
        let (mut model, mut input, mut output) = (None, None, None);
        let (mut threads, mut batch_rows) = (None, None);
        let mut read = Self::new("", "", "");
        while let Some(option) = args.next() {
            match option.to_str() {
                Some(MODEL) => set(&mut model, MODEL, args.next())?,
                Some(INPUT) => set(&mut input, INPUT, args.next())?,
                Some(OUTPUT) => set(&mut output, OUTPUT, args.next())?,
                Some(KEY) => read.keys.push(text(KEY, args.next())?),
                Some(FEATURE) => read.features.push(text(FEATURE, args.next())?),
                Some(COLUMN) => {
                    let value = text(COLUMN, args.next())?;
                    let column = value.parse().map_err(|why| RunnerArgsError::Value { option: COLUMN, value, why })?;
                    read.columns.push(column);
                }
                Some(ALLOW_MISSING) if read.allow_missing => {
                    return Err(RunnerArgsError::Twice { option: ALLOW_MISSING });
                }
                Some(ALLOW_MISSING) => read.allow_missing = true,
                Some(WITHOUT_CLOCKS) if read.without_clocks => {
                    return Err(RunnerArgsError::Twice { option: WITHOUT_CLOCKS });
                }
                Some(WITHOUT_CLOCKS) => read.without_clocks = true,
                Some(THREADS) => set(&mut threads, THREADS, args.next())?,
                Some(BATCH_ROWS) => set(&mut batch_rows, BATCH_ROWS, args.next())?,
                _ => return Err(RunnerArgsError::Unknown { option: option.to_string_lossy().into_owned() }),
            }
        }
        read.model = path(MODEL, model)?;
        read.input = path(INPUT, input)?;
        read.output = path(OUTPUT, output)?;
        if let Some(value) = threads {
            read.threads = number(THREADS, &value, MAX_THREADS)?;
        }
        if let Some(value) = batch_rows {
            read.batch_rows = number(BATCH_ROWS, &value, MAX_BATCH_ROWS)?;
        }
        Ok(read)
    }

    /// The command line that [`RunnerArgs::from_args`] reads back as this.
    pub fn to_args(&self) -> Vec<OsString> {
        let mut args = Vec::new();
        let mut option = |name: &str, value: &OsStr| {
            args.push(OsString::from(name));
            args.push(value.to_owned());
        };
        option(MODEL, self.model.as_os_str());
        option(INPUT, self.input.as_os_str());
        option(OUTPUT, self.output.as_os_str());
        self.keys.iter().for_each(|key| option(KEY, key.as_ref()));
        self.features.iter().for_each(|feature| option(FEATURE, feature.as_ref()));
        self.columns.iter().for_each(|column| option(COLUMN, column.to_string().as_ref()));
        option(THREADS, self.threads.to_string().as_ref());
        option(BATCH_ROWS, self.batch_rows.to_string().as_ref());
        if self.allow_missing {
            args.push(ALLOW_MISSING.into());
        }
        if self.without_clocks {
            args.push(WITHOUT_CLOCKS.into());
        }
        args
    }
}

fn set(into: &mut Option<OsString>, option: &'static str, value: Option<OsString>) -> Result<(), RunnerArgsError> {
    let value = value.ok_or(RunnerArgsError::Missing { option })?;
    if into.replace(value).is_some() { Err(RunnerArgsError::Twice { option }) } else { Ok(()) }
}

fn text(option: &'static str, value: Option<OsString>) -> Result<String, RunnerArgsError> {
    let value = value.ok_or(RunnerArgsError::Missing { option })?;
    value.into_string().map_err(|value| RunnerArgsError::Value {
        option,
        value: value.to_string_lossy().into_owned(),
        why: "it is not UTF-8".into(),
    })
}

fn path(option: &'static str, value: Option<OsString>) -> Result<PathBuf, RunnerArgsError> {
    value.filter(|value| !value.is_empty()).map(PathBuf::from).ok_or(RunnerArgsError::Missing { option })
}

fn number(option: &'static str, value: &OsStr, most: usize) -> Result<usize, RunnerArgsError> {
    let value = value.to_string_lossy();
    value.parse().ok().filter(|number| (1..=most).contains(number)).ok_or_else(|| RunnerArgsError::Value {
        option,
        value: value.into_owned(),
        why: format!("it must be a whole number from 1 to {most}"),
    })
}

const MODEL: &str = "--model";
const INPUT: &str = "--input";
const OUTPUT: &str = "--output";
const KEY: &str = "--key";
const FEATURE: &str = "--feature";
const COLUMN: &str = "--column";
const ALLOW_MISSING: &str = "--allow-missing";
const WITHOUT_CLOCKS: &str = "--without-clocks";
const THREADS: &str = "--threads";
const BATCH_ROWS: &str = "--batch-rows";

/// More threads than this help no model that the runner takes.
const MAX_THREADS: usize = 256;
/// Keeps a batch of wide rows within memory.
const MAX_BATCH_ROWS: usize = 1 << 16;
/// 4,096 rows of 30 features are half a megabyte: within the cache, and large enough to hide the costs of a batch.
const DEFAULT_BATCH_ROWS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_reads_back_as_written() {
        let plain = RunnerArgs::new("/model/x.onnx", "/input/data", "/output/scores.csv");
        let mut full = plain.clone();
        full.keys = vec!["patient".into(), "--key".into()];
        full.features = vec!["a b".into(), "".into()];
        full.columns = vec!["p=probabilities[#1]".parse().unwrap(), "label=label".parse().unwrap()];
        full.allow_missing = true;
        full.without_clocks = true;
        full.threads = 3;
        full.batch_rows = 7;
        for args in [plain, full] {
            assert_eq!(RunnerArgs::from_args(args.to_args()).unwrap(), args);
        }
    }

    #[test]
    fn wrong_command_lines_are_refused_with_the_option() {
        let base = ["--model", "m", "--input", "i", "--output", "o"];
        for (more, says) in [
            (&["--frobnicate"][..], "no option `--frobnicate`"),
            (&["--model", "n"], "`--model` is given twice"),
            (&["--threads"], "value for `--threads`"),
            (&["--threads", "0"], "from 1 to 256"),
            (&["--threads", "many"], "`many`"),
            (&["--batch-rows", "9999999"], "from 1 to 65536"),
            (&["--column", "x"], "NAME=OUTPUT"),
            (&["--allow-missing", "--allow-missing"], "given twice"),
            (&["--without-clocks", "--without-clocks"], "given twice"),
            (&["stray"], "no option `stray`"),
        ] {
            let error = RunnerArgs::from_args(base.iter().chain(more).copied()).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(error.exit(), Exit::Usage);
        }
        let error = RunnerArgs::from_args(["--model", "m", "--input", "i"]).unwrap_err();
        assert_eq!(error, RunnerArgsError::Missing { option: "--output" });
    }
}
