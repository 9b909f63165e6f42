//! `hotcell selftest`: attacks fresh sandboxes as this user on this kernel.
//!
//! Every attack goes the whole way of a task: policy, grant, preflight, inspection, receipt, log. The attacker is
//! this very program under another name, shown at `/code`, with no more rights than any other workload.

mod attacker;
mod judge;
mod show;

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use clap::Args;
use hotcell_audit::Durability;
use hotcell_isolate::Host;
use hotcell_policy::{Profile, SideChannelRule};
use hotcell_selftest::{Attack, Demand, Place, Seen, Surroundings, attacks, inside, lacking};
use hotcell_task::open_log;
use hotcell_types::{Clock, Event, EventKind, Exit, Wall};

use crate::app::App;
use crate::failure::Failure;
use crate::temporary::Temporary;
use attacker::Attacker;

/// Attack fresh sandboxes as this user on this kernel, and tell what held.
///
/// Each attack is a real attempt in a sandbox of the profile, started as any task is; what the kernel, the host or the
/// profile has no such thing for is skipped, and does not count as held. Exits with 0 when nothing got through, else
/// with 1. With --json, prints an array of attacks, each with `attack`, `class`, `mechanism`, `expected`, `seen`,
/// `held` (null where it was skipped, with the reason in `skipped`) and `wall`. A summary goes into the audit log.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Shape of the sandboxes: strict, third-party, infer, train, baseline-5.10, or a profile file.
    #[arg(long, value_name = "NAME|FILE", default_value = "strict")]
    profile: String,
    /// Go on without this control where the host lacks it. Attacks on it are skipped.
    #[arg(long = "best-effort", value_name = "CONTROL", value_parser = crate::run::wall)]
    best_effort: Vec<Wall>,
}

/// What came of one attack.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Outcome {
    attack: &'static str,
    class: &'static str,
    mechanism: &'static str,
    expected: String,
    seen: String,
    /// None where it was skipped.
    held: Option<bool>,
    /// The wall that held, or that should have.
    wall: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<String>,
}

/// Whether this process was started as the attacker.
pub(crate) fn is_attacker(name: Option<&OsStr>) -> bool {
    name.and_then(|name| Path::new(name).file_name()).is_some_and(|name| name == inside::NAME)
}

pub(crate) fn run(arguments: &Arguments, app: &App) -> Result<Exit, Failure> {
    let profile = profile(&arguments.profile)?;
    if !profile.code_exec() {
        return Err(Failure::usage(
            "the profile does not let a program under /code be executed, and the attacker is one",
            "name another profile: --profile NAME",
        ));
    }
    let temporary = Temporary::new("selftest", &app.state)?;
    let surroundings = Surroundings::put_up(&temporary.path().join("host"), temporary.token());
    let mut surroundings = surroundings.map_err(|source| Failure::system("putting up what is attacked", source))?;
    tell_of_host(&mut surroundings, &profile, app)?;
    let mut skipped = skipped_by_profile(&profile, &arguments.best_effort);
    let mut attacker = Attacker::new(temporary.path(), arguments, &profile, app, &mut surroundings)?;
    skipped.extend(skipped_by_host(&mut surroundings)?);
    let chosen: Vec<&'static Attack> =
        attacks().filter(|attack| !skipped.iter().any(|(name, _)| *name == attack.name)).collect();
    let seen = everything(&mut attacker, &chosen, &surroundings)?;
    drop(surroundings);
    let results: Vec<_> = attacks().map(|attack| result(attack, &skipped, &seen)).collect();
    record(&results, &arguments.profile, app)?;
    show::show(&results, app)?;
    Ok(exit(&results))
}

fn profile(name: &str) -> Result<Profile, Failure> {
    match name.ends_with(".toml") {
        true => {
            let text = std::fs::read_to_string(name)
                .map_err(|source| Failure::file("read the profile", Path::new(name), source))?;
            Ok(Profile::from_file(&text, name)?)
        }
        false => Ok(Profile::builtin(name)?),
    }
}

/// Facts that only Hotcell knows.
fn tell_of_host(surroundings: &mut Surroundings, profile: &Profile, app: &App) -> Result<(), Failure> {
    let host = Host::look().map_err(|source| Failure::system("looking at this host", source))?;
    let facts = surroundings.facts();
    facts.set("state", app.state.display());
    if (profile.own_cores() || !host.cgroups.has_cpu()) && host.processors > 1 {
        facts.set("cpu-by-affinity", "yes");
    }
    Ok(())
}

type Skipped = (&'static str, String);

/// What the profile grants is no attack.
fn skipped_by_profile(profile: &Profile, given_up: &[Wall]) -> Vec<Skipped> {
    let granted = profile.system_calls();
    let why = |attack: &Attack| match attack.call {
        Some(call) if granted.contains(&call.name()) => Some(format!("the profile grants {}", call.name())),
        _ if attack.inet && profile.loopback() => Some("the profile grants sockets for loopback".to_owned()),
        _ => attack.demand.and_then(|demand| not_asked_for(demand, profile, given_up)),
    };
    attacks().filter_map(|attack| Some((attack.name, why(attack)?))).collect()
}

/// Why a wall on demand does not stand.
fn not_asked_for(demand: Demand, profile: &Profile, given_up: &[Wall]) -> Option<String> {
    let (is_asked_for, key, wall) = match demand {
        Demand::WriteXorExecute => (profile.write_xor_execute(), "memory.write_xor_execute", "write-xor-execute"),
        Demand::Hardened(wall) => (profile.side_channels() == SideChannelRule::Hardened, "side_channels", wall),
    };
    match is_asked_for {
        false => Some(format!("the profile does not ask for {key}")),
        true if given_up.iter().any(|other| other.label() == wall) => Some(format!("{wall} was given up by name")),
        true => None,
    }
}

/// What the kernel or the host lacks cannot be attacked.
fn skipped_by_host(surroundings: &mut Surroundings) -> Result<Vec<Skipped>, Failure> {
    let own = std::env::current_exe().map_err(|source| Failure::system("finding this program", source))?;
    let mut probe = Command::new(own);
    probe.arg0(inside::NAME).arg("probe").env_clear();
    let lacking = lacking(&mut probe, surroundings.facts());
    let lacking = lacking.map_err(|source| Failure::system("asking what this kernel has", source))?;
    Ok(lacking.into_iter().map(|(attack, why)| (attack.name, why)).collect())
}

/// Makes all attacks, each in its place.
fn everything(
    attacker: &mut Attacker<'_>,
    chosen: &[&'static Attack],
    surroundings: &Surroundings,
) -> Result<Vec<(String, Seen)>, Failure> {
    let at = |place: Place| -> Vec<&'static Attack> {
        chosen.iter().copied().filter(|attack| attack.place == place).collect()
    };
    let bar = show::Progress::new(attacker.is_quiet(), chosen.len());
    let mut seen = attacker.beside_a_neighbour(&at(Place::Shared))?;
    bar.count(seen.len());
    seen.extend(attacker.together(&at(Place::Small), SMALL)?);
    for attack in chosen {
        if let Place::Alone(limits, by) = attack.place {
            seen.push((attack.name.to_owned(), attacker.alone(attack, limits, by, surroundings)?));
        }
        bar.count(seen.len());
    }
    Ok(seen)
}

/// The limits of the sandbox in which most bombs go off.
const SMALL: &[&str] = &["pids=24", "memory=96MiB", "scratch=2MiB", "output=2MiB", "open_files=64", "file_size=1MiB"];

fn result(attack: &'static Attack, skipped: &[Skipped], seen: &[(String, Seen)]) -> Outcome {
    let skip = skipped.iter().find(|(name, _)| *name == attack.name).map(|(_, why)| why.clone());
    let seen = seen.iter().find(|(name, _)| name == attack.name).map_or(Seen::NoAnswer, |(_, seen)| *seen);
    let skip = skip.or_else(|| (seen == Seen::Lacking).then(|| "this host has no program for it".to_owned()));
    let held_by = attack.held_by(seen);
    let first = attack.expected.first().map_or("", |(_, wall)| *wall);
    Outcome {
        attack: attack.name,
        class: attack.class.label(),
        mechanism: attack.mechanism,
        expected: attack.expectation(),
        seen: if skip.is_some() { "not tried".to_owned() } else { seen.to_string() },
        held: skip.is_none().then_some(held_by.is_some()),
        wall: held_by.unwrap_or(first),
        skipped: skip,
    }
}

/// No as soon as one was not held.
fn exit(outcomes: &[Outcome]) -> Exit {
    if outcomes.iter().any(|outcome| outcome.held == Some(false)) { Exit::No } else { Exit::Yes }
}

/// Writes the summary into the audit log.
fn record(results: &[Outcome], profile: &str, app: &App) -> Result<(), Failure> {
    let now = app.clock.now();
    let log = open_log(&app.state, crate::VERSION, now)?;
    let count = |held: Option<bool>| results.iter().filter(|result| result.held == held).count();
    let through: Vec<_> =
        results.iter().filter(|result| result.held == Some(false)).map(|result| result.attack).collect();
    let event = Event { time: now, task: None, kind: EventKind::SelftestEnded, data: Default::default() }
        .with("profile", profile)
        .with("held", count(Some(true)))
        .with("skipped", count(None))
        .with("through", through);
    log.append(&[event], Durability::Durable)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The outcome of the attack by ptrace that has seen this.
    fn outcome_of(seen: &[(String, Seen)], skipped: &[Skipped]) -> Outcome {
        result(attacks().find(|attack| attack.name == "ptrace").unwrap(), skipped, seen)
    }

    #[test]
    fn whatever_is_not_what_had_to_be_seen_got_through_and_is_a_no() {
        let seen = |seen: Seen| outcome_of(&[("ptrace".to_owned(), seen)], &[]);
        let held = seen(Seen::Errno(1));
        assert_eq!((held.held, held.wall, held.seen.as_str()), (Some(true), "seccomp", "EPERM"));
        assert!(matches!(exit(&[held]), Exit::Yes));
        for bad in [Seen::Through, Seen::Errno(14), Seen::Errno(38), Seen::NoAnswer, Seen::Signal(11), Seen::Nothing] {
            let outcome = seen(bad);
            assert_eq!(outcome.held, Some(false), "{bad}");
            assert!(matches!(exit(&[seen(Seen::Errno(1)), outcome]), Exit::No), "{bad}");
        }
        assert_eq!(outcome_of(&[], &[]).held, Some(false), "an attack that nobody reported");
    }

    #[test]
    fn a_skipped_attack_is_neither_held_nor_through() {
        let outcome = outcome_of(&[], &[("ptrace", "this kernel has no ptrace call".to_owned())]);
        assert_eq!((outcome.held, outcome.skipped.is_some(), outcome.seen.as_str()), (None, true, "not tried"));
        assert!(matches!(exit(&[outcome]), Exit::Yes));
        assert_eq!(outcome_of(&[("ptrace".to_owned(), Seen::Lacking)], &[]).held, None);
    }
}
