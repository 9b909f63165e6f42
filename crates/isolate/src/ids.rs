//! An unused id of the host for each sandbox that root starts.
//!
//! A range of ids is set aside; a sandbox takes one by locking the file of its number, which the kernel
//! unlocks when the holder is gone, however it went. There is one folder of these files for the machine: no two
//! sandboxes have one id, whatever state folders they belong to.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// First id of the range. It lies above those of containers (systemd-nspawn's and podman's ranges end at
/// 0x7000_0000) and below 2^31, where some file systems stop.
pub const FIRST: u32 = 0x7100_0000;
/// Ids in the range.
pub const COUNT: u32 = 0x1000;

/// Where the files are.
pub const FOLDER: &str = "/run/hotcell/ids";

/// An id that is ours until this value is dropped or the process dies.
#[derive(Debug)]
pub struct OuterId {
    id: u32,
    lock: File,
}

impl OuterId {
    /// Takes a free id; `seed` says where to begin looking, so that ids are seldom used again at once.
    ///
    /// # Errors
    /// When the folder cannot be written to or no id is free.
    pub fn take(seed: [u8; 8]) -> io::Result<Self> {
        let [a, b, c, d, ..] = seed;
        let seed = u32::from_le_bytes([a, b, c, d]);
        let folder = Path::new(FOLDER);
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        for attempt in 0..COUNT {
            let slot = seed.wrapping_add(attempt) % COUNT;
            let path = folder.join(format!("{slot:03x}"));
            let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { id: FIRST + slot, lock: file }),
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::other("all ids of the range are in use"))
    }

    /// An id whose lock somebody else took and handed over with the descriptor of its file.
    ///
    /// # Errors
    /// When the descriptor is not that of the id's file.
    pub(crate) fn handed(id: u32, lock: File) -> io::Result<Self> {
        let slot = id.checked_sub(FIRST).filter(|slot| *slot < COUNT);
        let slot = slot.ok_or_else(|| io::Error::other("the id is not of the range"))?;
        let (there, own) = (std::fs::metadata(Path::new(FOLDER).join(format!("{slot:03x}")))?, lock.metadata()?);
        if (there.dev(), there.ino()) != (own.dev(), own.ino()) {
            return Err(io::Error::other("the descriptor is not that of the id's file"));
        }
        // It holds already where the lock came along; where it did not, this fails or takes it.
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { id, lock })
    }

    /// What holds the id, to be handed over.
    pub(crate) fn lock(&self) -> &File {
        &self.lock
    }

    /// User and group id outside.
    pub fn id(&self) -> u32 {
        self.id
    }
}
