//! The effective values of a profile, for `policy explain` and for the digest in the receipt.

use std::collections::BTreeSet;
use std::fmt::Display;

use crate::narrow::list;
use crate::profile::{Profile, Setting};

/// One effective value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Effective {
    /// The key, as it stands in a profile file: `limits.memory`.
    pub key: String,
    /// The value in force.
    pub value: String,
    /// Who set it.
    pub origin: String,
    /// How far the local user may go, where there is room above the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<String>,
    /// Who set the bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound_origin: Option<String>,
}

impl Profile {
    /// Every effective value with its origin, in the order in which they are shown.
    pub fn effective(&self) -> Vec<Effective> {
        let mut rows = Vec::new();
        for (key, limit) in self.limits().iter() {
            let bounded = limit.max != limit.value;
            rows.push(Effective {
                key: format!("limits.{key}"),
                value: key.show(limit.value),
                origin: limit.origin.to_string(),
                bound: bounded.then(|| format!("at most {}", key.show(limit.max))),
                bound_origin: bounded.then(|| limit.max_origin.to_string()),
            });
            rows.push(Effective {
                key: format!("limits.{key}.enforcement"),
                value: limit.enforcement.to_string(),
                origin: limit.enforcement_origin.to_string(),
                bound: None,
                bound_origin: None,
            });
        }
        rows.push(plain("mounts.system_view", &self.system_view));
        rows.push(plain("mounts.code_exec", &self.code_exec));
        rows.push(choice("mounts.scratch_exec", &self.scratch_exec, &self.scratch_exec_allowed));
        rows.push(open_to("rights over data", list(&self.data_exec.value), &self.data_exec, &self.data_exec_allowed));
        rows.push(open_to("rights over devices", self.shown_devices(), &self.devices, &self.devices_allowed));
        rows.push(choice("network.loopback", &self.loopback, &self.loopback_allowed));
        rows.push(open_to("rights over hosts", self.shown_hosts(), &self.hosts, &self.egress_allowed));
        rows.push(plain("memory.write_xor_execute", &self.write_xor_execute));
        rows.push(plain("scratch.kind", &self.scratch));
        rows.push(set("system_calls.groups", &self.groups));
        rows.push(set("system_calls.allow", &self.allow));
        rows.push(set("system_calls.deny", &self.deny));
        rows.push(plain("inspection.streams", &self.streams));
        rows.push(plain("inspection.outputs", &self.outputs));
        rows.push(plain("inspection.detectors", &self.detectors));
        rows.push(plain("inspection.fingerprints", &self.fingerprints));
        rows.push(plain("model.signature", &self.signature));
        rows.push(set("walls.required", &self.walls));
        rows.push(plain("side_channels", &self.side_channels));
        rows.push(plain("own_cores", &self.own_cores));
        rows
    }

    fn shown_hosts(&self) -> String {
        let form = |passes: bool| if passes { "passed" } else { "opened" };
        let shown: BTreeSet<_> = self
            .hosts()
            .iter()
            .map(|(host, passes)| {
                let limited = if self.request_rules(host).is_empty() { "" } else { ", requests limited" };
                format!("{host} {}{limited}", form(*passes))
            })
            .collect();
        list(&shown)
    }

    fn shown_devices(&self) -> String {
        let shown: BTreeSet<_> = self.devices().iter().map(|(node, accesses)| format!("{node} {accesses}")).collect();
        list(&shown)
    }

    /// The values in force as text, one `key=value` a line, sorted as [`Profile::effective`]: two profiles
    /// that make the same sandbox have the same text. The receipt cites its digest.
    pub fn canonical(&self) -> String {
        let mut text = format!("name={}\n", self.name().escape_debug());
        for row in self.effective() {
            text.push_str(&format!("{}={}\n", row.key, row.value.escape_debug()));
        }
        text.push_str(&format!("calls={}\n", self.system_calls().join(",")));
        text
    }
}

/// Something that the local user may turn on, where it is off.
fn choice(key: &str, setting: &Setting<bool>, allowed: &Setting<bool>) -> Effective {
    let open = allowed.value && !setting.value;
    Effective {
        bound: open.then(|| "may be turned on".to_owned()),
        bound_origin: open.then(|| allowed.origin.to_string()),
        ..plain(key, setting)
    }
}

/// A list that the local user may add to.
fn open_to<T>(key: &str, value: String, setting: &Setting<T>, allowed: &Setting<bool>) -> Effective {
    Effective {
        key: key.to_owned(),
        value,
        origin: setting.origin.to_string(),
        bound: allowed.value.then(|| "may be added to".to_owned()),
        bound_origin: allowed.value.then(|| allowed.origin.to_string()),
    }
}

fn plain<T: Display>(key: &str, setting: &Setting<T>) -> Effective {
    Effective {
        key: key.to_owned(),
        value: setting.value.to_string(),
        origin: setting.origin.to_string(),
        bound: None,
        bound_origin: None,
    }
}

fn set<T: Display>(key: &str, setting: &Setting<BTreeSet<T>>) -> Effective {
    Effective {
        key: key.to_owned(),
        value: list(&setting.value),
        origin: setting.origin.to_string(),
        bound: None,
        bound_origin: None,
    }
}
