//! What is asked of policy: the facts about a task, gathered by the spine.

use std::collections::BTreeSet;

use hotcell_types::{Bits, Digest, GrantId, TaskId, Timestamp, Wall};

use serde::{Deserialize, Serialize};

use crate::{Profile, Rights};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// A stable name, for example `local:1000`.
    pub id: String,
    /// Whether this machine's own accounts vouch for them.
    pub local: bool,
    /// The roles that they hold.
    pub roles: Vec<String>,
}

/// May this task run, with this model, and may its streams pass live?
#[derive(Debug)]
pub struct Request {
    /// The id that the grant will have: 80 fresh random bits of the caller's.
    pub grant: GrantId,
    /// The task.
    pub task: TaskId,
    /// The time of the question.
    pub now: Timestamp,
    /// Who asks.
    pub principal: Principal,
    /// Whose task it is; on one machine, the principal's.
    pub owner: String,
    /// For which purpose; empty for none stated.
    pub purpose: String,
    /// The shape of the sandbox, narrowed by every layer.
    pub profile: Profile,
    /// The isolation level: `process`.
    pub isolation: String,
    /// What would be executed.
    pub runner: Runner,
    /// Walls that the user gave up by name.
    pub best_effort: BTreeSet<Wall>,
    /// What the task would be shown, beside the system.
    pub shown: Shown,
    /// Digest of the manifest of the image that the workload would run in.
    pub image: Option<Digest>,
    /// The model that the task would read.
    pub model: Option<ModelFacts>,
    /// The inputs, as data that rules speak of.
    pub datasets: Vec<DatasetFacts>,
    /// Whether every input belongs to the principal.
    pub inputs_owned: bool,
    /// To whom the results would be sealed.
    pub recipients: Vec<String>,
    /// The role in which the task sees data, if one was named.
    pub role: Option<String>,
}

/// What a task is shown: each is a right of its grant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// Names of the inputs.
    pub inputs: Vec<String>,
    /// Whether there is code.
    pub code: bool,
    /// Whether there is a model.
    pub model: bool,
    /// Whether it has a terminal.
    pub terminal: bool,
}

impl Request {
    /// The walls that the task would do without: those given up by name, and those that the profile does not require.
    /// One that stands on demand only is missed by nobody who did not ask for it.
    pub fn without(&self) -> BTreeSet<Wall> {
        let required = self.profile.required_walls();
        let demanded: BTreeSet<_> = self.profile.demanded_walls(self.runner).collect();
        let without = |wall: &Wall| match wall.is_on_demand() {
            true => self.best_effort.contains(wall) && (demanded.contains(wall) || required.contains(wall)),
            false => self.best_effort.contains(wall) || !required.contains(wall),
        };
        Wall::ALL.iter().copied().filter(without).collect()
    }

    /// The rights that the task would have.
    pub fn rights(&self) -> Rights {
        Rights::of(self)
    }
}

/// What would be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runner {
    /// The runner that is part of Hotcell.
    Builtin,
    /// A command of the user's.
    Command,
}

/// What is known of an input before it is shown to anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetFacts {
    /// Its name under `/input`; the dataset's id where no policy knows it by where it lies.
    pub input: String,
    /// Where it lies, with every link resolved.
    pub path: String,
    /// Its columns, of a table; read only where [`crate::Engine::decides_columns`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
}

/// What is known of a model before it is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFacts {
    /// Its id, or the file name of a plain model.
    pub id: String,
    /// Its version, of a sealed model.
    pub version: Option<u64>,
    /// Whether it is sealed. The four facts below count only where it is.
    pub sealed: bool,
    /// What its signature is worth here.
    pub signature: Signature,
    /// Whether the vendor's terms name this runner.
    pub runner_in_terms: bool,
    /// Whether the terms have not expired.
    pub within_time: bool,
    /// Whether this host gives the custody that the terms demand.
    pub custody_met: bool,
    /// Whether the isolation level is at least the one that the terms demand.
    pub isolation_met: bool,
}

/// What a signature is worth here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signature {
    /// There is none.
    None,
    /// It is valid, by a key that nobody here named as trusted.
    Unknown,
    /// It is valid, by a key that the user named as trusted.
    Trusted,
}

/// One thing that would leave.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseItem {
    /// Its path under the output folder, or `stdout`, `stderr`.
    pub name: String,
    /// A file or a stream.
    pub kind: ItemKind,
    /// How inspection left it.
    pub form: Form,
    /// How much it can carry.
    pub capacity: Bits,
}

/// A file or a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// A file of the output folder.
    File,
    /// A captured standard stream.
    Stream,
}

/// How inspection left an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Written anew from its values.
    Canonical,
    /// As the workload wrote it.
    Opaque,
}

impl Runner {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Builtin => "builtin",
            Self::Command => "command",
        }
    }
}

impl Signature {
    /// Its word.
    pub fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unknown => "unknown",
            Self::Trusted => "trusted",
        }
    }
}

impl ItemKind {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Stream => "stream",
        }
    }
}

impl Form {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Canonical => "canonical",
            Self::Opaque => "opaque",
        }
    }
}
