//! What a file or a flag says about a sandbox, before it is checked: every key is optional.
//!
//! A built-in profile is an overlay with every key present; a profile file, `hotcell.toml`, a task
//! file and the command line are overlays with some.

use std::collections::BTreeMap;
use std::fmt;

use hotcell_types::{Destination, NotAHost, Wall};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::ProfileError;
use crate::limit::{Demand, LimitKey};
use crate::{
    Access, CallGroup, DetectorRule, FingerprintRule, OutputRule, RawRight, ScratchRule, SideChannelRule,
    SignatureRule, StreamRule,
};

/// Settings that one layer makes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Overlay {
    /// How much is done against side channels.
    pub side_channels: Option<SideChannelRule>,
    /// Whether the task has cores of its own.
    pub own_cores: Option<bool>,
    /// `[limits]`: by name, a value or a table of `default`, `max`, `enforcement`.
    pub limits: BTreeMap<LimitKey, LimitSetting>,
    /// `[mounts]`.
    pub mounts: MountSettings,
    /// `[network]`.
    pub network: NetworkSettings,
    /// `[memory]`.
    pub memory: MemorySettings,
    /// `[scratch]`.
    pub scratch: ScratchSettings,
    /// `[system_calls]`.
    pub system_calls: CallSettings,
    /// `[inspection]`.
    pub inspection: InspectionSettings,
    /// `[model]`.
    pub model: ModelSettings,
    /// `[walls]`.
    pub walls: WallSettings,
    /// `[devices]`.
    pub devices: DeviceSettings,
    /// `[[rights]]`: what is asked for beyond what every sandbox has.
    pub rights: Vec<RawRight>,
}

/// One limit as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitSetting {
    /// The value in force.
    pub default: Option<String>,
    /// The greatest value that the local user may ask for.
    pub max: Option<String>,
    /// How well it must be kept.
    pub enforcement: Option<Demand>,
}

/// What is mounted, beyond the inputs, the model and the code, which are always read-only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MountSettings {
    /// What is seen of the host, read-only: `"host"`, `"none"` or a list of paths.
    pub system_view: Option<RawSystemView>,
    /// Whether programs under `/code` may be executed.
    pub code_exec: Option<bool>,
    /// Whether what was written to `/scratch` may be executed.
    pub scratch_exec: Option<bool>,
    /// Whether the local user may turn `scratch_exec` on.
    pub scratch_exec_allowed: Option<bool>,
    /// Whether the local user may ask for EXECUTE over inputs and outputs.
    pub data_exec_allowed: Option<bool>,
}

/// Devices of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceSettings {
    /// Whether the local user may ask for rights over them.
    pub allowed: Option<bool>,
}

/// `system_view` as written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum RawSystemView {
    /// `"host"` or `"none"`.
    Word(String),
    /// Absolute paths.
    Paths(Vec<String>),
}

/// The network inside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkSettings {
    /// Whether the workload may open IPv4 and IPv6 sockets, which reach itself only.
    pub loopback: Option<bool>,
    /// Whether the local user may turn `loopback` on.
    pub loopback_allowed: Option<bool>,
    /// Whether the local user may ask for CONNECT over hosts.
    pub egress_allowed: Option<bool>,
}

/// Rules on memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemorySettings {
    /// Whether memory that was writable can never become executable.
    pub write_xor_execute: Option<bool>,
}

/// The sandbox's own volume; its size is a limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScratchSettings {
    /// Where it lives.
    pub kind: Option<ScratchRule>,
}

/// Which system calls pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallSettings {
    /// Named groups of the allow-list.
    pub groups: Option<Vec<CallGroup>>,
    /// Single calls beyond the groups.
    pub allow: Option<Vec<String>>,
    /// Single calls taken away again.
    pub deny: Option<Vec<String>>,
}

/// How outputs and streams are looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InspectionSettings {
    /// Standard output and error.
    pub streams: Option<StreamRule>,
    /// Files under `/output`.
    pub outputs: Option<OutputRule>,
    /// Personal data and secrets in what would leave.
    pub detectors: Option<DetectorRule>,
    /// What of the inputs stands in what would leave.
    pub fingerprints: Option<FingerprintRule>,
}

/// What is asked of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSettings {
    /// Which signature it needs.
    pub signature: Option<SignatureRule>,
}

/// Which walls must stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WallSettings {
    /// Their names.
    pub required: Option<Vec<Wall>>,
}

impl Overlay {
    /// Reads an overlay from TOML; `file` is named in errors.
    ///
    /// # Errors
    /// [`ProfileError::Syntax`] with the line, for what is not TOML, an unknown key or a wrong type.
    pub fn parse(text: &str, file: &str) -> Result<Self, ProfileError> {
        parse_toml(text, file)
    }

    /// Adds a host to be reached, given as `HOST[:PORT][,pass]`, as `--egress` takes it.
    ///
    /// # Errors
    /// [`ProfileError::Flag`] when it names no host.
    pub fn add_host(&mut self, text: &str) -> Result<(), ProfileError> {
        let wrong = |problem: String| ProfileError::Flag { flag: format!("--egress {text}"), problem };
        let (host, pass) = text.strip_suffix(",pass").map_or((text, false), |host| (host, true));
        let destination: Destination = host.parse().map_err(|error: NotAHost| wrong(error.to_string()))?;
        let access = vec![Access::Connect];
        self.rights.push(RawRight { access, host: Some(destination.to_string()), pass, ..RawRight::default() });
        Ok(())
    }

    /// Adds one limit given as `KEY=VALUE`, as `--limit` takes it.
    ///
    /// # Errors
    /// [`ProfileError::Flag`] when it is not of that form or names no limit.
    pub fn set_limit(&mut self, text: &str) -> Result<(), ProfileError> {
        let wrong = |problem: String| ProfileError::Flag { flag: format!("--limit {text}"), problem };
        let (key, value) = text.split_once('=').ok_or_else(|| wrong("expected KEY=VALUE".to_owned()))?;
        let key: LimitKey = key.parse().map_err(wrong)?;
        key.parse(value).map_err(wrong)?;
        self.limits.entry(key).or_default().default = Some(value.to_owned());
        Ok(())
    }
}

/// Longest profile, project or task file that is read: far above any real one, far below trouble.
pub const MAX_FILE_BYTES: usize = 256 << 10;

/// Reads TOML into `T`, telling the line of what is wrong.
pub(crate) fn parse_toml<T: de::DeserializeOwned>(text: &str, file: &str) -> Result<T, ProfileError> {
    if text.len() > MAX_FILE_BYTES {
        return Err(ProfileError::TooLong { file: file.to_owned(), bytes: text.len(), most: MAX_FILE_BYTES });
    }
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
        ProfileError::Syntax {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            problem: error.message().to_owned(),
        }
    })
}

impl<'de> Deserialize<'de> for LimitSetting {
    /// A bare value or a table. By hand and not `untagged`, so that errors say what is wrong and where.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LimitVisitor)
    }
}

struct LimitVisitor;

impl LimitVisitor {
    fn bare<E>(value: impl ToString) -> Result<LimitSetting, E> {
        Ok(LimitSetting { default: Some(value.to_string()), max: None, enforcement: None })
    }
}

impl<'de> Visitor<'de> for LimitVisitor {
    type Value = LimitSetting;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value such as \"512MiB\", or a table of default, max and enforcement")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<LimitSetting, E> {
        Self::bare(value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<LimitSetting, E> {
        Self::bare(value)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<LimitSetting, E> {
        Self::bare(value)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<LimitSetting, E> {
        Self::bare(value)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<LimitSetting, A::Error> {
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct Table {
            default: Option<Scalar>,
            max: Option<Scalar>,
            enforcement: Option<Demand>,
        }
        let table = Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(LimitSetting {
            default: table.default.map(|value| value.0),
            max: table.max.map(|value| value.0),
            enforcement: table.enforcement,
        })
    }
}

/// A number or a text, kept as the text that the limit's own parser reads.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let setting = deserializer.deserialize_any(LimitVisitor)?;
        match (setting.default, setting.max, setting.enforcement) {
            (Some(value), None, None) => Ok(Self(value)),
            _ => Err(de::Error::custom("expected a value such as \"512MiB\", not a table")),
        }
    }
}
