//! What the name of an image means.

use std::fmt;
use std::path::PathBuf;

use hotcell_types::Digest;

use crate::{OciError, Settings};

/// Where an image is, and which it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageRef {
    /// A repository of a registry.
    Registry {
        /// Where.
        name: RegistryName,
        /// A tag, which may mean another image tomorrow.
        tag: Option<String>,
        /// Which image.
        digest: Option<Digest>,
    },
    /// A layout folder or a tar on this machine.
    Path {
        /// Where.
        path: PathBuf,
        /// Which image; not needed where there is one only.
        digest: Option<Digest>,
    },
}

/// A repository of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RegistryName {
    /// Host and port.
    pub host: String,
    /// The repository.
    pub repository: String,
}

/// The distribution specification's bound of a repository's name with its host.
const MAX_NAME_BYTES: usize = 255;
/// Most of a text that is looked at.
const MAX_TEXT_BYTES: usize = 4096;

impl ImageRef {
    /// Reads what `--image` is given. What begins with `/`, `./` or `../` is a path.
    ///
    /// # Errors
    /// [`OciError::Reference`], and [`OciError::ShortName`] for a name without a registry that the settings do not
    /// resolve. Nothing is guessed: a short name that is looked for in a public registry could be anybody's.
    pub fn parse(text: &str, settings: &Settings) -> Result<Self, OciError> {
        let wrong = |why| OciError::Reference { text: brief(text), why };
        if text.len() > MAX_TEXT_BYTES {
            return Err(wrong("it is too long"));
        }
        let (place, digest) = match text.split_once('@') {
            Some((place, digest)) => (
                place,
                Some(
                    digest
                        .parse::<Digest>()
                        .map_err(|_| wrong("what follows the `@` is not `sha256:` and 64 hexadecimal digits"))?,
                ),
            ),
            None => (text, None),
        };
        if is_path(place) {
            return Ok(Self::Path { path: place.into(), digest });
        }
        let (name, tag) = split_tag(place);
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(wrong("its tag is none"));
        }
        let name = if has_host(name) {
            RegistryName::parse(name).map_err(wrong)?
        } else if !is_repository(name) {
            return Err(wrong("a name has small letters, digits, `/` and single `.`, `_`, `-` in between"));
        } else {
            settings.long_name(name).ok_or_else(|| OciError::ShortName { name: name.to_owned() })?
        };
        Ok(Self::Registry { name, tag: tag.map(str::to_owned), digest })
    }

    /// The digest that it names.
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Self::Registry { digest, .. } | Self::Path { digest, .. } => *digest,
        }
    }

    /// Refuses a name whose meaning can change.
    ///
    /// # Errors
    /// [`OciError::NoDigest`] for a registry's image without a digest. A folder or tar of one's own is read now, and
    /// what was read is named by its digest in log and receipt.
    pub fn demand_digest(&self) -> Result<(), OciError> {
        match self {
            Self::Registry { digest: None, .. } => Err(OciError::NoDigest { name: self.to_string() }),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry { name, tag, .. } => {
                write!(f, "{name}")?;
                tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
            }
            Self::Path { path, .. } => write!(f, "{}", path.display().to_string().escape_debug())?,
        }
        self.digest().iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl RegistryName {
    /// Reads `HOST[:PORT]/REPOSITORY`.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (host, repository) = text.split_once('/').ok_or("there is no `/` between registry and name")?;
        if text.len() > MAX_NAME_BYTES {
            return Err("it is longer than 255 characters");
        }
        if !is_host(host) {
            return Err("what stands before the first `/` is no host");
        }
        if !is_repository(repository) {
            return Err("a name has small letters, digits, `/` and single `.`, `_`, `-` in between");
        }
        Ok(Self { host: host.to_ascii_lowercase(), repository: repository.to_owned() })
    }
}

impl fmt::Display for RegistryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)
    }
}

/// A text for an error: not longer than a line, and harmless.
pub(crate) fn brief(text: &str) -> String {
    const MAX: usize = 120;
    let mut shown: String = text.chars().take(MAX).collect::<String>().escape_debug().to_string();
    if text.chars().nth(MAX).is_some() {
        shown.push('…');
    }
    shown
}

fn is_path(text: &str) -> bool {
    matches!(text, "." | "..") || ["/", "./", "../"].iter().any(|begin| text.starts_with(begin))
}

/// The part before the first `/` is a host when it looks like one, as every client has it.
fn has_host(name: &str) -> bool {
    name.split_once('/').is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost")
}

/// Splits `NAME:TAG`. A colon before the last `/` belongs to a port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') && !tag.contains(']') => (name, Some(tag)),
        _ => (text, None),
    }
}

fn is_host(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            return address.parse::<std::net::Ipv6Addr>().is_ok()
                && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
        }
        None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
    };
    let label = |label: &str| {
        let bytes = label.as_bytes();
        !bytes.is_empty()
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Components of small letters and digits, with `.`, `_`, `__` or any number of `-` in between.
pub(crate) fn is_repository(text: &str) -> bool {
    let component = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let (Some(first), Some(last)) = (part.bytes().next(), part.bytes().last()) else { return false };
        let separators = part.split(|character: char| character.is_ascii() && inner(character as u8));
        inner(first)
            && inner(last)
            && separators.into_iter().all(|run| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|b| b == b'-'))
    };
    text.len() <= MAX_NAME_BYTES && text.split('/').all(component)
}

fn is_tag(text: &str) -> bool {
    let bytes = text.as_bytes();
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    bytes.len() <= 128
        && bytes.first().is_some_and(word)
        && bytes.iter().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use hotcell_types::Explain;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn settings(text: &str) -> Settings {
        Settings::parse(text, "images.toml").unwrap()
    }

    #[test]
    fn names_mean_a_registry_or_a_path_and_read_back_as_written() {
        let none = Settings::default();
        for text in [
            format!("registry.example.org/team/tool@{DIGEST}"),
            format!("localhost/tool:v1@{DIGEST}"),
            format!("127.0.0.1:5000/a/b__c/d-e.f:V_1.2@{DIGEST}"),
            format!("[::1]:5000/tool@{DIGEST}"),
            "./layout".to_owned(),
            format!("/images/tool.tar@{DIGEST}"),
            "../a@b".replace("@b", ""),
        ] {
            assert_eq!(ImageRef::parse(&text, &none).unwrap().to_string(), text);
        }
        let parsed = ImageRef::parse("registry.example.org:5000/a/b:v1", &none).unwrap();
        let name = RegistryName { host: "registry.example.org:5000".into(), repository: "a/b".into() };
        assert_eq!(parsed, ImageRef::Registry { name, tag: Some("v1".into()), digest: None });
    }

    #[test]
    fn what_names_no_image_is_refused_with_the_reason() {
        let long = format!("example.org/{}", "a".repeat(300));
        for (text, why) in [
            ("", "small letters"),
            ("Tool", "small letters"),
            ("example.org/", "small letters"),
            ("example.org/a//b", "small letters"),
            ("example.org/../b", "small letters"),
            ("example.org/a%2fb", "small letters"),
            ("example.org/a b", "small letters"),
            ("exa mple.org/a", "no host"),
            ("-x.org/a", "no host"),
            ("x.org:0/a", "no host"),
            ("x.org:http/a", "no host"),
            ("user:secret@x.org/a", "sha256"),
            ("https://x.org/a", "no host"),
            ("x.org/a:", "tag"),
            ("x.org/a:.v", "tag"),
            ("x.org/a@sha256:12", "sha256"),
            ("x.org/a@sha512:00", "sha256"),
            (long.as_str(), "255"),
        ] {
            let error = ImageRef::parse(text, &Settings::default()).unwrap_err();
            assert!(error.to_string().contains(why), "{text}: {error}");
            assert_eq!(error.code(), "OCI-001", "{text}");
        }
    }

    #[test]
    fn a_short_name_is_refused_and_the_remedy_names_the_setting() {
        let error = ImageRef::parse("tool:v1", &Settings::default()).unwrap_err();
        assert_eq!(error.code(), "OCI-002");
        assert!(error.remedy().contains("short_names") && error.remedy().contains("images.toml"), "{}", error.remedy());
    }

    #[test]
    fn a_short_name_is_resolved_by_alias_or_by_prefix_and_by_nothing_else() {
        let set = settings(
            "short_names = \"registry.example.org/library\"\n[aliases]\ntool = \"other.example.org/x/tool\"\n",
        );
        for (text, long) in [
            ("tool:v1", "other.example.org/x/tool:v1"),
            ("shell", "registry.example.org/library/shell"),
            ("team/shell", "registry.example.org/library/team/shell"),
            ("here.example.org/tool", "here.example.org/tool"),
        ] {
            assert_eq!(ImageRef::parse(text, &set).unwrap().to_string(), long);
        }
    }

    #[test]
    fn a_tag_alone_is_no_name_to_run_by() {
        let named = ImageRef::parse("example.org/tool:v1", &Settings::default()).unwrap();
        let error = named.demand_digest().unwrap_err();
        assert_eq!(error.code(), "OCI-003");
        assert!(error.remedy().contains("hotcell image pull example.org/tool:v1"), "{}", error.remedy());
        assert!(ImageRef::parse("./folder", &Settings::default()).unwrap().demand_digest().is_ok());
    }
}
