//! Handing a waiting shell to another process of the same user on this machine.
//!
//! One message on a socket that keeps messages apart carries the shell's papers, its plan, and its descriptors: the
//! control socket, the process descriptor of its first process and, as root, the lock of its id outside. The giver
//! keeps none of them. A shell whose control socket nobody holds ends, so that a message which is never read, or a
//! taker who does not like the papers, ends it.
//!
//! # Security
//! The taker believes a process of its own user, who could read its memory anyway. What it checks is what could be
//! different without malice: another build, another place, other limits to inherit. That every wall stands is seen by
//! the preflight of the claim, as for any other shell.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use hotcell_policy::SystemView;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use rustix::process::{Resource, getpriority_process, getrlimit};
use serde::{Deserialize, Serialize};

use crate::control::Control;
use crate::ids::OuterId;
use crate::plan::{End, Plan};
use crate::sandbox::{Live, Omitted};
use crate::shell::{Shell, Sight, Stage, ids};

/// Bytes of the largest message: papers, and a plan that lists mounts one by one on an old kernel.
const MAX_MESSAGE: usize = 128 * 1024;

/// What a shell has to have in common with the process that takes it over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Papers {
    /// The build of Hotcell that made it, as its command line knows it.
    build: String,
    /// The id outside, where it is not the user's own.
    outer: Option<u32>,
    /// What it inherited.
    origin: Origin,
}

/// What a sandbox inherits of the process that starts its shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Origin {
    namespaces: Vec<String>,
    groups: Vec<u32>,
    processors: Vec<usize>,
    priority: i32,
    limits: Vec<(Option<u64>, Option<u64>)>,
}

impl Origin {
    fn own() -> io::Result<Self> {
        let namespaces = ["user", "mnt", "pid", "net", "cgroup"].iter();
        let link = |name: &&str| Some(std::fs::read_link(format!("/proc/self/ns/{name}")).ok()?.display().to_string());
        let mut groups: Vec<u32> = rustix::process::getgroups()?.into_iter().map(|group| group.as_raw()).collect();
        groups.sort_unstable();
        Ok(Self {
            namespaces: namespaces.filter_map(link).collect(),
            groups,
            processors: crate::host::processors_of(None)?.into_iter().collect(),
            priority: getpriority_process(None)?,
            limits: LIMITS.map(getrlimit).map(|limit| (limit.current, limit.maximum)).into(),
        })
    }
}

/// The limits that a plan may leave as they are.
const LIMITS: [Resource; 9] = [
    Resource::Cpu,
    Resource::Data,
    Resource::Stack,
    Resource::Rss,
    Resource::Nofile,
    Resource::As,
    Resource::Nproc,
    Resource::Fsize,
    Resource::Locks,
];

impl Shell {
    /// Hands it over, without waiting. On failure it stays the giver's.
    ///
    /// `build` names the build of Hotcell; whoever has another takes nothing over.
    ///
    /// # Errors
    /// When nobody is there to take it, or it is no shell of a pool.
    pub fn hand_over(mut self, to: BorrowedFd<'_>, build: &str) -> Result<(), (Self, io::Error)> {
        match self.send(to, build) {
            Ok(()) => {
                if let Some(Stage::Born(live)) = &mut self.stage {
                    live.handed_over = true;
                }
                Ok(())
            }
            Err(error) => Err((self, error)),
        }
    }

    fn send(&self, to: BorrowedFd<'_>, build: &str) -> io::Result<()> {
        let Some(Stage::Born(live)) = &self.stage else {
            return Err(io::Error::other("the shell is not born yet"));
        };
        let outer = self.outer.as_ref().map(OuterId::id);
        let papers = Papers { build: build.to_owned(), outer, origin: Origin::own()? };
        let mut message = serde_json::to_vec(&papers)?;
        message.push(b'\n');
        message.extend_from_slice(&self.plan.bytes);
        let mut fds = vec![live.control.as_fd(), live.pidfd.as_fd()];
        fds.extend(self.outer.as_ref().map(|outer| outer.lock().as_fd()));
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if message.len() > MAX_MESSAGE || !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(io::Error::other("the shell's plan is too long to be handed over"));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        sendmsg(to, &[IoSlice::new(&message)], &mut ancillary, flags)?;
        Ok(())
    }

    /// Takes a shell over that comes within `patience`; none where none comes, or where it is of another build, of
    /// another place on this machine, or inherited other limits than this process has: it ends then.
    ///
    /// The caller has made sure that the giver is of its own user.
    pub fn take_over(from: BorrowedFd<'_>, build: &str, patience: Duration) -> Option<Self> {
        let message = Message::receive(from, patience).ok()??;
        message.into_shell(build).ok()?
    }
}

/// What came.
struct Message {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl Message {
    fn receive(from: BorrowedFd<'_>, patience: Duration) -> io::Result<Option<Self>> {
        let pause = Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        };
        if poll(&mut [PollFd::new(&from, PollFlags::IN)], Some(&pause))? == 0 {
            return Ok(None);
        }
        let mut bytes = vec![0; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = recvmsg(from, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags)?;
        bytes.truncate(received.bytes);
        let fds = ancillary.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
            _ => Vec::new(),
        });
        let fds = fds.collect();
        Ok(Some(Self { bytes, fds }))
    }

    fn into_shell(self, build: &str) -> io::Result<Option<Shell>> {
        let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
        let (papers, plan) = self.bytes.split_at(end);
        let papers: Papers = serde_json::from_slice(papers)?;
        if papers.build != build || papers.origin != Origin::own()? {
            return Ok(None);
        }
        let mut fds = self.fds.into_iter();
        let (Some(control), Some(pidfd)) = (fds.next(), fds.next()) else { return Ok(None) };
        let is_root = crate::host::is_root_of_the_host();
        let outer = match (papers.outer, fds.next()) {
            (Some(id), Some(lock)) if is_root => Some(OuterId::handed(id, File::from(lock))?),
            (None, None) if !is_root => None,
            _ => return Ok(None),
        };
        // The same plan would be made here and now: what it shows, and under which id.
        let (view, omitted) = (SystemView::Host, Omitted::default());
        let own =
            Plan::shell(&view, &omitted, is_root, ids(outer.as_ref()), Path::new("/"), Sight::Open, End::WithSocket);
        let Ok(own) = own else { return Ok(None) };
        if plan.get(1..) != Some(&own.bytes) {
            return Ok(None);
        }
        let Some(pid) = pid_of(&pidfd)? else { return Ok(None) };
        let live = Live { control: Control::of(control), pidfd, pid, handed_over: false };
        Ok(Some(Shell::taken_over(live, own, outer)))
    }
}

/// The id that a process descriptor stands for, as this process sees it; none where it is over, or not to be seen.
fn pid_of(pidfd: &OwnedFd) -> io::Result<Option<i32>> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")).and_then(|pid| pid.trim().parse().ok());
    Ok(pid.filter(|pid| *pid > 0))
}
