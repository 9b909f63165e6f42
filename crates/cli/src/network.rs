//! Gateway and broker of a sandbox's way to the network: this very program under other names, one of each for a sandbox.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use hotcell_egress::{
    BROKER_NAME, BodyInspection, CARRIES_FINDING, CARRIES_INPUT, GATEWAY_NAME, Inspection, Reason, RequestHead,
    SERVICE_ARGUMENT, Uninspected, Verdict, broker, gateway,
};
use hotcell_inspect::fingerprint::Fingerprints;
use hotcell_inspect::scan::{Report, Scanner};
use hotcell_isolate::serve::{Bounds, Confinement, begin, confine};
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

/// What either of them may use. The memory holds the largest index of fingerprints (1 GiB) while it is read, and a stack and
/// buffers for each of 256 connections; of descriptors a connection needs three. Threads are bounded by connections: the
/// kernel counts them for a whole user, so that a limit of theirs would be one of everybody's.
const BOUNDS: Bounds = Bounds { memory: 4 << 30, files: 1024 };

fn serve(part: Part) -> io::Result<()> {
    let control = begin(io::stdin().as_fd())?;
    match part {
        Part::Gateway => {
            let locks = Confinement { calls: gateway::CALLS, inet: false, read: &[], bounds: BOUNDS };
            gateway::serve(
                control,
                || confine(&locks),
                |judged| {
                    Ok(Box::new(match judged {
                        true => Detectors::new(Scanner::builtin().map_err(io::Error::other)?, true),
                        false => Detectors::new(Scanner::without_detectors(), false),
                    }))
                },
            )
        }
        Part::Broker => {
            let (calls, read) = (broker::CALLS, broker::READS);
            confine(&Confinement { calls, inet: true, read, bounds: BOUNDS })?;
            broker::serve(control)
        }
    }
}

/// The detectors of `hotcell scan` and the fingerprints of inputs, over what leaves opened.
struct Detectors {
    scanner: Arc<Scanner>,
    /// Whether there is anything that it could find.
    looks: bool,
}

impl Detectors {
    fn new(scanner: Scanner, looks: bool) -> Self {
        Self { scanner: Arc::new(scanner), looks }
    }
}

/// Bytes of a body that are looked at together from its beginning: so far, what is packed is unpacked.
const FROM_THE_BEGINNING: usize = 256 << 10;
/// Bytes before a piece that are looked at with it once more, so that no value hides in a cut.
const OVERLAP: usize = 8 << 10;

impl Inspection for Detectors {
    fn begin(&self, head: &RequestHead<'_>) -> Result<Box<dyn BodyInspection>, Reason> {
        if !self.looks {
            return Ok(Box::new(Uninspected));
        }
        let mut text = head.target.as_bytes().to_vec();
        if head.target.contains('+') {
            // The blank of a form, in what may hold nothing else that tells a form.
            text.extend_from_slice(format!("\n{}", head.target.replace('+', " ")).as_bytes());
        }
        for (name, value) in head.headers {
            text.extend_from_slice(format!("\n{name}: ").as_bytes());
            text.extend_from_slice(value);
        }
        match why_refused(&self.scanner.scan(&text), "head") {
            Some(why) => Err(why),
            None => {
                Ok(Box::new(Body { scanner: self.scanner.clone(), seen: Vec::new(), all: true, work: 0, passed: 0 }))
            }
        }
    }

    fn hold_against(self: Box<Self>, index: File) -> io::Result<Box<dyn Inspection>> {
        let prints = Fingerprints::read(index).map_err(io::Error::other)?;
        let scanner = Arc::into_inner(self.scanner).ok_or_else(|| io::Error::other("it is in use already"))?;
        Ok(Box::new(Self::new(scanner.with_fingerprints(Arc::new(prints)), true)))
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
        match why_refused(&self.scanner.scan(&self.seen), "body") {
            Some(why) => Verdict::Refuse(why),
            None => Verdict::Pass,
        }
    }

    fn patience(&self) -> usize {
        let free = self.passed.saturating_mul(FREE_SCANS).saturating_add(FREE_WORK);
        if self.work <= free { 0 } else { self.seen.len() / NEW_PART }
    }
}

/// What was found, by kind; never the value. What could not be looked at counts as found.
fn why_refused(report: &Report, part: &str) -> Option<Reason> {
    let unseen = report.unseen.first().map(|unseen| unseen.reason.what());
    let kind = report.findings.first().map(|finding| finding.kind.as_str());
    let print = report.prints.first().map(|print| print.kind.as_str());
    let (code, what) = match (print, kind, unseen) {
        (Some(kind), _, _) => (CARRIES_INPUT, format!("something of an input ({kind})")),
        (None, Some(kind), _) => (CARRIES_FINDING, format!("personal data or a secret ({kind})")),
        (None, None, Some(unseen)) => (CARRIES_FINDING, format!("what could not be looked at ({unseen})")),
        (None, None, None) => return None,
    };
    Some(Reason { code: Some(code), what: format!("its {part} holds {what}") })
}

#[cfg(test)]
mod tests {
    use std::io::Seek as _;

    use hotcell_inspect::fingerprint::{Builder, Size};

    use super::*;

    fn detectors() -> Detectors {
        Detectors::new(Scanner::builtin().unwrap(), true)
    }

    fn begun(headers: &[(&str, &[u8])], target: &str) -> Result<Box<dyn BodyInspection>, Reason> {
        let to = "api.example".parse().unwrap();
        detectors().begin(&RequestHead { to: &to, method: "POST", target, headers })
    }

    #[test]
    fn a_card_in_target_header_or_body_does_not_leave_and_is_not_repeated() {
        let card = "4111111111111111";
        let encoded = "NDExMTExMTExMTExMTExMQ==";
        for target in [format!("/pay?card={card}"), format!("/pay?card={encoded}")] {
            let why = begun(&[], &target).err().unwrap().what;
            assert!(why.contains("bank-card") && !why.contains(card), "{why}");
        }
        assert!(begun(&[("x-note", format!("card {card}").as_bytes())], "/").is_err());
        let mut body = begun(&[("content-type", b"text/plain")], "/").unwrap();
        assert_eq!(body.look(b"twelve boxes of "), Verdict::Pass);
        let Verdict::Refuse(why) = body.look(format!("cards, card {card}").as_bytes()) else { panic!("it left") };
        assert_eq!(why.code, Some(CARRIES_FINDING));
        assert!(why.what.contains("bank-card") && !why.what.contains(card), "{why:?}");
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

    /// What a task was given, and what only knows that.
    const NOTE: &[u8] = b"The patient was seen on Tuesday for a persistent cough; she is allergic to penicillin.";

    fn printed() -> Box<dyn Inspection> {
        let mut index = Builder::new(Size::Fine);
        index.add("note", NOTE).unwrap();
        let mut file = tempfile();
        index.finish().write(&file).unwrap();
        file.rewind().unwrap();
        Box::new(Detectors::new(Scanner::without_detectors(), false)).hold_against(file).unwrap()
    }

    fn tempfile() -> File {
        rustix::fs::memfd_create("index", rustix::fs::MemfdFlags::CLOEXEC).unwrap().into()
    }

    #[test]
    fn a_stretch_of_an_input_is_known_in_head_and_body_however_the_body_is_cut() {
        let to = "api.example".parse().unwrap();
        let begun = |target: &str| {
            let inspection = printed();
            inspection.begin(&RequestHead { to: &to, method: "POST", target, headers: &[] })
        };
        let head = format!("/?note={}", String::from_utf8_lossy(NOTE).replace(' ', "+"));
        assert_eq!(begun(&head).err().unwrap().code, Some(CARRIES_INPUT));
        let mut body = begun("/").unwrap();
        assert_eq!(body.look(b"she is allergic to nothing, and pays by 4111111111111111"), Verdict::Pass);
        for pieces in [1, 7, 30] {
            let mut body = begun("/").unwrap();
            let verdicts: Vec<_> = NOTE.chunks(pieces).map(|piece| body.look(piece)).collect();
            let Some(Verdict::Refuse(why)) = verdicts.iter().find(|verdict| **verdict != Verdict::Pass) else {
                panic!("it left in pieces of {pieces}")
            };
            assert_eq!(why.code, Some(CARRIES_INPUT));
            assert!(!why.what.contains("penicillin"), "{why:?}");
        }
        // Nothing to look for, nothing found.
        let off = Detectors::new(Scanner::without_detectors(), false);
        let mut body = off.begin(&RequestHead { to: &to, method: "POST", target: "/", headers: &[] }).unwrap();
        assert_eq!(body.look(NOTE), Verdict::Pass);
    }

    #[test]
    fn what_is_no_index_ends_the_gateway() {
        let mut file = tempfile();
        io::Write::write_all(&mut file, b"no index").unwrap();
        file.rewind().unwrap();
        assert!(Box::new(Detectors::new(Scanner::without_detectors(), false)).hold_against(file).is_err());
    }

    #[test]
    fn a_body_in_tiny_pieces_does_not_cost_more_than_its_share() {
        let mut body = Body {
            scanner: detectors().scanner,
            seen: vec![b'a'; FROM_THE_BEGINNING / 2],
            all: true,
            work: 0,
            passed: 0,
        };
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
