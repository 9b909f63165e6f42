//! What the host puts up for a selftest: things that a sandbox must not reach.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

use hotcell_sys::attempt::{Entry, Word, attempt};
use hotcell_sys::process;
use syscalls::Sysno;

use crate::Facts;

/// The name of the process that an attack leaves behind; names of processes have 15 bytes.
pub fn daemon_name(token: &str) -> String {
    format!("hc{}", token.get(..12).unwrap_or(token))
}

/// Things of the host, gone when this is dropped.
#[derive(Debug)]
pub struct Surroundings {
    facts: Facts,
    folder: PathBuf,
    ipc: Vec<(Sysno, i32)>,
    queue: Option<Vec<u8>>,
    _listeners: (UnixListener, UnixListener, TcpListener, UdpSocket),
    /// The secret, as a careless caller leaves it: not closed at `execve`.
    _left_open: File,
}

impl Surroundings {
    /// Puts everything up in a new folder. `token` is a random text by which all of it is known.
    ///
    /// # Errors
    /// When a socket or a file cannot be made. What the kernel lacks is left out of the facts.
    pub fn put_up(folder: &Path, token: &str) -> io::Result<Self> {
        DirBuilder::new().mode(0o755).create(folder)?;
        // Whatever the umask: that it cannot be read inside must not come from its mode.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        let mut facts = Facts::default();
        let file = folder.join("secret");
        fs::write(&file, token)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
        let left_open = File::open(&file)?;
        rustix::io::fcntl_setfd(&left_open, rustix::io::FdFlags::empty())?;
        let socket = folder.join("socket");
        let by_path = UnixListener::bind(&socket)?;
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777))?;
        let by_name = UnixListener::bind_addr(&SocketAddr::from_abstract_name(format!("hotcell-{token}"))?)?;
        let tcp = TcpListener::bind(("127.0.0.1", 0))?;
        let udp = UdpSocket::bind(("127.0.0.1", 0))?;
        facts.set("token", token);
        facts.set("pid", std::process::id());
        // In a container, the group may be one of outside, which has no number here.
        if let Ok(group @ 1..) = attempt(Entry::Native, Sysno::getpgrp.id() as u32, &mut []) {
            facts.set("group", group);
        }
        facts.set("pid-namespace", fs::read_link("/proc/self/ns/pid")?.display());
        facts.set("path", file.display());
        facts.set("socket", socket.display());
        facts.set("tcp", tcp.local_addr()?.port());
        facts.set("udp", udp.local_addr()?.port());
        facts.set("daemon", daemon_name(token));
        let listeners = (by_path, by_name, tcp, udp);
        let mut made = Self {
            facts,
            folder: folder.to_owned(),
            ipc: Vec::new(),
            queue: None,
            _listeners: listeners,
            _left_open: left_open,
        };
        made.queues(token);
        made.key();
        made.places();
        Ok(made)
    }

    /// Takes down what was put up under this token by a process that was killed, but for the folder.
    pub fn take_down(token: &str) {
        for (_, get, control, size) in IPC {
            let mut words = vec![Word::Number(ipc_key(token))];
            words.extend(size.map(Word::Number));
            words.push(Word::Number(0));
            if let Ok(id) = attempt(Entry::Native, get.id() as u32, &mut words) {
                remove_ipc(*control, id as i32);
            }
        }
        remove_queue(&queue_name(token));
    }

    /// What the attacker is told.
    pub fn facts(&mut self) -> &mut Facts {
        &mut self.facts
    }

    /// The text by which all of it is known.
    pub fn token(&self) -> &str {
        self.facts.text("token")
    }

    /// A queue, memory and semaphores under one key, and a POSIX queue.
    fn queues(&mut self, token: &str) {
        // IPC_CREAT and IPC_EXCL: what is somebody else's is not put up, and not taken down.
        const CREATE_FOR_ALL: i32 = 0o3666;
        let key = ipc_key(token);
        self.facts.set("ipc", key);
        for (name, get, control, size) in IPC {
            let mut words = vec![Word::Number(key)];
            words.extend(size.map(Word::Number));
            words.push(Word::Number(CREATE_FOR_ALL));
            if let Ok(id) = attempt(Entry::Native, get.id() as u32, &mut words) {
                self.facts.set(name, "there");
                self.ipc.push((*control, id as i32));
            }
        }
        let name = queue_name(token);
        // O_RDWR and O_CREAT.
        let words = &mut [Word::Bytes(&name), Word::Number(0o102), Word::Number(0o666), Word::Number(0)];
        if let Ok(queue) = attempt(Entry::Native, Sysno::mq_open.id() as u32, words) {
            let queue = hotcell_sys::Fd(queue as i32);
            // Whatever the umask: that it cannot be opened must not come from its mode.
            let _ = hotcell_sys::file::change_mode(queue, 0o666);
            hotcell_sys::file::close(queue);
            self.facts.set("posix-queue", "there");
            self.queue = Some(name);
        }
    }

    /// A key in a session keyring of this process's own, gone with it.
    fn key(&mut self) {
        if process::new_session_keyring().is_err() {
            return;
        }
        const SESSION: i32 = -3;
        let (kind, name, value) = (b"user\0", b"hotcell-selftest\0", b"secret");
        let words = &mut [
            Word::Bytes(kind),
            Word::Bytes(name),
            Word::Bytes(value),
            Word::Number(value.len() as i32),
            Word::Number(SESSION),
        ];
        if let Ok(key) = attempt(Entry::Native, Sysno::add_key.id() as u32, words) {
            self.facts.set("key", key);
        }
    }

    /// Where things lie on this host.
    fn places(&mut self) {
        let cgroups = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"];
        if let Some(cgroup) = cgroups.iter().find(|path| Path::new(path).join("cgroup.procs").exists()) {
            self.facts.set("cgroup", cgroup);
        }
        let power = fs::read_to_string("/sys/bus/event_source/devices/power/type");
        if let Some(number) = power.ok().and_then(|text| text.trim().parse::<i32>().ok()) {
            self.facts.set("power-events", number);
        }
    }
}

impl Drop for Surroundings {
    fn drop(&mut self) {
        for (control, id) in &self.ipc {
            remove_ipc(*control, *id);
        }
        if let Some(name) = &self.queue {
            remove_queue(name);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A fact's name, the call that makes or finds the thing, the one that removes it, and its size where it has one.
const IPC: &[(&str, Sysno, Sysno, Option<i32>)] = &[
    ("ipc-queue", Sysno::msgget, Sysno::msgctl, None),
    ("ipc-memory", Sysno::shmget, Sysno::shmctl, Some(4096)),
    ("ipc-semaphores", Sysno::semget, Sysno::semctl, Some(1)),
];

/// The key of System V queues, memory and semaphores.
fn ipc_key(token: &str) -> i32 {
    token.bytes().fold(17i32, |key, byte| key.wrapping_mul(31).wrapping_add(byte.into())) | 1
}

/// The name of the POSIX queue, with its NUL.
fn queue_name(token: &str) -> Vec<u8> {
    [b"hotcell-", token.as_bytes(), b"\0"].concat()
}

fn remove_ipc(control: Sysno, id: i32) {
    const REMOVE: i32 = 0;
    let words = &mut match control {
        Sysno::semctl => [Word::Number(id), Word::Number(0), Word::Number(REMOVE)],
        _ => [Word::Number(id), Word::Number(REMOVE), Word::Number(0)],
    };
    // Where it is gone there is nothing to remove.
    let _ = attempt(Entry::Native, control.id() as u32, words);
}

fn remove_queue(name: &[u8]) {
    let _ = attempt(Entry::Native, Sysno::mq_unlink.id() as u32, &mut [Word::Bytes(name)]);
}
