//! The preflight: what the workload's process, locked in, can still do.

use core::ffi::CStr;

use hotcell_sys::harden::{self, Hardening};
use hotcell_sys::{Errno, Fd, Result, file, limit, process, socket};

use crate::message::{self, MAX_PROBES, Message};
use crate::plan::Probe;

/// The results so far.
pub(crate) struct Probes {
    values: [i64; MAX_PROBES],
    count: usize,
    status: Status,
}

/// This process's status file, read once for neighbouring probes: the kernel makes its text anew for each reading.
struct Status {
    buffer: [u8; 4096],
    length: Option<usize>,
}

impl Probes {
    pub(crate) fn new() -> Self {
        Self { values: [0; MAX_PROBES], count: 0, status: Status { buffer: [0; 4096], length: None } }
    }

    /// Tries one thing. Only a probe that does not exist is an error; what a probe meets is its result.
    pub(crate) fn try_out(&mut self, kind: u64, text: &CStr, number: u64) -> Result<()> {
        let probe = Probe::from_number(kind).ok_or(Errno::EINVAL)?;
        let place = self.values.get_mut(self.count).ok_or(Errno::E2BIG)?;
        if probe != Probe::Status {
            self.status.length = None;
        }
        *place = match try_probe(probe, text, number, &mut self.status) {
            Ok(value) => value,
            Err(error) => -i64::from(error.0),
        };
        self.count += 1;
        Ok(())
    }

    /// Sends the results in one message.
    pub(crate) fn report(&self, control: Fd) -> Result<()> {
        let mut bytes = [0u8; message::BYTES + 8 * MAX_PROBES];
        let (head, results) = bytes.split_at_mut(message::BYTES);
        head.copy_from_slice(&Message::Observed { count: self.count as u64 }.encode());
        for (place, value) in results.chunks_exact_mut(8).zip(self.values) {
            place.copy_from_slice(&value.to_le_bytes());
        }
        socket::send(control, &bytes[..message::BYTES + 8 * self.count], &[])
    }
}

fn try_probe(probe: Probe, text: &CStr, number: u64, status: &mut Status) -> Result<i64> {
    match probe {
        Probe::Pid => Ok(i64::from(process::id())),
        Probe::User => Ok(i64::from(process::user())),
        Probe::Signal => process::kill(number as i32, 0).map(|()| 0),
        Probe::Namespace => namespace_number(text),
        Probe::Exists => file::exists(text).map(|()| 0),
        Probe::MakeDir => file::make_dir_at(Fd::CWD, text, 0o700).map(|()| 0),
        Probe::Touch => file::touch(text).map(|()| 0),
        Probe::Open => {
            let fd = file::open_at(Fd::CWD, text, file::O_RDONLY | file::O_CLOEXEC, 0)?;
            file::close(fd);
            Ok(0)
        }
        Probe::MapExecutable => with_new_file(text, |fd| file::try_map_executable(fd).map(|()| 0)),
        // Not a program: where executing were allowed, the kernel would say ENOEXEC.
        Probe::ExecuteFile => with_new_file(text, |_| {
            let nothing = [core::ptr::null()];
            Err(process::execute(text, &nothing, &nothing))
        }),
        Probe::Status => status.number(text),
        Probe::NewUserNamespace => process::unshare(process::CLONE_NEWUSER).map(|()| 0),
        Probe::X32 => match process::X32_GETPID {
            Some(call) => process::probe_call(call).map(|value| value as i64),
            None => Err(Errno::ENOSYS),
        },
        Probe::Trace => process::trace_me().map(|()| 0),
        Probe::Ioctl => file::ioctl_number(Fd(0), number, 0).map(|value| value as i64),
        Probe::Socket => {
            const SOCK_STREAM: u32 = 1;
            let fd = socket::open(number as u32, SOCK_STREAM)?;
            file::close(fd);
            Ok(0)
        }
        Probe::Connect => {
            const SOCK_DGRAM: u32 = 2;
            let fd = socket::open(socket::AF_INET, SOCK_DGRAM)?;
            let result = socket::connect_ipv4(fd, [192, 0, 2, 1], 9);
            file::close(fd);
            result.map(|()| 0)
        }
        Probe::Interfaces => count_interfaces(),
        Probe::Descriptors => {
            let dir = file::open_at(Fd::CWD, c"/proc/self/fd", file::O_DIRECTORY | file::O_CLOEXEC, 0)?;
            let count = file::count_entries(dir);
            file::close(dir);
            // The folder's own and the control socket, which closes at `execve`.
            Ok(count? as i64 - 2)
        }
        Probe::Keyring => process::session_keyring().map(|value| value as i64),
        Probe::Limit => limit::hard(number as u32).map(|value| i64::try_from(value).unwrap_or(i64::MAX)),
        Probe::HostName => {
            let mut name = [0u8; 65];
            process::host_name(&mut name)?;
            let name = CStr::from_bytes_until_nul(&name).map_err(|_| Errno::EINVAL)?;
            Ok(i64::from(name == text))
        }
        Probe::FileSystemSize => file::file_system_size(text).map(|size| i64::try_from(size).unwrap_or(i64::MAX)),
        Probe::Hardening => Hardening::from_number(number).ok_or(Errno::EINVAL)?.read(),
        Probe::OpenToWrite => {
            let fd = file::open_at(Fd::CWD, text, file::O_WRONLY | file::O_CLOEXEC, 0)?;
            file::close(fd);
            Ok(0)
        }
        Probe::MapWritableCode => harden::try_map_writable_code().map(|()| 0),
        Probe::Clock => harden::try_clock().map(|()| 0),
        Probe::CycleCounter => harden::with_cycle_counter().map(|()| 0),
        Probe::Environment => {
            let mut buffer = [0u8; 256];
            read_file(c"/proc/self/environ", &mut buffer).map(|content| content.len() as i64)
        }
    }
}

/// Makes a file of four bytes for a probe, and removes it again.
fn with_new_file(path: &CStr, probe: impl FnOnce(Fd) -> Result<i64>) -> Result<i64> {
    let flags = file::O_CREAT | file::O_EXCL | file::O_WRONLY | file::O_CLOEXEC;
    let writer = file::open_at(Fd::CWD, path, flags, 0o700)?;
    let written = file::write_all(writer, b"\x7fno\n");
    file::close(writer);
    let result = written.and_then(|()| {
        let fd = file::open_at(Fd::CWD, path, file::O_RDONLY | file::O_CLOEXEC, 0)?;
        let result = probe(fd);
        file::close(fd);
        result
    });
    file::unlink_at(Fd::CWD, path)?;
    result
}

/// `net:[4026531840]` → 4026531840.
pub(crate) fn namespace_number(path: &CStr) -> Result<i64> {
    let mut buffer = [0u8; 64];
    let link = file::read_link(path, &mut buffer)?;
    let digits = link.iter().skip_while(|byte| **byte != b'[').skip(1).take_while(|byte| byte.is_ascii_digit());
    Ok(digits.fold(0, |number: i64, digit| number * 10 + i64::from(digit - b'0')))
}

impl Status {
    /// The number behind a name such as `CapEff:`, read as hexadecimal.
    fn number(&mut self, name: &CStr) -> Result<i64> {
        let length = match self.length {
            Some(length) => length,
            None => read_file(c"/proc/self/status", &mut self.buffer)?.len(),
        };
        self.length = Some(length);
        let mut lines = self.buffer[..length].split(|byte| *byte == b'\n');
        let line = lines.find_map(|line| line.strip_prefix(name.to_bytes())).ok_or(Errno::ENOENT)?;
        let digits = line.iter().filter(|byte| byte.is_ascii_hexdigit());
        Ok(digits.fold(0i64, |number, digit| (number << 4) | i64::from(char::from(*digit).to_digit(16).unwrap_or(0))))
    }
}

fn count_interfaces() -> Result<i64> {
    let mut buffer = [0u8; 4096];
    Ok(interfaces(read_file(INTERFACES, &mut buffer)?).count() as i64)
}

/// Whether the loopback interface is there and no other.
pub(crate) fn only_loopback() -> Result<bool> {
    let mut buffer = [0u8; 4096];
    let mut names = interfaces(read_file(INTERFACES, &mut buffer)?);
    Ok(names.next() == Some(b"lo") && names.next().is_none())
}

const INTERFACES: &CStr = c"/proc/self/net/dev";

/// The names in `/proc/self/net/dev`; its two lines of heading have no colon.
fn interfaces(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some(line[..colon].trim_ascii())
    })
}

fn read_file<'b>(path: &CStr, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    let fd = file::open_at(Fd::CWD, path, file::O_RDONLY | file::O_CLOEXEC, 0)?;
    let mut length = 0;
    let result = loop {
        match file::read(fd, &mut buffer[length..]) {
            Ok(0) => break Ok(()),
            Ok(count) => length += count,
            Err(Errno::EINTR) => {}
            Err(error) => break Err(error),
        }
    };
    file::close(fd);
    result?;
    Ok(&buffer[..length])
}
