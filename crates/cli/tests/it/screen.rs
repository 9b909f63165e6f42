//! A terminal of the test's own, with hotcell on it.
//!
//! A test types, and waits for what it expects to see; nothing sleeps. Commands are typed so that what they print does
//! not stand in what is typed, because a terminal shows that too.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::hotcell::Place;

/// A terminal with a program on it.
pub(crate) struct Screen {
    ours: File,
    /// The program's end, held open so that its modes can be looked at.
    theirs: OwnedFd,
    child: Child,
    before: Termios,
    /// All that was shown and not waited for yet.
    shown: String,
    /// The beginning of a character whose rest has not come.
    begun: Vec<u8>,
}

/// Long enough for any machine; a test that waits as long fails.
const PATIENCE: Duration = Duration::from_secs(120);

impl Screen {
    /// Runs hotcell on a terminal of 24 rows and 80 columns, which controls it.
    pub(crate) fn new(place: &Place, arguments: &[&str]) -> Self {
        Self::of(place.command(arguments))
    }

    /// The same of a command that was changed.
    pub(crate) fn of(hotcell: Command) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let theirs: OwnedFd = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap().into();
        resize(&ours, 24, 80);
        let before = tcgetattr(&theirs).unwrap();
        // Keys are signals also where whoever runs the tests ignores them.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "env", "--default-signal"]).arg(hotcell.get_program()).args(hotcell.get_args());
        for (name, value) in hotcell.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.current_dir(hotcell.get_current_dir().unwrap()).env("TERM", "xterm");
        let end = || Stdio::from(theirs.try_clone().unwrap());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        Self { ours: File::from(ours), theirs, child, before, shown: String::new(), begun: Vec::new() }
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this is shown; gives what was shown before it.
    pub(crate) fn shows(&mut self, expected: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.shown.find(expected) {
                let before = self.shown[..at].to_owned();
                self.shown.drain(..at + expected.len());
                return before;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.reads(left.as_nanos().try_into().unwrap()) {
                panic!("`{expected}` was not shown, but: {}", self.shown);
            }
        }
    }

    /// Reads what is shown within this time; whether there was anything.
    fn reads(&mut self, nanoseconds: i64) -> bool {
        let mut fds = [PollFd::new(&self.ours, PollFlags::IN)];
        let second = 1_000_000_000;
        let wait = Timespec { tv_sec: nanoseconds / second, tv_nsec: nanoseconds % second };
        if poll(&mut fds, Some(&wait)).unwrap() == 0 {
            return false;
        }
        let mut bytes = [0; 4096];
        let count = self.ours.read(&mut bytes).unwrap();
        self.begun.extend_from_slice(&bytes[..count]);
        let whole = match std::str::from_utf8(&self.begun) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.begun.len(),
        };
        let rest = self.begun.split_off(whole);
        self.shown.push_str(&String::from_utf8_lossy(&std::mem::replace(&mut self.begun, rest)));
        true
    }

    /// Waits for the end; gives the status and the rest that was shown. The terminal must be as it was.
    pub(crate) fn ends(mut self) -> (Option<i32>, String) {
        // Read on, lest the program waits for us.
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            assert!(Instant::now() < deadline, "it does not end: {}", self.shown);
            if self.reads(20_000_000) {
                continue;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
        };
        // What it wrote last may still be on its way: it stands before what is written after its end.
        File::from(self.theirs.try_clone().unwrap()).write_all(END.as_bytes()).unwrap();
        let rest = self.shows(END);
        let after = tcgetattr(&self.theirs).unwrap();
        assert_eq!(modes(&after), modes(&self.before), "the terminal was not given back");
        (status.code(), rest)
    }

    /// Makes the terminal as large.
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        resize(&self.ours, rows, columns);
    }

    pub(crate) fn id(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(terminal: &impl AsFd, rows: u16, columns: u16) {
    tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

fn modes(termios: &Termios) -> String {
    format!("{:?} {:?} {:?}", termios.input_modes, termios.output_modes, termios.local_modes)
}

/// Written behind everything else.
const END: &str = "\u{1}end\u{1}";
