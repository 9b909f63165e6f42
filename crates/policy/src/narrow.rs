//! Laying one layer over a profile: it may only narrow.
//!
//! Each key has a value in force and a bound. A file that came with the code (`hotcell.toml`, a task
//! file) may only tighten the value in force. The local user, by a profile file that they name or by a
//! flag, may choose anything up to the bound. Nobody goes beyond the bound, and any layer may tighten it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use hotcell_types::{Destination, RequestRules};

use crate::error::{ProfileError, Widening};
use crate::limit::{Limit, LimitKey};
use crate::overlay::{LimitSetting, Overlay};
use crate::profile::{Profile, Setting, check_allow, check_deny, check_view, parse_limit};
use crate::wish::{MAX_WISHES, Wish};
use crate::{Accesses, Origin, ScratchRule};

impl Profile {
    /// Lays `overlay` over the profile.
    ///
    /// # Errors
    /// [`ProfileError::Widens`] with key, both values, both origins and the remedy;
    /// [`ProfileError::Value`] for a value that means nothing.
    pub fn narrow(mut self, overlay: &Overlay, origin: &Origin) -> Result<Self, ProfileError> {
        for (key, setting) in &overlay.limits {
            narrow_limit(*key, self.limits.of_mut(*key), setting, origin)?;
        }
        if let Some(view) = &overlay.mounts.system_view {
            let view = check_view(view, origin)?;
            tighten("mounts.system_view", &mut self.system_view, view, origin, |new, old| new.within(old))?;
        }
        if let Some(asked) = overlay.mounts.code_exec {
            tighten("mounts.code_exec", &mut self.code_exec, asked, origin, |new, old| new <= old)?;
        }
        self.narrow_choices(overlay, origin)?;
        if let Some(asked) = overlay.memory.write_xor_execute {
            tighten("memory.write_xor_execute", &mut self.write_xor_execute, asked, origin, |new, old| new >= old)?;
        }
        if let Some(asked) = overlay.scratch.kind {
            let chosen = |new: &ScratchRule, old: &ScratchRule| new == old || *old == ScratchRule::Auto;
            tighten("scratch.kind", &mut self.scratch, asked, origin, chosen)?;
        }
        self.narrow_calls(overlay, origin)?;
        if let Some(asked) = overlay.inspection.streams {
            tighten("inspection.streams", &mut self.streams, asked, origin, |new, old| new >= old)?;
        }
        if let Some(asked) = overlay.inspection.outputs {
            tighten("inspection.outputs", &mut self.outputs, asked, origin, |new, old| new >= old)?;
        }
        if let Some(asked) = overlay.inspection.detectors {
            // Whose data it is may decide that it may leave; a file that came with the code may not.
            let own = origin.is_own_choice();
            tighten("inspection.detectors", &mut self.detectors, asked, origin, |new, old| own || new >= old)?;
        }
        if let Some(asked) = overlay.inspection.fingerprints {
            let own = origin.is_own_choice();
            tighten("inspection.fingerprints", &mut self.fingerprints, asked, origin, |new, old| own || new >= old)?;
        }
        if let Some(asked) = overlay.model.signature {
            tighten("model.signature", &mut self.signature, asked, origin, |new, old| new >= old)?;
        }
        if let Some(asked) = &overlay.walls.required {
            let asked: BTreeSet<_> = asked.iter().copied().collect();
            tighten_set("walls.required", &mut self.walls, asked, origin, |new, old| new.is_superset(old))?;
        }
        if let Some(asked) = overlay.side_channels {
            tighten("side_channels", &mut self.side_channels, asked, origin, |new, old| new >= old)?;
        }
        if let Some(asked) = overlay.own_cores {
            tighten("own_cores", &mut self.own_cores, asked, origin, |new, old| new >= old)?;
        }
        self.narrow_rights(overlay, origin)?;
        Ok(self)
    }

    /// What the local user may turn on where the profile allows it.
    fn narrow_choices(&mut self, overlay: &Overlay, origin: &Origin) -> Result<(), ProfileError> {
        let Overlay { network, mounts, .. } = overlay;
        let loopback =
            Choice { key: "network.loopback", value: &mut self.loopback, allowed: &mut self.loopback_allowed };
        loopback.narrow(network.loopback, network.loopback_allowed, origin)?;
        let exec = Choice {
            key: "mounts.scratch_exec",
            value: &mut self.scratch_exec,
            allowed: &mut self.scratch_exec_allowed,
        };
        exec.narrow(mounts.scratch_exec, mounts.scratch_exec_allowed, origin)
    }

    /// What is asked for beyond what every sandbox has. A list in a later layer adds to that of an earlier one.
    fn narrow_rights(&mut self, overlay: &Overlay, origin: &Origin) -> Result<(), ProfileError> {
        if overlay.rights.len() > MAX_WISHES {
            let problem = format!("more than {MAX_WISHES} rights are asked for at once");
            return Err(ProfileError::Value { key: "rights".to_owned(), origin: origin.clone(), problem });
        }
        for raw in &overlay.rights {
            let Some(wish) = raw.check(origin)? else { continue };
            self.grant_wish(wish, origin)?;
        }
        let narrower = |new: &bool, old: &bool| new <= old;
        if let Some(asked) = overlay.mounts.data_exec_allowed {
            tighten("mounts.data_exec_allowed", &mut self.data_exec_allowed, asked, origin, narrower)?;
        }
        if let Some(asked) = overlay.devices.allowed {
            tighten("devices.allowed", &mut self.devices_allowed, asked, origin, narrower)?;
        }
        if let Some(asked) = overlay.network.egress_allowed {
            tighten("network.egress_allowed", &mut self.egress_allowed, asked, origin, narrower)?;
        }
        if !self.egress_allowed.value {
            let why = self.egress_allowed.origin.clone();
            self.hosts.set(BTreeMap::new(), &why);
        }
        if self.hosts.value.len() > MAX_HOSTS {
            let problem = format!("more than {MAX_HOSTS} hosts are to be reached");
            return Err(ProfileError::Value { key: "rights".to_owned(), origin: origin.clone(), problem });
        }
        if !self.data_exec_allowed.value {
            let why = self.data_exec_allowed.origin.clone();
            self.data_exec.set(BTreeSet::new(), &why);
        }
        if !self.devices_allowed.value {
            let why = self.devices_allowed.origin.clone();
            self.devices.set(BTreeMap::new(), &why);
        }
        Ok(())
    }

    fn grant_wish(&mut self, wish: Wish, origin: &Origin) -> Result<(), ProfileError> {
        let (what, has, allowed) = match &wish {
            Wish::Execute(path) if path == "/scratch" => {
                ("EXECUTE over /scratch".to_owned(), self.scratch_exec.value, &self.scratch_exec_allowed)
            }
            Wish::Execute(path) => (format!("EXECUTE over {path}"), self.executes(path), &self.data_exec_allowed),
            Wish::Connect(destination, pass, rules) => {
                self.check_request_rules(destination, *pass, rules, origin)?;
                let has = self.hosts.value.get(destination).is_some_and(|passes| *passes || !*pass);
                let how = if *pass { ", passed unopened" } else { "" };
                (format!("CONNECT over {destination}{how}"), has, &self.egress_allowed)
            }
            Wish::Device(node, accesses) => {
                let had = self.devices.value.get(node).copied().unwrap_or(Accesses::NONE);
                (format!("{accesses} over {node}"), accesses.within(had), &self.devices_allowed)
            }
        };
        if has {
            if let Wish::Connect(destination, false, rules) = wish {
                if self.hosts.value.get(&destination) == Some(&true) {
                    // Opened is narrower than passed.
                    let mut hosts = self.hosts.value.clone();
                    hosts.insert(destination.clone(), false);
                    self.hosts.set(hosts, origin);
                }
                self.limit_requests(destination, rules, origin);
            }
            return Ok(());
        }
        if !allowed.value || !origin.is_own_choice() {
            return Err(ProfileError::Widens(Box::new(Widening {
                key: "rights".to_owned(),
                asked: what,
                origin: origin.clone(),
                bound: "none of it".to_owned(),
                bound_origin: allowed.origin.clone(),
                own_way: allowed.value.then(|| own_way(&wish)),
            })));
        }
        match wish {
            Wish::Execute(path) if path == "/scratch" => self.scratch_exec.set(true, origin),
            Wish::Execute(path) => {
                let mut paths = self.data_exec.value.clone();
                paths.insert(path);
                self.data_exec.set(paths, origin);
            }
            Wish::Connect(destination, pass, rules) => {
                let mut hosts = self.hosts.value.clone();
                hosts.insert(destination.clone(), pass);
                self.hosts.set(hosts, origin);
                self.limit_requests(destination, rules, origin);
            }
            Wish::Device(node, accesses) => {
                let mut devices = self.devices.value.clone();
                devices.insert(node, accesses);
                self.devices.set(devices, origin);
            }
        }
        Ok(())
    }

    /// Requests of a host are limited once: two rules for one host would overlap, and what passes unopened has none.
    fn check_request_rules(
        &self,
        destination: &Destination,
        pass: bool,
        rules: &RequestRules,
        origin: &Origin,
    ) -> Result<(), ProfileError> {
        let Some(had) = self.request_rules.value.get(destination) else { return Ok(()) };
        let opened = self.hosts.value.get(destination) == Some(&false);
        let problem = match (pass && opened, rules.is_empty() || rules == had) {
            (false, true) => return Ok(()),
            (true, _) => format!(
                "{destination}: its requests are limited by {}, and what passes unopened cannot be; leave out `pass`",
                self.request_rules.origin
            ),
            (_, false) => format!(
                "{destination}: its requests are limited by {} in another way; say it in one of them only",
                self.request_rules.origin
            ),
        };
        Err(ProfileError::Value { key: "rights".to_owned(), origin: origin.clone(), problem })
    }

    fn limit_requests(&mut self, destination: Destination, rules: RequestRules, origin: &Origin) {
        if !rules.is_empty() {
            let mut all = self.request_rules.value.clone();
            all.insert(destination, rules);
            self.request_rules.set(all, origin);
        }
    }

    fn narrow_calls(&mut self, overlay: &Overlay, origin: &Origin) -> Result<(), ProfileError> {
        let calls = &overlay.system_calls;
        if let Some(asked) = &calls.groups {
            let asked: BTreeSet<_> = asked.iter().copied().collect();
            tighten_set("system_calls.groups", &mut self.groups, asked, origin, |new, old| new.is_subset(old))?;
        }
        if let Some(asked) = &calls.allow {
            let asked = check_allow(asked, origin)?;
            let own = origin.is_own_choice();
            tighten_set("system_calls.allow", &mut self.allow, asked, origin, |new, old| own || new.is_subset(old))?;
        }
        if let Some(asked) = &calls.deny {
            // Denials add up: a layer need not repeat what an earlier one denied.
            let mut asked = check_deny(asked, origin)?;
            asked.extend(&self.deny.value);
            self.deny.set(asked, origin);
        }
        Ok(())
    }
}

/// The option by which the local user gets what a file may not ask for.
fn own_way(wish: &Wish) -> String {
    match wish {
        Wish::Connect(destination, false, _) => format!("--egress {destination}"),
        Wish::Connect(destination, true, _) => format!("--egress {destination},pass"),
        _ => "--profile FILE, a profile file of your own with that right".to_owned(),
    }
}

/// Most hosts that one task may reach: each is an address and a listener of its sandbox.
pub const MAX_HOSTS: usize = 64;

/// Something that is on, or may be turned on by the local user, or neither.
struct Choice<'a> {
    key: &'static str,
    value: &'a mut Setting<bool>,
    allowed: &'a mut Setting<bool>,
}

impl Choice<'_> {
    fn narrow(self, asked: Option<bool>, allowed: Option<bool>, origin: &Origin) -> Result<(), ProfileError> {
        if let Some(asked) = asked {
            let may = self.value.value || (origin.is_own_choice() && self.allowed.value);
            if asked && !may {
                let bound_by = if self.allowed.value { &self.value } else { &self.allowed };
                let name = self.key.rsplit('.').next().unwrap_or(self.key);
                return Err(ProfileError::Widens(Box::new(Widening {
                    key: self.key.to_owned(),
                    asked: "true".to_owned(),
                    origin: origin.clone(),
                    bound: "false".to_owned(),
                    bound_origin: bound_by.origin.clone(),
                    own_way: self.allowed.value.then(|| format!("a profile file with `{name} = true`")),
                })));
            }
            self.value.set(asked, origin);
        }
        if let Some(asked) = allowed {
            tighten(&format!("{}_allowed", self.key), self.allowed, asked, origin, |new, old| new <= old)?;
        }
        if self.value.value && !self.allowed.value {
            let why = self.allowed.origin.clone();
            self.value.set(false, &why);
        }
        Ok(())
    }
}

impl<T: PartialEq> Setting<T> {
    /// Takes a new value; who set an unchanged one stays on record.
    fn set(&mut self, value: T, origin: &Origin) {
        if self.value != value {
            *self = Self { value, origin: origin.clone() };
        }
    }
}

fn narrow_limit(key: LimitKey, limit: &mut Limit, setting: &LimitSetting, origin: &Origin) -> Result<(), ProfileError> {
    let widens = |asked: String, bound: String, bound_origin: &Origin, own_way: Option<String>| {
        ProfileError::Widens(Box::new(Widening {
            key: format!("limits.{key}"),
            asked,
            origin: origin.clone(),
            bound,
            bound_origin: bound_origin.clone(),
            own_way,
        }))
    };
    if let Some(text) = &setting.max {
        let max = parse_limit(key, text, origin)?;
        if max > limit.max {
            let asked = format!("at most {}", key.show(max));
            return Err(widens(asked, format!("at most {}", key.show(limit.max)), &limit.max_origin, None));
        }
        if max < limit.max {
            (limit.max, limit.max_origin) = (max, origin.clone());
        }
    }
    if let Some(text) = &setting.default {
        let value = parse_limit(key, text, origin)?;
        if value > limit.max {
            return Err(widens(key.show(value), format!("at most {}", key.show(limit.max)), &limit.max_origin, None));
        }
        if value > limit.value && !origin.is_own_choice() {
            let way = format!("--limit {key}={}", key.show(value));
            return Err(widens(key.show(value), key.show(limit.value), &limit.origin, Some(way)));
        }
        if value != limit.value {
            (limit.value, limit.origin) = (value, origin.clone());
        }
    }
    if limit.value > limit.max {
        (limit.value, limit.origin) = (limit.max, limit.max_origin.clone());
    }
    if let Some(asked) = setting.enforcement {
        if asked < limit.enforcement {
            return Err(widens(
                format!("enforcement {asked}"),
                format!("enforcement {}", limit.enforcement),
                &limit.enforcement_origin,
                None,
            ));
        }
        if asked != limit.enforcement {
            (limit.enforcement, limit.enforcement_origin) = (asked, origin.clone());
        }
    }
    Ok(())
}

/// Takes `asked` where it is at least as narrow as what is in force.
fn tighten<T: PartialEq + Display>(
    key: &str,
    setting: &mut Setting<T>,
    asked: T,
    origin: &Origin,
    narrows: impl Fn(&T, &T) -> bool,
) -> Result<(), ProfileError> {
    if !narrows(&asked, &setting.value) {
        return Err(ProfileError::Widens(Box::new(Widening {
            key: key.to_owned(),
            asked: asked.to_string(),
            origin: origin.clone(),
            bound: setting.value.to_string(),
            bound_origin: setting.origin.clone(),
            own_way: None,
        })));
    }
    setting.set(asked, origin);
    Ok(())
}

/// As [`tighten`], for sets.
fn tighten_set<T: Ord + Display>(
    key: &str,
    setting: &mut Setting<BTreeSet<T>>,
    asked: BTreeSet<T>,
    origin: &Origin,
    narrows: impl Fn(&BTreeSet<T>, &BTreeSet<T>) -> bool,
) -> Result<(), ProfileError> {
    if !narrows(&asked, &setting.value) {
        return Err(ProfileError::Widens(Box::new(Widening {
            key: key.to_owned(),
            asked: list(&asked),
            origin: origin.clone(),
            bound: list(&setting.value),
            bound_origin: setting.origin.clone(),
            own_way: None,
        })));
    }
    setting.set(asked, origin);
    Ok(())
}

/// A set for people: `[a, b]`.
pub(crate) fn list<T: Display>(items: &BTreeSet<T>) -> String {
    let items: Vec<_> = items.iter().map(ToString::to_string).collect();
    format!("[{}]", items.join(", "))
}

#[cfg(test)]
mod tests;
