//! The append-only Merkle log, its checkpoints and proofs, and signed receipts.
//!
//! Security properties: what was acknowledged as durable is there after a crash; an entry that is
//! altered, moved, added or cut off after a checkpoint was signed is found by [`verify`], by whoever
//! holds the public key; a receipt shows offline that it stands in such a log.
//!
//! Deliberately absent: any way to change or remove an entry; a clock (events bring their time);
//! protection against whoever holds the signing key and the folder, which is what witnesses are for.
//!
//! The formats are specified in `docs/formats/audit-log.md` and `docs/formats/receipt.md`.

mod canonical;
mod clock;
mod dsse;
mod edge;
mod error;
mod events;
pub mod export;
mod files;
pub mod fold;
mod head;
mod journal;
mod log;
pub mod merkle;
mod note;
pub mod personal;
#[cfg(feature = "sql")]
mod projection;
mod prove;
mod publish;
pub mod receipt;
mod snapshot;
mod tile;
mod verify;
pub mod witness;

pub use canonical::{MAX_ENTRY_BYTES, canonical};
pub use dsse::Envelope;
pub use error::LogError;
pub use events::{Entry, Events, Filter, Place, unfinished_tasks};
pub use log::{Cut, Durability, Log, Position};
pub use merkle::ProofError;
pub use note::{Checkpoint, Cosignature, MAX_NOTE_BYTES, NoteError, Origin, TreeHead, key_hash};
#[cfg(feature = "sql")]
pub use projection::{Projection, ProjectionError};
pub use snapshot::Snapshot;
pub use verify::{Report, VerifyError, verify, verify_against};
