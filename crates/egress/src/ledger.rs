//! What the host knows of what went out.

use hotcell_types::{EgressRecord, HostRecord};

use crate::plan::Rule;
use crate::wire::Note;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Something was refused.
    Refused(Refusal),
    /// A connection ended.
    Connected {
        /// To which host and port.
        to: String,
        /// Whether it passed unopened.
        passed: bool,
        /// Bytes that left.
        bytes_out: u64,
        /// Bytes that came.
        bytes_in: u64,
    },
    /// A request was answered.
    Requested {
        /// Which host and port.
        to: String,
        /// The method.
        method: String,
        /// The path, without what follows it: a question may hold a secret.
        path: String,
        /// The status of the answer.
        status: u16,
        /// Bytes of its body that left.
        bytes_out: u64,
        /// Bytes of the answer's body that came.
        bytes_in: u64,
    },
}

/// What was refused.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Refusal {
    /// Its code, where it has one.
    pub code: Option<String>,
    /// What, and why.
    pub what: String,
    /// The option that would permit it, where there is one.
    pub permit: Option<String>,
}

/// The sums, and each kind of refusal once.
#[derive(Debug)]
pub struct Ledger {
    record: EgressRecord,
    passes: Vec<bool>,
    refusals: Vec<Refusal>,
    /// Whether words of the workload's own choice may be told: names that it asked for, paths.
    quotes: bool,
    told: u64,
}

/// Most connections and requests of one task that are told one by one: beyond, a workload could fill the log.
const MAX_TOLD: u64 = 10_000;

/// What is told of a name where the workload's own words may not be.
const UNQUOTED: &str = "a name that is none of the hosts that the task may reach";

/// Most different refusals that are kept; the others are counted.
const MAX_REFUSALS: usize = 32;

impl Ledger {
    pub(crate) fn new(rules: &[Rule], quotes: bool) -> Self {
        let hosts = rules.iter().map(|rule| HostRecord {
            host: rule.destination.to_string(),
            form: if rule.passes { "passed" } else { "opened" }.to_owned(),
            requests_limited: !rule.requests.is_empty(),
            connections: 0,
            requests: 0,
            bytes_out: 0,
            bytes_in: 0,
            refused: 0,
        });
        Self {
            record: EgressRecord { hosts: hosts.collect(), refused: 0, to_the_end: true },
            passes: rules.iter().map(|rule| rule.passes).collect(),
            refusals: Vec::new(),
            quotes,
            told: 0,
        }
    }

    /// Takes a note down; what is to be told of it, where it is new. A flood is counted, and not told one by one.
    pub(crate) fn take(&mut self, note: Note) -> Option<Heard> {
        let heard = self.count(note)?;
        self.told += 1;
        (self.told <= MAX_TOLD).then_some(heard)
    }

    fn count(&mut self, note: Note) -> Option<Heard> {
        match note {
            Note::Refused { rule, code, what, permit } => {
                self.record.refused += 1;
                if let Some(host) = rule.and_then(|rule| self.record.hosts.get_mut(rule)) {
                    host.refused += 1;
                }
                // What could be permitted is a name that the workload chose.
                let chosen = permit.is_some() || rule.is_none();
                let refusal = match chosen && !self.quotes {
                    true => Refusal { code, what: UNQUOTED.to_owned(), permit: None },
                    false => Refusal { code, what, permit },
                };
                if self.refusals.contains(&refusal) || self.refusals.len() >= MAX_REFUSALS {
                    return None;
                }
                self.refusals.push(refusal.clone());
                Some(Heard::Refused(refusal))
            }
            Note::Connected { rule, bytes_out, bytes_in } => {
                let host = self.record.hosts.get_mut(rule)?;
                host.connections += 1;
                host.bytes_out = host.bytes_out.saturating_add(bytes_out);
                host.bytes_in = host.bytes_in.saturating_add(bytes_in);
                let passed = self.passes.get(rule).copied().unwrap_or_default();
                Some(Heard::Connected { to: host.host.clone(), passed, bytes_out, bytes_in })
            }
            Note::Requested { rule, method, path, status, bytes_out, bytes_in } => {
                let host = self.record.hosts.get_mut(rule)?;
                host.requests += 1;
                let path = if self.quotes { path } else { String::new() };
                Some(Heard::Requested { to: host.host.clone(), method, path, status, bytes_out, bytes_in })
            }
        }
    }

    pub(crate) fn lost(&mut self) {
        self.record.to_the_end = false;
    }

    /// The sums.
    pub fn record(&self) -> &EgressRecord {
        &self.record
    }

    /// Each kind of refusal once.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }
}
