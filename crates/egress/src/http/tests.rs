use std::collections::VecDeque;
use std::io::{self, Cursor};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use hotcell_types::RequestRules;

use super::*;
use crate::inspection::Uninspected;

/// A host that answers each connection with what is ready for it, and keeps what it is sent.
struct Host {
    rule: Rule,
    answers: Mutex<VecDeque<&'static [u8]>>,
    heard: Arc<Mutex<Vec<u8>>>,
    notes: Mutex<Vec<Note>>,
    inspection: Box<dyn Inspection>,
    /// Whether somebody else tells why nobody answers.
    told: bool,
    requests: AtomicU64,
    head_time: Duration,
}

/// One end that reads what is there and writes where it is told.
struct End {
    reads: Cursor<Vec<u8>>,
    writes: Arc<Mutex<Vec<u8>>>,
}

impl Read for End {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Little by little, as a network has it.
        let most = buffer.len().min(7);
        self.reads.read(&mut buffer[..most])
    }
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Outside for Host {
    fn rule(&self, _: usize) -> Option<&Rule> {
        Some(&self.rule)
    }

    fn count_request(&self, _: usize) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn inspection(&self) -> &dyn Inspection {
        &*self.inspection
    }

    fn head_time(&self) -> Duration {
        self.head_time
    }

    fn note(&self, note: Note) {
        self.notes.lock().unwrap().push(note);
    }

    fn connect(&self, _: usize, _: bool) -> Result<Box<dyn Stream>, NotConnected> {
        let answer = self.answers.lock().unwrap().pop_front();
        let answer = answer.ok_or_else(|| NotConnected { why: "nobody answers".to_owned(), told: self.told })?;
        Ok(Box::new(End { reads: Cursor::new(answer.to_vec()), writes: Arc::clone(&self.heard) }))
    }
}

fn host(answers: &[&'static [u8]]) -> Host {
    Host {
        rule: Rule { destination: "api.example".parse().unwrap(), passes: false, requests: RequestRules::default() },
        answers: Mutex::new(answers.iter().copied().collect()),
        heard: Arc::default(),
        notes: Mutex::default(),
        inspection: Box::new(Uninspected),
        told: false,
        requests: AtomicU64::new(0),
        head_time: Duration::from_secs(3600),
    }
}

impl Host {
    /// What a client that says this is answered.
    fn serve(&self, said: &[u8]) -> String {
        let writes = Arc::default();
        let client = End { reads: Cursor::new(said.to_vec()), writes: Arc::clone(&writes) };
        Exchange::new(self, 0, true, &Counts::default()).serve(client);
        String::from_utf8_lossy(&writes.lock().unwrap()).into_owned()
    }

    fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }
}

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_request_is_written_anew_and_its_answer_too() {
    let host = host(&[FINE]);
    let said =
        b"POST /a?b=c HTTP/1.1\r\nhOsT: API.example\r\nX-One:  1 \r\nConnection: keep-alive, X-Two\r\nX-Two: 2\r\n\
                 Content-Length: 5\r\n\r\nhello";
    let answer = host.serve(said);
    assert_eq!(host.heard(), "POST /a?b=c HTTP/1.1\r\nhOsT: API.example\r\nX-One: 1\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(answer, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let expected =
        Note::Requested { rule: 0, method: "POST".into(), path: "/a".into(), status: 200, bytes_out: 5, bytes_in: 2 };
    assert_eq!(*host.notes.lock().unwrap(), [expected]);
}

#[test]
fn chunks_are_cut_anew_and_what_stands_behind_them_is_let_go() {
    let host = host(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"]);
    let answer = host.serve(
        b"PUT / HTTP/1.1\r\nHost: api.example:443\r\nTransfer-Encoding: Chunked\r\n\r\n00A\r\n0123456789\r\n0\r\n\r\n",
    );
    let heard = host.heard();
    assert!(heard.contains("Transfer-Encoding: chunked\r\n") && heard.ends_with("0\r\n\r\n"), "{heard}");
    assert!(answer.ends_with("3\r\nabc\r\n0\r\n\r\n") && !answer.contains("X: y"), "{answer}");
}

#[test]
fn several_requests_go_over_one_connection_and_a_second_one_where_the_host_ended_it() {
    let get = b"GET /1 HTTP/1.1\r\nHost: api.example\r\n\r\nGET /2 HTTP/1.1\r\nHost: api.example\r\n\r\n";
    let both = [FINE, FINE].concat().leak();
    let host_of_one = host(&[both]);
    assert_eq!(host_of_one.serve(get).matches("200 OK").count(), 2);
    let host_of_two = host(&[FINE, FINE]);
    assert_eq!(host_of_two.serve(get).matches("200 OK").count(), 2);
}

#[test]
fn nothing_of_a_request_that_is_refused_is_heard() {
    for (said, why) in [
        ("GET / HTTP/1.1\r\n\r\n", "no Host"),
        ("GET / HTTP/1.1\r\nHost: other.example\r\n\r\n", "its Host is not"),
        ("GET / HTTP/1.1\r\nHost: api.example:80\r\n\r\n", "its Host is not"),
        ("GET / HTTP/1.1\r\nHost: api.example@other.example\r\n\r\n", "its Host is not"),
        ("GET / HTTP/1.1\r\nHost: api.example\r\nhost: api.example\r\n\r\n", "stands there twice"),
        (
            "GET / HTTP/1.1\r\nHost: api.example\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "both a length",
        ),
        ("GET / HTTP/1.1\r\nHost: api.example\r\nContent-Length: 1,1\r\n\r\n", "plain number"),
        ("GET / HTTP/1.1\r\nHost: api.example\r\nContent-Length: 0x1\r\n\r\n", "plain number"),
        ("GET / HTTP/1.1\r\nHost: api.example\r\nContent-Length: 1000000000000000\r\n\r\n", "plain number"),
        ("GET / HTTP/1.1\r\nHost: api.example\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "another one than chunked"),
        ("GET / HTTP/1.1\r\nHost: api.example\r\n folded: x\r\n\r\n", "folded"),
        ("GET / HTTP/1.1\r\nHost: api.example\r\nX: a\rb\r\n\r\n", "do not end in CR LF"),
        ("GET / HTTP/1.1\r\nHost: api.example\r\nX: a\n\r\n\r\n", "do not end in CR LF"),
        ("GET / HTTP/1.1\nHost: api.example\n\n", "do not end in CR LF"),
        ("GET / HTTP/1.1\r\nHost: api.example\r\nX : y\r\n\r\n", "cannot be read"),
        ("GET http://api.example/ HTTP/1.1\r\nHost: api.example\r\n\r\n", "no plain path"),
        ("GET /a#b HTTP/1.1\r\nHost: api.example\r\n\r\n", "no plain path"),
        ("get / HTTP/1.1\r\nHost: api.example\r\n\r\n", "its method"),
        ("TRACE / HTTP/1.1\r\nHost: api.example\r\n\r\n", "its method"),
        ("GET / HTTP/1.0\r\nHost: api.example\r\n\r\n", "not HTTP/1.1"),
        ("GET / HTTP/1.1\r\nHost: api.example\r\nExpect: more\r\n\r\n", "expects something unknown"),
        ("GET / HTTP/1.1\r\nHost: api.example\r\nConnection: cookie\r\nCookie: a\r\n\r\n", "names a header"),
        ("GET / HTTP/1.1\r\nHost: api.example\r\nUpgrade: websocket\r\n\r\n", "another protocol"),
    ] {
        let host = host(&[FINE]);
        let answer = host.serve(said.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(why), "{said}\n{answer}");
        assert_eq!(host.heard(), "", "{said}");
    }
    let long = format!("GET / HTTP/1.1\r\nHost: api.example\r\nX: {}\r\n\r\n", "y".repeat(40 << 10));
    let host = host(&[FINE]);
    assert!(host.serve(long.as_bytes()).contains("longer than 32 KiB"));
    assert_eq!(host.heard(), "");
}

#[test]
fn a_body_that_is_not_what_it_says_ends_the_connection_before_its_end() {
    for body in [
        "zz\r\nab\r\n0\r\n\r\n",
        "3;x=y\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
    ] {
        let host = host(&[FINE]);
        let said = format!(
            "POST / HTTP/1.1\r\nHost: api.example\r\nTransfer-Encoding: chunked\r\n\r\n{body}GET /smuggled HTTP/1.1\r\n\r\n"
        );
        let answer = host.serve(said.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400 "), "{body}: {answer}");
        assert!(!host.heard().contains("smuggled") && !host.heard().ends_with("0\r\n\r\n"), "{}", host.heard());
    }
}

#[test]
fn an_answer_that_can_be_read_in_two_ways_is_not_passed_on() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\nContent-Length: 1\n\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"",
    ] {
        let answered = host(&[answer]).serve(b"GET / HTTP/1.1\r\nHost: api.example\r\n\r\n");
        assert!(answered.starts_with("HTTP/1.1 502 "), "{answered}");
    }
}

#[test]
fn the_end_of_an_answer_is_passed_on_as_it_is_known() {
    let get = b"GET / HTTP/1.1\r\nHost: api.example\r\n\r\n";
    let answered =
        host(&[b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nAlt-Svc: h3\r\n\r\nuntil the end"]).serve(get);
    assert_eq!(answered, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end");
    let answered = host(&[b"HTTP/1.1 204 No Content\r\n\r\n"]).serve(get);
    assert_eq!(answered, "HTTP/1.1 204 No Content\r\n\r\n");
    let answered = host(&[b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]).serve(get);
    assert_eq!(answered, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let head = b"HEAD / HTTP/1.1\r\nHost: api.example\r\n\r\n";
    let answered = host(&[b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"]).serve(head);
    assert_eq!(answered, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
}

/// Refuses what holds a word.
struct Word(&'static str);

impl Inspection for Word {
    fn begin(&self, head: &RequestHead<'_>) -> Result<Box<dyn BodyInspection>, Reason> {
        match head.target.contains(self.0) {
            true => Err("its target holds the word".into()),
            false => Ok(Box::new(Self(self.0))),
        }
    }
}

impl BodyInspection for Word {
    fn look(&mut self, bytes: &[u8]) -> Verdict {
        match String::from_utf8_lossy(bytes).contains(self.0) {
            true => Verdict::Refuse("its body holds the word".into()),
            false => Verdict::Pass,
        }
    }
}

#[test]
fn what_inspection_refuses_does_not_leave() {
    let with_word = || Host { inspection: Box::new(Word("secret")), ..host(&[FINE]) };
    let host = with_word();
    assert!(host.serve(b"GET /secret HTTP/1.1\r\nHost: api.example\r\n\r\n").starts_with("HTTP/1.1 403 "));
    assert_eq!(host.heard(), "");
    let host = with_word();
    let answer = host.serve(b"POST / HTTP/1.1\r\nHost: api.example\r\nContent-Length: 6\r\n\r\nsecret");
    assert!(answer.starts_with("HTTP/1.1 403 ") && !host.heard().contains("secret"), "{answer}");
    assert!(with_word().serve(b"GET / HTTP/1.1\r\nHost: api.example\r\n\r\n").starts_with("HTTP/1.1 200 "));
}

#[test]
fn damaged_requests_harm_nobody() {
    let good = b"POST /a HTTP/1.1\r\nHost: api.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for at in 0..good.len() {
        for flip in [0x01, 0x20, 0x80, 0xff] {
            let mut bytes = good.to_vec();
            bytes[at] ^= flip;
            host(&[FINE]).serve(&bytes);
            host(&[FINE]).serve(&good[..at]);
        }
    }
}

/// Wants to see so many bytes at once, and notes how many it saw each time.
struct Patient(usize, Arc<Mutex<Vec<usize>>>);

impl Inspection for Patient {
    fn begin(&self, _: &RequestHead<'_>) -> Result<Box<dyn BodyInspection>, Reason> {
        Ok(Box::new(Self(self.0, Arc::clone(&self.1))))
    }
}

impl BodyInspection for Patient {
    fn look(&mut self, bytes: &[u8]) -> Verdict {
        self.1.lock().unwrap().push(bytes.len());
        match bytes.contains(&b'!') {
            true => Verdict::Refuse("no".into()),
            false => Verdict::Pass,
        }
    }

    fn patience(&self) -> usize {
        self.0
    }
}

#[test]
fn tiny_pieces_wait_for_the_patience_of_what_looks_and_all_of_them_leave() {
    for (framing, body) in [
        ("Content-Length: 64", "x".repeat(64)),
        ("Transfer-Encoding: chunked", format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(64))),
    ] {
        let looks = Arc::default();
        let mut host = host(&[b"HTTP/1.1 204 No Content\r\n\r\n"]);
        host.inspection = Box::new(Patient(20, Arc::clone(&looks)));
        let said = format!("POST / HTTP/1.1\r\nHost: api.example\r\n{framing}\r\n\r\n{body}");
        assert!(host.serve(said.as_bytes()).contains(" 204 "));
        let looks = looks.lock().unwrap().clone();
        let (last, before) = looks.split_last().unwrap();
        assert!(before.iter().all(|bytes| (20..40).contains(bytes)) && *last > 0, "{looks:?}");
        assert_eq!(looks.iter().sum::<usize>(), 64, "{framing}");
        let heard = host.heard();
        assert_eq!(heard.split_once("\r\n\r\n").unwrap().1.matches('x').count(), 64, "{heard}");
    }
}

#[test]
fn what_waits_and_is_refused_does_not_leave() {
    for (body, status, left) in [("secretsecret!", "403", false), ("secretsecret.", "204", true)] {
        let mut host = host(&[b"HTTP/1.1 204 No Content\r\n\r\n"]);
        host.inspection = Box::new(Patient(1000, Arc::default()));
        let said = format!("POST / HTTP/1.1\r\nHost: api.example\r\nContent-Length: 13\r\n\r\n{body}");
        let answer = host.serve(said.as_bytes());
        assert!(answer.contains(status), "{answer}");
        assert_eq!(host.heard().contains("secret"), left);
    }
}

#[test]
fn what_the_broker_told_is_not_told_again() {
    for (told, notes) in [(true, 0), (false, 1)] {
        let mut host = host(&[]);
        host.told = told;
        let answer = host.serve(b"GET / HTTP/1.1\r\nHost: api.example\r\n\r\n");
        assert!(answer.contains("502") && answer.contains("nobody answers"), "{answer}");
        assert_eq!(host.notes.lock().unwrap().len(), notes);
    }
}

#[test]
fn a_request_beyond_the_rule_of_its_host_does_not_leave_and_one_at_the_limit_does() {
    let none: &[String] = &[];
    let gets = || RequestRules::new(&["GET".to_owned()], &["/v1/*".to_owned()], None, None).unwrap();
    let short = || RequestRules::new(none, none, Some(4), None).unwrap();
    for (rules, said, passes) in [
        (gets(), "GET /v1/a HTTP/1.1\r\nHost: api.example\r\n\r\n", true),
        (gets(), "PUT /v1/a HTTP/1.1\r\nHost: api.example\r\n\r\n", false),
        (gets(), "GET /v2/a HTTP/1.1\r\nHost: api.example\r\n\r\n", false),
        (gets(), "GET /v1/../a HTTP/1.1\r\nHost: api.example\r\n\r\n", false),
        (short(), "POST / HTTP/1.1\r\nHost: api.example\r\nContent-Length: 4\r\n\r\n1234", true),
        (short(), "POST / HTTP/1.1\r\nHost: api.example\r\nContent-Length: 5\r\n\r\n12345", false),
    ] {
        let mut host = host(&[b"HTTP/1.1 204 No Content\r\n\r\n"]);
        host.rule.requests = rules;
        let answer = host.serve(said.as_bytes());
        assert_eq!((answer.contains(" 204 "), answer.contains(" 403 ")), (passes, !passes), "{said}: {answer}");
        assert_eq!(host.heard().is_empty(), !passes, "{said}");
    }
    // Without a length said beforehand, what is too long stays inside, and the host gets no end.
    let mut chunked = host(&[b"HTTP/1.1 204 No Content\r\n\r\n"]);
    chunked.rule.requests = short();
    let said =
        "POST / HTTP/1.1\r\nHost: api.example\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n1234\r\n1\r\n5\r\n0\r\n\r\n";
    assert!(chunked.serve(said.as_bytes()).contains(" 403 "));
    assert!(!chunked.heard().contains('5') && !chunked.heard().ends_with("0\r\n\r\n"), "{}", chunked.heard());
}

#[test]
fn a_budget_of_requests_ends_with_its_last_one() {
    let mut host = host(&[b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"]);
    host.rule.requests = RequestRules::new(&[], &[], None, Some(1)).unwrap();
    let said = b"GET / HTTP/1.1\r\nHost: api.example\r\n\r\n";
    assert!(host.serve(said).contains(" 204 "));
    let answer = host.serve(said);
    assert!(answer.contains(" 429 ") && answer.contains("as many requests as its rule allows"), "{answer}");
}

#[test]
fn a_head_that_comes_too_slowly_is_refused_and_nothing_of_it_leaves() {
    let request = b"GET /slow HTTP/1.1\r\nHost: api.example\r\n\r\n";
    let mut host = host(&[b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]);
    host.head_time = Duration::ZERO;
    let answer = host.serve(request);
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("did not come whole within its time"), "{answer}");
    assert_eq!(host.heard(), "");
    // In the same pieces, in time.
    host.head_time = Duration::from_secs(3600);
    assert!(host.serve(request).starts_with("HTTP/1.1 200 "));
    assert!(host.heard().contains("GET /slow"));
}

#[test]
fn no_request_makes_its_reader_panic_and_what_leaves_reads_again_as_the_same() {
    let mut left = 0;
    hotcell_testkit::fuzz::Target::new(env!("CARGO_MANIFEST_DIR"), "request")
        .with(*b"GET /a?b=c HTTP/1.1\r\nHost: api.example\r\nAccept: */*\r\n\r\n")
        .with(*b"POST / HTTP/1.1\r\nHost: api.example:443\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
        .with(*b"POST / HTTP/1.1\r\nHost: api.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n")
        .run(3000, |bytes| {
            let to = "api.example".parse().unwrap();
            let once = Request::parse(bytes.split_inclusive(|byte| *byte == b'\n').scan(false, |ended, line| {
                (!std::mem::replace(ended, line == b"\r\n")).then_some(line)
            }).collect::<Vec<_>>().concat().as_slice(), &to, true);
            if let Ok(once) = once {
                let again = Request::parse(&once.encode(), &to, true).unwrap();
                // A body of nothing is said to be one.
                let framing = |request: &Request| match request.framing {
                    Framing::Nothing => Framing::Length(0),
                    other => other,
                };
                let shape = |request: &Request| (request.method.clone(), request.target.clone(), framing(request));
                assert_eq!(shape(&again), shape(&once));
                left += 1;
            }
            host(&[&b"HTTP/1.1 204 No Content\r\n\r\n"[..]; 4]).serve(bytes);
        });
    assert!(left > 0, "no request was good: nothing was tried");
}

#[test]
fn no_answer_makes_its_reader_panic() {
    hotcell_testkit::fuzz::Target::new(env!("CARGO_MANIFEST_DIR"), "answer")
        .with(*b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .with(
            *b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        )
        .run(3000, |bytes| {
            let request =
                Request::parse(b"GET / HTTP/1.1\r\nHost: api.example\r\n\r\n", &"api.example".parse().unwrap(), true)
                    .unwrap();
            let end = End { reads: Cursor::new(bytes.to_vec()), writes: Arc::default() };
            let mut peer = Peer::new(end, Duration::from_secs(3600));
            if let Ok(answer) = Answer::read(&mut peer, &request) {
                assert!((200..600).contains(&answer.status), "{}", answer.status);
            }
        });
}
