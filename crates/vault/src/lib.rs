//! Sealed packages: a vendor's model, encrypted, signed, opened only under its terms; and encrypted [`scratch`].
//!
//! `docs/formats/sealed-package.md` specifies the format byte by byte and says why it is sound. Reading
//! goes in three steps, each of which consumes the last: [`Package::read_header`] parses within hard
//! bounds, [`Package::unlock`] verifies signature and key, [`Unlocked::open_body`] decrypts.
//!
//! INVARIANT (authenticate-first): no byte of a chunk is written before the chunk was authenticated.
//! INVARIANT (bounded): memory does not grow with the package; the header has at most 256 KiB.
//! Deliberately absent: any way to read terms or content of a package whose signature was not verified.

mod body;
mod error;
mod header;
mod open;
pub mod scratch;
mod seal;
mod terms;

pub use error::{PackageError, Part};
pub use header::Header;
pub use open::{OpenReport, Package, Unlocked};
pub use seal::{SealReport, SealSpec, seal_model};
pub use terms::{Custody, Isolation, Opening, RunnerIdentity, Runners, Terms, TermsError};
