//! What policy gives: authority as values that only a decision makes.

use std::collections::{BTreeMap, BTreeSet};

use hotcell_types::{Exit, Explain, GrantId, TaskId, Timestamp, Wall};

use crate::obligation::Obligations;
use crate::request::{Form, ItemKind, ReleaseItem, Request};
use crate::{Profile, Rights, StreamRule};

/// How long a grant may wait for its start: long enough to open a large model, short enough that
/// nothing lives on it.
pub const GRANT_LIFETIME_MS: u64 = 15 * 60 * 1000;

/// The right to start one task in one shape.
///
/// It is made only by an Allow of [`crate::Engine::decide`], cannot be cloned or serialised, and is used
/// up by [`Grant::begin`].
///
/// ```compile_fail,E0382
/// fn two_tasks(grant: hotcell_policy::Grant, now: hotcell_types::Timestamp) {
///     let _first = grant.begin(now);
///     let _second = grant.begin(now);
/// }
/// ```
///
/// ```compile_fail,E0599
/// fn two_grants(grant: hotcell_policy::Grant) -> [hotcell_policy::Grant; 2] {
///     [grant.clone(), grant]
/// }
/// ```
///
/// ```compile_fail,E0451
/// let _ = hotcell_policy::Grant { terms: todo!(), expires: hotcell_types::Timestamp(0) };
/// ```
///
/// ```compile_fail,E0277
/// fn travels(grant: hotcell_policy::Grant) -> impl serde::Serialize { grant }
/// ```
#[derive(Debug)]
#[must_use = "a grant that nobody uses was asked for in vain"]
pub struct Grant {
    terms: GrantTerms,
    expires: Timestamp,
}

/// A grant that was used: the task runs or ran under it. It alone lets outputs be asked for.
#[derive(Debug)]
pub struct GrantUse {
    terms: GrantTerms,
}

/// The right to let one item leave. Made only by [`crate::Engine::decide_release`]; neither cloned nor serialised.
#[derive(Debug)]
#[must_use = "an item leaves by its release grant"]
pub struct ReleaseGrant {
    grant: GrantId,
    item: ReleaseItem,
    rules: Vec<String>,
    obligations: Obligations,
}

/// What a grant says.
#[derive(Debug)]
pub(crate) struct GrantTerms {
    pub(crate) request: Request,
    pub(crate) rights: Rights,
    pub(crate) rules: Vec<String>,
    pub(crate) streams: StreamRule,
    pub(crate) stream_reasons: Vec<CitedRule>,
    pub(crate) obligations: Obligations,
    pub(crate) reads: BTreeMap<String, Columns>,
}

/// A rule as a decision cites it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CitedRule {
    /// Its id.
    pub id: String,
    /// Why it is there, in words.
    pub reason: String,
    /// What would have to change.
    pub remedy: String,
}

/// The columns of an input that may be read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Columns {
    /// All of them.
    All,
    /// These.
    Only(BTreeSet<String>),
}

impl Columns {
    /// Whether these are among those.
    pub(crate) fn is_within(&self, those: &Self) -> bool {
        match (self, those) {
            (_, Self::All) => true,
            (Self::All, Self::Only(_)) => false,
            (Self::Only(these), Self::Only(those)) => these.is_subset(those),
        }
    }
}

/// A grant that was not used in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("grant {grant} expired at {expired}, before the task was started")]
pub struct GrantExpired {
    /// The grant.
    pub grant: GrantId,
    /// When it expired.
    pub expired: Timestamp,
}

impl Explain for GrantExpired {
    fn code(&self) -> &'static str {
        "POL-110"
    }

    fn remedy(&self) -> String {
        "run the task again".to_owned()
    }

    fn exit(&self) -> Exit {
        Exit::Refused
    }
}

impl Grant {
    pub(crate) fn new(terms: GrantTerms) -> Self {
        let lifetime = terms.obligations.lifetime_ms.unwrap_or(GRANT_LIFETIME_MS).min(GRANT_LIFETIME_MS);
        let expires = Timestamp(terms.request.now.0.saturating_add(lifetime));
        Self { terms, expires }
    }

    /// Uses the grant up: the task starts now.
    ///
    /// # Errors
    /// [`GrantExpired`] after its time; also before it, which only a clock that was set back can show.
    pub fn begin(self, now: Timestamp) -> Result<GrantUse, GrantExpired> {
        if now >= self.expires || now < self.terms.request.now {
            return Err(GrantExpired { grant: self.terms.request.grant, expired: self.expires });
        }
        Ok(GrantUse { terms: self.terms })
    }

    /// When it expires.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }
}

macro_rules! terms {
    ($type:ident) => {
        impl $type {
            /// Its id, which the audit log and the receipt cite.
            pub fn id(&self) -> GrantId {
                self.terms.request.grant
            }

            /// The task that it is for.
            pub fn task(&self) -> TaskId {
                self.terms.request.task
            }

            /// Who asked.
            pub fn principal(&self) -> &str {
                &self.terms.request.principal.id
            }

            /// For which purpose.
            pub fn purpose(&self) -> &str {
                &self.terms.request.purpose
            }

            /// The isolation level that it demands.
            pub fn isolation(&self) -> &str {
                &self.terms.request.isolation
            }

            /// The shape of the sandbox.
            pub fn profile(&self) -> &Profile {
                &self.terms.request.profile
            }

            /// The rights that the sandbox is made from.
            pub fn rights(&self) -> &Rights {
                &self.terms.rights
            }

            /// The ids of the rules that allowed.
            pub fn rules(&self) -> &[String] {
                &self.terms.rules
            }

            /// Walls that may be missing, because the user gave them up by name and policy let them.
            pub fn best_effort(&self) -> &BTreeSet<Wall> {
                &self.terms.request.best_effort
            }

            /// The walls that must stand in full: those of the profile, with those that it asks for on demand, without
            /// those given up by name.
            pub fn required_walls(&self) -> BTreeSet<Wall> {
                let given_up = self.best_effort();
                let demanded = self.profile().demanded_walls(self.terms.request.runner);
                let required = self.profile().required_walls().iter().copied().chain(demanded);
                required.filter(|wall| !given_up.contains(wall)).collect()
            }

            /// The walls that this task may do without: those that its profile does not require, and those given up by
            /// name.
            pub fn without(&self) -> BTreeSet<Wall> {
                self.terms.request.without()
            }

            /// What must be done with standard output and error.
            pub fn streams(&self) -> StreamRule {
                self.terms.streams
            }

            /// The rules that keep the streams from passing live; empty where they do.
            pub fn stream_reasons(&self) -> &[CitedRule] {
                &self.terms.stream_reasons
            }

            /// What the rules demand of the task.
            pub fn obligations(&self) -> &Obligations {
                &self.terms.obligations
            }

            /// The columns of an input that the task may read.
            pub fn reads(&self, input: &str) -> &Columns {
                self.terms.reads.get(input).unwrap_or(&Columns::All)
            }

            /// What was asked, as the log records it.
            pub fn facts(&self) -> crate::Facts {
                self.terms.request.facts()
            }

            /// To whom results are sealed; empty when they leave in plain.
            pub fn recipients(&self) -> &[String] {
                &self.terms.request.recipients
            }

            /// Whether the task reads a sealed model.
            pub fn sealed_model(&self) -> bool {
                self.terms.request.model.as_ref().is_some_and(|model| model.sealed)
            }
        }
    };
}

terms!(Grant);
terms!(GrantUse);

/// The right to open the model of a task: whoever opens one takes it. Made only of a grant in use whose task was allowed a
/// model.
///
/// ```compile_fail,E0423
/// let _ = hotcell_policy::ModelUse(todo!());
/// ```
#[derive(Debug)]
pub struct ModelUse<'a>(&'a str);

impl ModelUse<'_> {
    /// The model's id.
    pub fn id(&self) -> &str {
        self.0
    }
}

impl GrantUse {
    /// The right to open the model that was allowed; none where the task was allowed none.
    pub fn model_use(&self) -> Option<ModelUse<'_>> {
        self.terms.request.model.as_ref().map(|model| ModelUse(&model.id))
    }

    pub(crate) fn request(&self) -> &Request {
        &self.terms.request
    }
}

impl ReleaseGrant {
    /// What the rules demand, those of the task included.
    pub fn obligations(&self) -> &Obligations {
        &self.obligations
    }

    pub(crate) fn new(grant: GrantId, item: ReleaseItem, rules: Vec<String>, obligations: Obligations) -> Self {
        Self { grant, item, rules, obligations }
    }

    /// The grant of the task.
    pub fn grant(&self) -> GrantId {
        self.grant
    }

    /// The item that may leave.
    pub fn name(&self) -> &str {
        &self.item.name
    }

    /// A file or a stream.
    pub fn kind(&self) -> ItemKind {
        self.item.kind
    }

    /// The form in which it may leave.
    pub fn form(&self) -> Form {
        self.item.form
    }

    /// The ids of the rules that allowed.
    pub fn rules(&self) -> &[String] {
        &self.rules
    }
}
