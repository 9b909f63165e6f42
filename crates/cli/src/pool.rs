//! `hotcell pool`: shells that wait, for `hotcell run` to begin with one.
//!
//! The pool listens on a socket in the state folder. It reads nothing from whoever connects: one who is of its own
//! user is handed a shell, if one waits, and the connection is closed. So there is no request to be malformed, and
//! nobody for whom the pool would have to wait.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use hotcell_isolate::Shell;
use hotcell_isolate::pool::{MAX_SIZE, Pool};
use hotcell_types::{Exit, Explain};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen, socket_with,
};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::app::{App, state_folder};
use crate::failure::Failure;
use crate::print;

/// Keep shells ready, so that `hotcell run` with the same state folder starts quicker.
///
/// Runs until it is stopped. A shell is what is the same for all tasks: it has no input, key, network or workload, becomes
/// the sandbox of one task and is never used again. Where no pool runs, or none of its shells fits, `run` makes its own.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How many shells wait, at most 256.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=MAX_SIZE as i64))]
    size: u16,
    /// Tell of the pool that runs, and exit with 1 if there is none.
    #[arg(long, conflicts_with_all = ["stop", "size"])]
    status: bool,
    /// End the pool that runs, and exit with 1 if there is none. Tasks that began with its shells go on.
    #[arg(long, conflicts_with = "size")]
    stop: bool,
}

pub(crate) fn run(arguments: &Arguments, app: &App) -> Result<Exit, Failure> {
    if arguments.status || arguments.stop {
        return match Told::of(&app.state)? {
            None => {
                match app.json {
                    true => print::json(&serde_json::json!({ "running": false }))?,
                    false => writeln!(print::out(), "no pool runs with this state folder")?,
                }
                Ok(Exit::No)
            }
            Some((told, lock)) => {
                if arguments.stop {
                    told.stop(&lock, &app.state)?;
                }
                told.tell(!arguments.stop, app.json)?;
                Ok(Exit::Yes)
            }
        };
    }
    Keeper::begin(usize::from(arguments.size), app)?.keep()
}

/// A shell of the pool that runs with this state folder, if it has one that fits.
pub(crate) fn claim(state: &Path) -> Option<Shell> {
    let folder = Folder::open(state).ok()?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SOCKET_FLAGS, None).ok()?;
    connect(&socket, &folder.socket().ok()?).ok()?;
    if !is_own_user(&socket) {
        return None;
    }
    Shell::take_over(socket.as_fd(), &build(), PATIENCE)
}

/// The same before the command line is understood: the state folder is looked for in its words.
pub(crate) fn claim_early() -> Option<Shell> {
    let mut words = std::env::args_os().skip(1).take_while(|word| word != "--");
    let mut option = None;
    while let Some(word) = words.next() {
        if word == "--state" {
            option = words.next();
        } else if let Some(folder) = word.to_str().and_then(|word| word.strip_prefix("--state=")) {
            option = Some(folder.into());
        }
    }
    claim(&state_folder(option.map(Into::into)).ok()?)
}

/// How long `run` waits for a shell: a pool that is held up costs no more than this, a shell of one's own 2 to 3 ms.
const PATIENCE: Duration = Duration::from_millis(20);

const SOCKET_FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// Names this build: its version, and what its launcher is.
fn build() -> String {
    format!("{} {}", crate::VERSION, hotcell_crypto::sha256(hotcell_isolate::LAUNCHER).hex())
}

fn is_own_user(socket: &OwnedFd) -> bool {
    socket_peercred(socket).is_ok_and(|peer| peer.uid == rustix::process::geteuid())
}

/// The pool's folder in the state folder.
struct Folder(OwnedFd);

impl Folder {
    /// Opens it; refused unless it is our own and nobody else may enter.
    fn open(state: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::PATH;
        let folder = rustix::fs::open(state.join(FOLDER), flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&folder)?;
        if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_mode & 0o077 != 0 {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is not this user's alone"));
        }
        Ok(Self(folder))
    }

    fn make(state: &Path) -> Result<Self, Failure> {
        let path = state.join(FOLDER);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path).and_then(|()| Self::open(state));
        made.map_err(|source| Failure::file("use the folder", &path, source))
    }

    /// The socket's address. State folders may have longer paths than an address: it goes by the descriptor.
    fn socket(&self) -> io::Result<SocketAddrUnix> {
        Ok(SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET}", self.0.as_raw_fd()))?)
    }

    /// The file that a pool holds the lock of while it runs.
    fn lock(&self, make: bool) -> io::Result<File> {
        let path = format!("/proc/self/fd/{}/{LOCK}", self.0.as_raw_fd());
        let no_link = OFlags::NOFOLLOW.bits().cast_signed();
        OpenOptions::new().read(true).write(true).create(make).mode(0o600).custom_flags(no_link).open(path)
    }
}

const FOLDER: &str = "pool";
const SOCKET: &str = "socket";
const LOCK: &str = "lock";

/// What a pool tells of itself, in the file that it has locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Its process.
    process: u32,
    version: String,
    /// How many shells should wait.
    size: usize,
    /// How many do.
    ready: usize,
    /// How many were handed over.
    handed: u64,
}

impl Told {
    /// What the pool that runs with this state folder tells, and the file that it has locked.
    fn of(state: &Path) -> Result<Option<(Self, File)>, Failure> {
        let read = |source| Failure::file("read the pool's file in", &state.join(FOLDER), source);
        let mut file = match Folder::open(state).and_then(|folder| folder.lock(false)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(read)?,
        };
        if !is_locked(&file).map_err(read)? {
            return Ok(None);
        }
        let mut text = String::new();
        (&mut file).take(MAX_TOLD_BYTES).read_to_string(&mut text).map_err(read)?;
        match serde_json::from_str(&text) {
            Ok(told) => Ok(Some((told, file))),
            // It has not written a word yet.
            Err(_) => Ok(None),
        }
    }

    /// The pool in a line, for `hotcell ps`.
    pub(crate) fn line(state: &Path) -> Option<String> {
        let (told, _) = Self::of(state).ok()??;
        Some(told.text())
    }

    fn text(&self) -> String {
        format!(
            "pool: {} of {} shells wait, {} handed over, process {}",
            self.ready, self.size, self.handed, self.process
        )
    }

    fn tell(&self, is_running: bool, json: bool) -> Result<(), Failure> {
        match json {
            true => {
                let mut value = serde_json::to_value(self).unwrap_or_default();
                value["running"] = is_running.into();
                print::json(&value)?;
            }
            false if is_running => writeln!(print::out(), "{}", self.text())?,
            false => writeln!(print::out(), "the pool is stopped")?,
        }
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    fn stop(&self, lock: &File, state: &Path) -> Result<(), Failure> {
        let failed = |source| Failure::file("stop the pool of", state, source);
        let pid = i32::try_from(self.process).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| failed(io::Error::other("its process id is none")))?;
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            other => other.map_err(|error| failed(error.into()))?,
        };
        // Still locked: its holder lives, so that the descriptor is for it and for nobody who was given its id later.
        if is_locked(lock).map_err(failed)? {
            pidfd_send_signal(&process, Signal::TERM).map_err(|error| failed(error.into()))?;
            loop {
                match poll(&mut [PollFd::new(&process, PollFlags::IN)], None) {
                    Ok(_) => break,
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(failed(error.into())),
                }
            }
        }
        Ok(())
    }
}

const MAX_TOLD_BYTES: u64 = 4096;

fn is_locked(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => flock(file, FlockOperation::Unlock).map(|()| false).map_err(Into::into),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Keeps the pool.
struct Keeper {
    pool: Pool,
    size: usize,
    folder: Folder,
    /// Held as long as the pool runs.
    lock: File,
    listener: OwnedFd,
    /// Becomes readable when the pool is to end.
    ended: OwnedFd,
    /// Becomes readable when a child of ours ended.
    child: OwnedFd,
    build: String,
    handed: u64,
    /// No shell is started before; one that could not be is not tried again at once.
    next_try: Instant,
    told: Option<Told>,
    json: bool,
}

impl Keeper {
    fn begin(size: usize, app: &App) -> Result<Self, Failure> {
        let failed = |source| Failure::file("use the folder", &app.state.join(FOLDER), source);
        let folder = Folder::make(&app.state)?;
        let lock = folder.lock(true).map_err(failed)?;
        // Whoever asks for the status locks it for a moment.
        let mut tries = 0..LOCK_TRIES;
        while let Err(error) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            match (error, tries.next()) {
                (rustix::io::Errno::INTR, _) => {}
                (rustix::io::Errno::WOULDBLOCK, Some(_)) => std::thread::sleep(LOCK_PAUSE),
                (rustix::io::Errno::WOULDBLOCK, None) => return Err(PoolError::Runs.into()),
                (error, _) => return Err(failed(error.into())),
            }
        }
        let listener = folder.listen().map_err(failed)?;
        use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
        Ok(Self {
            pool: Pool::new(size),
            size,
            folder,
            lock,
            listener,
            ended: on_signals(&[SIGINT, SIGTERM, SIGHUP, SIGQUIT])?,
            child: on_signals(&[SIGCHLD])?,
            build: build(),
            handed: 0,
            next_try: Instant::now(),
            told: None,
            json: app.json,
        })
    }

    fn keep(mut self) -> Result<Exit, Failure> {
        // What hinders the first shell hinders all: it is told, and there is no pool.
        self.pool.fill(hotcell_crypto::random())?;
        let mut is_ready = false;
        loop {
            let missing = self.pool.has_room() && self.next_try <= Instant::now();
            let [has_ended, child, asked] = self.wait(missing)?;
            if has_ended {
                break;
            }
            if child {
                self.reap();
            }
            if asked {
                self.serve();
            }
            self.pool.tidy();
            if missing {
                self.fill();
            }
            self.note();
            if !is_ready && !self.pool.has_room() {
                is_ready = true;
                self.say_ready()?;
            }
        }
        // Nobody finds it any more; then its shells end.
        self.folder.remove_socket();
        Ok(Exit::Yes)
    }

    /// Waits until there is something to do.
    fn wait(&self, not_at_all: bool) -> Result<[bool; 3], Failure> {
        let mut fds = vec![
            PollFd::new(&self.ended, PollFlags::IN),
            PollFd::new(&self.child, PollFlags::IN),
            PollFd::new(&self.listener, PollFlags::IN),
        ];
        // A shell that ends by itself is replaced.
        fds.extend(self.pool.shells().filter_map(Shell::end).map(|end| PollFd::from_borrowed_fd(end, PollFlags::IN)));
        let pause = Timespec { tv_sec: if not_at_all { 0 } else { TIDY_SECONDS }, tv_nsec: 0 };
        match poll(&mut fds, Some(&pause)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Failure::system("waiting for who asks for a shell", error.into())),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        Ok([(); 3].map(|()| ready.next().unwrap_or(false)))
    }

    /// Hands a shell to each who asks, as long as there are some.
    fn serve(&mut self) {
        // What fails with one of them is that one's loss.
        while let Ok(client) = accept_with(&self.listener, SOCKET_FLAGS) {
            if !is_own_user(&client) {
                continue;
            }
            let Some(shell) = self.pool.take() else { continue };
            match shell.hand_over(client.as_fd(), &self.build) {
                Ok(()) => self.handed += 1,
                // Nobody waited for it any more.
                Err((shell, _)) => drop(self.pool.put(shell)),
            }
        }
    }

    fn fill(&mut self) {
        if let Err(error) = self.pool.fill(hotcell_crypto::random()) {
            self.next_try = Instant::now() + RETRY;
            let mut to = print::err();
            let _ = writeln!(to, "hotcell: a shell could not be made, and is tried again: {error}");
        }
    }

    /// First processes of shells that were handed over are children of ours.
    fn reap(&self) {
        let mut bytes = [0; 64];
        while rustix::io::read(&self.child, &mut bytes).is_ok_and(|count| count > 0) {}
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
    }

    /// Tells what there is, for `--status`.
    fn note(&mut self) {
        let told = Told {
            process: std::process::id(),
            version: crate::VERSION.to_owned(),
            size: self.size,
            ready: self.pool.ready(),
            handed: self.handed,
        };
        if self.told.as_ref() != Some(&told) {
            // In one write, whatever was there before: blanks mean nothing to its readers.
            let text = format!("{:<512}", serde_json::to_string(&told).unwrap_or_default());
            let _ = self.lock.write_all_at(text.as_bytes(), 0);
            self.told = Some(told);
        }
    }

    fn say_ready(&self) -> Result<(), Failure> {
        if let (true, Some(told)) = (self.json, &self.told) {
            told.tell(true, true)?;
        } else {
            let mut to = print::out();
            writeln!(
                to,
                "{} shells wait for `hotcell run` with this state folder; end with Ctrl-C or `hotcell pool --stop`",
                self.size
            )?;
        }
        io::stdout().flush()?;
        Ok(())
    }
}

impl Folder {
    fn listen(&self) -> io::Result<OwnedFd> {
        // One that is there belongs to a pool that was killed: we have its lock.
        self.remove_socket();
        let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SOCKET_FLAGS, None)?;
        bind(&listener, &self.socket()?)?;
        listen(&listener, BACKLOG)?;
        Ok(listener)
    }

    fn remove_socket(&self) {
        let _ = rustix::fs::unlinkat(&self.0, SOCKET, rustix::fs::AtFlags::empty());
    }
}

/// A pipe that becomes readable with these signals.
fn on_signals(signals: &[i32]) -> Result<OwnedFd, Failure> {
    let wrap = |source: io::Error| Failure::system("watching for signals", source);
    let flags = rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK;
    let (read, write) = rustix::pipe::pipe_with(flags).map_err(|error| wrap(error.into()))?;
    for signal in signals {
        let write = write.try_clone().map_err(wrap)?;
        signal_hook::low_level::pipe::register(*signal, write).map_err(wrap)?;
    }
    Ok(read)
}

/// Most who may wait to be answered; the others make a shell of their own.
const BACKLOG: i32 = 128;
/// How often shells that waited too long are looked for.
const TIDY_SECONDS: i64 = 10;
/// The pause after a shell could not be made.
const RETRY: Duration = Duration::from_secs(1);
/// How often a lock is tried that another holds, and the pause between.
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Why there is no pool.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PoolError {
    /// There is one.
    #[error("a pool runs already with this state folder")]
    Runs,
}

impl Explain for PoolError {
    fn code(&self) -> &'static str {
        "CLI-020"
    }

    fn remedy(&self) -> String {
        "use it; or end it first: hotcell pool --stop; or name another state folder with --state DIR".to_owned()
    }

    fn exit(&self) -> Exit {
        Exit::No
    }
}
