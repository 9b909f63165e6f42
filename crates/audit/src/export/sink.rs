//! Where events go: files, syslog (RFC 5424) and NATS.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::format::syslog_severity;
use super::{ExportError, ToFile};
use crate::Entry;

/// A server that takes nothing for so long is down.
const PATIENCE: Duration = Duration::from_secs(20);

/// The facility of syslog: 13, log audit.
const FACILITY: u8 = 13;

/// Longest line that a server may answer with.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// Something that takes events.
pub trait Sink {
    /// Takes a line.
    ///
    /// # Errors
    /// When it cannot be written.
    fn send(&mut self, line: &str, entry: &Entry) -> io::Result<()>;

    /// Waits until all that was sent has been taken.
    ///
    /// # Errors
    /// When that is not known.
    fn flush(&mut self) -> io::Result<()>;
}

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Output,
    /// The end of a file.
    File(PathBuf),
    /// A syslog socket of this machine.
    SyslogUnix(PathBuf),
    /// Syslog in datagrams. What the network loses is lost.
    SyslogUdp(String),
    /// Syslog in a stream, each message after its length (RFC 6587).
    SyslogTcp(String),
    /// A NATS server, by its plain-text protocol.
    Nats {
        /// Host and port.
        server: String,
        /// The subject.
        subject: String,
    },
}

impl FromStr for Target {
    type Err = ExportError;

    fn from_str(text: &str) -> Result<Self, ExportError> {
        let bad = |why| ExportError::BadTarget { target: text.to_owned(), why };
        let address = |address: &str| match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(address.to_owned()),
            _ => Err(bad("an address is HOST:PORT")),
        };
        if text == "-" {
            return Ok(Self::Output);
        }
        if let Some(rest) = text.strip_prefix("nats://") {
            let (server, subject) = rest.split_once('/').ok_or(bad("a subject is missing"))?;
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            if subject.is_empty() || !subject.bytes().all(plain) {
                return Err(bad("a subject is letters, digits, `.`, `-` and `_`"));
            }
            return Ok(Self::Nats { server: address(server)?, subject: subject.to_owned() });
        }
        match text.strip_prefix("syslog:") {
            None => Ok(Self::File(text.into())),
            Some(rest) => match rest.split_once(':') {
                Some(("unix", path)) if path.starts_with('/') => Ok(Self::SyslogUnix(path.into())),
                Some(("udp", rest)) => Ok(Self::SyslogUdp(address(rest)?)),
                Some(("tcp", rest)) => Ok(Self::SyslogTcp(address(rest)?)),
                _ => Err(bad("after `syslog:` comes unix:PATH, udp:HOST:PORT or tcp:HOST:PORT")),
            },
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output => f.write_str("-"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::SyslogUnix(path) => write!(f, "syslog:unix:{}", path.display()),
            Self::SyslogUdp(address) => write!(f, "syslog:udp:{address}"),
            Self::SyslogTcp(address) => write!(f, "syslog:tcp:{address}"),
            Self::Nats { server, subject } => write!(f, "nats://{server}/{subject}"),
        }
    }
}

impl Target {
    /// Opens or connects.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(&self) -> io::Result<Box<dyn Sink>> {
        Ok(match self {
            Self::Output => {
                let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
                Box::new(ToFile(BufWriter::new(output)))
            }
            Self::File(path) => {
                let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
                Box::new(ToFile(BufWriter::new(file)))
            }
            Self::SyslogUnix(path) => Box::new(Syslog(unix(path)?)),
            Self::SyslogUdp(address) => {
                let socket = UdpSocket::bind("[::]:0").or_else(|_| UdpSocket::bind("0.0.0.0:0"))?;
                socket.connect(address)?;
                Box::new(Syslog(Channel::Udp(socket)))
            }
            Self::SyslogTcp(address) => Box::new(Syslog(Channel::Stream(Box::new(connect(address)?)))),
            Self::Nats { server, subject } => Box::new(Nats::connect(server, subject)?),
        })
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A datagram socket, as syslog daemons have it, else a stream.
fn unix(path: &PathBuf) -> io::Result<Channel> {
    let datagrams = UnixDatagram::unbound()?;
    datagrams.set_write_timeout(Some(PATIENCE))?;
    match datagrams.connect(path) {
        Ok(()) => Ok(Channel::Unix(datagrams)),
        Err(_) => {
            let stream = UnixStream::connect(path)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(Channel::Stream(Box::new(stream)))
        }
    }
}

enum Channel {
    Unix(UnixDatagram),
    Udp(UdpSocket),
    Stream(Box<dyn io::Write>),
}

/// Messages of RFC 5424.
struct Syslog(Channel);

impl Sink for Syslog {
    fn send(&mut self, line: &str, entry: &Entry) -> io::Result<()> {
        let message = syslog_message(line, entry);
        match &mut self.0 {
            Channel::Unix(socket) => socket.send(message.as_bytes()).map(drop),
            Channel::Udp(socket) => socket.send(message.as_bytes()).map(drop),
            Channel::Stream(stream) => stream.write_all(format!("{} {message}", message.len()).as_bytes()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Channel::Stream(stream) => stream.flush(),
            // A datagram is gone when it was sent.
            Channel::Unix(_) | Channel::Udp(_) => Ok(()),
        }
    }
}

/// `<PRI>1 TIME - hotcell - ID - JSON`: the host's name is the receiver's to know.
fn syslog_message(line: &str, entry: &Entry) -> String {
    let priority = FACILITY * 8 + syslog_severity(entry.event.kind);
    let kind = serde_json::to_value(entry.event.kind).ok();
    let kind = kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or("-");
    format!("<{priority}>1 {} - hotcell - {kind} - {line}", entry.event.time)
}

/// A client of NATS: publishes, and waits for the answer to a ping.
struct Nats {
    subject: String,
    to: BufWriter<TcpStream>,
    from: BufReader<TcpStream>,
}

impl Nats {
    fn connect(server: &str, subject: &str) -> io::Result<Self> {
        let stream = connect(server)?;
        let mut nats =
            Self { subject: subject.to_owned(), from: BufReader::new(stream.try_clone()?), to: BufWriter::new(stream) };
        let info = nats.line()?;
        if !info.starts_with("INFO ") {
            return Err(io::Error::other("it is no NATS server"));
        }
        nats.to.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"name\":\"hotcell\",\"lang\":\"rust\",\"version\":\"1\"}\r\n")?;
        nats.flush()?;
        Ok(nats)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        io::Read::take(&mut self.from, MAX_ANSWER_BYTES).read_line(&mut line)?;
        match line.is_empty() {
            true => Err(io::ErrorKind::UnexpectedEof.into()),
            false => Ok(line),
        }
    }
}

impl Sink for Nats {
    fn send(&mut self, line: &str, _: &Entry) -> io::Result<()> {
        write!(self.to, "PUB {} {}\r\n{line}\r\n", self.subject, line.len())
    }

    /// The server answers a ping after all that came before it.
    fn flush(&mut self) -> io::Result<()> {
        self.to.write_all(b"PING\r\n")?;
        self.to.flush()?;
        loop {
            let line = self.line()?;
            match line.trim_end() {
                "PONG" => return Ok(()),
                "PING" => {
                    self.to.write_all(b"PONG\r\n")?;
                    self.to.flush()?;
                }
                line if line.starts_with("-ERR") => return Err(io::Error::other(line.to_owned())),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_as_they_are_written_and_odd_ones_refused() {
        for text in [
            "-",
            "/var/log/hotcell.jsonl",
            "events.jsonl",
            "syslog:unix:/dev/log",
            "syslog:udp:log.example:514",
            "syslog:tcp:[::1]:601",
            "nats://127.0.0.1:4222/hotcell.audit",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        for text in [
            "syslog:",
            "syslog:unix:log",
            "syslog:udp:host",
            "syslog:tcp:host:99999",
            "syslog:tls:h:1",
            "nats://h:1",
            "nats://h:1/a b",
            "nats://h/a",
            "nats://:1/a",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
