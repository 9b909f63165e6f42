//! The words of Hotcell: ids, units, labels, events, records, and the [`Explain`] trait.
//!
//! Everything here is plain data. No type in this crate reads a file, a clock or the environment.

mod capacity;
mod digest;
mod event;
mod explain;
mod host;
mod id;
mod outcome;
mod record;
mod requests;
mod size;
mod time;
mod wall;

pub use capacity::Bits;
pub use digest::Digest;
pub use event::{AuditLevel, Event, EventKind};
pub use explain::Explain;
pub use host::{DEFAULT_PORT, Destination, HostName, NotAHost};
pub use id::{GrantId, ParseIdError, TaskId};
pub use outcome::{Exit, Outcome};
pub use record::{
    Destroyed, EgressRecord, HostRecord, ImageRecord, InputRecord, LimitRecord, ModelRecord, OutputRecord,
    PolicyRecord, ReceiptBody, Refusal, RightRecord, StreamRecord, WorkloadRecord,
};
pub use requests::RequestRules;
pub use size::{ByteSize, ParseSizeError, parse_duration};
pub use time::{Clock, Timestamp};
pub use wall::{Enforcement, Observation, Wall};
