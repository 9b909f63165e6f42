//! What can go wrong with the registry.

use hotcell_models::scan::{Refusal, TreeError};
use hotcell_types::{Digest, Exit, Explain};

use super::ModelState;

/// A model that is not taken in, not found, or not to be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// No model of this name.
    #[error("no model `{}` is in the registry", name.escape_debug())]
    NotThere {
        /// The name.
        name: String,
    },
    /// More than one.
    #[error("{count} models of the registry have the name `{name}`, and not exactly one of them is approved")]
    Several {
        /// The name.
        name: String,
        /// How many.
        count: usize,
    },
    /// The scan refused something.
    #[error("the model is refused, {count} times; first: {} at `{}`: {}", first.kind, first.place, first.reason)]
    Scan {
        /// How many refusals.
        count: usize,
        /// The first.
        first: Refusal,
    },
    /// Nobody signed it.
    #[error("nobody has signed the model `{name}`")]
    Unsigned {
        /// Its name.
        name: String,
    },
    /// Quarantined or revoked.
    #[error("the model `{name}` is {}", state.label())]
    NotApproved {
        /// Its name.
        name: String,
        /// Its digest.
        digest: Digest,
        /// Where it stands.
        state: ModelState,
    },
    /// A revoked model stays revoked.
    #[error("the model `{name}` was revoked, which is final")]
    Final {
        /// Its name.
        name: String,
    },
    /// Its bytes are others than those that were scanned.
    #[error("the model `{name}` was altered in the registry: {why}")]
    Altered {
        /// Its name.
        name: String,
        /// What differs.
        why: String,
    },
    /// A name that cannot be one.
    #[error("`{}` cannot be a model's name", name.escape_debug())]
    Name {
        /// The name.
        name: String,
    },
    /// It is in the registry.
    #[error("this model is in the registry already, as `{name}`, {}", state.label())]
    There {
        /// Its name there.
        name: String,
        /// Where it stands.
        state: ModelState,
    },
    /// Links, names outside, too many files.
    #[error("the model's files are refused")]
    Files {
        /// Why.
        #[source]
        source: TreeError,
    },
    /// It has no file.
    #[error("the model has no files")]
    Empty,
}

impl Explain for RegistryError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotThere { .. } => "MDL-070",
            Self::Several { .. } => "MDL-071",
            Self::Scan { .. } => "MDL-072",
            Self::Unsigned { .. } => "MDL-073",
            Self::NotApproved { .. } => "MDL-074",
            Self::Final { .. } => "MDL-075",
            Self::Altered { .. } => "MDL-076",
            Self::Name { .. } => "MDL-077",
            Self::There { .. } => "MDL-078",
            Self::Files { .. } | Self::Empty => "MDL-079",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::NotThere { .. } => "see which there are: hotcell model list".to_owned(),
            Self::Several { .. } => "name it by its digest: sha256:…".to_owned(),
            Self::Scan { first, .. } => format!("{}; see all: hotcell model scan PATH", first.remedy),
            Self::Unsigned { name } => {
                format!(
                    "give the vendor's signature (--signature FILE --trust KEY), or take it in by name: --unsigned {name}"
                )
            }
            Self::NotApproved { state: ModelState::Quarantined, name, digest } => {
                format!("look at it (hotcell model show {name}), then approve it: hotcell model approve {digest}")
            }
            Self::NotApproved { .. } | Self::Final { .. } => {
                "use another version; a revoked one can only be removed: hotcell model rm".to_owned()
            }
            Self::Altered { .. } => "remove it (hotcell model rm) and add it again from its author".to_owned(),
            Self::Name { .. } => "give one of letters, digits, `.`, `_`, `-` and `/`: --name NAME".to_owned(),
            Self::There { .. } => "use the one that is there, or remove it first".to_owned(),
            Self::Files { .. } | Self::Empty => "have the author pack plain files below one folder".to_owned(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NotThere { .. } => Exit::No,
            Self::Several { .. } | Self::Name { .. } | Self::There { .. } => Exit::Usage,
            Self::Scan { .. }
            | Self::Unsigned { .. }
            | Self::NotApproved { .. }
            | Self::Final { .. }
            | Self::Files { .. }
            | Self::Empty => Exit::Refused,
            Self::Altered { .. } => Exit::Integrity,
        }
    }
}
