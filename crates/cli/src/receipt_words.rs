//! What the text and the page of a receipt say in the same words.

use hotcell_types::{ByteSize, Enforcement, Observation, ReceiptBody, Timestamp};

/// When it ran.
pub(crate) fn times(body: &ReceiptBody) -> String {
    let Timestamp(ended) = body.ended;
    match body.started {
        Some(started) => {
            let seconds = ended.saturating_sub(started.0) as f64 / 1e3;
            format!("{started} to {} ({seconds:.3} s, with all destroyed)", body.ended)
        }
        None => format!("submitted {}, ended {}", body.submitted, body.ended),
    }
}

/// How the workload itself ended.
pub(crate) fn exit(body: &ReceiptBody) -> String {
    match body.exit_status {
        Some(status) => format!("the workload exited with {status}"),
        None => "the workload did not exit by itself".to_owned(),
    }
}

/// The walls, as far as they were seen to stand.
pub(crate) struct Walls<'a> {
    /// How many observations saw a wall stand in full.
    pub(crate) full: usize,
    /// Of how many.
    pub(crate) all: usize,
    /// The names of the walls that stand in full, each once.
    pub(crate) names: Vec<&'static str>,
    /// What was seen of the others.
    pub(crate) others: Vec<&'a Observation>,
}

/// Sorts what was seen.
pub(crate) fn walls(body: &ReceiptBody) -> Walls<'_> {
    let is_full = |seen: &&Observation| seen.holds && seen.enforcement == Enforcement::Full;
    let (full, others): (Vec<_>, Vec<_>) = body.walls.iter().partition(is_full);
    let mut names: Vec<_> = full.iter().map(|seen| seen.wall.label()).collect();
    names.sort_unstable();
    names.dedup();
    Walls { full: full.len(), all: body.walls.len(), names, others }
}

/// A wall that does not stand in full, and what is missing of it.
pub(crate) fn lacking(seen: &Observation) -> String {
    let how = match &seen.enforcement {
        Enforcement::Full => "in full".to_owned(),
        Enforcement::Partial { missing } => format!("in part: {missing}"),
        Enforcement::Absent { why } => format!("absent: {why}"),
    };
    let holds = if seen.holds { "" } else { "DOES NOT HOLD, " };
    format!("{} {holds}{how}", seen.wall)
}

/// What went over the network, host by host; nothing where the task could reach none.
pub(crate) fn egress(body: &ReceiptBody) -> Vec<String> {
    let Some(egress) = &body.egress else { return Vec::new() };
    let mut lines: Vec<_> = egress
        .hosts
        .iter()
        .map(|host| {
            let form = match host.form.as_str() {
                "passed" => "uninspected, fronting possible".to_owned(),
                _ if host.requests_limited => format!("{} requests (limited)", host.requests),
                _ => format!("{} requests", host.requests),
            };
            let (out, back) = (ByteSize(host.bytes_out), ByteSize(host.bytes_in));
            let (to, count) = (&host.host, host.connections);
            format!("{to}: {count} connections, {form}, {out} out, {back} in, {} refused", host.refused)
        })
        .collect();
    lines.push(format!("{} refused on their way out", egress.refused));
    if !egress.to_the_end {
        lines.push("the gateway ended before the task did; nothing left any more".to_owned());
    }
    lines
}
