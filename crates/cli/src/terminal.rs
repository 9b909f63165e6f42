//! Our own terminal while a task has one of its own: what is typed goes in unread, and on every way out the
//! terminal is given back as it was.

use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Signal, getpid, kill_process};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGWINCH};
use signal_hook::iterator::Signals;

use crate::failure::Failure;

/// Carries between our terminal and that of a task. Dropping it gives our terminal back.
pub(crate) struct Session {
    /// The controlling end of the task's terminal, once there is one.
    theirs: Arc<Mutex<Option<OwnedFd>>>,
}

/// How our terminal was before, while it is raw.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Ends what a program may have left switched on when it was killed: colours, a hidden cursor, pasting and mouse
/// reports. Each of these is without effect where it was off.
const CALM: &[u8] = b"\x1b[0m\x1b[?25h\x1b[?2004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l";

impl Session {
    /// Sees that there is a terminal, and from here on minds the signals; `cancel` is written to when the task is to
    /// end.
    ///
    /// # Errors
    /// When standard input or output is no terminal.
    pub(crate) fn begin(cancel: OwnedFd) -> Result<Self, Failure> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(Failure::usage(
                "--tty needs a terminal, and standard input or standard output is none",
                "leave it out; --stdin hands standard input on from a pipe or file",
            ));
        }
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // The lock may be held by the very thread that panics.
            if let Ok(mut before) = BEFORE.try_lock() {
                restore(&mut before);
            }
            previous(info);
        }));
        let theirs = Arc::new(Mutex::new(None));
        let signals =
            Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGTSTP, SIGCONT, SIGWINCH]).map_err(signals)?;
        let shared = Arc::clone(&theirs);
        std::thread::Builder::new()
            .spawn(move || mind(signals, &shared, &cancel))
            .map_err(|source| Failure::system("starting a thread for the terminal", source))?;
        Ok(Self { theirs })
    }

    /// The task's terminal is there: from here on ours shows it.
    pub(crate) fn join(&self, controller: BorrowedFd<'_>) -> io::Result<()> {
        let (held, typed) = (controller.try_clone_to_owned()?, controller.try_clone_to_owned()?);
        copy_size(held.as_fd());
        *lock(&self.theirs) = Some(held);
        make_raw()?;
        std::thread::Builder::new().spawn(move || type_into(&typed)).map(drop)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        lock(&self.theirs).take();
        give_back();
    }
}

/// Our terminal passes every key on, and shows what it is given as it is.
fn make_raw() -> io::Result<()> {
    let mut before = lock(&BEFORE);
    let now = tcgetattr(stdin())?;
    let mut raw = now.clone();
    raw.make_raw();
    tcsetattr(stdin(), OptionalActions::Now, &raw)?;
    before.get_or_insert(now);
    Ok(())
}

/// Our terminal is as it was. Does nothing when it is so already.
fn give_back() {
    restore(&mut lock(&BEFORE));
}

fn restore(before: &mut Option<Termios>) {
    if let Some(before) = before.take() {
        let _ = io::stdout().write_all(CALM).and_then(|()| io::stdout().flush());
        // Nothing can be done where the terminal is gone.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
    }
}

/// The task's terminal is as large as ours.
fn copy_size(theirs: BorrowedFd<'_>) {
    if let Ok(size) = tcgetwinsize(stdout()) {
        let _ = tcsetwinsize(theirs, size);
    }
}

/// What is typed goes to the task, until one of both ends.
fn type_into(theirs: &OwnedFd) {
    let mut keys = [0u8; 4096];
    loop {
        let typed = match rustix::io::read(stdin(), &mut keys) {
            Err(rustix::io::Errno::INTR) => continue,
            Ok(0) | Err(_) => return,
            Ok(count) => keys.get(..count).unwrap_or_default(),
        };
        let mut rest = typed;
        while !rest.is_empty() {
            match rustix::io::write(theirs, rest) {
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            }
        }
    }
}

/// Signals while a task has a terminal. The keys that make them go to the task: these come from elsewhere.
fn mind(mut signals: Signals, theirs: &Mutex<Option<OwnedFd>>, cancel: &OwnedFd) {
    let mut asked = false;
    for signal in signals.forever() {
        match signal {
            SIGWINCH => lock(theirs).iter().for_each(|theirs| copy_size(theirs.as_fd())),
            SIGTSTP => {
                give_back();
                let _ = kill_process(getpid(), Signal::STOP);
            }
            SIGCONT => {
                // Whoever continued us may have used the terminal in between.
                if let Some(theirs) = &*lock(theirs) {
                    let _ = make_raw();
                    copy_size(theirs.as_fd());
                }
            }
            SIGUSR1 => ask(cancel),
            _ if asked => {
                // Whoever asks twice does not want to wait: the kernel ends the sandbox, the next start cleans up.
                give_back();
                std::process::exit(crate::run::CANCELLED);
            }
            _ => {
                asked = true;
                ask(cancel);
            }
        }
    }
}

fn ask(cancel: &OwnedFd) {
    // A pipe that is full has been asked already.
    let _ = rustix::io::write(cancel, b"x");
}

fn signals(source: io::Error) -> Failure {
    Failure::system("watching for signals", source)
}

/// What the lock guards is whole at any moment: a thread that panicked leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
