//! The model of a task: plain, or sealed and opened only inside.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use hotcell_inspect::OutputSchema;
use hotcell_inspect::fingerprint::Builder;
use hotcell_isolate::ModelMount;
use hotcell_policy::{ModelFacts, Signature};
use hotcell_types::{Digest, ModelRecord, Timestamp};
use hotcell_vault::{Custody, Isolation, Opening, Package, RunnerIdentity, TermsError, Unlocked};

use crate::TaskError;
use crate::spec::{ModelSpec, Work};

/// A model whose header was read and verified, and not a byte more.
#[derive(Debug)]
pub(crate) enum Model {
    Plain { path: PathBuf, name: String, signature: Signature },
    Sealed { file: File, unlocked: Box<Unlocked>, facts: ModelFacts },
}

/// Bytes that tell a sealed package from anything else.
const PREFIX_BYTES: usize = 8;

impl Model {
    /// Reads what there is to know before anybody decided.
    ///
    /// # Errors
    /// When the file cannot be read, or the sealed package is not what its vendor made, or the key does not fit.
    pub(crate) fn look(
        spec: ModelSpec,
        work: &Work,
        outputs: Option<&OutputSchema>,
        now: Timestamp,
    ) -> Result<Self, TaskError> {
        let ModelSpec { path, key, trust, registered } = spec;
        let cannot = |error| TaskError::file("use the model", &path)(error);
        let name = path.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned());
        // What the registry vouches for was verified by it a moment ago.
        let (name, signature) = registered.unwrap_or((name, Signature::None));
        if path.is_dir() {
            return Ok(Self::Plain { path, name, signature });
        }
        // Looked at before it is opened: a pipe would wait for a writer, a device might never end.
        if !path.metadata().map_err(cannot)?.is_file() {
            return Err(TaskError::Spec {
                what: format!("the model `{}` is neither a file nor a folder", path.display()),
                remedy: "name an ONNX file or a sealed package",
            });
        }
        let mut file = File::open(&path).map_err(cannot)?;
        let mut prefix = Vec::new();
        (&file).take(PREFIX_BYTES as u64).read_to_end(&mut prefix).map_err(cannot)?;
        if !Package::is_package(&prefix) {
            return Ok(Self::Plain { path, name, signature });
        }
        let Some(key) = key else {
            return Err(TaskError::Spec {
                what: format!("the model `{}` is sealed", path.display()),
                remedy: "give the key that opens it: --key FILE",
            });
        };
        std::io::Seek::rewind(&mut file).map_err(cannot)?;
        let header = Package::read_header(&mut file).map_err(TaskError::part)?;
        let unlocked = Package::unlock(header, &key, None).map_err(TaskError::part)?;
        let trusted = trust.contains(&unlocked.signer());
        let facts = facts(&unlocked, trusted, work, outputs, now)?;
        Ok(Self::Sealed { file, unlocked: Box::new(unlocked), facts })
    }

    /// What policy is told.
    pub(crate) fn facts(&self) -> ModelFacts {
        match self {
            Self::Sealed { facts, .. } => facts.clone(),
            Self::Plain { name, signature, .. } => ModelFacts {
                id: name.clone(),
                version: None,
                sealed: false,
                signature: *signature,
                runner_in_terms: true,
                within_time: true,
                custody_met: true,
                isolation_met: true,
            },
        }
    }

    /// How it gets into the sandbox.
    pub(crate) fn mount(&self) -> ModelMount {
        match self {
            Self::Plain { path, .. } => ModelMount::Plain { path: path.clone() },
            Self::Sealed { unlocked, .. } => {
                ModelMount::Opened { name: unlocked.file_name().to_owned(), bytes: unlocked.file_bytes() }
            }
        }
    }

    /// What the receipt says of it, but for the digest of a sealed one, which is known once it is opened.
    pub(crate) fn record(&self, digest: Digest) -> ModelRecord {
        match self {
            Self::Plain { name, .. } => {
                ModelRecord { id: name.clone(), version: None, sealed: false, digest, signer: None }
            }
            Self::Sealed { unlocked, .. } => ModelRecord {
                id: unlocked.model_id().to_owned(),
                version: Some(unlocked.version()),
                sealed: true,
                digest,
                signer: Some(unlocked.signer().to_string()),
            },
        }
    }

    /// The path of a plain model.
    pub(crate) fn plain_path(&self) -> Option<PathBuf> {
        match self {
            Self::Plain { path, .. } => Some(path.clone()),
            Self::Sealed { .. } => None,
        }
    }

    /// Opens a sealed model into the sandbox. Gives the package digest.
    ///
    /// # Errors
    /// When a byte of the package is not its vendor's; what was written is then to be thrown away.
    pub(crate) fn open_into(
        self,
        _allowed: hotcell_policy::ModelUse<'_>,
        sink: Option<File>,
        prints: Option<&mut Builder>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Option<Digest>, TaskError> {
        let (Self::Sealed { file, unlocked, .. }, Some(sink)) = (self, sink) else { return Ok(None) };
        let sink = Printed { sink, prints };
        let total = unlocked.file_bytes();
        let report = unlocked.open_body(file, sink, &mut |bytes| progress(bytes, total)).map_err(TaskError::part)?;
        Ok(Some(report.digest))
    }
}

/// The plain bytes of a sealed model on their way into the sandbox, of which fingerprints are taken.
struct Printed<'a> {
    sink: File,
    prints: Option<&'a mut Builder>,
}

impl Write for Printed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.sink.write(bytes)?;
        if let Some(prints) = &mut self.prints {
            prints.feed(bytes.get(..count).unwrap_or_default()).map_err(io::Error::other)?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// Puts the vendor's terms to the question and gives policy the answers.
fn facts(
    unlocked: &Unlocked,
    trusted: bool,
    work: &Work,
    outputs: Option<&OutputSchema>,
    now: Timestamp,
) -> Result<ModelFacts, TaskError> {
    let mut facts = ModelFacts {
        id: unlocked.model_id().to_owned(),
        version: Some(unlocked.version()),
        sealed: true,
        signature: if trusted { Signature::Trusted } else { Signature::Unknown },
        runner_in_terms: true,
        within_time: true,
        custody_met: true,
        isolation_met: true,
    };
    let schema = outputs.map(serde_json::to_vec).transpose().map_err(|error| TaskError::Spec {
        what: format!("the declared outputs cannot be written down: {error}"),
        remedy: "correct the declaration of the outputs",
    })?;
    let opening = Opening {
        runner: match work {
            Work::Runner(_) => RunnerIdentity::Builtin,
            Work::Command(_) => RunnerIdentity::Unidentified,
        },
        now,
        custody: Custody::Any,
        isolation: Isolation::Process,
        output_schema: schema.map(|text| hotcell_crypto::sha256(&text)),
    };
    match unlocked.terms().permits(&opening) {
        Ok(()) => {}
        Err(TermsError::Runner { .. }) => facts.runner_in_terms = false,
        Err(TermsError::Expired { .. }) => facts.within_time = false,
        Err(TermsError::Custody) => facts.custody_met = false,
        Err(TermsError::Isolation { .. }) => facts.isolation_met = false,
        Err(other @ TermsError::OutputSchema { .. }) => return Err(TaskError::part(other)),
    }
    Ok(facts)
}
