//! The scoring run: a table in, a scored table out, in constant memory.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use csv::ByteRecord;

use crate::args::RunnerArgs;
use crate::error::{ModelError, RunnerError};
use crate::model::{Model, Predictions};
use crate::onnx::MAX_MODEL_BYTES;
use crate::outputs::{Placed, cell, place};
use crate::table::{Table, TableFormat};

mod features;
mod rows;

use features::Plan;

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunnerReport {
    /// Rows read, and so rows written.
    pub rows: u64,
    /// Columns that the model was given.
    pub features: usize,
    /// Columns written, the keys included.
    pub columns: usize,
}

/// What a line of progress begins with: `<mark>ROWS TOTAL`, TOTAL being 0 where it is not known.
pub const PROGRESS_MARK: &str = "\x01progress ";

/// Scores a table with a model, as told. Progress goes to `progress`, one line at a time.
///
/// Needs no right but to read the model and the input and to create the output, which must not exist yet; an
/// output that could not be finished is removed.
///
/// # Errors
/// [`RunnerError`]; those of the table name row and column, never a value.
pub fn runner_main(args: &RunnerArgs, progress: &mut dyn Write) -> Result<RunnerReport, RunnerError> {
    let model = load(&single_file(&args.model)?)?.with_threads(args.threads);
    let input = single_file(&args.input)?;
    let total = count_lines(&input)?;
    let from = BufReader::with_capacity(READ_BUFFER, open(&input)?);
    let to = OpenOptions::new().write(true).create_new(true).open(&args.output);
    let to = to.map_err(|source| RunnerError::File { verb: "create", path: args.output.clone(), source })?;
    let report = score(&model, from, BufWriter::with_capacity(READ_BUFFER, to), args, total, progress);
    if report.is_err() {
        // Best effort: the error that is reported matters more than this one.
        let _ = fs::remove_file(&args.output);
    }
    report
}

/// Scores the rows of `from` into `to`; `total` is what progress gives as the number of rows, 0 if unknown.
///
/// Of `args` only what concerns columns, threads and the output's name (for its form) is used.
///
/// # Errors
/// As [`runner_main`].
pub fn score<R: BufRead, W: Write>(
    model: &Model,
    from: R,
    mut to: W,
    args: &RunnerArgs,
    total: u64,
    progress: &mut dyn Write,
) -> Result<RunnerReport, RunnerError> {
    let mut table = Table::open(from)?;
    // A network runs its own threads, so one worker feeds it.
    let workers = if model.is_classical() { args.threads.max(1) } else { 1 };
    let batch = args.batch_rows.max(1) * workers;
    let mut records = Vec::new();
    let mut count = table.fill(&mut records, batch)?;
    let plan = Plan::make(model, &table.header, records.get(..count).unwrap_or_default(), args)?;
    let format = TableFormat::of_name(&args.output);
    let mut report = RunnerReport { rows: 0, features: plan.features(), columns: 0 };
    let mut ticks = Ticks { total, next: 0, progress };
    ticks.tell(0)?;
    loop {
        let worker = Worker { model, plan: &plan, format, args };
        let scored = worker.score(records.get(..count).unwrap_or_default(), report.rows, workers)?;
        if report.rows == 0 {
            report.columns = plan.keys().len() + scored.placed.len();
            let header = rows::header(plan.keys(), &scored.placed, format);
            to.write_all(&header).map_err(scores)?;
        }
        for part in &scored.parts {
            to.write_all(part).map_err(scores)?;
        }
        report.rows += count as u64;
        ticks.tell(report.rows)?;
        if count < batch {
            break;
        }
        count = table.fill(&mut records, batch)?;
        if count == 0 {
            break;
        }
    }
    to.flush().map_err(scores)?;
    ticks.end(report.rows)?;
    Ok(report)
}

/// Scores batches.
struct Worker<'a> {
    model: &'a Model,
    plan: &'a Plan,
    format: TableFormat,
    args: &'a RunnerArgs,
}

/// The written rows of a batch, part by part, and the columns they have.
struct Scored {
    placed: Vec<Placed>,
    parts: Vec<Vec<u8>>,
}

impl Worker<'_> {
    /// Splits a batch among threads; parts come back in order.
    fn score(&self, records: &[ByteRecord], before: u64, workers: usize) -> Result<Scored, RunnerError> {
        let share = records.len().div_ceil(workers).max(1);
        if workers == 1 || records.len() <= SMALL_BATCH {
            let (placed, part) = self.part(records, before)?;
            return Ok(Scored { placed, parts: vec![part] });
        }
        let results: Vec<Result<_, RunnerError>> = std::thread::scope(|scope| {
            let start = |(index, share_of): (usize, _)| {
                let before = before + (index * share) as u64;
                std::thread::Builder::new().spawn_scoped(scope, move || self.part(share_of, before))
            };
            let running: Vec<_> = records.chunks(share).enumerate().map(start).collect();
            // Also where no thread could be started.
            let end = |thread: std::io::Result<std::thread::ScopedJoinHandle<'_, _>>| {
                thread.ok().and_then(|thread| thread.join().ok()).unwrap_or(Err(RunnerError::Worker))
            };
            running.into_iter().map(end).collect()
        });
        let mut scored = Scored { placed: Vec::new(), parts: Vec::with_capacity(workers) };
        for result in results {
            let (placed, part) = result?;
            scored.placed = placed;
            scored.parts.push(part);
        }
        Ok(scored)
    }

    fn part(&self, records: &[ByteRecord], before: u64) -> Result<(Vec<Placed>, Vec<u8>), RunnerError> {
        let mut part = Vec::with_capacity(records.len() * 32);
        let mut placed = Vec::new();
        // A model whose batch size is fixed to one is asked row by row.
        let step = self.plan.rows_at_once().unwrap_or(records.len()).max(1);
        let mut chunks = records.chunks(step).peekable();
        let mut done = 0;
        if chunks.peek().is_none() {
            // Without rows there are no predictions to take the columns from but those that are declared.
            return Ok((rows::declared(&self.args.columns), part));
        }
        for chunk in chunks {
            let batch = self.plan.batch(chunk, before + done, self.args.allow_missing)?;
            let predictions = self.model.predict(&batch)?;
            if predictions.rows != chunk.len() {
                let why = format!("it gave {} results for {} rows", predictions.rows, chunk.len());
                return Err(ModelError::Inputs { why }.into());
            }
            if placed.is_empty() {
                placed = place(&self.args.columns, &predictions)?;
            }
            self.write(&predictions, &placed, chunk, before + done, &mut part)?;
            done += chunk.len() as u64;
        }
        Ok((placed, part))
    }

    fn write(
        &self,
        predictions: &Predictions,
        placed: &[Placed],
        records: &[ByteRecord],
        before: u64,
        into: &mut Vec<u8>,
    ) -> Result<(), RunnerError> {
        for (index, record) in records.iter().enumerate() {
            let row = before + index as u64 + 1;
            let keys = self.plan.key_values(record, row)?;
            let values = placed.iter().map(|column| {
                let output = predictions.outputs.get(column.output)?;
                cell(&output.tensor, index, column.position)
            });
            rows::write(self.format, self.plan.keys(), &keys, placed, values, into);
        }
        Ok(())
    }
}

/// Progress, told by the number of rows and never by a clock.
struct Ticks<'a> {
    total: u64,
    next: u64,
    progress: &'a mut dyn Write,
}

impl Ticks<'_> {
    fn tell(&mut self, rows: u64) -> Result<(), RunnerError> {
        if rows < self.next {
            return Ok(());
        }
        self.next = rows + if self.total == 0 { TICK_ROWS } else { (self.total / TICKS).max(1) };
        self.line(rows)
    }

    fn end(&mut self, rows: u64) -> Result<(), RunnerError> {
        self.total = rows;
        self.line(rows)
    }

    fn line(&mut self, rows: u64) -> Result<(), RunnerError> {
        let total = if self.total == 0 { 0 } else { self.total.max(rows) };
        let line = format!("{PROGRESS_MARK}{rows} {total}\n");
        let written = self.progress.write_all(line.as_bytes()).and_then(|()| self.progress.flush());
        written.map_err(|source| RunnerError::Write { what: "progress", source })
    }
}

fn scores(source: std::io::Error) -> RunnerError {
    RunnerError::Write { what: "scores", source }
}

fn load(path: &Path) -> Result<Model, RunnerError> {
    let failed = |source| RunnerError::File { verb: "read", path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let limit = MAX_MODEL_BYTES as u64;
    open(path)?.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Model::load(&bytes)?)
}

fn open(path: &Path) -> Result<File, RunnerError> {
    File::open(path).map_err(|source| RunnerError::File { verb: "open", path: path.to_owned(), source })
}

/// The file itself, or the only file of a folder.
fn single_file(path: &Path) -> Result<PathBuf, RunnerError> {
    let failed = |source| RunnerError::File { verb: "open", path: path.to_owned(), source };
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(path.to_owned());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)?.take(MAX_ENTRIES) {
        files.push(entry.map_err(failed)?.path());
    }
    match files.as_slice() {
        [file] => Ok(file.clone()),
        _ => Err(RunnerError::NotOneFile { path: path.to_owned(), files: files.len() }),
    }
}

/// Lines of a plain file, less one for a header: near enough for a progress bar. 0 where counting would take
/// the rows away, as of a pipe.
fn count_lines(path: &Path) -> Result<u64, RunnerError> {
    let failed = |source| RunnerError::File { verb: "read", path: path.to_owned(), source };
    let file = open(path)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Ok(0);
    }
    let mut from = BufReader::with_capacity(READ_BUFFER, file);
    let json = TableFormat::of_content(from.fill_buf().map_err(failed)?) == TableFormat::JsonLines;
    let (mut lines, mut last) = (0u64, b'\n');
    loop {
        let bytes = from.fill_buf().map_err(failed)?;
        let Some(end) = bytes.last() else { break };
        last = *end;
        lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        let length = bytes.len();
        from.consume(length);
    }
    lines += u64::from(last != b'\n');
    Ok(lines.saturating_sub(u64::from(!json)))
}

/// Large enough that the system is asked seldom, small enough for any sandbox.
const READ_BUFFER: usize = 256 << 10;
/// Fewer rows than this are not worth a thread.
const SMALL_BATCH: usize = 256;
/// Lines of progress where the number of rows is known.
const TICKS: u64 = 40;
/// Rows between lines of progress where it is not.
const TICK_ROWS: u64 = 1 << 17;
/// Entries of a folder that are looked at: one is wanted.
const MAX_ENTRIES: usize = 1000;
