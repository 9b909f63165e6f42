//! Heads of requests and answers, read strictly and written anew.

use hotcell_types::{DEFAULT_PORT, Destination, HostName};

use super::Stream;
use super::body::Framing;
use super::peer::{Fault, Peer};

/// Most headers of a head.
const MAX_HEADERS: usize = 100;
/// Most answers before the real one.
const MAX_INTERIM: usize = 8;

/// A request that means one thing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    /// What is forwarded.
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) framing: Framing,
    /// Whether the client wants no further one.
    pub(super) closes: bool,
    /// Whether the client waits for a word before it sends the body.
    pub(super) expects: bool,
}

/// An answer that means one thing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    reason: String,
    headers: Vec<(String, Vec<u8>)>,
    pub(super) framing: Framing,
    pub(super) closes: bool,
}

/// Headers that speak of one connection, and are made anew for the other.
const OF_THE_CONNECTION: &[&str] =
    &["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "content-length", "expect"];
/// Headers that no `Connection` may take away.
const NEVER_NAMED: &[&str] =
    &["host", "content-length", "transfer-encoding", "authorization", "cookie", "content-type", "expect"];

impl Request {
    /// Reads a head that is meant for `to`.
    pub(super) fn parse(head: &[u8], to: &Destination, with_tls: bool) -> Result<Self, &'static str> {
        strict(head)?;
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        match parsed.parse(head) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            _ => return Err("its head cannot be read"),
        }
        let method = parsed.method.unwrap_or_default();
        if !method.bytes().all(|byte| byte.is_ascii_uppercase()) || matches!(method, "CONNECT" | "TRACE") {
            return Err("its method is none that passes");
        }
        if parsed.version != Some(1) {
            return Err("it is not HTTP/1.1");
        }
        let target = parsed.path.unwrap_or_default();
        let is_path = target.starts_with('/') || method == "OPTIONS" && target == "*";
        if !is_path || !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err("its target is no plain path");
        }
        let fields = Fields::of(parsed.headers)?;
        let host = fields.only("host")?.ok_or("it has no Host")?;
        if !is_host(host, to, with_tls) {
            return Err("its Host is not the host of the connection");
        }
        if fields.has("upgrade") {
            return Err("it asks for another protocol on the same connection, which does not pass");
        }
        let expects = match fields.only("expect")? {
            None => false,
            Some(value) if value.eq_ignore_ascii_case(b"100-continue") => true,
            Some(_) => return Err("it expects something unknown"),
        };
        let framing = fields.framing()?.unwrap_or(Framing::Nothing);
        Ok(Self {
            method: method.to_owned(),
            target: target.to_owned(),
            closes: fields.closes(),
            headers: fields.forwarded()?,
            expects: expects && !matches!(framing, Framing::Nothing | Framing::Length(0)),
            framing,
        })
    }

    /// The head as it is sent.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        put_headers(&mut bytes, &self.headers, self.framing);
        if self.framing == Framing::Nothing && matches!(self.method.as_str(), "POST" | "PUT" | "PATCH") {
            bytes.extend_from_slice(b"Content-Length: 0\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

impl Answer {
    /// Reads the answer to a request; those that only announce it are let go.
    pub(super) fn read(from: &mut Peer<impl Stream>, request: &Request) -> Result<Self, Fault> {
        for _ in 0..MAX_INTERIM {
            let head = from.head()?.ok_or_else(|| Fault::Source(std::io::ErrorKind::UnexpectedEof.into()))?;
            let answer = Self::parse(&head, request).map_err(Fault::Malformed)?;
            match answer.status {
                101 => return Err(Fault::Malformed("it speaks another protocol from here on")),
                100..=199 => {}
                _ => return Ok(answer),
            }
        }
        Err(Fault::Malformed("it announces itself again and again"))
    }

    fn parse(head: &[u8], request: &Request) -> Result<Self, &'static str> {
        strict(head)?;
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        match parsed.parse(head) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            _ => return Err("its head cannot be read"),
        }
        let status = parsed.code.unwrap_or_default();
        if !(100..600).contains(&status) {
            return Err("its status is none that HTTP knows");
        }
        let reason = parsed.reason.unwrap_or_default().to_owned();
        let is_old = parsed.version == Some(0);
        let fields = Fields::of(parsed.headers)?;
        let framing = fields.framing()?;
        let framing = match (request.method.as_str(), status) {
            ("HEAD", _) | (_, 100..=199 | 204 | 304) => Framing::Nothing,
            _ => framing.unwrap_or(Framing::UntilEnd),
        };
        if is_old && framing == Framing::Chunked {
            return Err("it has chunks, and is of HTTP/1.0");
        }
        let closes = is_old || framing == Framing::UntilEnd || fields.closes();
        let mut headers = fields.forwarded()?;
        // How to reach it otherwise, which is closed.
        headers.retain(|(name, _)| !["alt-svc", "upgrade"].iter().any(|other| name.eq_ignore_ascii_case(other)));
        if framing == Framing::Nothing
            && let Some(length) = fields.only("content-length")?
            && request.method == "HEAD"
        {
            headers.push(("Content-Length".to_owned(), length.to_vec()));
        }
        Ok(Self { status, reason, headers, framing, closes })
    }

    /// The head as it is passed on; `ends` where the connection ends behind it.
    pub(super) fn encode(&self, ends: bool) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {} {}\r\n", self.status, self.reason).into_bytes();
        put_headers(&mut bytes, &self.headers, self.framing);
        if ends {
            bytes.extend_from_slice(b"Connection: close\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

fn put_headers(bytes: &mut Vec<u8>, headers: &[(String, Vec<u8>)], framing: Framing) {
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    match framing {
        Framing::Length(length) => bytes.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes()),
        Framing::Chunked => bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Framing::Nothing | Framing::UntilEnd => {}
    }
}

/// Whether a `Host` is this host, with its port where that is not the usual one.
fn is_host(value: &[u8], to: &Destination, with_tls: bool) -> bool {
    let usual = if with_tls { DEFAULT_PORT } else { 80 };
    let Ok(text) = std::str::from_utf8(value) else { return false };
    match text.rsplit_once(':') {
        Some(_) => text.parse::<Destination>().is_ok_and(|said| said == *to),
        None => to.port == usual && text.parse::<HostName>().is_ok_and(|said| said == to.host),
    }
}

/// Refuses what readers disagree about, and the parser would let pass: line ends, folded lines, NUL.
fn strict(head: &[u8]) -> Result<(), &'static str> {
    let mut last = 0;
    for (at, byte) in head.iter().enumerate() {
        match (last, *byte) {
            (b'\r', b'\n') => {}
            (_, b'\n') | (b'\r', _) => return Err("its head has lines that do not end in CR LF"),
            (_, 0) => return Err("its head holds a NUL"),
            (b'\n', b' ' | b'\t') => return Err("its head has a folded line"),
            (_, b'\r') if at == 0 => return Err("its head begins with an empty line"),
            _ => {}
        }
        last = *byte;
    }
    Ok(())
}

/// The headers of a head.
struct Fields<'h>(Vec<(&'h str, &'h [u8])>);

impl<'h> Fields<'h> {
    fn of(headers: &[httparse::Header<'h>]) -> Result<Self, &'static str> {
        let fields: Vec<_> = headers.iter().map(|header| (header.name, header.value.trim_ascii())).collect();
        match fields.iter().all(|(name, _)| !name.is_empty()) {
            true => Ok(Self(fields)),
            false => Err("a header has no name"),
        }
    }

    fn all(&self, wanted: &str) -> impl Iterator<Item = &'h [u8]> {
        self.0.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| *value)
    }

    fn has(&self, wanted: &str) -> bool {
        self.all(wanted).next().is_some()
    }

    /// The value of a header that stands there once at most.
    fn only(&self, wanted: &str) -> Result<Option<&'h [u8]>, &'static str> {
        let mut all = self.all(wanted);
        match (all.next(), all.next()) {
            (value, None) => Ok(value),
            _ => Err("a header that has one value stands there twice"),
        }
    }

    /// How the body ends; none where nothing is said.
    fn framing(&self) -> Result<Option<Framing>, &'static str> {
        const MAX_DIGITS: usize = 15;
        match (self.only("transfer-encoding")?, self.only("content-length")?) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err("it has both a length and chunks"),
            (Some(value), None) if value.eq_ignore_ascii_case(b"chunked") => Ok(Some(Framing::Chunked)),
            (Some(_), None) => Err("its transfer encoding is another one than chunked"),
            (None, Some(value)) => {
                let plain = (1..=MAX_DIGITS).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
                let length = std::str::from_utf8(value).ok().filter(|_| plain).and_then(|text| text.parse().ok());
                let length = length.ok_or("its length is not a plain number")?;
                Ok(Some(Framing::Length(length)))
            }
        }
    }

    /// The words of `Connection`.
    fn named(&self) -> impl Iterator<Item = &'h [u8]> {
        self.all("connection").flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
    }

    fn closes(&self) -> bool {
        self.named().any(|word| word.eq_ignore_ascii_case(b"close"))
    }

    /// What is not of this connection alone.
    fn forwarded(&self) -> Result<Vec<(String, Vec<u8>)>, &'static str> {
        let is_named = |name: &str| self.named().any(|word| word.eq_ignore_ascii_case(name.as_bytes()));
        if NEVER_NAMED.iter().any(|name| is_named(name)) {
            return Err("its Connection names a header that is for the host");
        }
        let goes_on = |name: &str| {
            let is = |other: &&str| name.eq_ignore_ascii_case(other);
            !OF_THE_CONNECTION.iter().any(is) && !is_named(name)
        };
        let kept = self.0.iter().filter(|(name, _)| goes_on(name));
        Ok(kept.map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect())
    }
}
