//! Encrypted scratch: a volume for one sandbox whose contents reach the disk only encrypted.
//!
//! The volume does not outlive its server, and that makes it simple: names, sizes, links and the authentication tags
//! of all blocks live in the memory of the server; the backing file, which has no name, holds encrypted blocks and
//! nothing else. The key is made in the server, is never written anywhere and goes with it: that is the wipe.
//!
//! Three parts, apart so that each can be tried alone: [`Blocks`] encrypts and keeps blocks, [`Volume`] is a file
//! system without a kernel, [`Server`] speaks the kernel's FUSE protocol.
//!
//! INVARIANT (fresh-nonce): each encryption of a block takes the next number of one counter as its nonce.
//! INVARIANT (known-tag): a block is believed only with the tag that its last write left in memory, so that neither
//! a changed, an exchanged nor an older block of the backing file is ever read.
//! INVARIANT (bounded): the memory of the server is bounded by the volume's limits: 1% of its bytes, and for each
//! inode its name and 460 bytes, of which a short target of a link takes 60. A longer target takes a block.
//! Deliberately absent: persistence, extended attributes, devices, threads, the clock.

mod blocks;
mod buffer;
mod inode;
mod serve;
mod volume;
mod wire;

pub use blocks::{Backing, Blocks, Cipher};
pub use inode::{Attributes, Kind, Owner, Time};
pub use serve::{Ended, Server};
pub use volume::{Changes, Ino, Limits, NewKind, TakeEntry, Usage, Volume};

/// Bytes of a block: a page, so that what is written page by page is never read first.
pub const BLOCK_BYTES: usize = 4096;
