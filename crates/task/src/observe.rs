//! What a caller sees while a task goes its way.

use std::os::fd::BorrowedFd;

use hotcell_policy::Grant;
use hotcell_types::{Observation, TaskId};

/// A step on the way of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The task was taken in.
    Submit,
    /// Policy decides.
    Authorize,
    /// The sandbox is built, the model opened.
    Prepare,
    /// The walls are locked and looked at.
    Preflight,
    /// The workload runs.
    Run,
    /// What would leave is inspected.
    Inspect,
    /// What may leave leaves.
    Release,
    /// The sandbox is destroyed.
    Destroy,
    /// The receipt is signed.
    Receipt,
}

impl Step {
    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Authorize => "authorize",
            Self::Prepare => "prepare",
            Self::Preflight => "preflight",
            Self::Run => "run",
            Self::Inspect => "inspect",
            Self::Release => "release",
            Self::Destroy => "destroy",
            Self::Receipt => "receipt",
        }
    }
}

/// Looks on. Every method does nothing unless it is written anew.
pub trait Observer {
    /// A step begins.
    fn step(&mut self, _task: TaskId, _step: Step) {}
    /// Policy allowed the task.
    fn granted(&mut self, _grant: &Grant) {}
    /// The preflight saw this.
    fn observed(&mut self, _observations: &[Observation]) {}
    /// The image's layers are being fetched: bytes so far, and all.
    fn fetching(&mut self, _bytes: u64, _total: u64) {}
    /// The model is being opened: bytes so far, and all.
    fn opening(&mut self, _bytes: u64, _total: u64) {}
    /// The runner scores: rows so far, and all.
    fn progress(&mut self, _rows: u64, _total: u64) {}
    /// The workload starts with a terminal: what is written to its controlling end is typed, and its size is set there.
    fn terminal(&mut self, _controller: BorrowedFd<'_>) {}
    /// Live standard output, not inspected.
    fn stdout(&mut self, _bytes: &[u8]) {}
    /// Live standard error, not inspected.
    fn stderr(&mut self, _bytes: &[u8]) {}
}

/// Sees nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {}

/// The longest line that can be a progress line: the mark, two numbers of 20 digits, a space.
const MAX_PROGRESS_LINE: usize = 64;

/// Takes the runner's progress lines out of a stream.
#[derive(Debug, Default)]
pub struct ProgressFilter {
    line: Vec<u8>,
    in_other_line: bool,
}

impl ProgressFilter {
    /// Takes the next bytes; what is no progress goes to `rest`. Returns the latest progress among them.
    pub fn push(&mut self, bytes: &[u8], rest: &mut Vec<u8>) -> Option<(u64, u64)> {
        let mut latest = None;
        for &byte in bytes {
            if self.in_other_line {
                rest.push(byte);
                self.in_other_line = byte != b'\n';
                continue;
            }
            self.line.push(byte);
            let mark = hotcell_models::PROGRESS_MARK.as_bytes();
            let begins = self.line.iter().zip(mark).all(|(seen, due)| seen == due);
            if byte == b'\n' {
                match parse(&self.line) {
                    Some(progress) => latest = Some(progress),
                    None => rest.extend_from_slice(&self.line),
                }
                self.line.clear();
            } else if !begins || self.line.len() > MAX_PROGRESS_LINE {
                rest.append(&mut self.line);
                self.in_other_line = true;
            }
        }
        latest
    }

    /// The stream ended: what is left is no progress.
    pub fn finish(&mut self, rest: &mut Vec<u8>) {
        rest.append(&mut self.line);
    }
}

fn parse(line: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(line).ok()?.strip_prefix(hotcell_models::PROGRESS_MARK)?;
    let (rows, total) = text.trim_end().split_once(' ')?;
    Some((rows.parse().ok()?, total.parse().ok()?))
}
