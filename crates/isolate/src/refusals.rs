//! Calls that the filter refuses, told by the kernel as they happen: for a run from which is to be learned.
//!
//! They fail as they would have without a listener. Should it end early, the kernel lets them fail with `ENOSYS`.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

use hotcell_sys::{Errno, Fd, seccomp};
use rustix::event::{PollFd, PollFlags, poll};
use syscalls::Sysno;

/// A call that the filter refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedCall {
    /// The kernel's name of it, or its number.
    pub name: String,
    /// How often.
    pub times: u64,
}

/// Numbers from here on are of other calling conventions (x32); all of them count as one.
const FOREIGN: u32 = 0x4000_0000;

/// Answers the calls, on a thread of its own that ends with the last process under the filter.
#[derive(Debug)]
pub(crate) struct Listener {
    begun: Arc<AtomicBool>,
    thread: JoinHandle<BTreeMap<u32, u64>>,
}

impl Listener {
    pub(crate) fn start(listener: OwnedFd) -> io::Result<Self> {
        let begun = Arc::new(AtomicBool::new(false));
        let counts_now = begun.clone();
        let thread = Builder::new().name("refusals".into()).spawn(move || answer_all(&listener, &counts_now))?;
        Ok(Self { begun, thread })
    }

    /// From now on they are counted: what came before were the trials of the preflight.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
    }

    /// What was refused, the most frequent first. Every process of the sandbox has to be dead.
    pub(crate) fn finish(self) -> Vec<RefusedCall> {
        let counts = self.thread.join().unwrap_or_default();
        let mut calls: Vec<_> =
            counts.into_iter().map(|(number, times)| RefusedCall { name: name_of(number), times }).collect();
        calls.sort_by(|a, b| b.times.cmp(&a.times).then_with(|| a.name.cmp(&b.name)));
        calls
    }
}

fn answer_all(listener: &OwnedFd, counts_now: &AtomicBool) -> BTreeMap<u32, u64> {
    let mut counts = BTreeMap::new();
    let fd = Fd(listener.as_raw_fd());
    loop {
        let mut waiting = [PollFd::new(listener, PollFlags::IN)];
        match poll(&mut waiting, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return counts,
            // Nobody is left under the filter.
            Ok(_) if !waiting[0].revents().contains(PollFlags::IN) => return counts,
            Ok(_) => {}
        }
        // Whoever was killed while its call waited needs no answer.
        let Ok(notice) = seccomp::next_notice(fd) else { continue };
        if counts_now.load(Ordering::Acquire) {
            *counts.entry((notice.number as u32).min(FOREIGN)).or_insert(0) += 1;
        }
        let _ = seccomp::refuse(fd, notice.id, Errno::EPERM);
    }
}

fn name_of(number: u32) -> String {
    match Sysno::new(number as usize) {
        Some(call) => call.name().to_owned(),
        None if number >= FOREIGN => "calls of x32".to_owned(),
        None => format!("call {number}"),
    }
}
