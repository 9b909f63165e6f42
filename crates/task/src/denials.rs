//! Denials in a flood: so many of a minute are recorded one by one, the rest is counted.
//!
//! The count lies in a file of the state folder, shared by all processes, and goes into the log with the first denial of
//! a later minute. A request is denied all the same.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use hotcell_audit::{Durability, Log};
use hotcell_types::{Event, EventKind, Timestamp};
use rustix::fs::{FlockOperation, flock};

use crate::TaskError;

/// Denials of a minute that are recorded one by one: more than people and schedulers cause.
const RECORDED_A_MINUTE: u64 = 60;

const MINUTE_MS: u64 = 60_000;

/// What was counted in a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Count {
    minute: u64,
    recorded: u64,
    dropped: u64,
}

impl Count {
    /// Counts a denial: whether it is to be recorded, and how many before it were not.
    fn admit(&mut self, now: Timestamp) -> (bool, u64) {
        let minute = now.0 / MINUTE_MS;
        let mut before = 0;
        if minute != self.minute {
            before = self.dropped;
            *self = Self { minute, recorded: 0, dropped: 0 };
        }
        let admitted = self.recorded < RECORDED_A_MINUTE;
        if admitted {
            self.recorded += 1;
        } else {
            self.dropped += 1;
        }
        (admitted, before)
    }

    /// A file that is not one counts from nothing.
    fn read(text: &str) -> Self {
        let mut numbers = text.split_whitespace().map(|word| word.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Self { minute: next(), recorded: next(), dropped: next() }
    }
}

/// Records the events of a denial, or counts it.
pub(crate) fn record(state: &Path, log: &Log, events: &[Event], now: Timestamp) -> Result<(), TaskError> {
    let path = state.join("denials");
    let wrong = |source| TaskError::file("count denials in", &path)(source);
    let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file =
        open().and_then(|file| Ok(flock(&file, FlockOperation::LockExclusive).map(|()| file)?)).map_err(wrong)?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(wrong)?;
    let mut count = Count::read(&text);
    let (admitted, before) = count.admit(now);
    if admitted {
        let dropped = (before > 0).then(|| dropped_event(before, now));
        let events: Vec<_> = dropped.into_iter().chain(events.iter().cloned()).collect();
        log.append(&events, Durability::Durable).map_err(TaskError::part)?;
    }
    // After the log has it: a crash in between counts twice rather than never.
    write(&mut file, count).map_err(wrong)
}

fn dropped_event(count: u64, now: Timestamp) -> Event {
    Event { time: now, task: None, kind: EventKind::DenialsDropped, data: Default::default() }.with("count", count)
}

fn write(file: &mut File, count: Count) -> std::io::Result<()> {
    file.rewind()?;
    // Of one length, so that what is written over leaves nothing.
    file.write_all(format!("{:020} {:020} {:020}\n", count.minute, count.recorded, count.dropped).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_so_many_are_recorded_and_the_rest_is_counted() {
        let mut count = Count::default();
        let at = |second: u64| Timestamp(3_600_000 + second * 1000);
        let first: Vec<_> = (0..1000).map(|number| count.admit(at(number / 50))).collect();
        assert_eq!(first.iter().filter(|(admitted, _)| *admitted).count() as u64, RECORDED_A_MINUTE);
        assert!(first.iter().all(|(_, before)| *before == 0));
        assert_eq!(count.admit(at(61)), (true, 1000 - RECORDED_A_MINUTE), "the next minute tells of them");
        assert_eq!(count.admit(at(62)), (true, 0), "once");
        let text = format!("{:020} {:020} {:020}\n", count.minute, count.recorded, count.dropped);
        assert_eq!(Count::read(&text), count);
        assert_eq!(Count::read("garbage"), Count::default());
    }
}
