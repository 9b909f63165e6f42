//! The broker: resolves names outside, checks addresses, and connects.
//!
//! It believes the gateway nothing: it takes the number of a rule, looks up the rule's own name, and connects to the rule's
//! own port, at an address that it has checked itself.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use hotcell_types::HostName;
use rustix::net::{Shutdown, shutdown};

use crate::plan::Rule;
use crate::wire::{self, Dialled, Note, Order, Word};

/// What a broker calls: the network, the files of the C library's resolver, threads.
pub const CALLS: &[&str] = &[
    "read",
    "write",
    "readv",
    "writev",
    "close",
    "lseek",
    "pread64", // its files and sockets
    "open",
    "openat",
    "stat",
    "fstat",
    "newfstatat",
    "lstat",
    "access",
    "faccessat2",
    "readlink",
    "statx", // the resolver's files
    "socket",
    "socketpair",
    "connect",
    "bind",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "recvfrom",
    "recvmsg",
    "shutdown",
    "getsockname",
    "getpeername",
    "setsockopt",
    "getsockopt",
    "poll",
    "ppoll",
    "fcntl",
    "ioctl", // the network
    "brk",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "madvise",
    "futex",
    "getrandom",
    "uname", // memory, chance, the host's name
    "clone",
    "set_robust_list",
    "rseq",
    "gettid",
    "getpid",
    "sched_getaffinity",
    "sched_yield",
    "prctl", // threads
    "rt_sigprocmask",
    "rt_sigaction",
    "rt_sigreturn",
    "sigaltstack",
    "clock_gettime",
    "clock_nanosleep",
    "nanosleep",
    "geteuid",
    "getuid",
    "getegid",
    "getgid",
    "exit",
    "exit_group",
    "restart_syscall",
    "dup",
    "getdents64",
];

/// What of the host a broker reads: how names are resolved, and the libraries that do it. Never a whole folder of `/etc`.
pub const READS: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/ld.so.cache",
    "/usr/lib",
    "/lib",
    "/lib64",
    "/usr/lib64",
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/run/resolvconf",
];

/// Most connections that are being opened at once; more wait for their turn by being refused.
const MAX_DIALS: usize = 64;
/// How long one address may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most addresses of a name that are tried.
const MAX_ADDRESSES: usize = 4;

/// Serves until host and gateway are gone. `host` is the socket to the host, by which everything else comes.
///
/// # Errors
/// When the host is gone, or `host` is none.
pub fn serve(host: OwnedFd) -> io::Result<()> {
    let Some((Order { rules, .. }, fds)) = wire::receive(&host)? else { return Err(not_ours()) };
    let [gateway]: [OwnedFd; 1] = fds.try_into().map_err(|_| not_ours())?;
    let (host, gateway) = (Arc::new(host), Arc::new(gateway));
    // When the host wants an end, the gateway hears it; its last words still pass.
    let (ends, tells) = (Arc::clone(&host), Arc::clone(&gateway));
    thread::Builder::new().stack_size(64 << 10).spawn(move || {
        while let Ok(Some((Order { .. }, _))) = wire::receive(&*ends) {}
        let _ = shutdown(&*tells, Shutdown::Write);
    })?;
    let dialler = Arc::new(Dialler { rules, pinned: Mutex::default(), busy: AtomicUsize::new(0) });
    while let Some((word, fds)) = wire::receive::<Word>(&*gateway)? {
        match word {
            Word::Note(note) if note.is_sound(dialler.rules.len()) => wire::send(host.as_fd(), &note, &[])?,
            Word::Note(_) => return Err(not_ours()),
            Word::Dial { rule } => {
                let [answer]: [OwnedFd; 1] = fds.try_into().map_err(|_| not_ours())?;
                let dialler = Arc::clone(&dialler);
                let host = Arc::clone(&host);
                thread::Builder::new().stack_size(256 << 10).spawn(move || dialler.dial(rule, &answer, &host))?;
            }
        }
    }
    Ok(())
}

fn not_ours() -> io::Error {
    io::Error::other("this is for the use of a sandbox only")
}

struct Dialler {
    rules: Vec<Rule>,
    /// The addresses of a name that was resolved: for as long as the sandbox lives.
    pinned: Mutex<HashMap<HostName, Vec<IpAddr>>>,
    busy: AtomicUsize,
}

impl Dialler {
    fn dial(&self, rule: usize, answer: &OwnedFd, host: &OwnedFd) {
        let connected = match self.busy.fetch_add(1, Ordering::Relaxed) {
            busy if busy >= MAX_DIALS => Err("too many connections are being opened at once".to_owned()),
            _ => self.connect(rule),
        };
        self.busy.fetch_sub(1, Ordering::Relaxed);
        // Whoever asked may be gone.
        let _ = match &connected {
            Ok(connection) => wire::send(answer.as_fd(), &Dialled::Yes, &[connection.as_fd()]),
            Err(why) => {
                let what = self.rules.get(rule).map(|rule| format!("{}: {why}", rule.destination)).unwrap_or_default();
                let note = Note::Refused { rule: Some(rule), code: None, what, permit: None };
                let _ = wire::send(host.as_fd(), &note, &[]);
                wire::send(answer.as_fd(), &Dialled::No { why: why.clone() }, &[])
            }
        };
    }

    fn connect(&self, rule: usize) -> Result<TcpStream, String> {
        let Rule { destination, .. } = self.rules.get(rule).ok_or("no such rule")?;
        let mut last = "the name has no address".to_owned();
        for address in self.addresses(&destination.host)? {
            // INVARIANT (checked-is-dialled): checked again for each connection, as networks come and go.
            if let Some(fault) = crate::address::fault(address) {
                last = format!("its address {address} is not dialled: {fault}");
                continue;
            }
            match TcpStream::connect_timeout(&SocketAddr::new(address, destination.port), PATIENCE) {
                Ok(connection) => return Ok(connection),
                Err(error) => last = format!("{address} does not answer: {error}"),
            }
        }
        // It may have moved: asked anew next time.
        self.pinned.lock().unwrap_or_else(PoisonError::into_inner).remove(&destination.host);
        Err(last)
    }

    fn addresses(&self, host: &HostName) -> Result<Vec<IpAddr>, String> {
        let pinned = || self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(addresses) = pinned().get(host) {
            return Ok(addresses.clone());
        }
        let found =
            (host.as_str(), 0).to_socket_addrs().map_err(|error| format!("the name is not resolved: {error}"))?;
        let mut addresses = Vec::new();
        for address in found.map(|address| address.ip()) {
            if !addresses.contains(&address) && addresses.len() < MAX_ADDRESSES {
                addresses.push(address);
            }
        }
        Ok(pinned().entry(host.clone()).or_insert(addresses).clone())
    }
}
