//! What of the host's files a sandbox may see, read-only, when it brings no image of its own.

use std::fmt;

/// One path of the host that may be seen, and who needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewRule {
    /// The absolute path: a file, or a folder with everything below it.
    pub path: &'static str,
    /// Who needs it.
    pub why: &'static str,
}

/// The allow-list of `system_view = "host"`. A path that a host lacks is left out.
///
/// Deliberately absent: `/etc/passwd`, `/etc/hosts` and the like (made anew inside, from nothing),
/// `/etc/shadow`, keys, `/home`, `/root`, `/var`, `/run`, `/opt`, `/srv`, `/sys`, `/boot`.
pub const SYSTEM_VIEW: &[ViewRule] = &[
    ViewRule { path: "/usr", why: "programs and libraries" },
    ViewRule { path: "/bin", why: "programs, where it is not a link into /usr" },
    ViewRule { path: "/sbin", why: "programs, where it is not a link into /usr" },
    ViewRule { path: "/lib", why: "libraries, where it is not a link into /usr" },
    ViewRule { path: "/lib32", why: "libraries, where it is not a link into /usr" },
    ViewRule { path: "/lib64", why: "the dynamic loader, where it is not a link into /usr" },
    ViewRule { path: "/etc/ld.so.cache", why: "the dynamic loader finds libraries by it" },
    ViewRule { path: "/etc/ld.so.conf", why: "ldconfig -p, gcc" },
    ViewRule { path: "/etc/ld.so.conf.d", why: "ldconfig -p, gcc" },
    ViewRule { path: "/etc/alternatives", why: "Debian's links from /usr/bin to the program chosen" },
    ViewRule { path: "/etc/ssl/certs", why: "public certificates; no keys stand there" },
    ViewRule { path: "/etc/ca-certificates", why: "public certificates" },
    ViewRule { path: "/etc/pki/ca-trust/extracted", why: "public certificates, on Fedora and its kin" },
    ViewRule { path: "/etc/localtime", why: "the time zone" },
    ViewRule { path: "/etc/mime.types", why: "python's mimetypes" },
    ViewRule { path: "/etc/magic", why: "file(1)" },
    ViewRule { path: "/etc/fonts", why: "programs that draw" },
    ViewRule { path: "/etc/perl", why: "perl's site configuration, on Debian" },
    ViewRule { path: "/etc/python3", why: "python's site configuration, on Debian" },
    ViewRule { path: "/etc/java-21-openjdk", why: "the JVM's configuration, on Debian" },
    ViewRule { path: "/etc/java-17-openjdk", why: "the JVM's configuration, on Debian" },
    ViewRule { path: "/etc/R", why: "R's configuration" },
];

/// What a sandbox sees of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemView {
    /// Every path of [`SYSTEM_VIEW`].
    Host,
    /// These paths, each of them at or below one of [`SYSTEM_VIEW`].
    Paths(Vec<String>),
    /// Nothing.
    None,
}

impl SystemView {
    /// Whether everything that `self` shows, `other` shows too.
    pub(crate) fn within(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, _) | (_, Self::Host) => true,
            (Self::Host | Self::Paths(_), Self::None) | (Self::Host, Self::Paths(_)) => false,
            (Self::Paths(mine), Self::Paths(theirs)) => {
                mine.iter().all(|path| theirs.iter().any(|over| is_at_or_below(path, over)))
            }
        }
    }

    /// The paths, absolute; whether each exists is for the sandbox's builder to see.
    pub fn paths(&self) -> Vec<&str> {
        match self {
            Self::Host => SYSTEM_VIEW.iter().map(|rule| rule.path).collect(),
            Self::Paths(paths) => paths.iter().map(String::as_str).collect(),
            Self::None => Vec::new(),
        }
    }
}

/// Checks one path of a list: absolute, plain, and within the allow-list.
pub(crate) fn check_path(path: &str) -> Result<(), String> {
    let shown = crate::limit::brief(path);
    let plain = path.strip_prefix('/').is_some_and(|rest| {
        rest.split('/').all(|part| !part.is_empty() && part != "." && part != "..") && !rest.contains('\0')
    });
    if !plain {
        return Err(format!("`{shown}` is not an absolute path without `.`, `..` and doubled or trailing `/`"));
    }
    if !SYSTEM_VIEW.iter().any(|rule| is_at_or_below(path, rule.path)) {
        return Err(format!("`{shown}` lies outside of what can be shown of the host (/usr and its like)"));
    }
    Ok(())
}

fn is_at_or_below(path: &str, over: &str) -> bool {
    path.strip_prefix(over).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl fmt::Display for SystemView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::None => f.write_str("none"),
            Self::Paths(paths) => f.write_str(&paths.join(", ")),
        }
    }
}
