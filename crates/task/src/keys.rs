//! The key that signs the log and the receipts, and the log itself.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use hotcell_audit::{Durability, Log, Origin};
use hotcell_crypto::{SigningKey, keyfile};
use hotcell_types::{Event, EventKind, Timestamp};

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
        match keyfile::write_pair(&path, &keyfile::KeyPair::Signing(SigningKey::generate()), now) {
            // Another process was quicker: its key is the key.
            Ok(_) | Err(keyfile::KeyFileError::Exists { .. }) => {}
            Err(error) => return Err(TaskError::part(error)),
        }
    }
    keyfile::read_signing(&path).map_err(TaskError::part)
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
