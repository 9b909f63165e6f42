//! The first words of TLS: which host a client means.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use hotcell_types::HostName;
use rustls::server::{Accepted, Acceptor};

/// A client that said whom it means.
pub(crate) struct Hello {
    /// The host it means.
    pub(crate) name: HostName,
    /// What goes on from here, where it is opened.
    pub(crate) accepted: Accepted,
    /// The bytes that it sent so far, where they pass.
    pub(crate) bytes: Vec<u8>,
}

/// Why there is no hello.
#[derive(Debug)]
pub(crate) enum NoHello {
    /// The client ended, or took too long.
    Gone(io::Error),
    /// What it said is no TLS.
    NotTls,
    /// It named no host, or none that could be one.
    NoName,
}

/// Most bytes of a hello: four records of TLS.
const MAX_HELLO: usize = 4 * (16 << 10);

/// Reads until the client has said whom it means; from its first byte on it has so much time.
pub(crate) fn read(client: &mut impl Read, time: Duration) -> Result<Hello, NoHello> {
    let mut begun: Option<Instant> = None;
    let mut acceptor = Acceptor::default();
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = match client.read(&mut buffer) {
            Ok(0) => return Err(NoHello::Gone(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(NoHello::Gone(error)),
        };
        let mut new = buffer.get(..count).unwrap_or_default();
        bytes.extend_from_slice(new);
        if bytes.len() > MAX_HELLO {
            return Err(NoHello::NotTls);
        }
        while !new.is_empty() {
            acceptor.read_tls(&mut new).map_err(|_| NoHello::NotTls)?;
        }
        match acceptor.accept() {
            Ok(None) => {
                if begun.get_or_insert_with(Instant::now).elapsed() >= time {
                    return Err(NoHello::Gone(io::ErrorKind::TimedOut.into()));
                }
            }
            Ok(Some(accepted)) => {
                let name = accepted.client_hello().server_name().and_then(|name| name.parse().ok());
                return Ok(Hello { name: name.ok_or(NoHello::NoName)?, accepted, bytes });
            }
            Err(_) => return Err(NoHello::NotTls),
        }
    }
}

/// A fatal alert in plain: that the host is not one of ours.
pub(crate) const UNRECOGNIZED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    /// A hello for TLS 1.2 with these extensions.
    fn hello(extensions: &[u8]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend_from_slice(&[7; 32]);
        body.extend_from_slice(&[0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0]);
        body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
        body.extend_from_slice(extensions);
        let mut handshake = vec![1, 0];
        handshake.extend_from_slice(&(body.len() as u16).to_be_bytes());
        handshake.extend_from_slice(&body);
        let mut record = vec![22, 3, 1];
        record.extend_from_slice(&(handshake.len() as u16).to_be_bytes());
        record.extend_from_slice(&handshake);
        record
    }

    fn named(name: &[u8]) -> Vec<u8> {
        let length = name.len() as u16;
        let mut bytes = vec![0, 0];
        bytes.extend_from_slice(&(length + 5).to_be_bytes());
        bytes.extend_from_slice(&(length + 3).to_be_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(name);
        bytes
    }

    /// What every client sends: signatures and groups.
    const USUAL: &[u8] = &[0, 13, 0, 4, 0, 2, 4, 3, 0, 10, 0, 4, 0, 2, 0, 23];

    #[test]
    fn the_host_that_a_client_means_is_read() {
        let bytes = hello(&[&named(b"API.example"), USUAL].concat());
        let hello = read(&mut bytes.as_slice(), LONG).ok().unwrap();
        assert_eq!((hello.name.as_str(), &hello.bytes), ("api.example", &bytes));
    }

    #[test]
    fn a_client_that_names_none_or_two_or_an_address_is_refused() {
        for extensions in [
            USUAL.to_vec(),
            [&named(b"api.example"), &named(b"other.example"), USUAL].concat(),
            [&named(b"127.0.0.1"), USUAL].concat(),
            [&named(b"api.example\0.evil.example"), USUAL].concat(),
            [&named(b""), USUAL].concat(),
        ] {
            assert!(matches!(read(&mut hello(&extensions).as_slice(), LONG), Err(NoHello::NoName | NoHello::NotTls)));
        }
    }

    #[test]
    fn a_client_that_says_it_too_slowly_is_not_waited_for() {
        let bytes = hello(&[&named(b"api.example"), USUAL].concat());
        let (begins, rest) = bytes.split_at(9);
        let slow = read(&mut begins.chain(rest), Duration::ZERO);
        assert!(matches!(slow, Err(NoHello::Gone(error)) if error.kind() == io::ErrorKind::TimedOut));
        assert!(read(&mut begins.chain(rest), LONG).is_ok(), "in the same pieces, in time");
        assert!(read(&mut bytes.as_slice(), Duration::ZERO).is_ok(), "what comes at once takes no time");
    }

    #[test]
    fn what_is_no_tls_is_refused_and_harms_nobody() {
        assert!(matches!(read(&mut &b"GET / HTTP/1.1\r\nHost: api.example\r\n\r\n"[..], LONG), Err(NoHello::NotTls)));
        assert!(matches!(read(&mut &b""[..], LONG), Err(NoHello::Gone(_))));
        let good = hello(&[&named(b"api.example"), USUAL].concat());
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 0x55;
            let _ = read(&mut bytes.as_slice(), LONG);
            let _ = read(&mut &good[..at], LONG);
        }
    }

    #[test]
    fn no_hello_makes_its_reader_panic_and_a_name_that_is_read_is_one() {
        let mut named_ones = 0;
        hotcell_testkit::fuzz::Target::new(env!("CARGO_MANIFEST_DIR"), "client-hello")
            .with(hello(&[&named(b"api.example"), USUAL].concat()))
            .with(hello(USUAL))
            .with(hello(&[&named(b"api.example"), &named(b"other.example"), USUAL].concat()))
            .run(3000, |bytes| {
                let Ok(hello) = read(&mut &*bytes, LONG) else { return };
                named_ones += 1;
                assert_eq!(hello.name.as_str().parse::<HostName>().unwrap(), hello.name);
            });
        assert!(named_ones > 0, "no hello was good: nothing was tried");
    }
}
