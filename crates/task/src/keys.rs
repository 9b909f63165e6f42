//! The key that signs the log and the receipts, and the log itself.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use hotcell_audit::fold::LOCAL;
use hotcell_audit::personal::{EpochKey, PersonalKeys};
use hotcell_audit::{Durability, Log, Origin};
use hotcell_crypto::{SigningKey, keyfile};
use hotcell_types::{Event, EventKind, Timestamp};
use rustix::fs::{FlockOperation, flock};

use crate::TaskError;

/// Reads the signing key of this state folder, and makes it on first use.
///
/// # Errors
/// When the key can be neither read nor made.
pub fn read_or_create_signing_key(state: &Path, now: Timestamp) -> Result<SigningKey, TaskError> {
    let folder = state.join("keys");
    let path = folder.join("signing.key");
    if !path.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(TaskError::file("make", &folder))?;
        make_signing_key(&folder, &path, now)?;
    }
    keyfile::read_signing(&path).map_err(TaskError::part)
}

/// One process makes the key, and whoever sees it sees it whole: it gets its name when it is written.
fn make_signing_key(folder: &Path, path: &Path, now: Timestamp) -> Result<(), TaskError> {
    let wrap = |source| TaskError::file("make the signing key in", folder)(source);
    let lock = File::open(folder).and_then(|lock| Ok(flock(&lock, FlockOperation::LockExclusive).map(|()| lock)?));
    let _lock = lock.map_err(wrap)?;
    if path.exists() {
        // Another process was quicker: its key is the key.
        return Ok(());
    }
    let making = folder.join(".signing.key");
    let public = |path: &Path| path.with_added_extension("pub");
    for left in [&making, &public(&making)] {
        match fs::remove_file(left) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(wrap(error)),
            _ => {}
        }
    }
    keyfile::write_pair(&making, &keyfile::KeyPair::Signing(SigningKey::generate()), now).map_err(TaskError::part)?;
    fs::rename(public(&making), public(path)).and_then(|()| fs::rename(&making, path)).map_err(wrap)
}

/// Where the keys of personal particulars are.
pub fn personal_keys(state: &Path) -> PathBuf {
    state.join("keys").join("personal")
}

/// The key under which events tell of persons and of what they work on: the local tenant's.
pub(crate) fn epoch_key(state: &Path) -> Result<EpochKey, TaskError> {
    PersonalKeys::of(&personal_keys(state)).current(LOCAL).map_err(TaskError::part)
}

/// Opens the audit log of this state folder, and begins it on first use.
///
/// # Errors
/// When the key or the log cannot be opened.
pub fn open_log(state: &Path, version: &str, now: Timestamp) -> Result<Log, TaskError> {
    let key = read_or_create_signing_key(state, now)?;
    let origin = Origin::parse(&format!("hotcell.local/{}", key.verifying().key_id())).map_err(TaskError::part)?;
    let log = Log::open(&state.join("log"), key, origin).map_err(TaskError::part)?;
    if log.end().map_err(TaskError::part)?.size() == 0 {
        let started = Event { time: now, task: None, kind: EventKind::LogStarted, data: Default::default() }
            .with("version", version);
        log.append(&[started], Durability::Lazy).map_err(TaskError::part)?;
    }
    Ok(log)
}
