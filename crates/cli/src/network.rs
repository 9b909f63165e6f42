//! Gateway and broker of a sandbox's way to the network: this very program under other names, one of each for a sandbox.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use hotcell_egress::{
    BROKER_NAME, BodyInspection, GATEWAY_NAME, Inspection, RequestHead, SERVICE_ARGUMENT, Uninspected, Verdict, broker,
    gateway,
};
use hotcell_inspect::scan::{Report, Scanner};
use hotcell_isolate::serve::{Confinement, begin, confine};
use hotcell_types::Exit;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Gateway,
    Broker,
}

/// Whether this process was started as one of them.
pub(crate) fn part(name: Option<&OsStr>) -> Option<Part> {
    match name.and_then(|name| Path::new(name).file_name()).and_then(OsStr::to_str) {
        Some(GATEWAY_NAME) => Some(Part::Gateway),
        Some(BROKER_NAME) => Some(Part::Broker),
        _ => None,
    }
}

/// Serves until the sandbox or the host is gone. Whoever started it knows how it went; there is nobody else to tell.
pub(crate) fn main(part: Part, mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    if arguments.next().is_none_or(|argument| argument != SERVICE_ARGUMENT) {
        return Exit::Usage.status().into();
    }
    match serve(part) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => Exit::Failed.status().into(),
    }
}

fn serve(part: Part) -> io::Result<()> {
    let control = begin(io::stdin().as_fd())?;
    match part {
        Part::Gateway => {
            let locks = Confinement { calls: gateway::CALLS, inet: false, read: &[] };
            gateway::serve(
                control,
                || confine(&locks),
                |judged| match judged {
                    true => Ok(Box::new(Detectors(Arc::new(Scanner::builtin().map_err(io::Error::other)?)))),
                    false => Ok(Box::new(Uninspected)),
                },
            )
        }
        Part::Broker => {
            confine(&Confinement { calls: broker::CALLS, inet: true, read: broker::READS })?;
            broker::serve(control)
        }
    }
}

/// The detectors of `hotcell scan`, over what leaves opened.
struct Detectors(Arc<Scanner>);

/// Bytes of a body that are looked at together from its beginning: so far, what is packed is unpacked.
const FROM_THE_BEGINNING: usize = 256 << 10;
/// Bytes before a piece that are looked at with it once more, so that no value hides in a cut.
const OVERLAP: usize = 8 << 10;

impl Inspection for Detectors {
    fn begin(&self, head: &RequestHead<'_>) -> Result<Box<dyn BodyInspection>, String> {
        let mut text = head.target.as_bytes().to_vec();
        for (name, value) in head.headers {
            text.extend_from_slice(format!("\n{name}: ").as_bytes());
            text.extend_from_slice(value);
        }
        match why_refused(&self.0.scan(&text)) {
            Some(why) => Err(format!("its head holds {why}")),
            None => Ok(Box::new(Body { scanner: self.0.clone(), seen: Vec::new(), all: true, work: 0, passed: 0 })),
        }
    }
}

/// A body on its way: what was seen of it last.
struct Body {
    scanner: Arc<Scanner>,
    seen: Vec<u8>,
    /// Whether that is all of it so far.
    all: bool,
    /// Bytes that were scanned for it, each as often as it was.
    work: u64,
    /// Bytes of it.
    passed: u64,
}

/// How often a byte may be scanned on the average before tiny pieces wait for more.
const FREE_SCANS: u64 = 64;
/// And how many bytes may be scanned beyond that: a talk in small pieces is not held up.
const FREE_WORK: u64 = 16 << 20;
/// What part of what is scanned anew has to be new, once tiny pieces wait.
const NEW_PART: usize = 16;

impl BodyInspection for Body {
    fn look(&mut self, bytes: &[u8]) -> Verdict {
        if self.seen.len() + bytes.len() > FROM_THE_BEGINNING || !self.all {
            self.all = false;
            self.seen.drain(..self.seen.len().saturating_sub(OVERLAP));
        }
        self.seen.extend_from_slice(bytes);
        self.work = self.work.saturating_add(self.seen.len() as u64);
        self.passed = self.passed.saturating_add(bytes.len() as u64);
        match why_refused(&self.scanner.scan(&self.seen)) {
            Some(why) => Verdict::Refuse(format!("its body holds {why}")),
            None => Verdict::Pass,
        }
    }

    fn patience(&self) -> usize {
        let free = self.passed.saturating_mul(FREE_SCANS).saturating_add(FREE_WORK);
        if self.work <= free { 0 } else { self.seen.len() / NEW_PART }
    }
}

/// What was found, by kind; never the value. What could not be looked at counts as found.
fn why_refused(report: &Report) -> Option<String> {
    let unseen = report.unseen.first().map(|unseen| unseen.reason.what());
    let kind = report.findings.first().map(|finding| finding.kind.as_str());
    match (kind, unseen) {
        (Some(kind), _) => Some(format!("personal data or a secret ({kind})")),
        (None, Some(unseen)) => Some(format!("what could not be looked at ({unseen})")),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detectors() -> Detectors {
        Detectors(Arc::new(Scanner::builtin().unwrap()))
    }

    fn begun(headers: &[(&str, &[u8])], target: &str) -> Result<Box<dyn BodyInspection>, String> {
        let to = "api.example".parse().unwrap();
        detectors().begin(&RequestHead { to: &to, method: "POST", target, headers })
    }

    #[test]
    fn a_card_in_target_header_or_body_does_not_leave_and_is_not_repeated() {
        let card = "4111111111111111";
        let encoded = "NDExMTExMTExMTExMTExMQ==";
        for target in [format!("/pay?card={card}"), format!("/pay?card={encoded}")] {
            let why = begun(&[], &target).err().unwrap();
            assert!(why.contains("bank-card") && !why.contains(card), "{why}");
        }
        assert!(begun(&[("x-note", format!("card {card}").as_bytes())], "/").is_err());
        let mut body = begun(&[("content-type", b"text/plain")], "/").unwrap();
        assert_eq!(body.look(b"twelve boxes of "), Verdict::Pass);
        let Verdict::Refuse(why) = body.look(format!("cards, card {card}").as_bytes()) else { panic!("it left") };
        assert!(why.contains("bank-card") && !why.contains(card), "{why}");
    }

    #[test]
    fn harmless_requests_leave_and_a_cut_hides_nothing_in_a_long_body() {
        let mut body = begun(&[("accept", b"application/json")], "/v1/prices?of=bread").unwrap();
        let line = "the quick brown fox jumps over the lazy dog\n".repeat(300);
        for _ in 0..40 {
            assert_eq!(body.look(line.as_bytes()), Verdict::Pass);
        }
        assert_eq!(body.look(b"card 41111111"), Verdict::Pass);
        assert!(matches!(body.look(b"11111111\n"), Verdict::Refuse(_)));
    }

    #[test]
    fn a_body_in_tiny_pieces_does_not_cost_more_than_its_share() {
        let mut body =
            Body { scanner: detectors().0, seen: vec![b'a'; FROM_THE_BEGINNING / 2], all: true, work: 0, passed: 0 };
        assert_eq!(body.patience(), 0);
        body.work = FREE_WORK;
        assert_eq!(body.patience(), 0, "what is free is free");
        body.work = FREE_WORK + 1;
        assert_eq!(body.patience(), FROM_THE_BEGINNING / 2 / NEW_PART);
        body.passed = 1;
        assert_eq!(body.patience(), 0, "what comes in good pieces never waits");
        assert_eq!(body.look(b"b"), Verdict::Pass);
        assert!(body.work > FREE_WORK + (FROM_THE_BEGINNING / 2) as u64 && body.passed == 2);
    }
}
