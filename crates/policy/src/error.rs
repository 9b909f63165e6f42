//! What can be wrong with a profile or a policy file.

use hotcell_types::{Exit, Explain};

use crate::Origin;

/// A profile, or a layer over it, that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// Not TOML, an unknown key or a wrong type.
    #[error("`{file}` line {line}: {problem}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// The file is too long to be one of ours.
    #[error("`{file}` has {bytes} bytes, more than the {most} that are read")]
    TooLong {
        /// The file.
        file: String,
        /// Its length.
        bytes: usize,
        /// The greatest length.
        most: usize,
    },
    /// No profile of this name.
    #[error("there is no built-in profile `{name}`")]
    UnknownProfile {
        /// The name asked for.
        name: String,
    },
    /// An option that cannot be read.
    #[error("`{flag}`: {problem}")]
    Flag {
        /// The option with its value.
        flag: String,
        /// What is wrong.
        problem: String,
    },
    /// A value that means nothing.
    #[error("`{key}` in {origin}: {problem}")]
    Value {
        /// The key.
        key: String,
        /// Who set it.
        origin: Origin,
        /// What is wrong.
        problem: String,
    },
    /// A layer asks for more than it may have.
    #[error("{} sets `{}` to {}, beyond the {} of {}", .0.origin, .0.key, .0.asked, .0.bound, .0.bound_origin)]
    Widens(Box<Widening>),
    /// A right that nobody is ever given.
    #[error("{origin} asks for a right over {what}, which no task is ever given")]
    NeverGranted {
        /// Over what.
        what: String,
        /// Who asked.
        origin: Origin,
    },
    /// A complete profile lacks a key.
    #[error("{origin} lacks the key `{key}`")]
    Incomplete {
        /// The key.
        key: String,
        /// The profile.
        origin: Origin,
    },
}

/// What a layer asked for, and what it is bound by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Widening {
    /// The key.
    pub key: String,
    /// What was asked for.
    pub asked: String,
    /// Who asked.
    pub origin: Origin,
    /// What it is bound by.
    pub bound: String,
    /// Who set the bound.
    pub bound_origin: Origin,
    /// The option by which the local user could ask for it, where there is one.
    pub own_way: Option<String>,
}

impl Explain for ProfileError {
    fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "POL-001",
            Self::TooLong { .. } => "POL-002",
            Self::UnknownProfile { .. } => "POL-003",
            Self::Flag { .. } => "POL-004",
            Self::Value { .. } => "POL-005",
            Self::Widens(_) => "POL-006",
            Self::Incomplete { .. } => "POL-007",
            Self::NeverGranted { .. } => "POL-040",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Syntax { .. } => {
                "correct that line; docs/formats/profile.md lists every key with its values".to_owned()
            }
            Self::TooLong { .. } => "split off what does not belong into a profile".to_owned(),
            Self::UnknownProfile { .. } => format!(
                "choose one of {}, or name a file with a path that contains `/` or ends in `.toml`",
                crate::Profile::BUILTIN.join(", ")
            ),
            Self::Flag { .. } => "write it as `--limit memory=512MiB`, `wall=60s`, `cpu=1.5`, `pids=64`".to_owned(),
            Self::Value { key, .. } => format!("give `{key}` a value that docs/formats/profile.md allows"),
            Self::Widens(widening) => match &widening.own_way {
                Some(way) => {
                    format!("set it to {} or tighter there, or ask for it yourself with `{way}`", widening.bound)
                }
                None => format!(
                    "set `{}` to {} or tighter; a layer may only narrow what the one before it allows",
                    widening.key, widening.bound
                ),
            },
            Self::Incomplete { key, .. } => format!("add `{key}`"),
            Self::NeverGranted { .. } => {
                "leave that right out: whoever reaches the machine's ports or memory is above every wall; \
                                          a program that needs them has no place in a sandbox"
                    .to_owned()
            }
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Widens(_) | Self::NeverGranted { .. } => Exit::Refused,
            _ => Exit::Usage,
        }
    }
}

/// A policy file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Not Cedar.
    #[error("`{file}` line {line}: {problem}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// The file is too long.
    #[error("`{file}` has {bytes} bytes, more than the {most} that are read")]
    TooLong {
        /// The file.
        file: String,
        /// Its length.
        bytes: usize,
        /// The greatest length.
        most: usize,
    },
    /// A rule does not fit the schema.
    #[error("`{file}` line {line}: {problem}")]
    Schema {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What does not fit.
        problem: String,
    },
    /// A rule lacks an annotation that a denial has to cite.
    #[error("`{file}` line {line}: the rule has no @{annotation}")]
    Annotation {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// Which one.
        annotation: &'static str,
    },
    /// Two rules have one id.
    #[error("`{file}` line {line}: another rule has the id `{id}` already")]
    Duplicate {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The id.
        id: String,
    },
    /// An annotation that nobody knows, or that means nothing where it stands.
    #[error("`{file}` line {line}: @{annotation}: {problem}")]
    UnknownAnnotation {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The annotation.
        annotation: String,
        /// What is wrong.
        problem: String,
    },
    /// Entities that cannot be used.
    #[error("`{file}`: {problem}")]
    Entities {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// A manifest or a case that cannot be read.
    #[error("`{file}` line {line}: {problem}")]
    Content {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A folder or bundle without what it needs.
    #[error("the policy has no `{file}`")]
    Lacks {
        /// What is not there.
        file: String,
    },
    /// Written for another version of the schema.
    #[error("`{file}`: written for schema version {found}, and this Hotcell has version {}", crate::SCHEMA_VERSION)]
    SchemaVersion {
        /// The file.
        file: String,
        /// The version that it names.
        found: u32,
    },
    /// One of its own cases does not come out as it says.
    #[error("`{file}`, case `{case}`: {problem}")]
    CaseFailed {
        /// The file.
        file: String,
        /// The case.
        case: String,
        /// What came instead.
        problem: String,
    },
}

impl Explain for PolicyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "POL-020",
            Self::TooLong { .. } => "POL-021",
            Self::Schema { .. } => "POL-022",
            Self::Annotation { .. } => "POL-023",
            Self::Duplicate { .. } => "POL-024",
            Self::UnknownAnnotation { .. } => "POL-026",
            Self::Entities { .. } => "POL-027",
            Self::Content { .. } => "POL-028",
            Self::Lacks { .. } => "POL-029",
            Self::SchemaVersion { .. } => "POL-030",
            Self::CaseFailed { .. } => "POL-031",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Syntax { .. } => "correct the rule; it is written in the Cedar policy language".to_owned(),
            Self::TooLong { .. } => "split the rules into several files".to_owned(),
            Self::Schema { .. } => {
                "use only the entities, actions and attributes of policies/hotcell.cedarschema".to_owned()
            }
            Self::Annotation { annotation, .. } => format!("write @{annotation}(\"…\") before the rule"),
            Self::Duplicate { .. } => "give each rule an id of its own".to_owned(),
            Self::UnknownAnnotation { .. } => {
                "write one of @id, @reason, @remedy and, on a `permit`, the obligations of docs/formats/policy.md"
                    .to_owned()
            }
            Self::Entities { .. } => {
                "write Cedar's JSON form of entities, with types and attributes of policies/hotcell.cedarschema"
                    .to_owned()
            }
            Self::Content { .. } => "correct that line; docs/formats/policy.md lists every key".to_owned(),
            Self::Lacks { file } => format!("add `{file}`; docs/formats/policy.md says what it holds"),
            Self::SchemaVersion { .. } => {
                format!("compare it with the schema's page and write `schema = {}`", crate::SCHEMA_VERSION)
            }
            Self::CaseFailed { .. } => "correct the rule, or the case where it expects what is not wanted".to_owned(),
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}
