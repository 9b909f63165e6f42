//! The other sandbox: it puts up what the attacker must not reach, says so, and stays until it is told to go.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use crate::Facts;

/// What it says when everything is there.
pub const READY: &[u8] = b"ready";

/// Puts everything up; then speaks and waits over standard input, which is a socket.
pub(crate) fn stay(facts: &Facts) -> io::Result<()> {
    let token = facts.text("token");
    let name = SocketAddr::from_abstract_name(format!("hotcell-neighbour-{token}"))?;
    let _abstract = UnixListener::bind_addr(&name)?;
    let _path = UnixListener::bind(format!("/scratch/neighbour-{token}.socket"))?;
    fs::write(format!("/scratch/neighbour-{token}"), token)?;
    fs::write(format!("/dev/shm/neighbour-{token}"), token)?;
    let mut host = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    host.write_all(READY)?;
    host.read_to_end(&mut Vec::new()).map(drop)
}
