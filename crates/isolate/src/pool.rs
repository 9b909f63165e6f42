//! Shells that wait for tasks.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::error::IsolateError;
use crate::shell::Shell;

/// How long a shell may wait: it shows single files of the host, such as the list of libraries, as they were when it was
/// built.
pub const MAX_AGE: Duration = Duration::from_secs(300);

/// Most shells that one pool keeps: each has processes, mounts and namespaces of the kernel's.
pub const MAX_SIZE: usize = 256;

/// Shells that wait, each for one task. Dropping it ends them.
#[derive(Debug)]
pub struct Pool {
    size: usize,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    shell: Shell,
    since: Instant,
}

impl Pool {
    /// An empty pool for so many shells, at most [`MAX_SIZE`].
    pub fn new(size: usize) -> Self {
        Self { size: size.min(MAX_SIZE), waiting: VecDeque::new() }
    }

    /// How many shells wait.
    pub fn ready(&self) -> usize {
        self.waiting.len()
    }

    /// Whether shells are missing.
    pub fn has_room(&self) -> bool {
        self.waiting.len() < self.size
    }

    /// The oldest shell, which is the caller's from then on; none where none waits.
    pub fn take(&mut self) -> Option<Shell> {
        while let Some(Waiting { shell, since }) = self.waiting.pop_front() {
            if since.elapsed() < MAX_AGE && shell.is_alive() {
                return Some(shell);
            }
        }
        None
    }

    /// Adds a shell that was started for a pool; gives it back where there is no room.
    pub fn put(&mut self, shell: Shell) -> Option<Shell> {
        if !self.has_room() {
            return Some(shell);
        }
        self.waiting.push_back(Waiting { shell, since: Instant::now() });
        None
    }

    /// Starts one more shell where there is room.
    ///
    /// # Errors
    /// As [`Shell::start_for_a_pool`].
    pub fn fill(&mut self, seed: [u8; 8]) -> Result<(), IsolateError> {
        if self.has_room() {
            self.put(Shell::start_for_a_pool(seed)?);
        }
        Ok(())
    }

    /// Ends the shells that waited too long, and forgets those that ended.
    pub fn tidy(&mut self) {
        self.waiting.retain(|waiting| waiting.since.elapsed() < MAX_AGE && waiting.shell.is_alive());
    }

    /// The shells that wait.
    pub fn shells(&self) -> impl Iterator<Item = &Shell> {
        self.waiting.iter().map(|waiting| &waiting.shell)
    }
}
