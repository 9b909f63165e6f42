//! What an attack has seen.

use std::fmt;

use hotcell_sys::Errno;

/// What came of an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It got through.
    Through,
    /// The kernel answered with this error.
    Errno(i32),
    /// The kernel killed whoever tried.
    Signal(i32),
    /// There was nothing of the host to be seen.
    Nothing,
    /// A limit ended the task.
    Limit,
    /// Inspection refused what it left.
    Refused,
    /// Nothing of it was left afterwards.
    Gone,
    /// What it needs is not on this host.
    Lacking,
    /// It gave no answer.
    NoAnswer,
}

impl Seen {
    /// The word and the number by which a report says it.
    pub fn parts(self) -> (&'static str, i32) {
        match self {
            Self::Through => ("through", 0),
            Self::Errno(number) => ("errno", number),
            Self::Signal(number) => ("signal", number),
            Self::Nothing => ("nothing", 0),
            Self::Limit => ("limit", 0),
            Self::Refused => ("refused", 0),
            Self::Gone => ("gone", 0),
            Self::Lacking => ("lacking", 0),
            Self::NoAnswer => ("no-answer", 0),
        }
    }

    /// Every word that a report can hold.
    pub const WORDS: &'static [&'static str] =
        &["through", "errno", "signal", "nothing", "limit", "refused", "gone", "lacking", "no-answer"];

    /// Reads what [`parts`](Self::parts) gave; what it cannot have given is no answer.
    pub fn from_parts(word: &str, number: i32) -> Self {
        match word {
            "through" => Self::Through,
            "errno" => Self::Errno(number),
            "signal" => Self::Signal(number),
            "nothing" => Self::Nothing,
            "limit" => Self::Limit,
            "refused" => Self::Refused,
            "gone" => Self::Gone,
            "lacking" => Self::Lacking,
            _ => Self::NoAnswer,
        }
    }

    /// What a call gave.
    pub(crate) fn call<T>(result: hotcell_sys::Result<T>) -> Self {
        match result {
            Ok(_) => Self::Through,
            Err(errno) => Self::Errno(errno.0),
        }
    }

    /// What an operation of the standard library gave.
    pub(crate) fn io<T>(result: std::io::Result<T>) -> Self {
        match result {
            Ok(_) => Self::Through,
            Err(error) => error.raw_os_error().map_or(Self::Nothing, Self::Errno),
        }
    }

    /// What an operation of the standard library gave that makes a difference only where `if_through` says so.
    pub(crate) fn io_where<T>(result: std::io::Result<T>, if_through: impl FnOnce(T) -> bool) -> Self {
        match result.map(if_through) {
            Ok(false) => Self::Nothing,
            other => Self::io(other),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Through => f.write_str("it got through"),
            Self::Errno(number) => match Errno(*number).name() {
                "errno" => write!(f, "errno {number}"),
                name => f.write_str(name),
            },
            Self::Signal(4) => f.write_str("SIGILL"),
            Self::Signal(7) => f.write_str("SIGBUS"),
            Self::Signal(9) => f.write_str("SIGKILL"),
            Self::Signal(11) => f.write_str("SIGSEGV"),
            Self::Signal(25) => f.write_str("SIGXFSZ"),
            Self::Signal(31) => f.write_str("SIGSYS"),
            Self::Signal(number) => write!(f, "signal {number}"),
            Self::Nothing => f.write_str("nothing there"),
            Self::Limit => f.write_str("limit reached"),
            Self::Refused => f.write_str("output refused"),
            Self::Gone => f.write_str("nothing left"),
            Self::Lacking => f.write_str("not on this host"),
            Self::NoAnswer => f.write_str("no answer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_survives_the_report() {
        for seen in [
            Seen::Through,
            Seen::Errno(13),
            Seen::Signal(31),
            Seen::Nothing,
            Seen::Limit,
            Seen::Refused,
            Seen::Gone,
            Seen::Lacking,
            Seen::NoAnswer,
        ] {
            let (word, number) = seen.parts();
            assert!(Seen::WORDS.contains(&word));
            assert_eq!(Seen::from_parts(word, number), seen);
        }
        assert_eq!(Seen::from_parts("held", 0), Seen::NoAnswer);
    }
}
