//! What can be wrong with an image, its name or where it comes from.

use std::io;
use std::path::{Path, PathBuf};

use hotcell_types::{Digest, Exit, Explain};

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OciError {
    /// A text that names no image.
    #[error("`{text}` does not name an image: {why}")]
    Reference {
        /// The text.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A name without a registry, and no setting that says where to look for it.
    #[error("`{name}` names no registry")]
    ShortName {
        /// The name.
        name: String,
    },
    /// A name without a digest: what it means can change.
    #[error("`{name}` names no digest, and what a tag stands for can change")]
    NoDigest {
        /// The name.
        name: String,
    },
    /// The settings for images cannot be meant so.
    #[error("the settings in `{path}` cannot be used: {why}")]
    Settings {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// Nothing of this name is there.
    #[error("there is no {what}")]
    Unknown {
        /// What was looked for, and where.
        what: String,
    },
    /// The registry does not answer.
    #[error("the registry `{host}` cannot be reached: {why}")]
    Unreachable {
        /// The registry, or the server that it sent us to.
        host: String,
        /// Why.
        why: String,
    },
    /// The registry wants to know who asks, or does not want this one.
    #[error("the registry `{host}` does not let this user read `{repository}` (status {status})")]
    Denied {
        /// The registry.
        host: String,
        /// What was asked for.
        repository: String,
        /// Its answer.
        status: u16,
    },
    /// The registry does not speak the protocol.
    #[error("the registry `{host}` {why}")]
    Registry {
        /// The registry.
        host: String,
        /// What it did.
        why: String,
    },
    /// Plain HTTP to somewhere else than this machine.
    #[error("`{host}` would be asked without encryption")]
    PlainHttp {
        /// The host.
        host: String,
        /// The encrypted server that named it: then no setting allows it.
        from: Option<String>,
    },
    /// Bytes that are not what their digest says.
    #[error("{what} is not what its digest says: expected {expected}, found {found}")]
    WrongDigest {
        /// What.
        what: String,
        /// The digest by which it was asked for.
        expected: Digest,
        /// That of what came.
        found: Digest,
    },
    /// More or fewer bytes than the descriptor says.
    #[error("{what} has another size than it should have: expected {expected} bytes, found {found}")]
    WrongSize {
        /// What.
        what: String,
        /// The size that its descriptor names.
        expected: u64,
        /// How many came, or one too many.
        found: u64,
    },
    /// A manifest, index, config or archive that is none.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// Which document.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// Several images, and nothing said which.
    #[error("`{place}` holds {} images: {}", images.len(), images.join(", "))]
    Ambiguous {
        /// The folder or file.
        place: String,
        /// Their digests, with a name where they have one.
        images: Vec<String>,
    },
    /// No image for this machine.
    #[error("the image is not made for {wanted}; there is: {}", list(there))]
    Platform {
        /// This machine.
        wanted: String,
        /// What there is.
        there: Vec<String>,
    },
    /// A kind of image or layer that is deliberately not taken.
    #[error("{what} cannot be used: {why}")]
    Unsupported {
        /// What.
        what: String,
        /// Why not.
        why: &'static str,
    },
    /// Beyond a bound.
    #[error("{what} is more than the limit of {limit}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// An entry of a layer that is refused.
    #[error("layer {layer} is refused: entry `{entry}` {why}")]
    Entry {
        /// Number of the layer, from 1.
        layer: usize,
        /// The entry's path, made harmless.
        entry: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A user that the image does not know.
    #[error("the image wants to run as `{user}`, who is not in its /etc/passwd")]
    User {
        /// The name.
        user: String,
    },
    /// The image says nothing of what to run.
    #[error("the image has neither an entry point nor a command")]
    NothingToRun,
    /// A file of the host or the cache cannot be used.
    #[error("cannot {operation} `{}`", path.display())]
    File {
        /// What was to be done with it.
        operation: &'static str,
        /// Which.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The image cannot be removed while it is used.
    #[error("the image {digest} is in use")]
    InUse {
        /// Which.
        digest: Digest,
    },
    /// No image of this digest is kept here.
    #[error("no image `{text}` is kept here")]
    NotKept {
        /// What was asked for.
        text: String,
    },
    /// Whoever wanted the image does not want it any more.
    #[error("fetching the image was cancelled")]
    Cancelled,
}

impl OciError {
    pub(crate) fn file(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { operation, path, source }
    }

    pub(crate) fn malformed(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Malformed { what: what.into(), why: why.into() }
    }

    /// Through a reader and back: [`OciError::out_of`] finds it again.
    pub(crate) fn into_io(self) -> io::Error {
        io::Error::other(self)
    }

    /// The error that a reader of ours gave, or what is made of another one's.
    pub(crate) fn out_of(error: io::Error, otherwise: impl FnOnce(io::Error) -> Self) -> Self {
        error.downcast::<Self>().unwrap_or_else(otherwise)
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

impl Explain for OciError {
    fn code(&self) -> &'static str {
        match self {
            Self::Reference { .. } => "OCI-001",
            Self::ShortName { .. } => "OCI-002",
            Self::NoDigest { .. } => "OCI-003",
            Self::Settings { .. } => "OCI-004",
            Self::Unknown { .. } => "OCI-010",
            Self::Unreachable { .. } => "OCI-011",
            Self::Denied { .. } => "OCI-012",
            Self::Registry { .. } => "OCI-013",
            Self::PlainHttp { .. } => "OCI-014",
            Self::WrongDigest { .. } => "OCI-020",
            Self::WrongSize { .. } => "OCI-021",
            Self::Malformed { .. } => "OCI-022",
            Self::Ambiguous { .. } => "OCI-023",
            Self::Platform { .. } => "OCI-024",
            Self::Unsupported { .. } => "OCI-025",
            Self::TooMuch { .. } => "OCI-030",
            Self::Entry { .. } => "OCI-031",
            Self::User { .. } => "OCI-040",
            Self::NothingToRun => "OCI-041",
            Self::File { .. } => "OCI-050",
            Self::InUse { .. } => "OCI-051",
            Self::NotKept { .. } => "OCI-052",
            Self::Cancelled => "OCI-053",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Reference { .. } => "write REGISTRY/NAME@sha256:DIGEST, or the path of a layout folder or a tar \
                                       beginning with `./` or `/`"
                .into(),
            Self::ShortName { name } => format!(
                "write the registry before it, or say in images.toml where short names are looked for \
                 (`short_names = 'REGISTRY/PREFIX'`, or `{name} = …` under `[aliases]`); a file is `./{name}`"
            ),
            Self::NoDigest { name } => {
                format!("find out its digest with `hotcell image pull {name}`, and write it behind the name")
            }
            Self::Settings { .. } => "correct the file; docs/images.md lists its keys".into(),
            Self::Unknown { .. } => "check the name and the digest".into(),
            Self::Unreachable { .. } => "check the registry's name, and that this machine reaches it".into(),
            Self::Denied { host, .. } => format!(
                "check the name; if it is private, set `user` and `password_file` under `[registries.'{host}']` in \
                 images.toml"
            ),
            Self::Registry { .. } => "check that it is a registry (OCI distribution), or ask who runs it".into(),
            Self::PlainHttp { from: Some(from), .. } => {
                format!("ask whoever runs `{from}` to name an address with HTTPS: no setting allows a plain one")
            }
            Self::PlainHttp { host, from: None } => format!(
                "let it speak HTTPS; or, if you trust the network, set `plain_http = true` under \
                 `[registries.'{host}']` in images.toml"
            ),
            Self::WrongDigest { .. } | Self::WrongSize { .. } => {
                "do not use it: fetch it again, and if that does not help tell whoever offers it".into()
            }
            Self::Malformed { .. } => "have the image built anew by a tool that follows the OCI specification".into(),
            Self::Ambiguous { place, .. } => format!("name one of them: {place}@DIGEST"),
            Self::Platform { .. } => "use an image that was built for this machine".into(),
            Self::Unsupported { .. } => "have the image built anew without it".into(),
            Self::TooMuch { .. } => "use a smaller image".into(),
            Self::Entry { .. } => "do not use this image: no honest tool makes such an entry".into(),
            Self::User { .. } => "build the image with a user that it has, or with a number".into(),
            Self::NothingToRun => "give a command after `--`".into(),
            Self::File { .. } => "check that it exists, has room, and that you may use it".into(),
            Self::InUse { .. } => "wait until the tasks that use it have ended: hotcell ps".into(),
            Self::NotKept { .. } => "see what is there: hotcell image list".into(),
            Self::Cancelled => "run it again".into(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Reference { .. }
            | Self::ShortName { .. }
            | Self::NoDigest { .. }
            | Self::Settings { .. }
            | Self::Ambiguous { .. }
            | Self::NothingToRun => Exit::Usage,
            Self::WrongDigest { .. } | Self::WrongSize { .. } => Exit::Integrity,
            Self::Malformed { .. }
            | Self::Unsupported { .. }
            | Self::Platform { .. }
            | Self::TooMuch { .. }
            | Self::Entry { .. }
            | Self::PlainHttp { .. }
            | Self::User { .. } => Exit::Refused,
            Self::NotKept { .. } | Self::InUse { .. } => Exit::No,
            Self::Unknown { .. }
            | Self::Unreachable { .. }
            | Self::Denied { .. }
            | Self::Registry { .. }
            | Self::File { .. }
            | Self::Cancelled => Exit::Failed,
        }
    }
}
