//! Who may do what: Cedar schema and evaluation, profiles, grants.
//!
//! - A [`Profile`] is the shape of a sandbox as data. Layers over it ([`Overlay`]) may only narrow it.
//! - An [`Engine`] decides: a question gets a [`Grant`] or a [`Denial`], both with reasons.
//!
//! INVARIANT (only-policy-grants): [`Grant`], [`GrantUse`] and [`ReleaseGrant`] have no constructor
//! outside of this crate's decisions, cannot be cloned or serialised, and are passed by value.
//!
//! INVARIANT (fail-closed): an error on the way to a decision is a denial, also where a single `forbid`
//! could not be evaluated.
//!
//! Deliberately absent: any I/O, the clock, randomness. Files, times and ids arrive as arguments.

mod actions;
mod ask;
pub mod calls;
mod case;
mod cedar;
mod compare;
mod compiled;
mod denial;
mod engine;
mod entities;
mod error;
mod examine;
mod explain;
mod facts;
mod folder;
mod grant;
mod harden;
mod import;
mod interval;
mod layer;
mod learn;
mod limit;
mod narrow;
mod obligation;
mod origin;
mod overlay;
mod profile;
mod request;
mod rights;
mod rule;
mod rules;
mod ruleset;
mod store;
mod system_view;
mod wish;

pub use actions::{ACTIONS, Action, RESOURCES, Resource, SCHEMA_VERSION, SURROUNDINGS, Shape};
pub use ask::{Ask, AskError, Attributes, EntityName, Value};
pub use calls::{CallGroup, CallRule};
pub use case::{Answer, Case};
pub use compare::{Comparison, Difference, Outcome, compare_generated, compare_history};
pub use denial::{Denial, DenialKind, Unmet};
pub use engine::{Allowed, Decision, Engine, Tag};
pub use error::{PolicyError, ProfileError, Widening};
pub use examine::{Change, Examination, RuleView, Seen};
pub use explain::Effective;
pub use facts::{Facts, HostFacts};
pub use folder::{
    CASES, CaseResult, CheckedPolicy, ENTITIES, MANIFEST, MAX_POLICY_FILES, Manifest, PolicyFiles, is_policy_file,
};
pub use grant::{CitedRule, Columns, GRANT_LIFETIME_MS, Grant, GrantExpired, GrantUse, ModelUse, ReleaseGrant};
pub use hotcell_types::AuditLevel;
pub use import::import;
pub use interval::Interval;
pub use layer::{MAX_POLICY_BYTES, RuleInfo, check_policy};
pub use learn::learn;
pub use limit::{Demand, Limit, LimitKey, Limits, Unit};
pub use narrow::MAX_HOSTS;
pub use obligation::{Hardening, IsolationLevel, OBLIGATIONS, Obligations};
pub use origin::Origin;
pub use overlay::{
    CallSettings, InspectionSettings, LimitSetting, MAX_FILE_BYTES, MemorySettings, ModelSettings, MountSettings,
    NetworkSettings, Overlay, RawSystemView, WallSettings,
};
pub use profile::Profile;
pub use request::{
    DatasetFacts, Form, ItemKind, ModelFacts, Principal, ReleaseItem, Request, Runner, Shown, Signature,
};
pub use rights::{Access, Accesses, BASE_DEVICES, Object, RUNNER_PATH, Right, Rights};
pub use rule::{DetectorRule, FingerprintRule, OutputRule, ScratchRule, SideChannelRule, SignatureRule, StreamRule};
pub use rules::{DEFAULT_POLICY, SCHEMA};
pub use system_view::{SYSTEM_VIEW, SystemView, ViewRule};
pub use wish::RawRight;
