//! A task's way to the network: the gateway is started, fed and listened to.

use std::os::fd::OwnedFd;
use std::path::Path;

use hotcell_audit::{Durability, Log};
use hotcell_egress::{Heard, Ledger, Plan, Rule, Service};
use hotcell_isolate::{Network, NetworkSocket};
use hotcell_policy::{DetectorRule, GrantUse, StreamRule};
use hotcell_types::{Clock, Event, EventKind, TaskId};

use crate::TaskError;

/// Starts the gateway for the hosts that a grant gives, if any. What the workload chose is told where its streams pass live.
/// `printed`: whether it is held against fingerprints.
pub(crate) fn start(grant: &GrantUse, printed: bool) -> Result<Option<Service>, TaskError> {
    let rules: Vec<_> = grant
        .rights()
        .hosts()
        .map(|(destination, passes)| Rule {
            destination: destination.clone(),
            passes,
            requests: grant.profile().request_rules(destination),
        })
        .collect();
    if rules.is_empty() {
        return Ok(None);
    }
    let judged = grant.profile().detectors() == DetectorRule::Refuse;
    if let (true, Some(unopened)) = (judged || printed, rules.iter().find(|rule| rule.passes)) {
        return Err(TaskError::Spec {
            what: format!("what leaves is to be inspected, and `{},pass` would not be opened", unopened.destination),
            remedy: "leave out `,pass`, or use a profile file of yours with [inspection] detectors and fingerprints = \"off\"",
        });
    }
    let executable = Path::new("/proc/self/exe");
    let quotes = grant.streams() == StreamRule::Live;
    Service::start(executable, Plan::new(rules), quotes, judged).map(Some).map_err(TaskError::part)
}

/// What the sandbox needs of it.
pub(crate) fn network(service: &Service) -> Network {
    let sockets = service.plan().sockets();
    Network {
        resolver: Plan::RESOLVER,
        mask: Plan::MASK,
        sockets: sockets
            .iter()
            .map(|socket| NetworkSocket { address: socket.address, port: socket.port, datagrams: socket.datagrams })
            .collect(),
        certificates: service.certificates().to_vec(),
    }
}

/// Hands it the sockets, and tells the log.
pub(crate) fn serve(
    service: &mut Service,
    sockets: Vec<OwnedFd>,
    prints: Vec<OwnedFd>,
    notes: &Notes<'_>,
) -> Result<(), TaskError> {
    service.serve(sockets, prints).map_err(TaskError::part)?;
    let of = |passes| {
        let rules = service.plan().rules().iter().filter(move |rule| rule.passes == passes);
        rules.map(|rule| rule.destination.to_string()).collect::<Vec<_>>()
    };
    let (opened, passed) = (of(false), of(true));
    notes.tell(notes.event(EventKind::EgressOpened).with("opened", opened).with("passed", passed))
}

/// Where what happens is noted.
pub(crate) struct Notes<'a> {
    pub(crate) log: &'a Log,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) task: TaskId,
}

impl Notes<'_> {
    fn event(&self, kind: EventKind) -> Event {
        Event::of_task(self.clock.now(), self.task, kind)
    }

    fn tell(&self, event: Event) -> Result<(), TaskError> {
        self.log.append(&[event], Durability::Lazy).map(drop).map_err(TaskError::part)
    }

    /// Hears one thing and notes it; whether there may be more.
    pub(crate) fn hear(&self, service: &mut Service) -> Result<bool, TaskError> {
        match service.hear() {
            None => self.tell(self.event(EventKind::EgressLost)).map(|()| false),
            Some(None) => Ok(true),
            Some(Some(heard)) => self.note(heard).map(|()| true),
        }
    }

    fn note(&self, heard: Heard) -> Result<(), TaskError> {
        self.tell(match heard {
            Heard::Refused(refusal) => {
                let event = self.event(EventKind::EgressRefused).with("what", refusal.what);
                let particulars = [("code", refusal.code), ("permit", refusal.permit)];
                particulars.into_iter().fold(event, |event, (name, value)| match value {
                    Some(value) => event.with(name, value),
                    None => event,
                })
            }
            Heard::Connected { to, passed, bytes_out, bytes_in } => self
                .event(EventKind::EgressConnected)
                .with("to", to)
                .with("form", if passed { "passed" } else { "opened" })
                .with("bytes_out", bytes_out)
                .with("bytes_in", bytes_in),
            Heard::Requested { to, method, path, status, bytes_out, bytes_in } => self
                .event(EventKind::EgressRequested)
                .with("to", to)
                .with("method", method)
                .with("path", path)
                .with("status", status)
                .with("bytes_out", bytes_out)
                .with("bytes_in", bytes_in),
        })
    }

    /// Ends it, and notes its last words.
    pub(crate) fn finish(&self, service: Service) -> Result<Ledger, TaskError> {
        let mut last = Vec::new();
        let ledger = service.finish(&mut |heard| last.push(heard));
        last.into_iter().try_for_each(|heard| self.note(heard))?;
        Ok(ledger)
    }
}
