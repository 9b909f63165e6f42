//! Handing events on: as JSON lines or OCSF, to a file, syslog or NATS, by a cursor that loses nothing.
//!
//! A subscriber is a name with a cursor: the index up to which events were handed on and acknowledged. The cursor
//! moves after the sink has taken a batch, so that each event arrives at least once; whoever was down for an hour gets
//! that hour. Personal particulars leave as they stand in the log: sealed.

mod format;
mod sink;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hotcell_types::{Exit, Explain};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FlockOperation, flock, inotify};

use crate::files::failed;
use crate::{Events, Filter, LogError, Place};

pub use format::{Format, format};
pub use sink::{Sink, Target};

/// Events that are handed on before the cursor moves.
const BATCH: u64 = 256;

/// The folder of cursors, below the log's.
const FOLDER: &str = "cursors";

/// Longest name of a subscriber.
const MAX_NAME_BYTES: usize = 64;

/// Why events cannot be handed on.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A target that is none.
    #[error("`{}` is no target: {why}", target.escape_debug())]
    BadTarget {
        /// What was given.
        target: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The target did not take it.
    #[error("`{target}` did not take the events")]
    NotTaken {
        /// Where to.
        target: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A name that cannot be a subscriber's.
    #[error("`{}` is no subscriber: 1 to {MAX_NAME_BYTES} letters, digits, `-` and `_`", name.escape_debug())]
    BadName {
        /// What was given.
        name: String,
    },
    /// Somebody hands on for this subscriber now.
    #[error("events are being handed on for the subscriber `{name}` already")]
    Busy {
        /// Which.
        name: String,
    },
    /// The cursor's file is not one.
    #[error("`{}` is not a cursor", path.display())]
    BadCursor {
        /// The file.
        path: PathBuf,
    },
    /// The cursor's file cannot be used.
    #[error("cannot use the cursor `{}`", path.display())]
    Cursor {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Explain for ExportError {
    fn code(&self) -> &'static str {
        match self {
            Self::BadTarget { .. } => "AUD-601",
            Self::NotTaken { .. } => "AUD-602",
            Self::BadName { .. } => "AUD-603",
            Self::Busy { .. } => "AUD-604",
            Self::BadCursor { .. } => "AUD-605",
            Self::Cursor { .. } => "AUD-606",
            Self::Log(error) => error.code(),
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::BadTarget { .. } => "name a file, `-`, syslog:unix:PATH, syslog:udp:HOST:PORT, syslog:tcp:HOST:PORT or nats://HOST:PORT/SUBJECT".to_owned(),
            Self::NotTaken { .. } => "check that it is there and takes events; nothing is lost: the same command goes on where this one ended".to_owned(),
            Self::BadName { .. } => "choose a plain name: --cursor NAME".to_owned(),
            Self::Busy { .. } => "wait until that has ended, or choose another name: --cursor NAME".to_owned(),
            Self::BadCursor { path } => format!("remove `{}`: its subscriber then gets all events once more", path.display()),
            Self::Cursor { path, .. } => format!("make `{}` accessible to the user who runs this", path.display()),
            Self::Log(error) => error.remedy(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::BadTarget { .. } | Self::BadName { .. } => Exit::Usage,
            Self::Busy { .. } => Exit::No,
            Self::BadCursor { .. } => Exit::Integrity,
            Self::NotTaken { .. } | Self::Cursor { .. } => Exit::Failed,
            Self::Log(error) => error.exit(),
        }
    }
}

/// Where a subscriber stands.
#[derive(Debug, Default)]
pub struct Cursor {
    /// Where that is kept; one without is forgotten with the process.
    kept: Option<(PathBuf, File)>,
    place: Place,
}

impl Cursor {
    /// The cursor of a subscriber, at the beginning when there is none. Held until it is dropped.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn open(log: &Path, name: &str) -> Result<Self, ExportError> {
        let fits = (1..=MAX_NAME_BYTES).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !fits {
            return Err(ExportError::BadName { name: name.chars().take(MAX_NAME_BYTES).collect() });
        }
        let folder = log.join(FOLDER);
        let path = folder.join(name);
        let wrong = |source| ExportError::Cursor { path: path.clone(), source };
        fs::create_dir_all(&folder).map_err(wrong)?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(wrong)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(ExportError::Busy { name: name.to_owned() }),
            Err(error) => return Err(wrong(error.into())),
        }
        let place = parse(&fs::read_to_string(&path).map_err(wrong)?);
        let place = place.ok_or_else(|| ExportError::BadCursor { path: path.clone() })?;
        Ok(Self { kept: Some((path, file)), place })
    }

    /// Index of the next event that the subscriber is to get.
    pub fn next(&self) -> u64 {
        self.place.index
    }

    /// One write of a fixed length: a crash leaves the place before or this one, and both lose nothing.
    fn move_to(&mut self, place: Place) -> Result<(), ExportError> {
        use std::os::unix::fs::FileExt as _;
        if let Some((path, file)) = self.kept.as_ref().filter(|_| place != self.place) {
            let text = format!("{:020} {:020}\n", place.index, place.offset);
            let moved = file.write_all_at(text.as_bytes(), 0).and_then(|()| file.sync_data());
            moved.map_err(|source| ExportError::Cursor { path: path.clone(), source })?;
        }
        self.place = place;
        Ok(())
    }
}

fn parse(text: &str) -> Option<Place> {
    match text.trim_end_matches(['\0', '\n', ' ']) {
        "" => Some(Place::default()),
        text => text
            .split_once(' ')
            .and_then(|(index, offset)| Some(Place { index: index.parse().ok()?, offset: offset.parse().ok()? })),
    }
}

/// Hands on what is there, from the cursor on, and says how many events that were.
///
/// # Errors
/// [`ExportError`]; what the sink had taken before is not handed on again, but for the batch in which it failed.
pub fn hand_on(
    log: &Path,
    filter: &Filter,
    chosen: Format,
    target: &Target,
    cursor: &mut Cursor,
) -> Result<u64, ExportError> {
    let not_taken = |source| ExportError::NotTaken { target: target.to_string(), source };
    let mut sink = target.open().map_err(not_taken)?;
    pass(log, filter, chosen, (target, sink.as_mut()), cursor)
}

/// Hands on what is there and what will be, without an end. Where the target does not take it, `wait` is asked, with how
/// many times in a row that was, whether to try again: nothing is lost meanwhile.
///
/// # Errors
/// [`ExportError`]; [`ExportError::NotTaken`] when `wait` says no.
pub fn follow(
    log: &Path,
    filter: &Filter,
    chosen: Format,
    target: &Target,
    cursor: &mut Cursor,
    wait: &mut dyn FnMut(&ExportError, u32) -> bool,
) -> Result<std::convert::Infallible, ExportError> {
    let news = News::of(log)?;
    let mut sink = None;
    let mut failures = 0;
    loop {
        let before = cursor.next();
        let passed = match &mut sink {
            Some(open) => pass(log, filter, chosen, (target, Box::as_mut(open)), cursor),
            None => match target.open() {
                Ok(open) => pass(log, filter, chosen, (target, sink.insert(open).as_mut()), cursor),
                Err(source) => Err(ExportError::NotTaken { target: target.to_string(), source }),
            },
        };
        if cursor.next() > before {
            failures = 0;
        }
        match passed {
            Ok(_) => news.wait()?,
            Err(error @ ExportError::NotTaken { .. }) => {
                sink = None;
                failures += 1;
                if !wait(&error, failures) {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Wakes up when the journal has grown.
struct News {
    inotify: rustix::fd::OwnedFd,
    path: PathBuf,
}

impl News {
    /// From now on: what is written before the first wait wakes it up too.
    fn of(log: &Path) -> Result<Self, ExportError> {
        let path = crate::files::Folder::new(log).journal();
        let watch = || -> rustix::io::Result<_> {
            let inotify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
            inotify::add_watch(&inotify, &path, inotify::WatchFlags::MODIFY)?;
            Ok(inotify)
        };
        let inotify = watch().map_err(|error| failed("watch", &path)(error.into()))?;
        Ok(Self { inotify, path })
    }

    fn wait(&self) -> Result<(), ExportError> {
        let wrong = |error: rustix::io::Errno| ExportError::Log(failed("watch", &self.path)(error.into()));
        let mut polled = [PollFd::new(&self.inotify, PollFlags::IN)];
        match poll(&mut polled, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(wrong(error)),
        }
        let mut events = [0; 4096];
        match rustix::io::read(&self.inotify, &mut events) {
            Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(wrong(error)),
        }
    }
}

/// What is there now goes to a sink that is open.
fn pass(
    log: &Path,
    filter: &Filter,
    chosen: Format,
    (target, sink): (&Target, &mut dyn Sink),
    cursor: &mut Cursor,
) -> Result<u64, ExportError> {
    let not_taken = |source| ExportError::NotTaken { target: target.to_string(), source };
    // The filter decides what is handed on, not how far the cursor moves.
    let mut events = Events::open_at(log, Filter::default(), cursor.place)?;
    let (mut count, mut since) = (0, 0);
    loop {
        let entry = match events.next() {
            Some(Ok(entry)) => entry,
            other => {
                sink.flush().map_err(not_taken)?;
                cursor.move_to(events.place())?;
                return other.transpose().map(|_| count).map_err(Into::into);
            }
        };
        if filter.admits(&entry.event) {
            sink.send(&format(chosen, events.origin(), &entry), &entry).map_err(not_taken)?;
            count += 1;
        }
        since += 1;
        if since == BATCH {
            sink.flush().map_err(not_taken)?;
            cursor.move_to(events.place())?;
            since = 0;
        }
    }
}

/// Writes a line to a file and makes all of them durable at the end of a batch.
pub(crate) struct ToFile(pub(crate) io::BufWriter<File>);

impl Sink for ToFile {
    fn send(&mut self, line: &str, _: &crate::Entry) -> io::Result<()> {
        self.0.write_all(line.as_bytes())?;
        self.0.write_all(b"\n")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        match self.0.get_ref().sync_data() {
            // A pipe or a terminal cannot be synced.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => Ok(()),
            other => other,
        }
    }
}
