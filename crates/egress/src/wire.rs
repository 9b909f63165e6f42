//! What gateway, broker and host say to each other: one message each, as JSON, on sockets that keep messages apart.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::inspection::{CARRIES_FINDING, CARRIES_INPUT};
use crate::plan::Rule;

/// Bytes of the largest message: the rules, or the certificate of a sandbox's authority.
const MAX_MESSAGE: usize = 64 << 10;
/// Most descriptors in one message: the sockets of the resolver and of each rule.
pub(crate) const MAX_FDS: usize = 80;
/// Longest text of somebody else's in a message.
pub(crate) const MAX_TEXT: usize = 300;

/// The host's first word to either process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    pub(crate) rules: Vec<Rule>,
    /// Whether what leaves opened is judged.
    pub(crate) judged: bool,
}

/// The gateway's answer: the authority of its sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) enum Ready {
    /// It is locked in, and this is the authority's certificate.
    Up { certificate: String },
    /// Why it is not.
    Failed { why: String },
}

/// The host's second word to the gateway, which comes with the sockets.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Serve {
    /// How many indexes of fingerprints come behind the sockets.
    pub(crate) prints: usize,
}

/// What the gateway says to the broker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) enum Word {
    /// Connect to the host of a rule. The socket for the answer comes along.
    Dial { rule: usize },
    /// Something for the host to know.
    Note(Note),
}

/// What the host is to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) enum Note {
    /// Something was refused: at which rule, if at one; its code, if it has one; what, and what would permit it.
    Refused { rule: Option<usize>, code: Option<String>, what: String, permit: Option<String> },
    /// A connection came to its end.
    Connected { rule: usize, bytes_out: u64, bytes_in: u64 },
    /// A request was answered.
    Requested { rule: usize, method: String, path: String, status: u16, bytes_out: u64, bytes_in: u64 },
}

impl Note {
    /// Whether it speaks of what there is, in the length that it may have: the gateway is not believed.
    pub(crate) fn is_sound(&self, rules: usize) -> bool {
        let short = |text: &str| text.len() <= MAX_TEXT * 6;
        match self {
            Self::Refused { rule, code, what, permit } => {
                let known = |code: &str| [CARRIES_INPUT, CARRIES_FINDING].contains(&code);
                let coded = code.as_deref().is_none_or(known);
                coded && rule.is_none_or(|rule| rule < rules) && short(what) && permit.as_deref().is_none_or(short)
            }
            Self::Connected { rule, .. } => *rule < rules,
            Self::Requested { rule, method, path, .. } => *rule < rules && short(method) && short(path),
        }
    }
}

/// The broker's answer to a dial; where it is a yes, the connection comes along.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) enum Dialled {
    Yes,
    No { why: String },
}

/// What of somebody else's text is told.
pub(crate) fn brief(text: &str) -> String {
    text.chars().take(MAX_TEXT).flat_map(char::escape_debug).take(MAX_TEXT).collect()
}

/// Two ends that keep messages apart.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends one message.
pub(crate) fn send(socket: BorrowedFd<'_>, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if bytes.len() > MAX_MESSAGE || !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("the message is too long"));
    }
    loop {
        match sendmsg(socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other.map(drop)?),
        }
    }
}

/// Waits for one message; none at the end.
pub(crate) fn receive<T: DeserializeOwned>(socket: impl AsFd) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut bytes = vec![0; MAX_MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            // The other end is gone, and did not read all that was sent to it.
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            other => break other?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let fds = ancillary.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
        _ => Vec::new(),
    });
    let fds = fds.collect();
    let message = serde_json::from_slice(bytes.get(..received.bytes).unwrap_or_default())?;
    Ok(Some((message, fds)))
}
