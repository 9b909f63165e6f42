//! Profiles: the shape of a sandbox as data, checked.

use std::collections::{BTreeMap, BTreeSet};

use hotcell_types::{Destination, RequestRules, Wall};
use serde::Deserialize;

use crate::calls::{self, CallGroup};
use crate::error::ProfileError;
use crate::limit::{Limit, LimitKey, Limits};
use crate::overlay::{
    CallSettings, DeviceSettings, InspectionSettings, LimitSetting, MemorySettings, ModelSettings, MountSettings,
    NetworkSettings, Overlay, RawSystemView, ScratchSettings, WallSettings, parse_toml,
};
use crate::system_view::{SystemView, check_path};
use crate::{
    Accesses, DetectorRule, FingerprintRule, Origin, OutputRule, RawRight, Runner, ScratchRule, SideChannelRule,
    SignatureRule, StreamRule,
};

/// The shape of a sandbox: checked, complete, and with the origin of each value.
///
/// INVARIANT (narrow-only): from a built-in profile there are two ways to another one, [`Profile::narrow`]
/// and [`Profile::from_file`], and neither leads beyond the built-in profile's bounds.
///
/// Inputs, model and code are mounted read-only in every profile; there is no key for that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub(crate) name: String,
    pub(crate) limits: Limits,
    pub(crate) system_view: Setting<SystemView>,
    pub(crate) code_exec: Setting<bool>,
    pub(crate) scratch_exec: Setting<bool>,
    pub(crate) scratch_exec_allowed: Setting<bool>,
    pub(crate) loopback: Setting<bool>,
    pub(crate) loopback_allowed: Setting<bool>,
    pub(crate) write_xor_execute: Setting<bool>,
    pub(crate) scratch: Setting<ScratchRule>,
    pub(crate) groups: Setting<BTreeSet<CallGroup>>,
    pub(crate) allow: Setting<BTreeSet<&'static str>>,
    pub(crate) deny: Setting<BTreeSet<&'static str>>,
    pub(crate) streams: Setting<StreamRule>,
    pub(crate) outputs: Setting<OutputRule>,
    pub(crate) detectors: Setting<DetectorRule>,
    pub(crate) fingerprints: Setting<FingerprintRule>,
    pub(crate) signature: Setting<SignatureRule>,
    pub(crate) walls: Setting<BTreeSet<Wall>>,
    pub(crate) side_channels: Setting<SideChannelRule>,
    pub(crate) own_cores: Setting<bool>,
    /// Paths of data that may be executed.
    pub(crate) data_exec: Setting<BTreeSet<String>>,
    pub(crate) data_exec_allowed: Setting<bool>,
    /// Devices of the host, by node.
    pub(crate) devices: Setting<BTreeMap<String, Accesses>>,
    pub(crate) devices_allowed: Setting<bool>,
    /// Hosts that may be reached, and whether what goes there passes unopened.
    pub(crate) hosts: Setting<BTreeMap<Destination, bool>>,
    pub(crate) request_rules: Setting<BTreeMap<Destination, RequestRules>>,
    pub(crate) egress_allowed: Setting<bool>,
}

/// A value and who set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

impl Profile {
    /// The names of the built-in profiles.
    pub const BUILTIN: &'static [&'static str] = &["strict", "third-party", "infer", "train", "baseline-5.10"];

    /// The built-in profile of this name.
    ///
    /// # Errors
    /// [`ProfileError::UnknownProfile`]; a built-in file with a fault (a test proves that there is none)
    /// gives the fault.
    pub fn builtin(name: &str) -> Result<Self, ProfileError> {
        let found = BUILTIN.iter().find(|profile| profile.name == name);
        let profile = found.ok_or_else(|| ProfileError::UnknownProfile { name: crate::limit::brief(name) })?;
        complete(name.to_owned(), profile.overlay()?, &Origin::Builtin(profile.name))
    }

    /// Reads a profile file: `extends` names the built-in profile that it narrows, or chooses from within
    /// its bounds. `path` is named in errors and origins.
    ///
    /// # Errors
    /// Any [`ProfileError`].
    pub fn from_file(text: &str, path: &str) -> Result<Self, ProfileError> {
        let (profile, overlay) = Self::read_file(text, path)?;
        profile.narrow(&overlay, &Origin::ProfileFile(path.to_owned()))
    }

    /// As [`Profile::from_file`], for one that the task file `task` names, which may have come with foreign code: what it
    /// asks for by `[[rights]]` is not the local user's own choice.
    ///
    /// # Errors
    /// Any [`ProfileError`].
    pub fn from_foreign_file(text: &str, path: &str, task: &str) -> Result<Self, ProfileError> {
        let (profile, mut overlay) = Self::read_file(text, path)?;
        let rights = Overlay { rights: std::mem::take(&mut overlay.rights), ..Overlay::default() };
        let profile = profile.narrow(&overlay, &Origin::ProfileFile(path.to_owned()))?;
        profile.narrow(&rights, &Origin::Task(task.to_owned()))
    }

    fn read_file(text: &str, path: &str) -> Result<(Self, Overlay), ProfileError> {
        let file: ProfileFile = parse_toml(text, path)?;
        let mut profile = Self::builtin(&file.extends)?;
        profile.name = file.name;
        let overlay = Overlay {
            limits: file.limits,
            mounts: file.mounts,
            network: file.network,
            memory: file.memory,
            scratch: file.scratch,
            system_calls: file.system_calls,
            inspection: file.inspection,
            model: file.model,
            walls: file.walls,
            side_channels: file.side_channels,
            own_cores: file.own_cores,
            devices: file.devices,
            rights: file.rights,
        };
        Ok((profile, overlay))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What is seen of the host, read-only.
    pub fn system_view(&self) -> &SystemView {
        &self.system_view.value
    }

    /// Whether programs under `/code` may be executed.
    pub fn code_exec(&self) -> bool {
        self.code_exec.value
    }

    /// Whether what the workload writes to `/scratch` may be executed: for compilers that run what they build.
    pub fn scratch_exec(&self) -> bool {
        self.scratch_exec.value
    }

    /// Whether IPv4 and IPv6 sockets may be opened, which reach the sandbox itself only.
    pub fn loopback(&self) -> bool {
        self.loopback.value
    }

    /// Whether memory that was writable can never become executable.
    pub fn write_xor_execute(&self) -> bool {
        self.write_xor_execute.value
    }

    /// Where scratch lives.
    pub fn scratch(&self) -> ScratchRule {
        self.scratch.value
    }

    /// The names of the system calls that pass, sorted: the groups and `allow`, without `deny`.
    pub fn system_calls(&self) -> Vec<&'static str> {
        let grouped = calls::BASE
            .iter()
            .filter(|rule| self.groups.value.contains(&rule.group))
            .map(|rule| rule.name)
            .chain(self.allow.value.iter().copied());
        let passing: BTreeSet<_> = grouped.filter(|name| !self.deny.value.contains(name)).collect();
        passing.into_iter().collect()
    }

    /// What the profile wants done with standard output and error; policy may be stricter.
    pub fn streams(&self) -> StreamRule {
        self.streams.value
    }

    /// Which files may leave.
    pub fn outputs(&self) -> OutputRule {
        self.outputs.value
    }

    /// What is done about personal data and secrets in what would leave.
    pub fn detectors(&self) -> DetectorRule {
        self.detectors.value
    }

    /// What fingerprints of the inputs do to what would leave.
    pub fn fingerprints(&self) -> FingerprintRule {
        self.fingerprints.value
    }

    /// Which signature a model needs.
    pub fn signature(&self) -> SignatureRule {
        self.signature.value
    }

    /// The walls that must stand, those that it asks for on demand not counted.
    pub fn required_walls(&self) -> &BTreeSet<Wall> {
        &self.walls.value
    }

    /// The walls that stand only where a profile asks for them, as this one does.
    pub fn demanded_walls(&self, runner: Runner) -> impl Iterator<Item = Wall> {
        let hardened = self.side_channels() == SideChannelRule::Hardened;
        let demanded = move |wall: &Wall| match wall {
            Wall::WriteXorExecute => self.write_xor_execute(),
            Wall::Speculation | Wall::CoreScheduling | Wall::PageSharing => hardened,
            // No other program starts without them.
            Wall::NoClocks => hardened && runner == Runner::Builtin,
            Wall::OwnCores => self.own_cores(),
            _ => false,
        };
        Wall::ALL.iter().copied().filter(demanded)
    }

    /// How much is done against side channels.
    pub fn side_channels(&self) -> SideChannelRule {
        self.side_channels.value
    }

    /// Whether a task has cores of its own: its limit on processors, rounded up to whole cores.
    pub fn own_cores(&self) -> bool {
        self.own_cores.value
    }

    /// Whether data at this path inside may be executed.
    pub(crate) fn executes(&self, path: &str) -> bool {
        self.data_exec.value.contains(path)
    }

    /// Which requests to a host may pass where it is opened.
    pub fn request_rules(&self, host: &Destination) -> RequestRules {
        self.request_rules.value.get(host).cloned().unwrap_or_default()
    }

    /// The hosts that may be reached, and whether what goes there passes unopened.
    pub fn hosts(&self) -> &BTreeMap<Destination, bool> {
        &self.hosts.value
    }

    /// The devices of the host that may be used, by node.
    pub(crate) fn devices(&self) -> &BTreeMap<String, Accesses> {
        &self.devices.value
    }
}

/// A built-in profile: as people write it, and the same values as JSON, which is read in a third of the time.
///
/// INVARIANT (compiled-profile-is-source): a test makes the JSON of the TOML and compares.
struct Builtin {
    name: &'static str,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the source of what stands beside it, for the test that compares")
    )]
    source: &'static str,
    compiled: &'static str,
}

impl Builtin {
    fn overlay(&self) -> Result<Overlay, ProfileError> {
        serde_json::from_str(self.compiled).map_err(|error| ProfileError::Syntax {
            file: self.name.to_owned(),
            line: error.line(),
            problem: error.to_string(),
        })
    }
}

macro_rules! builtin {
    ($name:literal) => {
        Builtin {
            name: $name,
            source: include_str!(concat!("../profiles/", $name, ".toml")),
            compiled: include_str!(concat!("../profiles/compiled/", $name, ".json")),
        }
    };
}

const BUILTIN: &[Builtin] =
    &[builtin!("strict"), builtin!("third-party"), builtin!("infer"), builtin!("train"), builtin!("baseline-5.10")];

/// A profile file as written: an overlay, with the profile it is laid over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFile {
    name: String,
    extends: String,
    side_channels: Option<SideChannelRule>,
    own_cores: Option<bool>,
    #[serde(default)]
    limits: BTreeMap<LimitKey, LimitSetting>,
    #[serde(default)]
    mounts: MountSettings,
    #[serde(default)]
    network: NetworkSettings,
    #[serde(default)]
    memory: MemorySettings,
    #[serde(default)]
    scratch: ScratchSettings,
    #[serde(default)]
    system_calls: CallSettings,
    #[serde(default)]
    inspection: InspectionSettings,
    #[serde(default)]
    model: ModelSettings,
    #[serde(default)]
    walls: WallSettings,
    #[serde(default)]
    devices: DeviceSettings,
    #[serde(default)]
    rights: Vec<RawRight>,
}

/// Makes a profile of an overlay that has every key.
fn complete(name: String, overlay: Overlay, origin: &Origin) -> Result<Profile, ProfileError> {
    let lacks = |key: &str| ProfileError::Incomplete { key: key.to_owned(), origin: origin.clone() };
    let limits = complete_limits(&overlay, origin)?;
    let view = overlay.mounts.system_view.ok_or_else(|| lacks("mounts.system_view"))?;
    let groups = overlay.system_calls.groups.ok_or_else(|| lacks("system_calls.groups"))?;
    let allow = overlay.system_calls.allow.ok_or_else(|| lacks("system_calls.allow"))?;
    let deny = overlay.system_calls.deny.ok_or_else(|| lacks("system_calls.deny"))?;
    let walls = overlay.walls.required.ok_or_else(|| lacks("walls.required"))?;
    Ok(Profile {
        name,
        limits,
        system_view: from(check_view(&view, origin)?, origin),
        code_exec: present(overlay.mounts.code_exec, "mounts.code_exec", origin)?,
        scratch_exec: present(overlay.mounts.scratch_exec, "mounts.scratch_exec", origin)?,
        scratch_exec_allowed: present(overlay.mounts.scratch_exec_allowed, "mounts.scratch_exec_allowed", origin)?,
        loopback: present(overlay.network.loopback, "network.loopback", origin)?,
        loopback_allowed: present(overlay.network.loopback_allowed, "network.loopback_allowed", origin)?,
        write_xor_execute: present(overlay.memory.write_xor_execute, "memory.write_xor_execute", origin)?,
        scratch: present(overlay.scratch.kind, "scratch.kind", origin)?,
        groups: from(groups.into_iter().collect(), origin),
        allow: from(check_allow(&allow, origin)?, origin),
        deny: from(check_deny(&deny, origin)?, origin),
        streams: present(overlay.inspection.streams, "inspection.streams", origin)?,
        outputs: present(overlay.inspection.outputs, "inspection.outputs", origin)?,
        detectors: present(overlay.inspection.detectors, "inspection.detectors", origin)?,
        fingerprints: present(overlay.inspection.fingerprints, "inspection.fingerprints", origin)?,
        signature: present(overlay.model.signature, "model.signature", origin)?,
        walls: from(walls.into_iter().collect(), origin),
        side_channels: present(overlay.side_channels, "side_channels", origin)?,
        own_cores: present(overlay.own_cores, "own_cores", origin)?,
        data_exec: from(BTreeSet::new(), origin),
        data_exec_allowed: present(overlay.mounts.data_exec_allowed, "mounts.data_exec_allowed", origin)?,
        devices: from(BTreeMap::new(), origin),
        devices_allowed: present(overlay.devices.allowed, "devices.allowed", origin)?,
        hosts: from(BTreeMap::new(), origin),
        request_rules: from(BTreeMap::new(), origin),
        egress_allowed: present(overlay.network.egress_allowed, "network.egress_allowed", origin)?,
    })
}

fn complete_limits(overlay: &Overlay, origin: &Origin) -> Result<Limits, ProfileError> {
    let mut limits = Vec::with_capacity(LimitKey::ALL.len());
    for key in LimitKey::ALL {
        let lacks = || ProfileError::Incomplete { key: format!("limits.{key}"), origin: origin.clone() };
        let setting = overlay.limits.get(key).ok_or_else(lacks)?;
        let value = parse_limit(*key, setting.default.as_deref().ok_or_else(lacks)?, origin)?;
        let max = parse_limit(*key, setting.max.as_deref().ok_or_else(lacks)?, origin)?;
        if value > max {
            let problem = format!("the default {} is above the max {}", key.show(value), key.show(max));
            return Err(ProfileError::Value { key: format!("limits.{key}"), origin: origin.clone(), problem });
        }
        limits.push(Limit {
            value,
            max,
            enforcement: setting.enforcement.ok_or_else(lacks)?,
            origin: origin.clone(),
            max_origin: origin.clone(),
            enforcement_origin: origin.clone(),
        });
    }
    let lacks_some = |_| ProfileError::Incomplete { key: "limits".to_owned(), origin: origin.clone() };
    Ok(Limits(limits.try_into().map_err(lacks_some)?))
}

fn from<T>(value: T, origin: &Origin) -> Setting<T> {
    Setting { value, origin: origin.clone() }
}

fn present<T>(value: Option<T>, key: &str, origin: &Origin) -> Result<Setting<T>, ProfileError> {
    let value = value.ok_or_else(|| ProfileError::Incomplete { key: key.to_owned(), origin: origin.clone() })?;
    Ok(from(value, origin))
}

/// Reads a limit's value, naming key and origin when it means nothing.
pub(crate) fn parse_limit(key: LimitKey, text: &str, origin: &Origin) -> Result<u64, ProfileError> {
    key.parse(text).map_err(|problem| ProfileError::Value {
        key: format!("limits.{key}"),
        origin: origin.clone(),
        problem,
    })
}

/// Checks what is written under `system_view`.
pub(crate) fn check_view(raw: &RawSystemView, origin: &Origin) -> Result<SystemView, ProfileError> {
    let wrong = |problem| ProfileError::Value { key: "mounts.system_view".to_owned(), origin: origin.clone(), problem };
    match raw {
        RawSystemView::Word(word) => match word.as_str() {
            "host" => Ok(SystemView::Host),
            "none" => Ok(SystemView::None),
            other => Err(wrong(format!(
                "`{}` is neither \"host\", \"none\" nor a list of paths",
                crate::limit::brief(other)
            ))),
        },
        RawSystemView::Paths(paths) => {
            paths.iter().try_for_each(|path| check_path(path)).map_err(wrong)?;
            Ok(SystemView::Paths(paths.clone()))
        }
    }
}

/// Checks the names under `allow`: each must stand in one of our lists, and none among those that never pass.
pub(crate) fn check_allow(names: &[String], origin: &Origin) -> Result<BTreeSet<&'static str>, ProfileError> {
    let wrong = |problem| ProfileError::Value { key: "system_calls.allow".to_owned(), origin: origin.clone(), problem };
    names
        .iter()
        .map(|name| {
            if let Some((never, why)) = calls::NEVER.iter().find(|(never, _)| never == name) {
                return Err(wrong(format!("`{never}` can never be allowed: {why}")));
            }
            let shown = crate::limit::brief(name);
            let rule =
                calls::rule_of(name).ok_or_else(|| wrong(format!("`{shown}` is not a call that can be allowed")))?;
            Ok(rule.name)
        })
        .collect()
}

/// Checks the names under `deny`: a name that is unknown is a slip of the pen that would protect nothing.
pub(crate) fn check_deny(names: &[String], origin: &Origin) -> Result<BTreeSet<&'static str>, ProfileError> {
    let wrong = |name: &str| ProfileError::Value {
        key: "system_calls.deny".to_owned(),
        origin: origin.clone(),
        problem: format!("`{}` is not a call that could pass in the first place", crate::limit::brief(name)),
    };
    names.iter().map(|name| calls::rule_of(name).map(|rule| rule.name).ok_or_else(|| wrong(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiled_profiles_are_those_of_the_toml_files() {
        for profile in BUILTIN {
            let made = toml::from_str::<serde_json::Value>(profile.source).unwrap();
            if std::env::var_os("HOTCELL_WRITE").is_some() {
                let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/compiled");
                std::fs::write(format!("{folder}/{}.json", profile.name), format!("{made}\n")).unwrap();
                continue;
            }
            let compiled = serde_json::from_str::<serde_json::Value>(profile.compiled).unwrap();
            assert!(compiled == made, "{}.json is stale: run this test with HOTCELL_WRITE=1", profile.name);
            assert_eq!(profile.overlay().unwrap(), Overlay::parse(profile.source, profile.name).unwrap());
        }
    }

    #[test]
    fn every_built_in_profile_has_its_name_in_the_list() {
        assert!(BUILTIN.iter().map(|profile| profile.name).eq(Profile::BUILTIN.iter().copied()));
    }
}
