//! Sealing in the age format, so that the public `age` tool opens what Hotcell releases, and the reverse.

use std::cell::Cell;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::rc::Rc;
use std::str::FromStr;

use age::{DecryptError, Decryptor, EncryptError, Encryptor};
use hotcell_types::{Exit, Explain};
use zeroize::Zeroizing;

use crate::encryption_key::{PublicKey, SecretKey};

/// More recipients than this are refused: each costs a key exchange, and a list that long is a mistake.
pub const MAX_RECIPIENTS: usize = 64;

/// Encrypts everything from `from` to the recipients, in constant memory; returns the number of plain bytes.
///
/// # Errors
/// [`SealError`]; what was written until then is to be thrown away.
pub fn seal<R: Read, W: Write>(recipients: &[PublicKey], from: R, to: W) -> Result<u64, SealError> {
    if recipients.is_empty() {
        return Err(SealError::NoRecipients);
    }
    if recipients.len() > MAX_RECIPIENTS {
        return Err(SealError::TooManyRecipients { found: recipients.len() });
    }
    let recipients = recipients
        .iter()
        .map(|key| age::x25519::Recipient::from_str(&key.to_string()).map_err(|_| SealError::Recipient { key: *key }))
        .collect::<Result<Vec<_>, _>>()?;
    let recipients = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
    let encryptor = Encryptor::with_recipients(recipients).map_err(|error| match error {
        EncryptError::Io(source) => SealError::Write { source },
        _ => SealError::NoRecipients,
    })?;
    let mut writer = encryptor.wrap_output(to).map_err(|source| SealError::Write { source })?;
    let bytes = copy(from, &mut writer).map_err(|error| match error {
        CopyError::Read(source) => SealError::Read { source },
        CopyError::Write(source) => SealError::Write { source },
    })?;
    writer.finish().and_then(|mut to| to.flush()).map_err(|source| SealError::Write { source })?;
    Ok(bytes)
}

/// Decrypts an age file (binary, not armoured) with one key, in constant memory; returns the number of
/// plain bytes.
///
/// Each piece of 64 KiB is authenticated before it is written.
///
/// # Errors
/// [`OpenError`]. A file that was cut or changed is noticed where it was cut or changed: what was written
/// until then is genuine but not whole, and is to be thrown away.
pub fn open<R: Read, W: Write>(key: &SecretKey, from: R, mut to: W) -> Result<u64, OpenError> {
    let watch = Rc::new(Watch { header_left: Cell::new(Some(MAX_HEADER_BYTES)), failed: Cell::new(false) });
    let from = BufReader::with_capacity(READ_AHEAD_BYTES, Watched { from, watch: Rc::clone(&watch) });
    let read_failed = |error: io::Error| match (watch.failed.get(), error.kind()) {
        (true, _) => OpenError::Read { source: error },
        (false, ErrorKind::UnexpectedEof) => OpenError::Truncated,
        (false, _) => OpenError::Tampered,
    };
    let of_age = |error: DecryptError| match error {
        _ if watch.header_left.get() == Some(0) => OpenError::HeaderTooLong,
        DecryptError::Io(source) => read_failed(source),
        DecryptError::NoMatchingKeys => OpenError::WrongKey,
        DecryptError::InvalidMac | DecryptError::DecryptionFailed => OpenError::HeaderTampered,
        _ => OpenError::NotAge,
    };

    let decryptor = Decryptor::new_buffered(from).map_err(of_age)?;
    watch.header_left.set(None);
    if decryptor.is_scrypt() {
        return Err(OpenError::Passphrase);
    }
    let text = key.expose_text();
    let identity = age::x25519::Identity::from_str(&text).map_err(|_| OpenError::WrongKey)?;
    let reader = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)).map_err(of_age)?;
    let bytes = copy(reader, &mut to).map_err(|error| match error {
        CopyError::Read(source) => read_failed(source),
        CopyError::Write(source) => OpenError::Write { source },
    })?;
    to.flush().map_err(|source| OpenError::Write { source })?;
    Ok(bytes)
}

/// Sealing that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Nobody to seal to.
    #[error("no recipient was given")]
    NoRecipients,
    /// More than [`MAX_RECIPIENTS`].
    #[error("{found} recipients are more than {MAX_RECIPIENTS}")]
    TooManyRecipients {
        /// How many there were.
        found: usize,
    },
    /// A recipient's key that age does not take.
    #[error("nothing can be sealed to {key}")]
    Recipient {
        /// The key.
        key: PublicKey,
    },
    /// The plain text could not be read.
    #[error("what is to be sealed cannot be read")]
    Read {
        /// Why.
        source: io::Error,
    },
    /// The sealed text could not be written.
    #[error("what is sealed cannot be written")]
    Write {
        /// Why.
        source: io::Error,
    },
}

impl Explain for SealError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoRecipients => "CRY-030",
            Self::TooManyRecipients { .. } => "CRY-031",
            Self::Recipient { .. } => "CRY-032",
            Self::Read { .. } => "CRY-033",
            Self::Write { .. } => "CRY-034",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::NoRecipients => "name at least one recipient: --recipient age1… or a file that holds such a key",
            Self::TooManyRecipients { .. } => "seal to fewer recipients, or to one key that they share",
            Self::Recipient { .. } => "ask the recipient for a key made by `hotcell keygen` or `age-keygen`",
            Self::Read { .. } => "check that the file exists and that you may read it",
            Self::Write { .. } => "check that the place exists, has room, and that you may write there",
        }
        .to_owned()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NoRecipients | Self::TooManyRecipients { .. } | Self::Recipient { .. } => Exit::Usage,
            Self::Read { .. } | Self::Write { .. } => Exit::Failed,
        }
    }
}

/// Opening that failed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not an age file, one of another version, or one whose header is damaged (the parser cannot tell).
    #[error("this is not an age file of version 1, or its header is damaged")]
    NotAge,
    /// A header that does not end.
    #[error("the header is longer than {MAX_HEADER_BYTES} bytes")]
    HeaderTooLong,
    /// Sealed with a passphrase instead of a key.
    #[error("this age file was sealed with a passphrase, not to a key")]
    Passphrase,
    /// Sealed to others.
    #[error("this was not sealed to the given key")]
    WrongKey,
    /// The header was changed.
    #[error("the header was changed after sealing")]
    HeaderTampered,
    /// The content was changed.
    #[error("the content was changed after sealing")]
    Tampered,
    /// The end is missing.
    #[error("the end is missing")]
    Truncated,
    /// The sealed text could not be read.
    #[error("what is to be opened cannot be read")]
    Read {
        /// Why.
        source: io::Error,
    },
    /// The plain text could not be written.
    #[error("what is opened cannot be written")]
    Write {
        /// Why.
        source: io::Error,
    },
}

impl Explain for OpenError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotAge => "CRY-040",
            Self::HeaderTooLong => "CRY-042",
            Self::Passphrase => "CRY-043",
            Self::WrongKey => "CRY-044",
            Self::HeaderTampered => "CRY-045",
            Self::Tampered => "CRY-046",
            Self::Truncated => "CRY-047",
            Self::Read { .. } => "CRY-048",
            Self::Write { .. } => "CRY-049",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::NotAge => "give a file that `hotcell seal` or `age` wrote (not armoured)",
            Self::Passphrase => "open it with `age --decrypt`, or have it sealed to your public key",
            Self::WrongKey => "use the key whose public part it was sealed to, or have it sealed to yours",
            Self::HeaderTooLong | Self::HeaderTampered | Self::Tampered | Self::Truncated => {
                "throw away what was opened and get the file again from where it came from"
            }
            Self::Read { .. } => "check that the file exists and that you may read it",
            Self::Write { .. } => "check that the place exists, has room, and that you may write there",
        }
        .to_owned()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Read { .. } | Self::Write { .. } => Exit::Failed,
            _ => Exit::Integrity,
        }
    }
}

enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

/// Copies through a buffer that is wiped.
fn copy<R: Read, W: Write>(mut from: R, to: &mut W) -> Result<u64, CopyError> {
    let mut buffer = Zeroizing::new(vec![0; COPY_BYTES]);
    let mut bytes = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(CopyError::Read(error)),
        };
        to.write_all(buffer.get(..count).unwrap_or_default()).map_err(CopyError::Write)?;
        bytes += count as u64;
    }
}

/// What must be known of the reader below the age library.
struct Watch {
    /// Bytes that may still be read while the header is parsed; none once it is.
    header_left: Cell<Option<u64>>,
    /// Whether the reader itself failed, as opposed to what was read.
    failed: Cell<bool>,
}

/// A reader that bounds the header (the age library does not) and remembers failures of its own.
struct Watched<R> {
    from: R,
    watch: Rc<Watch>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(left) = self.watch.header_left.get() else {
            return self.read_on(buffer);
        };
        if left == 0 {
            return Err(io::Error::new(ErrorKind::InvalidData, "the header does not end"));
        }
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.read_on(buffer.get_mut(..most).unwrap_or_default())?;
        self.watch.header_left.set(Some(left - count as u64));
        Ok(count)
    }
}

impl<R: Read> Watched<R> {
    fn read_on(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.from.read(buffer);
        if result.as_ref().is_err_and(|error| error.kind() != ErrorKind::Interrupted) {
            self.watch.failed.set(true);
        }
        result
    }
}

/// The header of [`MAX_RECIPIENTS`] takes half of this; other tools may add stanzas of their own. The
/// library's parser starts anew after each line, so time grows with the square of this: at 128 KiB a
/// hostile header costs seconds.
const MAX_HEADER_BYTES: u64 = 16 * 1024;
/// How much is read at once: one piece of the age format.
const READ_AHEAD_BYTES: usize = 64 * 1024;
/// How much plain text is moved at once: one piece of the age format.
const COPY_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests;
