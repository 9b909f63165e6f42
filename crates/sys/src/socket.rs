//! Sockets: messages with descriptors, and waiting.

use crate::call::syscall;
use crate::{Errno, Fd, Result};

/// Path sockets of this machine.
pub const AF_UNIX: u32 = 1;
/// IPv4.
pub const AF_INET: u32 = 2;
/// Most descriptors in one message: a plan's own, its mounts, streams and control groups.
pub const MAX_FDS: usize = 80;

const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;
const MSG_CMSG_CLOEXEC: u32 = 0x4000_0000;
const MSG_NOSIGNAL: u32 = 0x4000;

#[repr(C)]
struct IoVec {
    base: *mut u8,
    length: usize,
}

/// `struct msghdr` of the kernel.
#[repr(C)]
struct MessageHeader {
    name: usize,
    name_length: u32,
    iov: *mut IoVec,
    iov_count: usize,
    control: *mut Control,
    control_length: usize,
    flags: u32,
}

/// `struct cmsghdr` with room for descriptors.
#[repr(C)]
struct Control {
    length: usize,
    level: i32,
    kind: i32,
    fds: [i32; MAX_FDS],
}

const CONTROL_HEADER: usize = 16;

/// Opens a socket.
pub fn open(family: u32, kind: u32) -> Result<Fd> {
    // SAFETY: numbers only.
    unsafe { syscall!(socket, family, kind, 0) }.map(|fd| Fd(fd as i32))
}

/// Tries to connect to an IPv4 address and port.
pub fn connect_ipv4(socket: Fd, address: [u8; 4], port: u16) -> Result<()> {
    let address = address_ipv4(address, port);
    // SAFETY: a live `struct sockaddr_in` of 16 bytes.
    unsafe { syscall!(connect, socket.0, address.as_ptr(), address.len()) }.map(drop)
}

/// `struct sockaddr_in`.
fn address_ipv4([a, b, c, d]: [u8; 4], port: u16) -> [u8; 16] {
    let [high, low] = port.to_be_bytes();
    let [family_low, family_high] = (AF_INET as u16).to_ne_bytes();
    [family_low, family_high, high, low, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// How many connections wait for a listener before the kernel lets more of them wait outside.
const BACKLOG: u32 = 128;

/// A socket at an IPv4 address and port of this network namespace: one that listens, or one for datagrams. It does not
/// block.
pub fn open_at_ipv4(address: [u8; 4], port: u16, datagrams: bool) -> Result<Fd> {
    const SOCK_STREAM: u32 = 1;
    const SOCK_DGRAM: u32 = 2;
    const SOCK_NONBLOCK: u32 = 0o4000;
    const SOCK_CLOEXEC: u32 = 0o2000000;
    let kind = if datagrams { SOCK_DGRAM } else { SOCK_STREAM };
    let socket = open(AF_INET, kind | SOCK_NONBLOCK | SOCK_CLOEXEC)?;
    let address = address_ipv4(address, port);
    // SAFETY: a live `struct sockaddr_in` of 16 bytes.
    let mut result = unsafe { syscall!(bind, socket.0, address.as_ptr(), address.len()) };
    if result.is_ok() && !datagrams {
        // SAFETY: numbers only.
        result = unsafe { syscall!(listen, socket.0, BACKLOG) };
    }
    match result {
        Ok(_) => Ok(socket),
        Err(error) => {
            crate::file::close(socket);
            Err(error)
        }
    }
}

/// Gives the loopback interface a second IPv4 address, with the whole network around it: each address of that network is
/// then this namespace's own (needs CAP_NET_ADMIN over it).
pub fn widen_loopback(address: [u8; 4], mask: [u8; 4]) -> Result<()> {
    const SIOCSIFADDR: u64 = 0x8916;
    const SIOCSIFNETMASK: u64 = 0x891c;
    const SOCK_DGRAM: u32 = 2;
    let socket = open(AF_INET, SOCK_DGRAM)?;
    let set = |what: u64, value: [u8; 4]| {
        // `struct ifreq`: a name of 16 bytes and a union of 24, which begins with a `struct sockaddr_in`.
        let mut request = [0u8; 40];
        request[..4].copy_from_slice(b"lo:1");
        request[16..32].copy_from_slice(&address_ipv4(value, 0));
        // SAFETY: a live `struct ifreq`, of which the kernel reads at most its 40 bytes.
        unsafe { syscall!(ioctl, socket.0, what, request.as_ptr()) }.map(drop)
    };
    let result = set(SIOCSIFADDR, address).and_then(|()| set(SIOCSIFNETMASK, mask));
    crate::file::close(socket);
    result
}

/// Switches on this network namespace's loopback interface (needs CAP_NET_ADMIN over it).
pub fn raise_loopback() -> Result<()> {
    const SIOCSIFFLAGS: u64 = 0x8914;
    const SOCK_DGRAM: u32 = 2;
    const IFF_UP_AND_RUNNING: u16 = 0x1 | 0x40;
    // `struct ifreq`: a name of 16 bytes and a union of 24, which begins with the flags.
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16..18].copy_from_slice(&IFF_UP_AND_RUNNING.to_ne_bytes());
    let socket = open(AF_UNIX, SOCK_DGRAM)?;
    // SAFETY: a live `struct ifreq`, of which the kernel reads at most its 40 bytes.
    let result = unsafe { syscall!(ioctl, socket.0, SIOCSIFFLAGS, request.as_ptr()) };
    crate::file::close(socket);
    result.map(drop)
}

/// Sends one message with descriptors.
pub fn send(socket: Fd, bytes: &[u8], fds: &[Fd]) -> Result<()> {
    if fds.len() > MAX_FDS {
        return Err(Errno::EINVAL);
    }
    let mut control =
        Control { length: CONTROL_HEADER + 4 * fds.len(), level: SOL_SOCKET, kind: SCM_RIGHTS, fds: [0; MAX_FDS] };
    for (place, fd) in control.fds.iter_mut().zip(fds) {
        *place = fd.0;
    }
    let mut iov = IoVec { base: bytes.as_ptr().cast_mut(), length: bytes.len() };
    let header = MessageHeader {
        name: 0,
        name_length: 0,
        iov: &raw mut iov,
        iov_count: 1,
        control: if fds.is_empty() { core::ptr::null_mut() } else { &raw mut control },
        control_length: if fds.is_empty() { 0 } else { (CONTROL_HEADER + 4 * fds.len()).next_multiple_of(8) },
        flags: 0,
    };
    loop {
        // SAFETY: header, vector, control and bytes are live; sendmsg only reads them.
        match unsafe { syscall!(sendmsg, socket.0, &raw const header, MSG_NOSIGNAL) } {
            Ok(count) if count == bytes.len() => return Ok(()),
            Ok(_) => return Err(Errno::EIO),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Receives one message: how many bytes came (0 at the end), and how many descriptors.
pub fn receive(socket: Fd, bytes: &mut [u8], fds: &mut [Fd; MAX_FDS]) -> Result<(usize, usize)> {
    let mut control = Control { length: 0, level: 0, kind: 0, fds: [-1; MAX_FDS] };
    let mut iov = IoVec { base: bytes.as_mut_ptr(), length: bytes.len() };
    let mut header = MessageHeader {
        name: 0,
        name_length: 0,
        iov: &raw mut iov,
        iov_count: 1,
        control: &raw mut control,
        control_length: size_of::<Control>(),
        flags: 0,
    };
    let count = loop {
        // SAFETY: the kernel writes at most `bytes.len()` bytes and `size_of::<Control>()` bytes of control
        // data into memory that is ours.
        match unsafe { syscall!(recvmsg, socket.0, &raw mut header, MSG_CMSG_CLOEXEC) } {
            Err(Errno::EINTR) => {}
            other => break other?,
        }
    };
    let mut received = 0;
    if header.control_length >= CONTROL_HEADER && control.level == SOL_SOCKET && control.kind == SCM_RIGHTS {
        received = (control.length.saturating_sub(CONTROL_HEADER) / 4).min(MAX_FDS);
        for (fd, number) in fds.iter_mut().zip(control.fds).take(received) {
            *fd = Fd(number);
        }
    }
    Ok((count, received))
}

/// Waits until `peer` is hung up or `source` can be read; tells for each. What `peer` has to read is left to
/// others.
pub fn wait_hangup_or_readable(peer: Fd, source: Fd) -> Result<(bool, bool)> {
    #[repr(C)]
    struct PollFd {
        fd: i32,
        events: i16,
        revents: i16,
    }
    const POLLIN: i16 = 1;
    let mut set = [PollFd { fd: peer.0, events: 0, revents: 0 }, PollFd { fd: source.0, events: POLLIN, revents: 0 }];
    // SAFETY: the array is live and ours; a null time-out waits for ever and a null mask changes none.
    unsafe { syscall!(ppoll, set.as_mut_ptr(), set.len(), 0, 0, 0) }?;
    let [peer, source] = set;
    Ok((peer.revents != 0, source.revents != 0))
}
