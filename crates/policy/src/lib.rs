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

pub mod calls;
mod cedar;
mod compiled;
mod denial;
mod engine;
mod error;
mod explain;
mod grant;
mod interval;
mod layer;
mod limit;
mod narrow;
mod origin;
mod overlay;
mod profile;
mod request;
mod rights;
mod rule;
mod rules;
mod system_view;
mod wish;

pub use calls::{CallGroup, CallRule};
pub use denial::{Denial, DenialKind};
pub use engine::{Decision, Engine};
pub use error::{PolicyError, ProfileError, Widening};
pub use explain::Effective;
pub use grant::{CitedRule, GRANT_LIFETIME_MS, Grant, GrantExpired, GrantUse, ReleaseGrant};
pub use interval::Interval;
pub use layer::{RuleInfo, check_policy};
pub use limit::{Demand, Limit, LimitKey, Limits, Unit};
pub use origin::Origin;
pub use overlay::{
    CallSettings, InspectionSettings, LimitSetting, MAX_FILE_BYTES, MemorySettings, ModelSettings, MountSettings,
    NetworkSettings, Overlay, RawSystemView, WallSettings,
};
pub use profile::Profile;
pub use request::{Form, ItemKind, ModelFacts, Principal, ReleaseItem, Request, Runner, Shown, Signature};
pub use rights::{Access, Accesses, BASE_DEVICES, Object, RUNNER_PATH, Right, Rights};
pub use rule::{OutputRule, ScratchRule, SideChannelRule, SignatureRule, StreamRule};
pub use rules::{DEFAULT_POLICY, SCHEMA};
pub use system_view::{SYSTEM_VIEW, SystemView, ViewRule};
pub use wish::RawRight;
