//! The choices that a profile makes by one word, each ordered from wide to narrow.

use std::fmt;

use serde::Deserialize;

/// What is done with standard output and error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamRule {
    /// They pass as they are written, where policy permits.
    Live,
    /// They are captured and inspected.
    Inspect,
}

/// Which files may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputRule {
    /// Regular files within the limits; declared ones are rewritten.
    Any,
    /// Only what the task declares, rewritten from its values.
    Declared,
}

/// What detectors of personal data and secrets do to outputs and to streams that would be released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DetectorRule {
    /// They do not look.
    Off,
    /// What they find does not leave.
    Refuse,
}

/// What fingerprints of the inputs do to outputs, their names, and streams that would be released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FingerprintRule {
    /// None are made.
    Off,
    /// What they recognise does not leave.
    Refuse,
}

/// Which signature a model needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureRule {
    /// None.
    None,
    /// A valid one, by whomever.
    Valid,
    /// A valid one by a key that the user named as trusted.
    Trusted,
}

/// Where scratch lives. `auto` chooses between the other two; neither is wider than the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScratchRule {
    /// In memory where nothing could write it to a disk in plain and it is small, else encrypted.
    Auto,
    /// In memory; refused where the host could swap it out in plain.
    Memory,
    /// On an encrypted volume.
    Encrypted,
}

/// How much is done against what can be learnt of a task by its neighbours, and by it of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SideChannelRule {
    /// What the host does for all of its processes.
    Usual,
    /// Everything that the kernel has for one process.
    Hardened,
}

macro_rules! words {
    ($type:ident: $($variant:ident = $word:literal),*) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $word,)* })
            }
        }
    };
}

words!(StreamRule: Live = "live", Inspect = "inspect");
words!(DetectorRule: Off = "off", Refuse = "refuse");
words!(FingerprintRule: Off = "off", Refuse = "refuse");
words!(OutputRule: Any = "any", Declared = "declared");
words!(ScratchRule: Auto = "auto", Memory = "memory", Encrypted = "encrypted");
words!(SideChannelRule: Usual = "usual", Hardened = "hardened");
words!(SignatureRule: None = "none", Valid = "valid", Trusted = "trusted");
