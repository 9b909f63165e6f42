//! Key files: FILE holds one secret key and is for its owner alone, FILE.pub holds the public part.
//!
//! The form is that of `age-keygen`: comment lines, then the key. `docs/formats/keys.md` specifies it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hotcell_types::{Exit, Explain, Timestamp};
use zeroize::Zeroizing;

use crate::encryption_key::{PublicKey, SecretKey};
use crate::signing::{SigningKey, VerifyingKey};
use crate::text::{Kind, ParseKeyError};

/// The one secret key of a key file.
#[derive(Debug)]
pub enum KeyPair {
    /// Opens what is sealed to its public part.
    Encryption(SecretKey),
    /// Signs.
    Signing(SigningKey),
}

impl KeyPair {
    /// The text of the public part.
    pub fn public_text(&self) -> String {
        match self {
            Self::Encryption(key) => key.public().to_string(),
            Self::Signing(key) => key.verifying().to_string(),
        }
    }

    fn expose_text(&self) -> Zeroizing<String> {
        match self {
            Self::Encryption(key) => key.expose_text(),
            Self::Signing(key) => key.expose_text(),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Encryption(_) => Kind::Secret,
            Self::Signing(_) => Kind::Signing,
        }
    }
}

/// Writes the secret key to `path` (mode 0600) and the public one beside it as `path.pub`, both synced.
///
/// Returns the path of the public one. Nothing that exists is ever overwritten, and a failure leaves
/// neither file behind.
///
/// # Errors
/// [`KeyFileError::Exists`] or [`KeyFileError::Write`].
pub fn write_pair(path: &Path, pair: &KeyPair, created: Timestamp) -> Result<PathBuf, KeyFileError> {
    let public_path = public_path(path);
    let public = pair.public_text();
    let secret = pair.expose_text();
    let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_FILE_BYTES));
    for part in ["# created: ", &created.to_string(), "\n# public key: ", &public, "\n", &secret, "\n"] {
        text.push_str(part);
    }
    write_new(path, 0o600, text.as_bytes())?;
    write_new(&public_path, 0o644, format!("{public}\n").as_bytes()).inspect_err(|_| {
        // Ours, made a moment ago; if it cannot be removed, the error below is still the one to tell.
        let _ = fs::remove_file(path);
    })?;
    Ok(public_path)
}

/// Reads the one secret key of a key file.
///
/// # Errors
/// [`KeyFileError`]; among others when others than the owner may read the file.
pub fn read_secret(path: &Path) -> Result<KeyPair, KeyFileError> {
    let (text, mode) = read_bounded(path)?;
    if mode & OTHERS_MAY != 0 {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode: mode & 0o7777 });
    }
    let line = only_key_line(path, &text)?;
    let wrong = |source| KeyFileError::Key { path: path.to_owned(), source };
    match Kind::of(line) {
        Some(Kind::Signing) => SigningKey::from_text(line).map(KeyPair::Signing).map_err(wrong),
        _ => SecretKey::from_text(line).map(KeyPair::Encryption).map_err(wrong),
    }
}

/// Reads a key file that must hold an encryption key.
///
/// # Errors
/// As [`read_secret`].
pub fn read_encryption(path: &Path) -> Result<SecretKey, KeyFileError> {
    match read_secret(path)? {
        KeyPair::Encryption(key) => Ok(key),
        other @ KeyPair::Signing(_) => Err(wrong_kind(path, Kind::Secret, &other)),
    }
}

/// Reads a key file that must hold a signing key.
///
/// # Errors
/// As [`read_secret`].
pub fn read_signing(path: &Path) -> Result<SigningKey, KeyFileError> {
    match read_secret(path)? {
        KeyPair::Signing(key) => Ok(key),
        other @ KeyPair::Encryption(_) => Err(wrong_kind(path, Kind::Signing, &other)),
    }
}

/// The public encryption key that a text is, or that the file of this name holds.
///
/// # Errors
/// [`KeyFileError`]; among others when a secret key is given where its public part belongs.
pub fn read_recipient(text_or_path: &str) -> Result<PublicKey, KeyFileError> {
    read_public(text_or_path, Kind::Public)
}

/// The public signing key that a text is, or that the file of this name holds.
///
/// # Errors
/// As [`read_recipient`].
pub fn read_verifying(text_or_path: &str) -> Result<VerifyingKey, KeyFileError> {
    read_public(text_or_path, Kind::Verifying)
}

/// What is wrong with a key file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// A file of that name exists.
    #[error("`{}` exists, and key files are never overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It could not be written.
    #[error("the key file `{}` cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It could not be read.
    #[error("the key file `{}` cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than the owner may read or write the secret key.
    #[error("others than its owner have rights on the secret key file `{}` (mode {mode:04o})", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Larger than any key file, or not text.
    #[error("`{}` is not a key file: it is not text or longer than {MAX_KEY_FILE_BYTES} bytes", path.display())]
    NotAKeyFile {
        /// The file.
        path: PathBuf,
    },
    /// No line with a key, or more than one.
    #[error("the key file `{}` must hold exactly one key and holds {found}", path.display())]
    NotOneKey {
        /// The file.
        path: PathBuf,
        /// Number of lines that are neither empty nor comments.
        found: usize,
    },
    /// The key in the file is not what it should be.
    #[error("the key in `{}` cannot be used", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ParseKeyError,
    },
    /// The key on the command line is not what it should be.
    #[error("the given key cannot be used")]
    Text {
        /// Why.
        source: ParseKeyError,
    },
}

impl Explain for KeyFileError {
    fn code(&self) -> &'static str {
        match self {
            Self::Exists { .. } => "CRY-050",
            Self::Write { .. } => "CRY-051",
            Self::Read { .. } => "CRY-052",
            Self::Exposed { .. } => "CRY-053",
            Self::NotAKeyFile { .. } => "CRY-054",
            Self::NotOneKey { .. } => "CRY-055",
            Self::Key { .. } => "CRY-056",
            Self::Text { .. } => "CRY-057",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Exists { .. } => "choose another name, or move the old key away first".to_owned(),
            Self::Write { .. } => "check that the folder exists, has room, and that you may write there".to_owned(),
            Self::Read { .. } => "check that the file exists and that you may read it".to_owned(),
            Self::Exposed { path, .. } => format!(
                "run `chmod 600 {}`; if others may have read it, make a new key and have things sealed anew",
                path.display()
            ),
            Self::NotAKeyFile { .. } => "give a file that `hotcell keygen` or `age-keygen` wrote".to_owned(),
            Self::NotOneKey { .. } => "keep one key per file".to_owned(),
            Self::Key { source, .. } | Self::Text { source } => source.remedy(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Write { .. } | Self::Read { .. } => Exit::Failed,
            _ => Exit::Usage,
        }
    }
}

/// `FILE.pub` of `FILE`.
fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// Creates a file that must not exist (O_EXCL, which follows no link), with this mode.
fn write_new(path: &Path, mode: u32, content: &[u8]) -> Result<(), KeyFileError> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(|source| {
        if source.kind() == ErrorKind::AlreadyExists {
            KeyFileError::Exists { path: path.to_owned() }
        } else {
            KeyFileError::Write { path: path.to_owned(), source }
        }
    })?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(|source| {
        let _ = fs::remove_file(path);
        KeyFileError::Write { path: path.to_owned(), source }
    })
}

/// The text of a file and the mode of the very file that was read.
fn read_bounded(path: &Path) -> Result<(Zeroizing<String>, u32), KeyFileError> {
    let unreadable = |source| KeyFileError::Read { path: path.to_owned(), source };
    let not_a_key_file = || KeyFileError::NotAKeyFile { path: path.to_owned() };
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.mode();
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_KEY_FILE_BYTES + 1));
    file.take(MAX_KEY_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_KEY_FILE_BYTES {
        return Err(not_a_key_file());
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| not_a_key_file())?;
    Ok((Zeroizing::new(text.to_owned()), mode))
}

/// The one line that is neither empty nor a comment.
fn only_key_line<'a>(path: &Path, text: &'a str) -> Result<&'a str, KeyFileError> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    match (lines.next(), lines.count()) {
        (Some(line), 0) => Ok(line),
        (Some(_), others) => Err(KeyFileError::NotOneKey { path: path.to_owned(), found: others + 1 }),
        (None, _) => Err(KeyFileError::NotOneKey { path: path.to_owned(), found: 0 }),
    }
}

/// A public key from a text, or from the file of that name when the text does not begin like a key.
fn read_public<K: std::str::FromStr<Err = ParseKeyError>>(text_or_path: &str, kind: Kind) -> Result<K, KeyFileError> {
    let text = text_or_path.trim();
    if Kind::of(text).is_some() {
        return text.parse().map_err(|source| KeyFileError::Text { source });
    }
    let path = Path::new(text_or_path);
    let (content, _) = read_bounded(path).map_err(|error| match error {
        // Neither a file nor a key: say what a key looks like.
        KeyFileError::Read { source, .. } if source.kind() == ErrorKind::NotFound => {
            KeyFileError::Text { source: ParseKeyError::NotAKey { expected: kind.name(), start: kind.start() } }
        }
        other => other,
    })?;
    only_key_line(path, &content)?.parse().map_err(|source| KeyFileError::Key { path: path.to_owned(), source })
}

fn wrong_kind(path: &Path, expected: Kind, found: &KeyPair) -> KeyFileError {
    let source = ParseKeyError::WrongKind { expected: expected.name(), found: found.kind().name() };
    KeyFileError::Key { path: path.to_owned(), source }
}

/// Comments included, a key file has under 300 bytes; room for a page of comments.
const MAX_KEY_FILE_BYTES: usize = 8 * 1024;
/// Any right of group or others.
const OTHERS_MAY: u32 = 0o077;

#[cfg(test)]
mod tests;
