//! Obligations: what the rule that allows demands in return, written as annotations on it.
//!
//! They form a lattice: [`Obligations::join`] of any two demands at least what either does, whatever the order. So it
//! does not matter how many rules allow, nor which is looked at first.

use std::collections::BTreeSet;
use std::fmt;

use hotcell_types::{AuditLevel, parse_duration};
use serde::Serialize;

use crate::denial::Unmet;

/// What has to be kept for an allowed request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Obligations {
    /// How much is recorded.
    #[serde(skip_serializing_if = "is_default")]
    pub audit: AuditLevel,
    /// The greatest age of a second authentication, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_up_ms: Option<u64>,
    /// The views through which data is seen; each of them is applied.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub views: BTreeSet<String>,
    /// The least isolation level.
    #[serde(skip_serializing_if = "is_default")]
    pub isolation: IsolationLevel,
    /// What the profile has to be beside what it is.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub hardening: BTreeSet<Hardening>,
    /// How long the grant may wait for its start, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime_ms: Option<u64>,
    /// How many others have to approve.
    #[serde(skip_serializing_if = "is_default")]
    pub approvals: u32,
    /// The most that may leave, all items together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_bits: Option<u64>,
}

/// Isolation levels, from weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum IsolationLevel {
    /// Namespaces.
    #[default]
    Process,
    /// A virtual machine.
    Microvm,
    /// Hardware that attests.
    Tee,
}

/// One demand on the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hardening {
    /// Memory that was writable never becomes executable.
    WriteXorExecute,
    /// Scratch is encrypted, also where it is small.
    EncryptedScratch,
    /// No sockets, not even within the sandbox.
    NoLoopback,
    /// Only declared outputs leave.
    DeclaredOutputs,
    /// Standard output and error are inspected.
    InspectedStreams,
    /// The kernel keeps every limit; watching does not do.
    FullLimits,
    /// The model is signed by a key that is trusted here.
    TrustedModel,
    /// Timing is defended against.
    SideChannels,
}

/// Every annotation that is an obligation, with what it takes.
pub const OBLIGATIONS: &[(&str, &str)] = &[
    ("obligation_audit", "`high` or `very-high`"),
    ("obligation_step_up", "the greatest age of the second authentication: `10m`"),
    ("obligation_view", "names of role views, separated by commas"),
    ("obligation_isolation", "`process`, `microvm` or `tee`"),
    (
        "obligation_hardening",
        "`write-xor-execute`, `encrypted-scratch`, `no-loopback`, `declared-outputs`, `inspected-streams`, `full-limits`, \
         `trusted-model`, `side-channels`, separated by commas",
    ),
    ("obligation_lifetime", "how long the grant may wait for its start: `5m`, at most 15m"),
    ("obligation_approvals", "how many others have to approve: `2`"),
    ("obligation_capacity", "the most bits that may leave: `4096`"),
];

impl Obligations {
    /// Demands nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// What demands all that either does: the stricter of each.
    #[must_use]
    pub fn join(mut self, other: &Self) -> Self {
        self.add(other);
        self
    }

    /// As [`Obligations::join`], in place.
    pub fn add(&mut self, other: &Self) {
        self.audit = self.audit.max(other.audit);
        self.step_up_ms = least(self.step_up_ms, other.step_up_ms);
        self.isolation = self.isolation.max(other.isolation);
        self.lifetime_ms = least(self.lifetime_ms, other.lifetime_ms);
        self.approvals = self.approvals.max(other.approvals);
        self.capacity_bits = least(self.capacity_bits, other.capacity_bits);
        self.views.extend(other.views.iter().cloned());
        self.hardening.extend(&other.hardening);
    }

    /// As [`Obligations::join`], of two that stay.
    pub(crate) fn join_ref(&self, other: &Self) -> Self {
        self.clone().join(other)
    }

    /// Whether everything that is demanded can be done here, at this isolation level and with these role views. What narrows a profile, a grant's
    /// time and what may leave is done where these are made.
    ///
    /// # Errors
    /// What nothing here can do. It is never left out.
    pub(crate) fn check(&self, isolation: &str, views: &BTreeSet<String>) -> Result<(), Unmet> {
        if let Some(age) = self.step_up_ms {
            return Err(Unmet::StepUp(age));
        }
        if let Some(view) = self.views.iter().find(|view| !views.contains(*view)) {
            return Err(Unmet::View(view.clone()));
        }
        if self.approvals > 0 {
            return Err(Unmet::Approvals(self.approvals));
        }
        if IsolationLevel::of(isolation).is_none_or(|level| level < self.isolation) {
            return Err(Unmet::Isolation(self.isolation));
        }
        Ok(())
    }

    /// Whether it demands nothing.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether what is kept for `other` keeps this too.
    pub fn is_met_by(&self, other: &Self) -> bool {
        other.clone().join(self) == *other
    }

    /// Takes one annotation.
    ///
    /// # Errors
    /// What the annotation takes instead, in words; `None` where it is no obligation.
    pub(crate) fn annotate(&mut self, name: &str, value: &str) -> Result<(), Option<String>> {
        let Some((_, takes)) = OBLIGATIONS.iter().find(|(known, _)| *known == name) else { return Err(None) };
        self.set(name, value).ok_or_else(|| Some(format!("it takes {takes}")))
    }

    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        let words = || value.split(',').map(str::trim);
        match name {
            "obligation_audit" => {
                self.audit = match value {
                    "high" => AuditLevel::High,
                    "very-high" => AuditLevel::VeryHigh,
                    _ => return None,
                }
            }
            "obligation_step_up" => self.step_up_ms = Some(millis(value)?),
            "obligation_view" => {
                self.views = words().map(str::to_owned).collect();
                let sound = |view: &String| !view.is_empty() && view.bytes().all(|byte| byte.is_ascii_graphic());
                return self.views.iter().all(sound).then_some(());
            }
            "obligation_isolation" => self.isolation = IsolationLevel::of(value)?,
            "obligation_hardening" => self.hardening = words().map(Hardening::of).collect::<Option<_>>()?,
            "obligation_lifetime" => {
                let life = millis(value)?;
                self.lifetime_ms = (1..=crate::GRANT_LIFETIME_MS).contains(&life).then_some(Some(life))?;
            }
            "obligation_approvals" => {
                self.approvals = value.parse().ok().filter(|count| (1..=MAX_APPROVALS).contains(count))?;
            }
            _ => self.capacity_bits = Some(value.parse().ok()?),
        }
        Some(())
    }
}

/// More people than this approve nothing together.
const MAX_APPROVALS: u32 = 100;

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn least(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

fn millis(text: &str) -> Option<u64> {
    u64::try_from(parse_duration(text).ok()?.as_millis()).ok()
}

impl IsolationLevel {
    /// The level of this name.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "process" => Self::Process,
            "microvm" => Self::Microvm,
            "tee" => Self::Tee,
            _ => return None,
        })
    }
}

impl Hardening {
    const ALL: &'static [(&'static str, Self)] = &[
        ("write-xor-execute", Self::WriteXorExecute),
        ("encrypted-scratch", Self::EncryptedScratch),
        ("no-loopback", Self::NoLoopback),
        ("declared-outputs", Self::DeclaredOutputs),
        ("inspected-streams", Self::InspectedStreams),
        ("full-limits", Self::FullLimits),
        ("trusted-model", Self::TrustedModel),
        ("side-channels", Self::SideChannels),
    ];

    fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, hardening)| *hardening)
    }
}

impl fmt::Display for Hardening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, hardening)| hardening == self).map_or("", |(name, _)| *name);
        f.pad(name)
    }
}

impl fmt::Display for IsolationLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Process => "process",
            Self::Microvm => "microvm",
            Self::Tee => "tee",
        })
    }
}

#[cfg(test)]
mod tests;
