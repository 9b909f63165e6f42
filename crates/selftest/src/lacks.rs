//! What this kernel and host lack: asked outside, by a process without rights, in ways that change nothing.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use hotcell_sys::attempt::{Entry, Word, attempt, fork_by_clone};
use hotcell_sys::{Errno, process};

use crate::inside::wait;
use crate::{Attack, Facts, Need, attacks};

/// The attacks that mean nothing here, and why. `probe` is the attacker's command, told to probe.
///
/// # Errors
/// When the probing process cannot be started.
pub fn lacking(probe: &mut Command, facts: &Facts) -> io::Result<Vec<(&'static Attack, String)>> {
    let output = probe.stdin(Stdio::null()).stderr(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(io::Error::other("the process that asks what the kernel has failed"));
    }
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let lacking: BTreeSet<&str> = told.lines().collect();
    let lacks = |attack: &Attack| match attack.needs {
        Need::Path(path) => !Path::new(path).exists(),
        Need::Fact(name) => facts.get(name).is_none(),
        Need::Nothing => false,
        _ => lacking.contains(attack.name),
    };
    Ok(attacks().filter(|attack| lacks(attack)).filter_map(|attack| Some((attack, reason(attack.needs)?))).collect())
}

/// Every reason that an attack can be left out for, for those who translate them.
pub fn reasons() -> BTreeSet<String> {
    attacks().filter_map(|attack| reason(attack.needs)).collect()
}

/// What is said where this is lacking.
fn reason(need: Need) -> Option<String> {
    match need {
        Need::Nothing => None,
        Need::Path(path) => Some(format!("this host has no {path}")),
        Need::Fact(name) => Some(format!("this host has no {}", fact_name(name))),
        other => Some(format!("this kernel has no {}", need_name(other))),
    }
}

/// Asks for everything that only a call can tell, and prints the names of the attacks that lack it.
pub fn probe_main() -> ExitCode {
    let dropped = if process::user() == 0 { drop_rights() } else { process::no_new_privileges() };
    if dropped.is_err() {
        return ExitCode::FAILURE;
    }
    let mut lacking = String::new();
    for attack in attacks() {
        if matches!(attack.needs, Need::Nothing | Need::Path(_) | Need::Fact(_)) {
            continue;
        }
        match in_child(attack.needs) {
            Ok(true) => {}
            Ok(false) => lacking.push_str(&format!("{}\n", attack.name)),
            Err(_) => return ExitCode::FAILURE,
        }
    }
    match io::stdout().lock().write_all(lacking.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Without rights, so that whatever is asked is refused where it could change anything.
fn drop_rights() -> hotcell_sys::Result<()> {
    const NOBODY: u32 = 65534;
    process::drop_groups()?;
    // With the ids go the capabilities, and none comes back.
    process::set_ids(NOBODY, NOBODY)?;
    process::no_new_privileges()
}

/// Asks in a process of its own, which may be killed for it.
fn in_child(need: Need) -> io::Result<bool> {
    match fork_by_clone(0).map_err(|errno| io::Error::from_raw_os_error(errno.0))? {
        0 => process::exit(i32::from(!has(need))),
        child => Ok(wait(child)? == 0),
    }
}

fn has(need: Need) -> bool {
    // Minus one is no descriptor, address, process, flag or operation of anything.
    let all_wrong = || [(); 6].map(|()| Word::Number(-1));
    match need {
        Need::Call(call) => attempt(Entry::Native, call.id() as u32, &mut all_wrong()) != Err(Errno::ENOSYS),
        Need::CallWithZeroes(call) => attempt(Entry::Native, call.id() as u32, &mut []) != Err(Errno::ENOSYS),
        #[cfg(target_arch = "x86_64")]
        Need::Int80 => hotcell_sys::attempt::attempt_int80(20).is_ok(),
        Need::X32 => attempt(Entry::X32, syscalls::Sysno::getpid.id() as u32, &mut []).is_ok(),
        Need::Family(family, kind, protocol) => has_family(family, kind, protocol),
        _ => true,
    }
}

/// Whether there are such sockets. A family that a module would bring is not asked for, lest it be loaded.
fn has_family(family: u32, kind: u32, protocol: u32) -> bool {
    if module_names(family) {
        return true;
    }
    let words = &mut [family, kind, protocol].map(|number| Word::Number(number as i32));
    !matches!(
        attempt(Entry::Native, syscalls::Sysno::socket.id() as u32, words),
        Err(Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT | Errno::ESOCKTNOSUPPORT)
    )
}

fn module_names(family: u32) -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let aliases = std::fs::read_to_string(format!("/lib/modules/{release}/modules.alias")).unwrap_or_default();
    let wanted = format!("net-pf-{family}");
    aliases
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .any(|alias| alias.strip_prefix(&wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')))
}

fn need_name(need: Need) -> String {
    match need {
        Need::Call(call) | Need::CallWithZeroes(call) => format!("{} call", call.name()),
        Need::Int80 => "entry for 32-bit programs".to_owned(),
        Need::X32 => "x32 calls".to_owned(),
        Need::Family(family, ..) => format!("sockets of family {family}"),
        Need::Nothing | Need::Path(_) | Need::Fact(_) => String::new(),
    }
}

fn fact_name(name: &str) -> &str {
    match name {
        "group" => "process group with a number here",
        "key" => "keyring for users",
        "ipc-queue" | "ipc-memory" | "ipc-semaphores" => "System V queues, memory or semaphores",
        "posix-queue" => "POSIX message queues",
        "neighbour" => "second sandbox",
        "cgroup" => "control groups in sight",
        "power-events" => "events of the power supply",
        "cpu-by-affinity" => "limit on processors that is kept by affinity",
        other => other,
    }
}
