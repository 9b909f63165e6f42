//! A way to our own terminal that never holds anybody up.
//!
//! A terminal stops taking what it is shown for as long as somebody likes (Ctrl-S, a reader that sleeps), and does not
//! tell ahead how much it would take. So a thread of its own waits for it, behind a pipe, which does tell.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::JoinHandle;

/// A pipe to a terminal.
pub(crate) struct Feed {
    pipe: OwnedFd,
    thread: JoinHandle<()>,
}

impl Feed {
    /// To this stream, where it is a terminal; none where it is not.
    ///
    /// # Errors
    /// When the system has no descriptors left, or no room for a thread.
    pub(crate) fn to<T: AsFd + IsTerminal>(stream: &T) -> io::Result<Option<Self>> {
        if !stream.is_terminal() {
            return Ok(None);
        }
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let mut terminal = File::from(stream.as_fd().try_clone_to_owned()?);
        let mut read = File::from(read);
        let thread = std::thread::Builder::new().spawn(move || {
            let mut bytes = vec![0; 64 * 1024];
            // Not `io::copy`: the kernel would hold the pipe locked as long as the terminal takes nothing. A terminal
            // that is gone ends this, and with it the pipe: whoever writes learns that nobody looks.
            while let Ok(count @ 1..) = read.read(&mut bytes) {
                if terminal.write_all(bytes.get(..count).unwrap_or_default()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Some(Self { pipe: write, thread }))
    }

    /// Another end to write to.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub(crate) fn writer(&self) -> io::Result<File> {
        self.pipe.try_clone().map(File::from)
    }

    /// Waits until the terminal has shown everything. Every [`writer`](Self::writer) must be gone.
    pub(crate) fn drain(self) {
        drop(self.pipe);
        // It panics never, and if it did, there would be nothing to show.
        let _ = self.thread.join();
    }
}

impl AsFd for Feed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
