//! Witnesses: another machine that remembers the last checkpoint of a log and countersigns only what extends it.
//!
//! The forms are those of C2SP: a request is the body of tlog-witness's add-checkpoint, a countersignature is
//! a `cosignature/v1` of tlog-cosignature. How they travel between the machines is not our affair: they are files.
//!
//! Security property: whoever trusts the witness's key and sees its countersignature knows that the witness has
//! never countersigned another history of that log, nor a shorter one later. INVARIANT (memory-first): what is
//! countersigned was made durable in the witness's memory before.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hotcell_crypto::{SigningKey, VerifyingKey, sha256};
use hotcell_types::{Digest, Exit, Explain, Timestamp};

use crate::files::{Held, open_to_write};
use crate::merkle::verify_consistency;
use crate::note::{
    Checkpoint, Cosignature, MAX_NOTE_BYTES, NoteError, Origin, cosignature_of, note_of, parse_decimal, parse_hash,
};
use crate::{LogError, ProofError};

/// Most bytes of a request: a note, and a proof of 64 hashes.
pub const MAX_REQUEST_BYTES: usize = MAX_NOTE_BYTES + 4096;

/// Most hashes of a consistency proof: C2SP's bound.
const MAX_PROOF_HASHES: usize = 63;

/// Why a witness does not countersign, or a countersignature is refused.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// Not a request of that form.
    #[error("not a request to a witness: {why}")]
    Malformed {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The log shows fewer entries than it had.
    #[error("the log `{origin}` shows {offered} entries, but {seen} were seen: entries were cut off")]
    WentBack {
        /// The log.
        origin: String,
        /// Entries that it shows now.
        offered: u64,
        /// Entries that the witness saw.
        seen: u64,
    },
    /// The log shows another history.
    #[error("the log `{origin}` no longer has the {seen} entries that were seen: its history was rewritten")]
    Forked {
        /// The log.
        origin: String,
        /// Entries that the witness saw.
        seen: u64,
        /// What the proof lacks.
        #[source]
        source: ProofError,
    },
    /// The request proves from another size than the last that was seen.
    #[error("the request proves that the log extends its first {asked} entries, but {seen} were seen")]
    OtherStart {
        /// From which size it proves.
        asked: u64,
        /// Which size was seen last.
        seen: u64,
    },
    /// The checkpoint carries no countersignature by the trusted witness.
    #[error("the checkpoint is not countersigned by the trusted witness")]
    NotCountersigned,
    /// The witness's memory cannot be read or written.
    #[error("cannot use the witness's memory `{}`", path.display())]
    Memory {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The log's own checkpoint is refused.
    #[error(transparent)]
    Checkpoint(#[from] NoteError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Explain for WitnessError {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "AUD-401",
            Self::WentBack { .. } => "AUD-402",
            Self::Forked { .. } => "AUD-403",
            Self::OtherStart { .. } => "AUD-404",
            Self::NotCountersigned => "AUD-405",
            Self::Memory { .. } => "AUD-406",
            Self::Checkpoint(error) => error.code(),
            Self::Log(error) => error.code(),
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Malformed { .. } => "make it on the log's machine: hotcell audit prove consistency".to_owned(),
            Self::WentBack { .. } | Self::Forked { .. } => {
                "take the log for altered: keep its folder as evidence, and the witness's memory as it is".to_owned()
            }
            Self::OtherStart { seen, .. } => {
                format!("make the request anew on the log's machine: hotcell audit prove consistency --since {seen}")
            }
            Self::NotCountersigned => {
                "give the witness's public key as its owner told you, and what it countersigned".to_owned()
            }
            Self::Memory { path, .. } => format!("make `{}` accessible to the user who runs this", path.display()),
            Self::Checkpoint(error) => error.remedy(),
            Self::Log(error) => error.remedy(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::OtherStart { .. } => Exit::No,
            Self::Memory { .. } => Exit::Failed,
            Self::Checkpoint(error) => error.exit(),
            Self::Log(error) => error.exit(),
            _ => Exit::Integrity,
        }
    }
}

/// What a log asks of a witness: to countersign a checkpoint that extends what it saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    old: u64,
    proof: Vec<Digest>,
    checkpoint: Checkpoint,
}

impl Request {
    pub(crate) fn new(old: u64, proof: Vec<Digest>, checkpoint: Checkpoint) -> Self {
        Self { old, proof, checkpoint }
    }

    /// The checkpoint that is to be countersigned.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The proof that the checkpoint's tree begins with that of `old` entries.
    pub fn proof(&self) -> &[Digest] {
        &self.proof
    }

    /// The size from which it proves.
    pub fn old(&self) -> u64 {
        self.old
    }

    /// The body of C2SP's add-checkpoint.
    pub fn text(&self) -> String {
        let hashes: String = self.proof.iter().map(|hash| BASE64.encode(hash.0) + "\n").collect();
        format!("old {}\n{hashes}\n{}", self.old, self.checkpoint.text())
    }

    /// Reads such a body.
    ///
    /// # Errors
    /// [`WitnessError::Malformed`], [`WitnessError::Checkpoint`].
    pub fn parse(text: &str) -> Result<Self, WitnessError> {
        let malformed = |why| WitnessError::Malformed { why };
        if text.len() > MAX_REQUEST_BYTES {
            return Err(malformed("too long"));
        }
        let (proof, checkpoint) = text.split_once("\n\n").ok_or(malformed("no empty line after the proof"))?;
        let mut lines = proof.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(parse_decimal);
        let old = old.ok_or(malformed("its first line is not `old` and a number"))?;
        let proof: Vec<_> = lines
            .take(MAX_PROOF_HASHES + 1)
            .map(parse_hash)
            .collect::<Option<_>>()
            .ok_or(malformed("a hash is none"))?;
        if proof.len() > MAX_PROOF_HASHES {
            return Err(malformed("the proof is too long"));
        }
        Ok(Self { old, proof, checkpoint: checkpoint.parse()? })
    }
}

/// A machine that countersigns.
pub struct Witness {
    name: Origin,
    key: SigningKey,
    /// One file for each log: the last checkpoint that was countersigned.
    memory: PathBuf,
}

impl Witness {
    /// A witness of this name that remembers in this folder.
    pub fn new(name: Origin, key: SigningKey, memory: &Path) -> Self {
        Self { name, key, memory: memory.to_owned() }
    }

    /// The name under which it signs.
    pub fn name(&self) -> &Origin {
        &self.name
    }

    /// Countersigns what extends the last checkpoint that was seen of that log, and remembers it.
    ///
    /// # Errors
    /// [`WitnessError`]; nothing is remembered then.
    pub fn countersign(
        &self,
        request: &Request,
        log_key: &VerifyingKey,
        now: Timestamp,
    ) -> Result<Checkpoint, WitnessError> {
        let checkpoint = &request.checkpoint;
        checkpoint.verify(log_key)?;
        let head = checkpoint.head();
        let path = self.memory.join(format!("{}.checkpoint", &sha256(head.origin.as_str().as_bytes()).hex()[..32]));
        let wrong = |source: io::Error| WitnessError::Memory { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.memory).map_err(wrong)?;
        let lock = open_to_write(&path.with_extension("lock"))?;
        let _held = Held::exclusive(&lock).map_err(wrong)?;
        if let Some(last) = remembered(&path)? {
            let (seen, origin) = (last.head().size, head.origin.to_string());
            if head.size < seen {
                return Err(WitnessError::WentBack { origin, offered: head.size, seen });
            }
            if request.old != seen {
                return Err(WitnessError::OtherStart { asked: request.old, seen });
            }
            if seen > 0 {
                verify_consistency(seen, head.size, &last.head().root, &head.root, &request.proof)
                    .map_err(|source| WitnessError::Forked { origin, seen, source })?;
            }
        } else if request.old != 0 {
            return Err(WitnessError::OtherStart { asked: request.old, seen: 0 });
        }
        let signed = checkpoint.countersigned(&self.name, &self.key, now);
        remember(&path, signed.text()).map_err(wrong)?;
        Ok(signed)
    }
}

/// The last checkpoint that was countersigned. A memory that cannot be read is an error, never a beginning.
fn remembered(path: &Path) -> Result<Option<Checkpoint>, WitnessError> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(WitnessError::Memory { path: path.to_owned(), source }),
        Ok(bytes) => Ok(Some(note_of(&bytes).parse()?)),
    }
}

/// Replaces a file at once and durably.
fn remember(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// The countersignature of a trusted witness on a checkpoint of the log.
///
/// # Errors
/// [`WitnessError::NotCountersigned`]; the log's own signature is checked too.
pub fn countersignature(
    checkpoint: &Checkpoint,
    log_key: &VerifyingKey,
    witness: &VerifyingKey,
) -> Result<Cosignature, WitnessError> {
    checkpoint.verify(log_key)?;
    cosignature_of(checkpoint, witness).ok_or(WitnessError::NotCountersigned)
}

/// Keeps a countersigned checkpoint beside the log, for proofs and receipts.
///
/// # Errors
/// [`WitnessError::Log`] when it cannot be written.
pub fn keep(log: &Path, checkpoint: &Checkpoint) -> Result<(), WitnessError> {
    let path = kept_path(log);
    remember(&path, checkpoint.text()).map_err(|source| WitnessError::Memory { path: path.clone(), source })
}

/// The countersigned checkpoint that is kept beside the log, if there is one.
///
/// # Errors
/// [`WitnessError`] when it cannot be read.
pub fn kept(log: &Path) -> Result<Option<Checkpoint>, WitnessError> {
    remembered(&kept_path(log))
}

fn kept_path(log: &Path) -> PathBuf {
    log.join("countersigned")
}

/// All checkpoints in a file to which they were appended (an anchor), oldest first.
///
/// # Errors
/// [`WitnessError`] when the file cannot be read or has something else.
pub fn read_anchors(path: &Path) -> Result<Vec<Checkpoint>, WitnessError> {
    let text = fs::read_to_string(path).map_err(|source| WitnessError::Memory { path: path.to_owned(), source })?;
    let mut anchors = Vec::new();
    let mut note = String::new();
    // A note is two paragraphs: its text, and its signature lines, each of which begins with a dash.
    for line in text.split_inclusive('\n') {
        if !line.starts_with('\u{2014}') && note.contains("\n\u{2014}") {
            anchors.push(std::mem::take(&mut note).parse()?);
        }
        note.push_str(line);
    }
    if !note.is_empty() {
        anchors.push(note.parse()?);
    }
    Ok(anchors)
}

/// Appends a checkpoint to a file, durably.
///
/// # Errors
/// [`WitnessError::Memory`].
pub fn anchor(path: &Path, checkpoint: &Checkpoint) -> Result<(), WitnessError> {
    let append = || {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(checkpoint.text().as_bytes())?;
        file.sync_all()
    };
    append().map_err(|source| WitnessError::Memory { path: path.to_owned(), source })
}
