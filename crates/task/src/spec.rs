//! What a task asks for.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use hotcell_crypto::{PublicKey, SecretKey, VerifyingKey};
use hotcell_inspect::OutputSchema;
use hotcell_oci::Settings;
use hotcell_policy::{Origin, Overlay, Signature};
use hotcell_types::Wall;

/// One task, from the command line or a task file.
#[derive(Debug)]
pub struct TaskSpec {
    /// What runs.
    pub work: Work,
    /// Name of a built-in profile, or the path of a profile file. Default: `strict`, or `infer` for the runner.
    pub profile: Option<String>,
    /// The task file that named the profile, where it was none of the user's own choice.
    pub profile_of_task: Option<String>,
    /// What narrows the profile, in order, and who said so.
    pub overlays: Vec<(Overlay, Origin)>,
    /// The image that the workload runs in, in place of the host's `/usr` and its like.
    pub image: Option<ImageSpec>,
    /// The model.
    pub model: Option<ModelSpec>,
    /// The inputs.
    pub inputs: Vec<TaskInput>,
    /// An index of fingerprints that was made ahead: what it knows does not leave either.
    pub fingerprints: Option<PathBuf>,
    /// The folder shown at `/code`.
    pub code: Option<PathBuf>,
    /// Where released files go. Without it no file leaves.
    pub output: Option<PathBuf>,
    /// Environment of the workload.
    pub env: Vec<(OsString, OsString)>,
    /// To whom the results are sealed; nobody: they are plain.
    pub recipients: Vec<PublicKey>,
    /// What for.
    pub purpose: String,
    /// In which role the results are read.
    pub role: Option<String>,
    /// The key for hashes, tokens and encrypted fields of the role's view.
    pub view_key: Option<SecretKey>,
    /// Walls that the user gives up where the host lacks them. Never from a task file.
    pub best_effort: BTreeSet<Wall>,
    /// The declared outputs.
    pub outputs: Option<OutputSchema>,
    /// Where whoever asks puts a copy of the receipt, which [`TaskReport`](crate::TaskReport) has.
    pub receipt: Option<PathBuf>,
    /// Standard input of the workload; nothing when absent. A pipe or file, never a terminal.
    pub stdin: Option<OwnedFd>,
    /// Whether the workload gets a terminal of its own as its standard streams.
    pub terminal: bool,
    /// Whether the calls that its filter refuses are told in the report. It then waits longer for each of them.
    pub told: bool,
}

/// What runs inside.
#[derive(Debug, Clone)]
pub enum Work {
    /// A program with its arguments.
    Command(Vec<OsString>),
    /// The built-in runner: scores the input by the model.
    Runner(RunnerSpec),
}

/// What the built-in runner is asked for.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunnerSpec {
    /// Columns of the output: `NAME=OUTPUT`, `NAME=OUTPUT[CLASS]`.
    pub columns: Vec<String>,
    /// Columns of the input that name a row; found by itself when empty.
    pub keys: Vec<String>,
    /// Columns of the input that the model reads, in order; found by itself when empty.
    pub features: Vec<String>,
    /// Whether empty cells are allowed.
    pub allow_missing: bool,
    /// Name of the file it writes; default: the first declared output, or `scores.csv`.
    pub file: Option<String>,
    /// Threads; default: one for each processor that the profile grants and the host has.
    pub threads: Option<usize>,
}

/// A model.
#[derive(Debug)]
pub struct ModelSpec {
    /// The model file, plain or sealed.
    pub path: PathBuf,
    /// What opens it when it is sealed.
    pub key: Option<SecretKey>,
    /// Vendors that the user trusts.
    pub trust: Vec<VerifyingKey>,
    /// The model's name and signature, of one of the registry.
    pub registered: Option<(String, Signature)>,
}

/// An image.
#[derive(Debug)]
pub struct ImageSpec {
    /// Its name.
    pub name: String,
    /// How names are resolved and registries spoken to. The user's own, never a task file's.
    pub settings: Arc<Settings>,
}

/// One input.
#[derive(Debug, Clone)]
pub struct TaskInput {
    /// Its name under `/input`.
    pub name: String,
    /// The file or folder.
    pub path: PathBuf,
}

impl TaskSpec {
    /// A task that runs this, with nothing else.
    pub fn new(work: Work) -> Self {
        Self {
            work,
            profile: None,
            profile_of_task: None,
            image: None,
            overlays: Vec::new(),
            model: None,
            inputs: Vec::new(),
            fingerprints: None,
            code: None,
            output: None,
            env: Vec::new(),
            recipients: Vec::new(),
            purpose: String::new(),
            role: None,
            view_key: None,
            best_effort: BTreeSet::new(),
            outputs: None,
            receipt: None,
            stdin: None,
            terminal: false,
            told: false,
        }
    }
}
