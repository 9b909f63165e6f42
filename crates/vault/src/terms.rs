//! The vendor's terms: who may open a package, where, until when.

use std::fmt;

use hotcell_types::{Digest, Exit, Explain, Timestamp};
use serde::{Deserialize, Serialize};

/// What the vendor demands of whoever opens the package. A customer's policy can only demand more.
///
/// The default lets the built-in runner alone open it, anywhere, without end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Which programs may open it.
    pub runners: Runners,
    /// Who may hold the opened model in memory.
    pub custody: Custody,
    /// The weakest isolation level in which it may be opened.
    pub isolation: Isolation,
    /// From when on it may no longer be opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The digest of the output schema that must be in force, where the vendor prescribes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Digest>,
}

/// Which programs may open a package.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runners {
    /// The runner that is part of Hotcell.
    #[default]
    BuiltinOnly,
    /// These programs (or images) too, by their digest.
    Digests(Vec<Digest>),
}

/// Who may hold the opened model in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Custody {
    /// Also a Hotcell that runs as the user who asks, and who could read its memory.
    #[default]
    Any,
    /// Only a Hotcell that runs as a service under an account of its own.
    Service,
}

/// How far the sandbox is apart from its host, from weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Namespaces and filters of the host's kernel.
    #[default]
    Process,
    /// A kernel of its own under KVM.
    Microvm,
    /// Attested hardware.
    Tee,
}

/// The program that would open a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunnerIdentity {
    /// The runner that is part of Hotcell.
    Builtin,
    /// A program or image, by its digest.
    Digest(Digest),
    /// A command that is not one file, so that no digest can stand for it.
    Unidentified,
}

/// The circumstances under which a package would be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// By which program.
    pub runner: RunnerIdentity,
    /// When.
    pub now: Timestamp,
    /// Who would hold the model: [`Custody::Any`] in one-user mode.
    pub custody: Custody,
    /// In which sandbox.
    pub isolation: Isolation,
    /// Under which output schema, if any is in force.
    pub output_schema: Option<Digest>,
}

impl Terms {
    /// Whether the vendor permits this opening.
    ///
    /// # Errors
    /// [`TermsError`], the first term that is not met.
    pub fn permits(&self, opening: &Opening) -> Result<(), TermsError> {
        let runner = opening.runner;
        let runner_fits = match (&self.runners, runner) {
            (_, RunnerIdentity::Builtin) => true,
            (Runners::Digests(permitted), RunnerIdentity::Digest(digest)) => permitted.contains(&digest),
            (Runners::BuiltinOnly, RunnerIdentity::Digest(_)) | (_, RunnerIdentity::Unidentified) => false,
        };
        if !runner_fits {
            return Err(TermsError::Runner { runner });
        }
        if let Some(expired) = self.expires.filter(|expires| opening.now >= *expires) {
            return Err(TermsError::Expired { expired });
        }
        if let Some(demanded) = self.output_schema
            && opening.output_schema != Some(demanded)
        {
            return Err(TermsError::OutputSchema { demanded });
        }
        if self.custody == Custody::Service && opening.custody != Custody::Service {
            return Err(TermsError::Custody);
        }
        if opening.isolation < self.isolation {
            return Err(TermsError::Isolation { demanded: self.isolation, offered: opening.isolation });
        }
        Ok(())
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Process => "process",
            Self::Microvm => "microvm",
            Self::Tee => "tee",
        })
    }
}

impl fmt::Display for RunnerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin => f.write_str("the built-in runner"),
            Self::Digest(digest) => write!(f, "the program {digest}"),
            Self::Unidentified => f.write_str("a command that is not one program file"),
        }
    }
}

/// A term that is not met.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// This program may not open it.
    #[error("the vendor's terms do not let {runner} open this model")]
    Runner {
        /// The program.
        runner: RunnerIdentity,
    },
    /// Its time is over.
    #[error("the vendor's terms ended at {expired}")]
    Expired {
        /// When.
        expired: Timestamp,
    },
    /// Another output schema, or none, is in force.
    #[error("the vendor's terms demand the output schema {demanded}")]
    OutputSchema {
        /// The schema's digest.
        demanded: Digest,
    },
    /// The user who asks could read the model from memory.
    #[error("the vendor's terms demand that a service holds the model, not the user who runs it")]
    Custody,
    /// The sandbox is not apart enough.
    #[error("the vendor's terms demand the isolation level `{demanded}`, and this is `{offered}`")]
    Isolation {
        /// What the vendor demands at least.
        demanded: Isolation,
        /// What there is.
        offered: Isolation,
    },
}

impl Explain for TermsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Runner { .. } => "VLT-030",
            Self::Expired { .. } => "VLT-031",
            Self::OutputSchema { .. } => "VLT-032",
            Self::Custody => "VLT-033",
            Self::Isolation { .. } => "VLT-034",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Runner { .. } => "run the model without a command".to_owned(),
            Self::Expired { .. } => "ask the vendor for a package with a later end".to_owned(),
            Self::OutputSchema { .. } => "use the output schema that the vendor delivers with the model".to_owned(),
            Self::Custody => {
                "ask the vendor for a package with custody `any`; this host cannot run it as a service".to_owned()
            }
            Self::Isolation { demanded, .. } => {
                format!("run it where `{demanded}` is offered, or ask the vendor for a package with a lower level")
            }
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Runner { .. } | Self::Expired { .. } | Self::OutputSchema { .. } => Exit::Refused,
            Self::Custody | Self::Isolation { .. } => Exit::HostLacks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: Digest = Digest([1; 32]);
    const SCHEMA: Digest = Digest([2; 32]);

    fn builtin() -> Opening {
        Opening {
            runner: RunnerIdentity::Builtin,
            now: Timestamp(1_000),
            custody: Custody::Any,
            isolation: Isolation::Process,
            output_schema: None,
        }
    }

    #[test]
    fn by_default_the_builtin_runner_alone_may_open() {
        let terms = Terms::default();
        assert_eq!(terms.permits(&builtin()), Ok(()));
        for runner in [RunnerIdentity::Digest(PROGRAM), RunnerIdentity::Unidentified] {
            let error = terms.permits(&Opening { runner, ..builtin() }).unwrap_err();
            assert_eq!((error.code(), error.exit().status()), ("VLT-030", 121), "{error}");
        }
    }

    #[test]
    fn each_term_refuses_what_does_not_meet_it_and_permits_what_does() {
        let digests = Terms { runners: Runners::Digests(vec![PROGRAM]), ..Terms::default() };
        let expiring = Terms { expires: Some(Timestamp(1_000)), ..Terms::default() };
        let schema = Terms { output_schema: Some(SCHEMA), ..Terms::default() };
        let service = Terms { custody: Custody::Service, ..Terms::default() };
        let microvm = Terms { isolation: Isolation::Microvm, ..Terms::default() };
        let by = |digest| Opening { runner: RunnerIdentity::Digest(digest), ..builtin() };
        let unidentified = Opening { runner: RunnerIdentity::Unidentified, ..builtin() };
        for (terms, opening, code) in [
            (&digests, builtin(), None),
            (&digests, by(PROGRAM), None),
            (&digests, by(SCHEMA), Some(("VLT-030", 121))),
            (&digests, unidentified, Some(("VLT-030", 121))),
            (&expiring, Opening { now: Timestamp(999), ..builtin() }, None),
            (&expiring, Opening { now: Timestamp(1_000), ..builtin() }, Some(("VLT-031", 121))),
            (&schema, Opening { output_schema: Some(SCHEMA), ..builtin() }, None),
            (&schema, Opening { output_schema: Some(PROGRAM), ..builtin() }, Some(("VLT-032", 121))),
            (&schema, builtin(), Some(("VLT-032", 121))),
            (&service, Opening { custody: Custody::Service, ..builtin() }, None),
            (&service, builtin(), Some(("VLT-033", 122))),
            (&microvm, Opening { isolation: Isolation::Tee, ..builtin() }, None),
            (&microvm, builtin(), Some(("VLT-034", 122))),
        ] {
            let found = terms.permits(&opening).err().map(|error| (error.code(), error.exit().status()));
            assert_eq!(found, code, "{terms:?} {opening:?}");
        }
    }

    #[test]
    fn terms_with_an_unknown_demand_do_not_parse() {
        let known = serde_json::to_value(Terms::default()).unwrap();
        assert_eq!(serde_json::from_value::<Terms>(known.clone()).unwrap(), Terms::default());
        let mut unknown = known.clone();
        unknown["query_budget"] = 5.into();
        assert!(serde_json::from_value::<Terms>(unknown).is_err());
        for term in ["runners", "custody", "isolation"] {
            let mut missing = known.clone();
            missing.as_object_mut().unwrap().remove(term);
            assert!(serde_json::from_value::<Terms>(missing).is_err(), "{term} left out");
        }
    }
}
