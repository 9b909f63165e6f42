//! Checkpoints: signed statements of how large the log is and what its root hash is.
//!
//! The text forms are the C2SP ones, signed-note and tlog-checkpoint, so that public tools and
//! witnesses can read them: origin, size, root hash, an empty line, Ed25519 signature lines.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hotcell_crypto::{SigningKey, VerifyingKey, sha256};
use hotcell_types::{Digest, Exit, Explain, Timestamp};

/// Most bytes of a note: 16 signatures, of which C2SP says that each may have nearly 5 kB.
pub const MAX_NOTE_BYTES: usize = 128 * 1024;

/// Most signature lines: what C2SP demands at least.
const MAX_SIGNATURES: usize = 16;

/// Longest origin: with it, a checkpoint of ours fits one 512-byte sector and is never half written.
const MAX_ORIGIN_BYTES: usize = 128;

/// The signature type byte of Ed25519 in C2SP signed-note.
const ED25519: u8 = 1;

/// That of a timestamped Ed25519 countersignature by a witness (C2SP tlog-cosignature).
const COSIGNATURE: u8 = 4;

/// Why a checkpoint is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// An origin that cannot be a key name.
    #[error("`{}` is no origin: 1 to {MAX_ORIGIN_BYTES} printable characters without spaces and `+`", text.escape_debug())]
    BadOrigin {
        /// What was given.
        text: String,
    },
    /// Not a signed note of a checkpoint.
    #[error("not a signed checkpoint: {why}")]
    Malformed {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A checkpoint of another log.
    #[error("the checkpoint is of log `{found}`, not of `{expected}`")]
    OtherOrigin {
        /// The log that it names.
        found: String,
        /// The log that was expected.
        expected: String,
    },
    /// No signature by the trusted key.
    #[error("the checkpoint is not signed by the trusted key")]
    NotSigned,
    /// A signature that claims to be by the trusted key and is not.
    #[error("the signature of the checkpoint is wrong")]
    WrongSignature,
}

impl Explain for NoteError {
    fn code(&self) -> &'static str {
        match self {
            Self::BadOrigin { .. } => "AUD-111",
            Self::Malformed { .. } => "AUD-112",
            Self::OtherOrigin { .. } => "AUD-113",
            Self::NotSigned => "AUD-114",
            Self::WrongSignature => "AUD-115",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::BadOrigin { .. } => "name the log like a web address without scheme, such as `example.org/hotcell`",
            Self::Malformed { .. } => {
                "get the checkpoint again from its source; if it is the log's own, keep the folder as evidence"
            }
            Self::OtherOrigin { .. } => "name the log that this checkpoint belongs to",
            Self::NotSigned => "give the key that this log was signed with, as you got it from its owner",
            Self::WrongSignature => {
                "take the log for altered: keep the folder as evidence and compare it with receipts handed out"
            }
        }
        .to_owned()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::BadOrigin { .. } => Exit::Usage,
            _ => Exit::Integrity,
        }
    }
}

/// The name of a log, unique among logs; also the name of the key that signs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Takes a text such as `example.org/hotcell`.
    ///
    /// # Errors
    /// [`NoteError::BadOrigin`].
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let fits = (1..=MAX_ORIGIN_BYTES).contains(&text.len());
        if fits && !text.chars().any(|letter| letter.is_whitespace() || letter.is_control() || letter == '+') {
            return Ok(Self(text.to_owned()));
        }
        Err(NoteError::BadOrigin { text: text.chars().take(MAX_ORIGIN_BYTES).collect() })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The head of a tree: what a checkpoint states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeHead {
    /// Which log.
    pub origin: Origin,
    /// Number of entries.
    pub size: u64,
    /// Root hash over them.
    pub root: Digest,
}

impl TreeHead {
    /// Signs it, in the name of the origin.
    pub fn sign(self, key: &SigningKey) -> Checkpoint {
        let text = format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root.0));
        let mut signature = key_hash(&self.origin, &key.verifying()).to_vec();
        signature.extend_from_slice(&key.sign(text.as_bytes()).0);
        let note = format!("{text}\n\u{2014} {} {}\n", self.origin, BASE64.encode(signature));
        Checkpoint { head: self, note }
    }
}

/// A signed checkpoint as text, with its tree head; the signature counts only after [`Checkpoint::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    head: TreeHead,
    note: String,
}

impl Checkpoint {
    /// The tree head as stated. Not authentic by itself.
    pub fn head(&self) -> &TreeHead {
        &self.head
    }

    /// The signed note.
    pub fn text(&self) -> &str {
        &self.note
    }

    /// Number of signature lines, ours included.
    pub fn signatures(&self) -> usize {
        self.split().1.lines().count()
    }

    /// Checks that the key signed this checkpoint under the name of its origin.
    ///
    /// Signatures by other keys are ignored, as C2SP demands.
    ///
    /// # Errors
    /// [`NoteError::NotSigned`] and [`NoteError::WrongSignature`].
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), NoteError> {
        let (text, signatures) = self.split();
        let id = key_hash(&self.head.origin, key);
        let mut signed = false;
        for line in signatures.lines() {
            let Some((name, signature)) = parse_signature(line) else { continue };
            let Some(signature) = signature.strip_prefix(&id) else { continue };
            if name != self.head.origin.as_str() {
                continue;
            }
            let signature = <&[u8; 64]>::try_from(signature).map_err(|_| NoteError::WrongSignature)?;
            key.verify(text.as_bytes(), signature).map_err(|_| NoteError::WrongSignature)?;
            signed = true;
        }
        if signed { Ok(()) } else { Err(NoteError::NotSigned) }
    }

    /// The same checkpoint with a witness's countersignature in place of an earlier one of its own.
    pub(crate) fn countersigned(&self, name: &Origin, key: &SigningKey, now: Timestamp) -> Self {
        let (text, signatures) = self.split();
        let id = key_id(name, COSIGNATURE, &key.verifying());
        let seconds = now.0 / 1000;
        let signature = key.sign(cosigned(text, seconds).as_bytes());
        let bytes = [&id[..], &seconds.to_be_bytes(), &signature.0].concat();
        let others: String = (signatures.split_inclusive('\n'))
            .filter(|line| {
                parse_signature(line.trim_end())
                    .is_none_or(|(by, there)| by != name.as_str() || !there.starts_with(&id))
            })
            .collect();
        let note = format!("{text}\n{others}\u{2014} {name} {}\n", BASE64.encode(bytes));
        Self { head: self.head.clone(), note }
    }

    /// The names of the keys that claim to have signed, the log's own left out.
    pub fn countersigners(&self) -> Vec<String> {
        let names = self.split().1.lines().filter_map(parse_signature).map(|(name, _)| name.to_owned());
        names.filter(|name| name != self.head.origin.as_str()).collect()
    }

    /// The signed text with its last newline, and the signature lines.
    fn split(&self) -> (&str, &str) {
        let at = self.note.rfind("\n\n").map_or(0, |place| place + 1);
        let (text, signatures) = self.note.split_at_checked(at).unwrap_or_default();
        (text, signatures.strip_prefix('\n').unwrap_or(signatures))
    }
}

impl FromStr for Checkpoint {
    type Err = NoteError;

    /// Reads a signed note of a checkpoint; extension lines are refused, as nobody here would check them.
    fn from_str(note: &str) -> Result<Self, NoteError> {
        let malformed = |why| NoteError::Malformed { why };
        if note.len() > MAX_NOTE_BYTES {
            return Err(malformed("too long"));
        }
        if note.chars().any(|letter| letter < ' ' && letter != '\n') {
            return Err(malformed("a control character"));
        }
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(malformed("no empty line before the signatures"))?;
        let signatures = signatures.strip_suffix('\n').ok_or(malformed("no newline at the end"))?;
        if signatures.split('\n').count() > MAX_SIGNATURES {
            return Err(malformed("more than 16 signatures"));
        }
        if !signatures.split('\n').all(|line| parse_signature(line).is_some()) {
            return Err(malformed("a signature line of another form"));
        }
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(malformed("other than three lines: origin, size, root hash"));
        };
        let origin = Origin::parse(origin)?;
        let size = parse_decimal(size).ok_or(malformed("the size is no number"))?;
        let root = parse_hash(root).ok_or(malformed("the root hash is not 32 bytes in base64"))?;
        Ok(Self { head: TreeHead { origin, size, root }, note: note.to_owned() })
    }
}

/// A witness's countersignature that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// The name under which the witness signs.
    pub witness: String,
    /// When it signed, by its clock, to the second.
    pub time: Timestamp,
}

/// The countersignature by this key, whatever the witness's name, if one is there and right.
pub(crate) fn cosignature_of(checkpoint: &Checkpoint, key: &VerifyingKey) -> Option<Cosignature> {
    let (text, signatures) = checkpoint.split();
    signatures.lines().filter_map(parse_signature).find_map(|(name, bytes)| {
        let id = key_id(&Origin::parse(name).ok()?, COSIGNATURE, key);
        let (seconds, signature) = bytes.strip_prefix(&id)?.split_first_chunk::<8>()?;
        let seconds = u64::from_be_bytes(*seconds);
        key.verify(cosigned(text, seconds).as_bytes(), signature.try_into().ok()?).ok()?;
        Some(Cosignature { witness: name.to_owned(), time: Timestamp(seconds.saturating_mul(1000)) })
    })
}

/// What a witness signs.
fn cosigned(text: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

/// The C2SP key id: four bytes of SHA-256 over name, newline, signature type and public key.
pub fn key_hash(name: &Origin, key: &VerifyingKey) -> [u8; 4] {
    key_id(name, ED25519, key)
}

fn key_id(name: &Origin, kind: u8, key: &VerifyingKey) -> [u8; 4] {
    let mut input = name.as_str().as_bytes().to_vec();
    input.extend_from_slice(&[b'\n', kind]);
    input.extend_from_slice(key.as_bytes());
    let [a, b, c, d, ..] = sha256(&input).0;
    [a, b, c, d]
}

/// The note in a checkpoint's file, without what a loss of power while it became longer left after it.
pub(crate) fn note_of(file: &[u8]) -> String {
    let text = String::from_utf8_lossy(file);
    match text.trim_end_matches(['\0', '\n']) {
        "" => String::new(),
        note => format!("{note}\n"),
    }
}

/// A number as C2SP writes it: decimal digits, no leading zero.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    (canonical && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// A hash in base64.
pub(crate) fn parse_hash(text: &str) -> Option<Digest> {
    Some(Digest(BASE64.decode(text).ok()?.try_into().ok()?))
}

/// Key name, and key id with signature, of one signature line.
fn parse_signature(line: &str) -> Option<(&str, Vec<u8>)> {
    let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let signature = BASE64.decode(signature).ok()?;
    let named = !name.is_empty() && !name.contains(|letter: char| letter.is_whitespace() || letter == '+');
    (named && signature.len() > 4).then_some((name, signature))
}
