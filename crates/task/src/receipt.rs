//! The receipt of a task, put together from what each step left.

use hotcell_audit::{Log, receipt};
use hotcell_isolate::ScratchKind;
use hotcell_policy::{DEFAULT_POLICY, GrantUse, SCHEMA, SideChannelRule, Tag};
use hotcell_types::{
    Bits, Destroyed, Digest, EgressRecord, Event, ImageRecord, InputRecord, LimitRecord, ModelRecord, Observation,
    Outcome, OutputRecord, PolicyRecord, ReceiptBody, Refusal, RightRecord, StreamRecord, Timestamp, Wall,
    WorkloadRecord,
};

use crate::TaskError;

/// What the steps left.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) version: String,
    pub(crate) policy: PolicyRecord,
    pub(crate) outcome: Outcome,
    pub(crate) exit_status: Option<u8>,
    pub(crate) submitted: Timestamp,
    pub(crate) started: Timestamp,
    pub(crate) walls: Vec<Observation>,
    pub(crate) limits: Vec<LimitRecord>,
    pub(crate) workload: WorkloadRecord,
    pub(crate) image: Option<ImageRecord>,
    pub(crate) model: Option<ModelRecord>,
    pub(crate) inputs: Vec<InputRecord>,
    pub(crate) outputs: Vec<OutputRecord>,
    pub(crate) streams: Vec<StreamRecord>,
    pub(crate) stream_capacity: Bits,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) destroyed: Vec<Destroyed>,
    pub(crate) scratch: ScratchKind,
    /// By how many milliseconds the host's clock was set meanwhile.
    pub(crate) jumped: Option<i64>,
    /// What went over the network, where it might use it.
    pub(crate) egress: Option<EgressRecord>,
}

/// What the receipt says of the decision.
pub(crate) fn policy(grant: &GrantUse, tag: Tag) -> PolicyRecord {
    PolicyRecord {
        grant: grant.id(),
        rules: grant.rules().to_vec(),
        policy_digest: policy_digest(tag),
        profile: grant.profile().name().to_owned(),
        profile_digest: hotcell_crypto::sha256(grant.profile().canonical().as_bytes()),
    }
}

/// Signs and logs the receipt, with the events before it, in one durable step.
pub(crate) fn issue(
    log: &Log,
    grant: &GrantUse,
    account: Account,
    now: Timestamp,
    before: &[Event],
) -> Result<(ReceiptBody, Vec<u8>), TaskError> {
    // Whatever left by the network counts with each of its bits.
    let sent = account.egress.iter().flat_map(|egress| &egress.hosts).map(|host| Bits(host.bytes_out as f64 * 8.0));
    let sent = sent.sum::<Bits>();
    let capacity = account.outputs.iter().map(|output| output.capacity).sum::<Bits>() + account.stream_capacity + sent;
    let body = ReceiptBody {
        task: grant.task(),
        hotcell_version: account.version,
        outcome: account.outcome,
        exit_status: account.exit_status,
        submitted: account.submitted,
        started: Some(account.started),
        ended: now,
        principal: grant.principal().to_owned(),
        purpose: grant.purpose().to_owned(),
        policy: account.policy,
        isolation: grant.isolation().to_owned(),
        caveats: caveats(grant, account.scratch, account.jumped),
        rights: rights(grant, &account.walls),
        walls: account.walls,
        best_effort: grant.best_effort().iter().map(|wall| wall.label().to_owned()).collect(),
        limits: account.limits,
        workload: account.workload,
        image: account.image,
        model: account.model,
        inputs: account.inputs,
        outputs: account.outputs,
        streams: account.streams,
        capacity,
        egress: account.egress,
        refusals: account.refusals,
        destroyed: account.destroyed,
    };
    let receipt = receipt::issue(log, &body, now, before).map_err(TaskError::part)?;
    Ok((body, receipt.as_bytes().to_vec()))
}

/// The rights, each with those of its walls that were seen to stand.
fn rights(grant: &GrantUse, seen: &[Observation]) -> Vec<RightRecord> {
    let stands = |wall: &Wall| {
        let mut of_wall = seen.iter().filter(|seen| seen.wall == *wall).peekable();
        of_wall.peek().is_some() && of_wall.all(|seen| seen.holds)
    };
    let mut rights = grant.rights().records();
    rights.iter_mut().for_each(|right| right.walls.retain(stands));
    rights
}

/// Digest of schema and rules, each with its name and length before it, and of the file of the policy in force.
fn policy_digest(tag: Tag) -> Digest {
    let mut text = String::new();
    for (name, content) in [("hotcell.cedarschema", SCHEMA)].iter().chain(DEFAULT_POLICY) {
        text.push_str(&format!("{name} {}\n{content}", content.len()));
    }
    if let Tag::InForce(Some(digest)) = tag {
        text.push_str(&format!("in force {digest}\n"));
    }
    hotcell_crypto::sha256(text.as_bytes())
}

/// What the isolation level does not give here.
fn caveats(grant: &GrantUse, scratch: ScratchKind, jumped: Option<i64>) -> Vec<String> {
    let mut caveats = vec!["root on the host can see and change everything".to_owned()];
    let by_profile: Vec<_> = grant.without().difference(grant.best_effort()).map(|wall| wall.label()).collect();
    if !by_profile.is_empty() {
        let profile = grant.profile().name();
        caveats.push(format!("the profile `{profile}` does without {}", by_profile.join(", ")));
    }
    if !hotcell_isolate::is_root_of_the_host() {
        caveats.push("the sandbox has, outside, the id of the user who ran it".to_owned());
    }
    if grant.sealed_model() {
        caveats.push("the model is not protected from the user who ran it".to_owned());
    }
    if grant.profile().side_channels() == SideChannelRule::Hardened {
        caveats.push(
            "pages of files that others read too (/usr, a common input) are shared with them, read-only; a command has clocks"
                .to_owned(),
        );
    }
    caveats.push(
        match scratch {
            ScratchKind::Memory => "scratch, outputs and an opened model lived in memory that was freed, not key-wiped",
            ScratchKind::Encrypted => "outputs and an opened model lived in memory that was freed, not key-wiped",
        }
        .to_owned(),
    );
    let passed: Vec<_> =
        grant.rights().hosts().filter(|(_, passes)| *passes).map(|(host, _)| host.to_string()).collect();
    if !passed.is_empty() {
        caveats.push(format!("what went to {} passed uninspected, fronting possible", passed.join(", ")));
    }
    if let Some(millis) = jumped {
        let direction = if millis < 0 { "back" } else { "forward" };
        let seconds = millis.unsigned_abs() / 1000;
        caveats.push(format!("the host's clock was set {direction} by {seconds} s while the task was on its way"));
    }
    caveats
}
