//! What a receipt says about a finished task.

use serde::{Deserialize, Serialize};

use crate::{Bits, Digest, GrantId, Observation, Outcome, TaskId, Timestamp, Wall};

/// The predicate of a receipt: everything that Hotcell states about one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptBody {
    /// The task.
    pub task: TaskId,
    /// Version of Hotcell that ran it.
    pub hotcell_version: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Exit status of the workload (128 + n for a signal); none when it was never executed.
    pub exit_status: Option<u8>,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// When the workload was executed, if it was.
    pub started: Option<Timestamp>,
    /// When everything was destroyed.
    pub ended: Timestamp,
    /// Who asked, for example `local:1000`.
    pub principal: String,
    /// For which purpose.
    pub purpose: String,
    /// What policy decided.
    pub policy: PolicyRecord,
    /// The isolation level: `process`.
    pub isolation: String,
    /// What protection the isolation level does not give, in words (for example of custody).
    pub caveats: Vec<String>,
    /// The rights that it had; empty in receipts of older versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rights: Vec<RightRecord>,
    /// What the preflight saw.
    pub walls: Vec<Observation>,
    /// Walls given up by name on the command line.
    pub best_effort: Vec<String>,
    /// The limits, how they were enforced, and how much was used.
    pub limits: Vec<LimitRecord>,
    /// What was executed.
    pub workload: WorkloadRecord,
    /// The image that it ran in; without one it saw the host's system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRecord>,
    /// The model, if any.
    pub model: Option<ModelRecord>,
    /// The inputs.
    pub inputs: Vec<InputRecord>,
    /// What left.
    pub outputs: Vec<OutputRecord>,
    /// What the standard streams carried.
    pub streams: Vec<StreamRecord>,
    /// An upper bound on the information that left, in bits.
    pub capacity: Bits,
    /// What went over the network, of a task that might use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<EgressRecord>,
    /// What was refused.
    pub refusals: Vec<Refusal>,
    /// What was destroyed at the end.
    pub destroyed: Vec<Destroyed>,
}

/// Which decision and which profile a task ran under.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyRecord {
    /// The grant.
    pub grant: GrantId,
    /// Ids of the rules that allowed.
    pub rules: Vec<String>,
    /// Digest of the policy set.
    pub policy_digest: Digest,
    /// Name of the profile.
    pub profile: String,
    /// Digest of the effective profile, after narrowing.
    pub profile_digest: Digest,
}

/// One right of a task: what it might do, over what, and which walls hold it to that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RightRecord {
    /// Some of `READ`, `WRITE`, `EXECUTE`, `CONNECT`.
    pub access: Vec<String>,
    /// `path`, `names`, `system`, `image`, `device`, `terminal`, `memory` or `host`.
    pub kind: String,
    /// Which: a path inside, a device node, `localhost`.
    pub over: String,
    /// The walls that enforce it. In a receipt: those of them that were seen to stand.
    pub walls: Vec<Wall>,
}

/// What was executed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadRecord {
    /// `builtin-runner` or `command`.
    pub kind: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Digest of the executed file, where it is one file.
    pub digest: Option<Digest>,
}

/// The image that a workload ran in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRecord {
    /// The name by which it was asked for.
    pub name: String,
    /// Digest of its manifest.
    pub digest: Digest,
    /// Digest of its config.
    pub config: Digest,
    /// Who it wants to run as. Inside it had the sandbox's one id, and no rights.
    pub user: String,
    /// Devices and pipes in it that were left out.
    pub left_out: u64,
}

/// The model that was used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRecord {
    /// Model id of its header, or the file name of a plain model.
    pub id: String,
    /// Version of its header.
    pub version: Option<u64>,
    /// Whether it came sealed.
    pub sealed: bool,
    /// Digest of the package or the file.
    pub digest: Digest,
    /// Public key of the vendor who signed it.
    pub signer: Option<String>,
}

/// One input, by a salted commitment so that the receipt does not reveal a guessable content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputRecord {
    /// Its name under `/input`.
    pub name: String,
    /// Its size in bytes, all files together.
    pub bytes: u64,
    /// Number of files.
    pub files: u64,
    /// SHA-256 over salt and content digest; none where the input is too large to be digested at once.
    pub commitment: Option<Digest>,
}

/// One file that left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputRecord {
    /// Its path under the output folder.
    pub path: String,
    /// Size in bytes as released.
    pub bytes: u64,
    /// Digest as released (of the sealed form where it was sealed).
    pub digest: Digest,
    /// How it was checked: `canonical` (rewritten from its values) or `opaque`.
    pub form: String,
    /// Number of rows, of a table.
    pub rows: Option<u64>,
    /// Upper bound on what it can carry.
    pub capacity: Bits,
    /// The recipients it was sealed to; empty when it left in plain.
    pub recipients: Vec<String>,
}

/// What one standard stream carried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamRecord {
    /// `stdout` or `stderr`.
    pub name: String,
    /// Bytes that the workload wrote.
    pub bytes: u64,
    /// `live-uninspected`, `released` or `withheld`.
    pub disposition: String,
}

/// What went over the network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EgressRecord {
    /// The hosts that it might reach.
    pub hosts: Vec<HostRecord>,
    /// What was refused on its way out, all in all.
    pub refused: u64,
    /// Whether the gateway was there until the end.
    pub to_the_end: bool,
}

/// What went to one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostRecord {
    /// The host and port.
    pub host: String,
    /// `opened` (each request was read) or `passed` (uninspected, fronting possible).
    pub form: String,
    /// Whether its rule limits methods, paths, sizes or the number of requests.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub requests_limited: bool,
    /// Connections.
    pub connections: u64,
    /// Requests that were read; none where connections pass.
    pub requests: u64,
    /// Bytes that left.
    pub bytes_out: u64,
    /// Bytes that came.
    pub bytes_in: u64,
    /// Connections and requests that were refused.
    pub refused: u64,
}

/// One thing that was refused or stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Stable code.
    pub code: String,
    /// What and why, without the content.
    pub what: String,
}

/// How one limit was kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitRecord {
    /// `memory`, `pids`, `cpu`, `wall`, `scratch`.
    pub name: String,
    /// The limit, for people: `512 MiB`.
    pub limit: String,
    /// What was used at most, where it is known.
    pub used: Option<String>,
    /// `full`, or `partial: …`.
    pub enforcement: String,
    /// Whether it was reached.
    pub reached: bool,
}

/// One thing that was destroyed, and how that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destroyed {
    /// `processes`, `mounts`, `scratch`, `model key`, `cgroup` and the like.
    pub what: String,
    /// How: `killed and reaped`, `freed, not key-wiped`, and the like.
    pub how: String,
}
