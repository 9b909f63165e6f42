//! What launcher and host say to each other over the control socket, one message each.

/// Bytes of a message from the launcher.
pub const BYTES: usize = 24;

/// The host's word to go on.
pub const GO: u8 = b'g';

/// Most probe results in one report.
pub const MAX_PROBES: usize = 96;

/// A message of the launcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// The first process exists; its process descriptor comes along.
    Born {
        /// Its id outside.
        pid: i64,
    },
    /// A descriptor that a `Hand` step asked for comes along.
    Handed {
        /// Number of the step.
        step: u64,
    },
    /// Waiting at an `Await` step.
    Waiting,
    /// The probes' results follow this head in the same message, 8 bytes each; waiting for the word.
    Observed {
        /// How many.
        count: u64,
    },
    /// A step failed; everything is over.
    Failed {
        /// Number of the step.
        step: u64,
        /// Error number.
        errno: i64,
    },
    /// No candidate could be executed; everything is over.
    NotExecuted {
        /// Error number.
        errno: i64,
    },
    /// The workload ended.
    Ended {
        /// Raw wait status.
        status: i64,
    },
}

impl Message {
    /// The message's bytes.
    pub fn encode(self) -> [u8; BYTES] {
        let (kind, a, b): (u64, u64, i64) = match self {
            Self::Born { pid } => (1, 0, pid),
            Self::Handed { step } => (2, step, 0),
            Self::Waiting => (3, 0, 0),
            Self::Observed { count } => (4, count, 0),
            Self::Failed { step, errno } => (5, step, errno),
            Self::NotExecuted { errno } => (6, 0, errno),
            Self::Ended { status } => (7, 0, status),
        };
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&kind.to_le_bytes());
        bytes[8..16].copy_from_slice(&a.to_le_bytes());
        bytes[16..].copy_from_slice(&b.to_le_bytes());
        bytes
    }

    /// Reads a message. `None` when it is none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let (kind, a, b) = (word(0)?, word(8)?, word(16)? as i64);
        Some(match kind {
            1 => Self::Born { pid: b },
            2 => Self::Handed { step: a },
            3 => Self::Waiting,
            4 => Self::Observed { count: a },
            5 => Self::Failed { step: a, errno: b },
            6 => Self::NotExecuted { errno: b },
            7 => Self::Ended { status: b },
            _ => return None,
        })
    }
}
