//! Role views: what of a table a role sees.
//!
//! A [`View`] says for each column what is done with it; [`redact`] makes the view of a table, [`reverse`] opens tokens and
//! encrypted fields of one again. Noise is drawn exactly ([`sampler`]); k-anonymity and l-diversity are reached by generalisation
//! and suppression ([`anonymity`]), or the view is refused with the reason.
//!
//! INVARIANT (listed-or-gone): a column that the rules do not name is not in the view, unless the view says `others = "keep"`.
//! INVARIANT (never-a-value): no error and no report holds a value of a table.
//!
//! Deliberately absent: who holds a role (policy decides), where tables and keys come from, detectors.

pub mod anonymity;
mod error;
mod hierarchy;
mod mask;
mod noise;
mod rational;
mod redact;
mod report;
mod reverse;
mod rules;
pub mod sampler;
mod secret;
mod table;

pub use error::DisclosureError;
pub use hierarchy::{ANY, Hierarchies, Hierarchy, HierarchyFile, MAX_HIERARCHY_BYTES};
pub use rational::Rational;
pub use redact::{Redaction, redact};
pub use report::{AnonymityReport, ColumnReport, Report};
pub use reverse::reverse;
pub use rules::{Anonymity, Column, MAX_RULES_BYTES, Method, Scan, View, Views};
pub use table::{Format, MAX_TABLE_BYTES, Reader};
