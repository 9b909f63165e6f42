//! Receipts: what Hotcell states about one finished task, signed, logged, and checkable offline.
//!
//! A receipt is one JSON file: an in-toto statement in a DSSE envelope, the log entry that carries the
//! statement's digest, and a C2SP tlog-proof of that entry with the signed checkpoint. All of it is
//! bound: the file has one form only, so that any edit of any byte is found.

use std::str::FromStr as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hotcell_crypto::{SigningKey, VerifyingKey, sha256};
use hotcell_types::{Digest, Event, EventKind, Exit, Explain, ReceiptBody, TaskId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::dsse::Envelope;
use crate::merkle::{leaf_hash, verify_inclusion};
use crate::note::{Checkpoint, Cosignature, NoteError, Origin, cosignature_of, parse_decimal, parse_hash};
use crate::{Durability, Log, LogError, ProofError, canonical};

/// Most bytes of a receipt: thousands of outputs fit.
pub const MAX_RECEIPT_BYTES: usize = 4 * 1024 * 1024;

/// The payload type of in-toto statements.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The type of in-toto statements.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// The predicate type of receipts.
pub const PREDICATE_TYPE: &str = "https://hotcell.dev/receipt/v1";

/// The form of the file.
const FORMAT: &str = "hotcell-receipt/v1";

/// The first line of a C2SP tlog-proof.
const PROOF_HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Most hashes of an inclusion proof: the height of a tree of 2^64 entries.
const MAX_PROOF_HASHES: usize = 64;

/// The particular of a receipt event that carries the digest of the statement.
const DIGEST_NAME: &str = "statement";

/// Why a receipt is refused, or cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// Nothing is wrong with it, but nobody said whose signature to trust.
    #[error("signature intact, signer unknown: signed by `{}`", verified.signer)]
    SignerUnknown {
        /// What was checked, all but the signer.
        verified: Box<Verified>,
    },
    /// Signed by another key than the trusted one.
    #[error("signed by `{found}`, not by the trusted key `{trusted}`")]
    OtherSigner {
        /// The key that it names.
        found: VerifyingKey,
        /// The key that is trusted.
        trusted: VerifyingKey,
    },
    /// Too long.
    #[error("a receipt of {bytes} bytes is larger than the limit of {limit}")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Not a receipt in the one form that receipts have.
    #[error("not an intact receipt: {why}")]
    Malformed {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The signature does not fit the statement.
    #[error("the signature does not fit the statement")]
    WrongSignature,
    /// The statement and the log entry do not belong together.
    #[error("the log entry is not the one of this statement")]
    OtherEntry,
    /// The entry does not follow from the checkpoint.
    #[error("the log entry is not in the log")]
    NotInLog(#[source] ProofError),
    /// The checkpoint is refused.
    #[error(transparent)]
    Checkpoint(#[from] NoteError),
    /// None of the witnesses that were named countersigned its checkpoint.
    #[error("the receipt is intact, but unwitnessed: no witness that was named countersigned its checkpoint")]
    Unwitnessed,
    /// The receipt could not be logged.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The receipt could not be written as JSON.
    #[error("the receipt cannot be written as JSON")]
    Unencodable(#[source] serde_json::Error),
}

impl Explain for ReceiptError {
    fn code(&self) -> &'static str {
        match self {
            Self::SignerUnknown { .. } => "AUD-201",
            Self::OtherSigner { .. } => "AUD-202",
            Self::TooLarge { .. } => "AUD-203",
            Self::Malformed { .. } => "AUD-204",
            Self::WrongSignature => "AUD-205",
            Self::OtherEntry => "AUD-206",
            Self::NotInLog(_) => "AUD-207",
            Self::Unencodable(_) => "AUD-208",
            Self::Unwitnessed => "AUD-209",
            Self::Checkpoint(error) => error.code(),
            Self::Log(error) => error.code(),
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::SignerUnknown { .. } => {
                "give the public key of the Hotcell that ran the task, as its owner told you: --trust KEY".to_owned()
            }
            Self::OtherSigner { .. } => {
                "do not rely on this receipt unless the owner of the Hotcell confirms the key that signed it".to_owned()
            }
            Self::TooLarge { .. } | Self::Malformed { .. } => {
                "get the receipt again from its source, byte for byte".to_owned()
            }
            Self::WrongSignature | Self::OtherEntry | Self::NotInLog(_) => {
                "do not rely on this receipt: it was altered; get it again from its source".to_owned()
            }
            Self::Unwitnessed => {
                "ask its owner to let a witness countersign the log and to renew it: hotcell audit prove receipt"
                    .to_owned()
            }
            Self::Unencodable(_) => "report this with the receipt's task id".to_owned(),
            Self::Checkpoint(error) => error.remedy(),
            Self::Log(error) => error.remedy(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::SignerUnknown { .. } | Self::Unwitnessed => Exit::No,
            Self::Unencodable(_) => Exit::Failed,
            Self::Log(error) => error.exit(),
            _ => Exit::Integrity,
        }
    }
}

/// What was checked of a receipt.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// What the receipt says.
    pub body: ReceiptBody,
    /// Who signed it.
    pub signer: VerifyingKey,
    /// When, by the signer's clock.
    pub signed: Timestamp,
    /// The log that it stands in.
    pub origin: Origin,
    /// Index of its entry.
    pub index: u64,
    /// Size of the log as signed in the checkpoint.
    pub size: u64,
    /// The trusted witnesses that countersigned its checkpoint; without one, the receipt is *unwitnessed*.
    pub witnessed: Vec<Cosignature>,
    /// Who claims to have countersigned it, trusted or not.
    pub countersigners: Vec<String>,
    /// The checks that it passed, in words.
    pub checks: Vec<&'static str>,
}

impl Verified {
    /// Which trusted witnesses countersigned, or that none did.
    pub fn witnesses(&self) -> String {
        match self.witnessed.as_slice() {
            [] => "unwitnessed".to_owned(),
            seen => {
                let names: Vec<_> = seen.iter().map(|seen| seen.witness.as_str()).collect();
                format!("witnessed by {}", names.join(", "))
            }
        }
    }
}

/// A receipt: the bytes of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt(Vec<u8>);

impl Receipt {
    /// The bytes of the file.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    format: String,
    signer: String,
    envelope: Envelope,
    entry: String,
    proof: String,
}

/// An in-toto statement.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: ReceiptBody,
}

/// What a statement is about.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    name: String,
    digest: BTreeMap<String, String>,
}

/// Signs a receipt and appends `before` and the receipt's event in one durable step.
///
/// The event carries the digest of the signed statement, so that the log fixes what the receipt says.
///
/// # Errors
/// [`ReceiptError::Log`] mostly: then there is no receipt.
pub fn issue(log: &Log, body: &ReceiptBody, now: Timestamp, before: &[Event]) -> Result<Receipt, ReceiptError> {
    let payload = statement(body)?;
    let envelope = Envelope::sign(PAYLOAD_TYPE, &payload, log.key());
    let event = receipt_event(body.task, now, &payload);
    let entry = canonical(&event)?;
    let mut events = before.to_vec();
    events.push(event);
    let at = log.append(&events, Durability::Durable)?;
    let index = at.size().saturating_sub(1);
    let proof = log.inclusion_proof(index, &at)?;
    verify_inclusion(index, at.size(), &leaf_hash(&entry), &proof, &at.root()).map_err(ReceiptError::NotInLog)?;
    let checkpoint = log.checkpoint(&at)?;
    let entry = String::from_utf8(entry).map_err(|_| ReceiptError::OtherEntry)?;
    assemble(envelope, entry, index, &proof, &checkpoint, log.key())
}

/// Checks a receipt offline.
///
/// # Errors
/// [`ReceiptError::SignerUnknown`] (exit status 1) when all is well but no key was given to trust; any
/// other error (exit status 123) when it is altered, or signed by another key than the trusted one.
///
/// # Security
/// A receipt without witnesses shows what the signer's log was shown to be to the holder of the receipt;
/// whether others were shown the same log, it does not.
pub fn verify(bytes: &[u8], trust: Option<&VerifyingKey>) -> Result<Verified, ReceiptError> {
    verify_witnessed(bytes, trust, &[])
}

/// Checks a receipt offline, and that one of these witnesses, if any are named, countersigned its checkpoint.
///
/// # Errors
/// As [`verify`], and [`ReceiptError::Unwitnessed`] (exit status 1).
pub fn verify_witnessed(
    bytes: &[u8],
    trust: Option<&VerifyingKey>,
    witnesses: &[VerifyingKey],
) -> Result<Verified, ReceiptError> {
    let malformed = |why| ReceiptError::Malformed { why };
    if bytes.len() > MAX_RECEIPT_BYTES {
        return Err(ReceiptError::TooLarge { bytes: bytes.len(), limit: MAX_RECEIPT_BYTES });
    }
    let form: Form = serde_json::from_slice(bytes).map_err(|_| malformed("not the JSON of a receipt"))?;
    if form.format != FORMAT {
        return Err(malformed("another format or version"));
    }
    if encode(&form)? != bytes {
        return Err(malformed("not in the one form that receipts are written in"));
    }
    let signer = VerifyingKey::from_str(&form.signer).map_err(|_| malformed("the signer is no verifying key"))?;
    if let Some(trusted) = trust.filter(|trusted| **trusted != signer) {
        return Err(ReceiptError::OtherSigner { found: signer, trusted: *trusted });
    }
    let payload = form.envelope.open(PAYLOAD_TYPE, &signer).ok_or(ReceiptError::WrongSignature)?;
    let body = read_statement(&payload).ok_or(malformed("the statement is not one of a receipt"))?;
    let event: Event = serde_json::from_str(&form.entry).map_err(|_| malformed("the entry is no event"))?;
    if event != receipt_event(body.task, event.time, &payload) {
        return Err(ReceiptError::OtherEntry);
    }
    let (index, proof, checkpoint) = parse_proof(&form.proof).ok_or(malformed("the proof is none"))?;
    let checkpoint = Checkpoint::from_str(checkpoint)?;
    let countersigners = checkpoint.countersigners();
    if checkpoint.signatures() != countersigners.len() + 1 {
        return Err(malformed("a checkpoint with another number of signatures by the log than one"));
    }
    checkpoint.verify(&signer)?;
    let witnessed: Vec<_> = witnesses.iter().filter_map(|key| cosignature_of(&checkpoint, key)).collect();
    let head = checkpoint.head();
    verify_inclusion(index, head.size, &leaf_hash(form.entry.as_bytes()), &proof, &head.root)
        .map_err(ReceiptError::NotInLog)?;
    let verified = Verified {
        body,
        signer,
        signed: event.time,
        origin: head.origin.clone(),
        index,
        size: head.size,
        witnessed,
        countersigners,
        checks: CHECKS.to_vec(),
    };
    match trust {
        Some(_) if !witnesses.is_empty() && verified.witnessed.is_empty() => Err(ReceiptError::Unwitnessed),
        Some(_) => Ok(verified),
        None => Err(ReceiptError::SignerUnknown { verified: Box::new(verified) }),
    }
}

/// The same receipt with a proof for a later checkpoint, such as one that a witness countersigned.
///
/// # Errors
/// [`ReceiptError`]; what comes back verifies.
pub fn renew(bytes: &[u8], log: &Log, checkpoint: &Checkpoint) -> Result<Receipt, ReceiptError> {
    let verified = verify(bytes, Some(&log.key().verifying()))?;
    let form: Form =
        serde_json::from_slice(bytes).map_err(|_| ReceiptError::Malformed { why: "not the JSON of a receipt" })?;
    let proof = log.prove_entry(verified.index, checkpoint)?;
    let renewed = encode(&Form { proof, ..form })?;
    verify(&renewed, Some(&log.key().verifying()))?;
    Ok(Receipt(renewed))
}

/// What [`verify`] checks, for people.
const CHECKS: &[&str] = &[
    "the statement is signed by the key (Ed25519, DSSE)",
    "its subjects are the outputs that it lists",
    "the log entry carries its digest",
    "the entry is in the log (RFC 6962 inclusion proof)",
    "the log's checkpoint is signed by the same key",
];

/// The statement's bytes.
fn statement(body: &ReceiptBody) -> Result<Vec<u8>, ReceiptError> {
    let statement = Statement {
        kind: STATEMENT_TYPE.to_owned(),
        subject: subjects(body),
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: body.clone(),
    };
    serde_json::to_vec(&statement).map_err(ReceiptError::Unencodable)
}

/// The body of a statement, if it is one of a receipt and about what its body says.
fn read_statement(payload: &[u8]) -> Option<ReceiptBody> {
    let statement: Statement = serde_json::from_slice(payload).ok()?;
    let typed = statement.kind == STATEMENT_TYPE && statement.predicate_type == PREDICATE_TYPE;
    (typed && statement.subject == subjects(&statement.predicate)).then_some(statement.predicate)
}

/// The released outputs, or the task itself where nothing left.
fn subjects(body: &ReceiptBody) -> Vec<Subject> {
    let subject = |name: &str, digest: Digest| Subject {
        name: name.to_owned(),
        digest: BTreeMap::from([("sha256".to_owned(), digest.hex())]),
    };
    if body.outputs.is_empty() {
        let task = body.task.to_string();
        return vec![subject(&task, sha256(task.as_bytes()))];
    }
    body.outputs.iter().map(|output| subject(&output.path, output.digest)).collect()
}

/// The event of a receipt.
fn receipt_event(task: TaskId, time: Timestamp, payload: &[u8]) -> Event {
    Event::of_task(time, task, EventKind::ReceiptSigned).with(DIGEST_NAME, sha256(payload).to_string())
}

fn assemble(
    envelope: Envelope,
    entry: String,
    index: u64,
    proof: &[Digest],
    checkpoint: &Checkpoint,
    key: &SigningKey,
) -> Result<Receipt, ReceiptError> {
    let proof = proof_text(index, proof, checkpoint);
    let form = Form { format: FORMAT.to_owned(), signer: key.verifying().to_string(), envelope, entry, proof };
    Ok(Receipt(encode(&form)?))
}

/// A C2SP tlog-proof without extra data.
pub(crate) fn proof_text(index: u64, proof: &[Digest], checkpoint: &Checkpoint) -> String {
    let hashes: String = proof.iter().map(|hash| BASE64.encode(hash.0) + "\n").collect();
    format!("{PROOF_HEADER}\nindex {index}\n{hashes}\n{}", checkpoint.text())
}

/// The one form in which receipts are written.
fn encode(form: &Form) -> Result<Vec<u8>, ReceiptError> {
    let mut bytes = serde_json::to_vec_pretty(form).map_err(ReceiptError::Unencodable)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Index, hashes and checkpoint of a C2SP tlog-proof without extra data.
fn parse_proof(text: &str) -> Option<(u64, Vec<Digest>, &str)> {
    let (proof, checkpoint) = text.split_once("\n\n")?;
    let mut lines = proof.split('\n');
    if lines.next()? != PROOF_HEADER {
        return None;
    }
    let index = parse_decimal(lines.next()?.strip_prefix("index ")?)?;
    let hashes: Vec<_> = lines.take(MAX_PROOF_HASHES + 1).map(parse_hash).collect::<Option<_>>()?;
    (hashes.len() <= MAX_PROOF_HASHES).then_some((index, hashes, checkpoint))
}
