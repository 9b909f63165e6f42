//! What every command is given: the common options, the state folder and the clock.

use std::env;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use hotcell_types::{Clock, Timestamp};

use crate::failure::Failure;

/// What the commands share.
pub(crate) struct App {
    /// Whether the answer is to be JSON.
    pub(crate) json: bool,
    /// The state folder: keys, log, receipts. It need not exist; who makes it, makes it 0700.
    pub(crate) state: PathBuf,
    /// The machine's clock.
    pub(crate) clock: SystemClock,
}

/// The machine's clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The state folder: the option, else `$XDG_STATE_HOME/hotcell`, else `$HOME/.local/state/hotcell`.
///
/// Variables that are empty or relative do not count, as the XDG base directory specification has it.
pub(crate) fn state_folder(option: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    option
        .or_else(|| absolute("XDG_STATE_HOME").map(|folder| folder.join("hotcell")))
        .or_else(|| absolute("HOME").map(|folder| folder.join(".local/state/hotcell")))
        .ok_or_else(|| {
            Failure::usage("no folder is known for keys, log and receipts", "name one with --state DIR, or set HOME")
        })
}
