//! What can go wrong with the log.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hotcell_types::{Exit, Explain};

use crate::merkle::ProofError;
use crate::note::NoteError;

/// Why the log cannot be opened, read or appended to.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file operation failed.
    #[error("cannot {operation} `{}`", path.display())]
    File {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The journal could not be made durable; the kernel may have dropped what it held.
    #[error("an earlier attempt to make `{}` durable failed", path.display())]
    SyncFailed {
        /// The journal.
        path: PathBuf,
    },
    /// An event whose canonical form is too long.
    #[error("an entry of {bytes} bytes is larger than the limit of {limit}")]
    EntryTooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// An event with particulars nested too deep.
    #[error("an entry is nested deeper than {limit} levels")]
    EntryTooDeep {
        /// The limit.
        limit: usize,
    },
    /// An event that JSON cannot express.
    #[error("an event cannot be written as JSON")]
    Unencodable {
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The file is no journal of this version.
    #[error("`{}` is not an audit journal of a version known here", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// The journal of another log.
    #[error("`{}` is the journal of log `{found}`, not of `{expected}`", path.display())]
    OtherOrigin {
        /// The file.
        path: PathBuf,
        /// The log that it names.
        found: String,
        /// The log that was asked for.
        expected: String,
    },
    /// Fewer entries than a checkpoint was signed for.
    #[error("the log has {entries} entries, but its checkpoint was signed for {signed}: entries were cut off")]
    Truncated {
        /// Entries that are there.
        entries: u64,
        /// Entries that the checkpoint states.
        signed: u64,
    },
    /// The journal became shorter while it was open.
    #[error("the journal shrank from {before} to {now} bytes while it was open")]
    Shrank {
        /// Bytes that were known.
        before: u64,
        /// Bytes that are there.
        now: u64,
    },
    /// A line in the middle of the journal is not what was written.
    #[error("entry {index} at byte {offset} of the journal is damaged")]
    Damaged {
        /// Which entry, from 0.
        index: u64,
        /// Where its line begins.
        offset: u64,
    },
    /// The entries do not lead to the root hash that was signed for them.
    #[error("the first {size} entries are not those that the checkpoint was signed for")]
    Forked {
        /// Size of the checkpoint.
        size: u64,
    },
    /// There is no checkpoint, though each log begins with one.
    #[error("the log has no checkpoint")]
    NoCheckpoint,
    /// What went wrong for all appends that were written together.
    #[error(transparent)]
    Shared(Arc<LogError>),
    /// The stored checkpoint is refused.
    #[error(transparent)]
    Checkpoint(#[from] NoteError),
    /// A proof was asked for that the log cannot give, or its tiles give a wrong one.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl Explain for LogError {
    fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "AUD-001",
            Self::SyncFailed { .. } => "AUD-002",
            Self::EntryTooLarge { .. } => "AUD-003",
            Self::EntryTooDeep { .. } => "AUD-004",
            Self::Unencodable { .. } => "AUD-005",
            Self::NotAJournal { .. } => "AUD-006",
            Self::OtherOrigin { .. } => "AUD-007",
            Self::Truncated { .. } => "AUD-008",
            Self::Shrank { .. } => "AUD-009",
            Self::Damaged { .. } => "AUD-010",
            Self::Forked { .. } => "AUD-011",
            Self::NoCheckpoint => "AUD-012",
            Self::Shared(error) => error.code(),
            Self::Checkpoint(error) => error.code(),
            Self::Proof(error) => error.code(),
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::File { source, path, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                    "free space on the file system of the audit log, or raise the limit on file sizes; nothing that was acknowledged is lost".to_owned()
                }
                io::ErrorKind::PermissionDenied => format!("make `{}` accessible to the user who runs this", path.display()),
                io::ErrorKind::NotFound => "name the folder of an audit log that exists".to_owned(),
                _ => format!("mend what the operating system reports of `{}`", path.display()),
            },
            Self::SyncFailed { .. } => "check the disk (dmesg), then start again: the log is checked as it opens".to_owned(),
            Self::EntryTooLarge { .. } | Self::EntryTooDeep { .. } | Self::Unencodable { .. } => {
                "record digests and numbers instead of content".to_owned()
            }
            Self::NotAJournal { .. } => "name the folder of an audit log, or use the version of Hotcell that wrote it".to_owned(),
            Self::OtherOrigin { .. } => "open the log by the name and key that it was begun with".to_owned(),
            Self::Truncated { .. } | Self::Shrank { .. } | Self::Damaged { .. } | Self::Forked { .. } | Self::NoCheckpoint => {
                "keep the folder as evidence: move it away as it is, compare it with a backup and with receipts handed out; \
                 a new log begins where none is".to_owned()
            }
            Self::Shared(error) => error.remedy(),
            Self::Checkpoint(error) => error.remedy(),
            Self::Proof(error) => error.remedy(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::File { .. }
            | Self::SyncFailed { .. }
            | Self::EntryTooLarge { .. }
            | Self::EntryTooDeep { .. }
            | Self::Unencodable { .. } => Exit::Failed,
            Self::Shared(error) => error.exit(),
            Self::NotAJournal { .. }
            | Self::OtherOrigin { .. }
            | Self::Truncated { .. }
            | Self::Shrank { .. }
            | Self::Damaged { .. }
            | Self::Forked { .. }
            | Self::NoCheckpoint => Exit::Integrity,
            Self::Checkpoint(error) => error.exit(),
            Self::Proof(error) => error.exit(),
        }
    }
}
