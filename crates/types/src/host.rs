//! Names of hosts, in the one form in which they are compared, decided on and dialled.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of a host: ASCII letters in lower case, digits, hyphens and dots, as certificates and the name service have
/// it. Never an address in any notation, never with an empty part, and never this very machine.
///
/// INVARIANT (one-name): policy, the resolver, TLS and HTTP each make their name by this constructor, and compare what it
/// gives; nothing else decides whether two names are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(String);

/// A host, and the TCP port on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// The host.
    pub host: HostName,
    /// The port.
    pub port: u16,
}

/// A text that names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the name of a host: {why}")]
pub struct NotAHost {
    text: String,
    why: &'static str,
}

/// Longest name, and longest part of one (RFC 1035).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// The port of a destination that names none.
pub const DEFAULT_PORT: u16 = 443;

impl HostName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn fault(text: &str) -> Option<&'static str> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_label = |label: &str| {
            (1..=MAX_LABEL).contains(&label.len())
                && label.bytes().all(fits)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let last = text.rsplit('.').next().unwrap_or("");
        if !text.is_ascii() {
            return Some("write a name outside ASCII in its `xn--` form");
        }
        if text.is_empty() || text.len() > MAX_NAME {
            return Some("it is empty or longer than 253 bytes");
        }
        if !text.split('.').all(is_label) {
            return Some("its parts are letters, digits and inner hyphens, at most 63 of them each");
        }
        // `127.1`, `0x7f000001`, `2130706433`: whatever some program takes for an address.
        if !last.starts_with(|first: char| first.is_ascii_lowercase()) {
            return Some("an address is none, in whatever notation");
        }
        if last == "localhost" {
            return Some("`localhost` is the sandbox itself");
        }
        None
    }
}

impl FromStr for HostName {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, NotAHost> {
        let name = text.to_ascii_lowercase();
        match Self::fault(&name) {
            None => Ok(Self(name)),
            Some(why) => Err(NotAHost { text: brief(text), why }),
        }
    }
}

impl FromStr for Destination {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, NotAHost> {
        let (host, port) = match text.rsplit_once(':') {
            None => (text, DEFAULT_PORT),
            Some((host, port)) => {
                let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
                match port.parse().ok().filter(|port| digits && *port != 0) {
                    Some(port) => (host, port),
                    None => return Err(NotAHost { text: brief(text), why: "its port is a number from 1 to 65535" }),
                }
            }
        };
        Ok(Self { host: host.parse()?, port })
    }
}

/// What is shown of a text that is wrong.
fn brief(text: &str) -> String {
    text.chars().take(80).collect::<String>().escape_debug().to_string()
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(HostName);
as_text!(Destination);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_form() {
        for (text, name) in [
            ("api.bank.example", "api.bank.example"),
            ("API.Bank.EXAMPLE", "api.bank.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("a-b.c0", "a-b.c0"),
            ("registry", "registry"),
        ] {
            assert_eq!(text.parse::<HostName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn what_some_program_takes_for_another_host_is_no_name() {
        let long = format!("{}.example", "a".repeat(64));
        let longer = format!("{}example", "a.".repeat(130));
        for text in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a b",
            "a\0b",
            "a%00b",
            "a%2eb",
            "a_b",
            "-a.b",
            "a-.b",
            "a/b",
            "a@b",
            "a:b",
            "a#b",
            "a?b",
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "a.0x7f",
            "a.1",
            "[::1]",
            "::1",
            "fe80::1%lo",
            "::ffff:127.0.0.1",
            "localhost",
            "LOCALHOST",
            "a.localhost",
            "bücher.example",
            "a\u{3002}b",
            "a\nb",
            "*.a",
            "*",
            &long,
            &longer,
        ] {
            assert!(text.parse::<HostName>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_destination_has_a_port() {
        for (text, shown) in [("a.example", "a.example:443"), ("A.example:8443", "a.example:8443")] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), shown);
        }
        for text in [
            "a.example:",
            "a.example:0",
            "a.example:65536",
            "a.example:+443",
            "a.example:443:443",
            ":443",
            "1.2.3.4:443",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
        let error = "a.example:x".parse::<Destination>().unwrap_err();
        assert_eq!(error.to_string(), "`a.example:x` is not the name of a host: its port is a number from 1 to 65535");
    }
}
