//! Settings for images: where short names are looked for, and how registries are spoken to.
//!
//! They are the user's own, never a project's: who resolves a name decides what runs.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use hotcell_crypto::Plaintext;
use serde::Deserialize;

use crate::reference::{RegistryName, is_repository};
use crate::{Bounds, OciError};

/// Most bytes of a settings file.
pub const MAX_SETTINGS_BYTES: usize = 256 << 10;

/// The checked settings.
#[derive(Debug, Default)]
pub struct Settings {
    /// Where a short name is looked for.
    prefix: Option<RegistryName>,
    /// Short names with a place of their own.
    aliases: BTreeMap<String, RegistryName>,
    /// Registries by host and port.
    pub registries: BTreeMap<String, RegistrySettings>,
    /// Files of certificates (PEM) that registries are checked against; the first that exists counts.
    pub certificates: Vec<PathBuf>,
    /// How much an image may be.
    pub bounds: Bounds,
}

/// How one registry is spoken to.
#[derive(Debug, Default)]
pub struct RegistrySettings {
    /// Whether it may be asked without encryption although it is not this machine.
    pub plain_http: bool,
    /// A file with the certificate (PEM) of who vouches for it, in place of the system's.
    pub certificate: Option<PathBuf>,
    /// Who asks.
    pub user: Option<String>,
    /// Where the password is.
    pub password_file: Option<PathBuf>,
    /// The password, read by the caller.
    pub password: Option<Plaintext<Vec<u8>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    short_names: Option<String>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    #[serde(default)]
    registries: BTreeMap<String, FileRegistry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRegistry {
    #[serde(default)]
    plain_http: bool,
    certificate: Option<PathBuf>,
    user: Option<String>,
    password_file: Option<PathBuf>,
}

impl Settings {
    /// Reads a settings file; `path` is named in errors.
    ///
    /// # Errors
    /// [`OciError::Settings`].
    pub fn parse(text: &str, path: &str) -> Result<Self, OciError> {
        let wrong = |why: String| OciError::Settings { path: path.to_owned(), why };
        if text.len() > MAX_SETTINGS_BYTES {
            return Err(wrong(format!("it is longer than {MAX_SETTINGS_BYTES} bytes")));
        }
        // The message without the lines around: they could hold what belongs into a password file.
        let file: File = toml::from_str(text).map_err(|error| wrong(error.message().to_owned()))?;
        let mut settings = Self::default();
        if let Some(prefix) = file.short_names {
            let name = RegistryName::parse(&prefix).map_err(|why| wrong(format!("`short_names`: {why}")))?;
            settings.prefix = Some(name);
        }
        for (short, long) in file.aliases {
            let name = RegistryName::parse(&long).map_err(|why| wrong(format!("alias `{short}`: {why}")))?;
            if !is_repository(&short) {
                return Err(wrong(format!("alias `{}` is not a short name", short.escape_debug())));
            }
            settings.aliases.insert(short, name);
        }
        for (host, registry) in file.registries {
            let FileRegistry { plain_http, certificate, user, password_file } = registry;
            if user.is_some() != password_file.is_some() {
                return Err(wrong(format!("registry `{host}` needs both `user` and `password_file`, or neither")));
            }
            let registry = RegistrySettings { plain_http, certificate, user, password_file, password: None };
            settings.registries.insert(host.to_ascii_lowercase(), registry);
        }
        Ok(settings)
    }

    /// The whole name of a short one.
    pub(crate) fn long_name(&self, short: &str) -> Option<RegistryName> {
        let under = |prefix: &RegistryName| RegistryName {
            host: prefix.host.clone(),
            repository: format!("{}/{short}", prefix.repository),
        };
        self.aliases.get(short).cloned().or_else(|| self.prefix.as_ref().map(under))
    }

    /// Whether a host may be asked without encryption: this machine, or one that the user named.
    pub(crate) fn may_be_plain(&self, host: &str) -> bool {
        is_loopback(host) || self.registries.get(host).is_some_and(|registry| registry.plain_http)
    }
}

/// Whether a host, with or without port, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_meant_are_refused_with_the_reason() {
        for (text, why) in [
            ("short_name = \"x.org/a\"", "unknown field"),
            ("short_names = \"nowhere\"", "no `/`"),
            ("[aliases]\ntool = \"tool\"", "alias `tool`"),
            ("[aliases]\n\"x.org/T\" = \"x.org/a\"", "not a short name"),
            ("[registries.\"x.org\"]\nuser = \"me\"", "both"),
            ("[registries.\"x.org\"]\npassword = \"secret\"", "unknown field"),
        ] {
            let error = Settings::parse(text, "images.toml").unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn only_this_machine_and_who_was_named_may_be_asked_in_plain() {
        let settings = Settings::parse("[registries.\"10.1.1.1:5000\"]\nplain_http = true", "x").unwrap();
        for (host, may) in [
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.9.9.9", true),
            ("[::1]:80", true),
            ("10.1.1.1:5000", true),
            ("10.1.1.1", false),
            ("localhost.example.org", false),
            ("127.0.0.1.example.org:5000", false),
            ("[::2]:80", false),
        ] {
            assert_eq!(settings.may_be_plain(host), may, "{host}");
        }
    }
}
