//! How much a connection has carried so far: known at any moment, also of one that is cut off.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of one connection.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    out: AtomicU64,
    back: AtomicU64,
}

impl Counts {
    /// More went out; counted before it does.
    pub(crate) fn goes_out(&self, bytes: usize) {
        self.out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// More came in.
    pub(crate) fn comes_in(&self, bytes: usize) {
        self.back.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Both.
    pub(crate) fn now(&self) -> (u64, u64) {
        (self.out.load(Ordering::Relaxed), self.back.load(Ordering::Relaxed))
    }
}
