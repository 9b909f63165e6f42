//! What is shown while a task runs: its own words, and a bar on a terminal.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use hotcell_inspect::Neutralizer;
use hotcell_task::{Observer, Step};
use hotcell_types::TaskId;
use indicatif::ProgressBar;

use crate::bar;
use crate::terminal::Session;

/// Looks on for the command line.
pub(crate) struct Watch {
    json: bool,
    stdout: Stream,
    stderr: Stream,
    bar: Option<ProgressBar>,
    /// Our terminal, where the task has one of its own.
    session: Option<Session>,
}

/// One of our own streams, or the memory of it for `--json`.
struct Stream {
    neutralizer: Option<Neutralizer>,
    /// The way to a terminal, where it is one.
    feed: Option<File>,
    kept: Vec<u8>,
}

/// Live output beyond this is not repeated in `--json`; it stands in the task's own file.
const MAX_KEPT_BYTES: usize = 8 << 20;

impl Watch {
    /// With a session, control sequences pass; without one, they do not reach a terminal.
    pub(crate) fn new(json: bool, session: Option<Session>) -> Self {
        let harmless = session.is_none();
        let stream = |is_terminal: bool| Stream {
            neutralizer: (is_terminal && harmless).then(Neutralizer::new),
            feed: None,
            kept: Vec::new(),
        };
        let (stdout, stderr) = (stream(io::stdout().is_terminal()), stream(io::stderr().is_terminal()));
        Self { json, stdout, stderr, bar: None, session }
    }

    /// What passes live goes by these ways, where the streams are terminals.
    pub(crate) fn by(mut self, feeds: [Option<File>; 2]) -> Self {
        [self.stdout.feed, self.stderr.feed] = feeds;
        self
    }

    /// Ends the bar, shows what is left of the streams, waits for `shown`, and gives the terminal back.
    pub(crate) fn finish(&mut self, shown: impl FnOnce()) {
        self.end_bar();
        self.stdout.finish(&mut io::stdout());
        self.stderr.finish(&mut io::stderr());
        shown();
        self.session = None;
    }

    fn end_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// What passed live, for `--json`: standard output and standard error.
    pub(crate) fn live(&self) -> [String; 2] {
        [&self.stdout, &self.stderr].map(|stream| String::from_utf8_lossy(&stream.kept).into_owned())
    }

    /// The bar, if one is shown.
    fn bar(&mut self, total: u64, of: &str, done: &str) -> Option<&ProgressBar> {
        if self.bar.is_none() && !self.json {
            self.bar = bar::bar(total, of, done);
        }
        let bar = self.bar.as_ref()?;
        bar.set_length(total);
        Some(bar)
    }
}

impl Observer for Watch {
    fn step(&mut self, _task: TaskId, step: Step) {
        if matches!(step, Step::Run | Step::Inspect) {
            self.end_bar();
        }
    }

    fn fetching(&mut self, bytes: u64, total: u64) {
        if let Some(bar) = self.bar(total, "fetching the image", bar::BYTES) {
            bar.set_position(bytes);
        }
        if bytes >= total {
            self.end_bar();
        }
    }

    fn opening(&mut self, bytes: u64, total: u64) {
        if let Some(bar) = self.bar(total, "opening the model", bar::BYTES) {
            bar.set_position(bytes);
        }
        if bytes >= total {
            self.end_bar();
        }
    }

    fn progress(&mut self, rows: u64, total: u64) {
        if let Some(bar) = self.bar(total, "scoring rows", bar::COUNT) {
            bar.enable_steady_tick(Duration::from_millis(200));
            bar.set_position(rows);
        }
    }

    fn terminal(&mut self, controller: BorrowedFd<'_>) {
        if let Some(Err(error)) = self.session.as_ref().map(|session| session.join(controller)) {
            let _ = writeln!(io::stderr().lock(), "hotcell: the terminal cannot be shown: {error}");
        }
    }

    fn stdout(&mut self, bytes: &[u8]) {
        match self.json {
            true => self.stdout.keep(bytes),
            false => self.stdout.show(bytes, &mut io::stdout()),
        }
    }

    fn stderr(&mut self, bytes: &[u8]) {
        match self.json {
            true => self.stderr.keep(bytes),
            false => self.stderr.show(bytes, &mut io::stderr()),
        }
    }
}

impl Stream {
    fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_KEPT_BYTES.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// Passes bytes on; on a terminal, without the control sequences. A reader that left does not end the task.
    fn show(&mut self, bytes: &[u8], to: &mut dyn Write) {
        let mut harmless = Vec::new();
        let bytes = match &mut self.neutralizer {
            Some(neutralizer) => {
                neutralizer.push(bytes, &mut harmless);
                &harmless
            }
            None => bytes,
        };
        let to = self.feed.as_mut().map_or(to, |feed| feed);
        let _ = to.write_all(bytes).and_then(|()| to.flush());
    }

    /// Shows what was held back, and closes the way.
    fn finish(&mut self, to: &mut dyn Write) {
        let mut rest = Vec::new();
        if let Some(neutralizer) = self.neutralizer.take() {
            neutralizer.finish(&mut rest);
            self.show(&rest, to);
        }
        self.feed = None;
    }
}
