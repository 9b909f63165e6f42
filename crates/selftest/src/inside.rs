//! The attacker: a workload like any other.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::time::Duration;

use hotcell_sys::attempt::fork_by_clone;
use hotcell_sys::{Fd, file, process};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::mark::{HEADER, REPORT, line};
use crate::{Attack, Facts, Seen, attacks, neighbour};

/// The name under which the `hotcell` program is the attacker.
pub const NAME: &str = "hotcell-attacker";

/// An attack that gives no answer for so long is ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs as told: `attack NAME...`, `alone NAME`, `neighbour`, or outside `probe`.
pub fn main(words: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let done = match words.split_first() {
        Some((first, _)) if first == "probe" => return crate::probe_main(),
        Some((first, names)) => match facts() {
            Ok(facts) if first == "attack" => attack(names, &facts),
            Ok(facts) if first == "alone" => alone(names, &facts),
            Ok(facts) if first == "neighbour" => neighbour::stay(&facts),
            Ok(_) => Err(io::Error::other("the attacker knows: attack, alone, neighbour, probe")),
            Err(error) => Err(error),
        },
        None => Err(io::Error::other("the attacker is told what to do by `hotcell selftest`")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "{NAME}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the host tells, and the proof that this is a sandbox.
///
/// INVARIANT (no-attack-outside): in the host's own process namespace nothing is attacked.
fn facts() -> io::Result<Facts> {
    let facts = Facts::from_text(&std::fs::read_to_string(Facts::PATH)?);
    let own = std::fs::read_link("/proc/self/ns/pid")?;
    let host = facts.get("pid-namespace").unwrap_or_default();
    if host.is_empty() || own.to_string_lossy() == host {
        return Err(io::Error::other("this is no sandbox of a selftest: nothing is attacked"));
    }
    Ok(facts)
}

/// Tries each in a process of its own, and reports.
fn attack(names: &[String], facts: &Facts) -> io::Result<()> {
    let mut report = String::from(HEADER);
    for attack in chosen(names) {
        say(&format!("> {}\n", attack.name));
        let seen = try_one(attack, facts)?;
        say(&format!("< {}\n", attack.name));
        report.push_str(&line(attack.name, seen));
    }
    std::fs::write(format!("/output/{REPORT}"), report)
}

/// Tries one in this very process, and reports if it comes to that.
fn alone(names: &[String], facts: &Facts) -> io::Result<()> {
    let mut report = String::from(HEADER);
    for attack in chosen(names) {
        say(&format!("> {}\n", attack.name));
        report.push_str(&line(attack.name, (attack.run)(facts)));
        say(&format!("< {}\n", attack.name));
    }
    std::fs::write(format!("/output/{REPORT}"), report)
}

fn chosen(names: &[String]) -> impl Iterator<Item = &'static Attack> {
    attacks().filter(|attack| names.iter().any(|name| name == attack.name))
}

/// A line by which a tracer sees what is being tried.
fn say(line: &str) {
    let _ = file::write_all(Fd(1), line.as_bytes());
}

fn try_one(attack: &Attack, facts: &Facts) -> io::Result<Seen> {
    let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let child = fork_patiently()?;
    if child == 0 {
        drop(ours);
        let _ = rustix::process::setpgid(None, None);
        let (word, number) = (attack.run)(facts).parts();
        let place = Seen::WORDS.iter().position(|known| *known == word).unwrap_or(0);
        let mut answer = [0u8; 5];
        answer[0] = u8::try_from(place).unwrap_or(0);
        answer[1..].copy_from_slice(&number.to_le_bytes());
        let _ = rustix::io::write(&theirs, &answer);
        process::exit(0)
    }
    drop(theirs);
    let mut answer = [0u8; 5];
    let answered = wait_for(&ours)? && rustix::io::read(&ours, &mut answer)? == answer.len();
    // Whatever it started ends with it.
    let _ = process::kill(-child, process::SIGKILL);
    let _ = process::kill(child, process::SIGKILL);
    let status = wait(child)?;
    while matches!(process::reap(false), Ok(Some(_))) {}
    let [place, number @ ..] = answer;
    Ok(match (answered, status & 0x7f) {
        (true, _) => {
            let word = Seen::WORDS.get(usize::from(place)).copied().unwrap_or_default();
            Seen::from_parts(word, i32::from_le_bytes(number))
        }
        // Killed by us for its silence, or by the kernel for what it tried.
        (false, 0 | process::SIGKILL) => Seen::NoAnswer,
        (false, signal) => Seen::Signal(signal),
    })
}

/// Forks; what the attack before left may still have to be buried by the sandbox's first process.
fn fork_patiently() -> io::Result<i32> {
    for _ in 0..400 {
        match fork_by_clone(0) {
            Err(hotcell_sys::Errno::EAGAIN) => std::thread::sleep(Duration::from_millis(5)),
            other => return other.map_err(|errno| io::Error::from_raw_os_error(errno.0)),
        }
    }
    Err(io::Error::from_raw_os_error(hotcell_sys::Errno::EAGAIN.0))
}

fn wait_for(fd: &OwnedFd) -> io::Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)];
    let time = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    Ok(poll(&mut fds, Some(&time))? > 0)
}

/// The wait status of a child.
pub(crate) fn wait(child: i32) -> io::Result<i32> {
    loop {
        match process::reap(true) {
            Ok(Some(ended)) if ended.pid == child => return Ok(ended.status),
            Ok(_) | Err(hotcell_sys::Errno::EINTR) => {}
            Err(errno) => return Err(io::Error::from_raw_os_error(errno.0)),
        }
    }
}
