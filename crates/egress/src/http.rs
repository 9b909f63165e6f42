//! Requests and answers on an opened connection, one after the other.
//!
//! What is forwarded is written anew from what was read, so that both ends read the same. What could be read in two ways is
//! refused and never repaired.

mod body;
mod head;
mod peer;

#[cfg(test)]
mod tests;

use std::io::{Read, Write};
use std::time::Duration;

use crate::count::Counts;
use crate::inspection::{BodyInspection, Inspection, Reason, RequestHead, Verdict};
use crate::plan::Rule;
use crate::wire::{Note, brief};
use body::{Framing, Look, copy};
use head::{Answer, Request};
use peer::{Fault, Peer};

/// A connection, whatever it consists of.
pub(crate) trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// What an exchange needs of its surroundings.
pub(crate) trait Outside {
    fn rule(&self, place: usize) -> Option<&Rule>;
    /// Counts one more request to the host of a rule, and says how many it makes.
    fn count_request(&self, place: usize) -> u64;
    fn inspection(&self) -> &dyn Inspection;
    /// How long a head may take from its first byte to its last.
    fn head_time(&self) -> Duration;
    fn note(&self, note: Note);
    /// A connection to the host of a rule, which proved to be it.
    fn connect(&self, place: usize, with_tls: bool) -> Result<Box<dyn Stream>, NotConnected>;
}

/// Why there is no connection to a host.
pub(crate) struct NotConnected {
    pub(crate) why: String,
    /// Whether the broker has told it already: nothing is told twice.
    pub(crate) told: bool,
}

impl NotConnected {
    pub(crate) fn untold(why: impl ToString) -> Self {
        Self { why: why.to_string(), told: false }
    }
}

/// All requests of one connection.
pub(crate) struct Exchange<'g, G> {
    gateway: &'g G,
    place: usize,
    with_tls: bool,
    outside: Option<Peer<Box<dyn Stream>>>,
    counts: &'g Counts,
}

/// How a request ended.
enum Next {
    /// The connection may carry another one.
    Goes,
    /// It is over.
    Ends,
}

/// Why a request was not forwarded, or its answer not passed on.
struct Refused {
    status: u16,
    why: Reason,
    /// Whether it has been told already.
    told: bool,
}

impl Refused {
    fn new(status: u16, why: impl Into<Reason>) -> Self {
        Self { status, why: why.into(), told: false }
    }
}

impl<'g, G: Outside> Exchange<'g, G> {
    pub(crate) fn new(gateway: &'g G, place: usize, with_tls: bool, counts: &'g Counts) -> Self {
        Self { gateway, place, with_tls, outside: None, counts }
    }

    /// Serves until either end has enough.
    pub(crate) fn serve(mut self, inside: impl Stream) {
        let Some(rule) = self.gateway.rule(self.place).cloned() else { return };
        let mut inside = Peer::new(inside, self.gateway.head_time());
        loop {
            let request = match inside.head() {
                Ok(Some(head)) => Request::parse(&head, &rule.destination, self.with_tls).map_err(Fault::Malformed),
                Ok(None) => break,
                Err(fault) => Err(fault),
            };
            let next = match request {
                Ok(request) => self.forward(&mut inside, &rule, &request),
                Err(Fault::Malformed(why)) => Err(Refused::new(400, why)),
                Err(Fault::Source(_) | Fault::Target(_) | Fault::Refused(_)) => break,
            };
            match next {
                Ok(Next::Goes) => {}
                Ok(Next::Ends) => break,
                Err(refused) => {
                    self.refuse(&mut inside, &rule, &refused);
                    break;
                }
            }
        }
    }

    fn refuse(&self, inside: &mut Peer<impl Stream>, rule: &Rule, refused: &Refused) {
        let what = brief(&format!("{}: a request was refused: {}", rule.destination, refused.why.what));
        if !refused.told {
            let code = refused.why.code.map(str::to_owned);
            self.gateway.note(Note::Refused { rule: Some(self.place), code, what: what.clone(), permit: None });
        }
        let code = refused.why.code.map(|code| format!(" [{code}]")).unwrap_or_default();
        let text = format!("hotcell: {what}{code}\n");
        // Whoever does not take the answer sees the end of the connection.
        let _ = inside.write(
            format!(
                "HTTP/1.1 {} Refused by the gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{text}",
                refused.status,
                text.len()
            )
            .as_bytes(),
        );
    }

    /// Forwards one request and its answer.
    fn forward(&mut self, inside: &mut Peer<impl Stream>, rule: &Rule, request: &Request) -> Result<Next, Refused> {
        let refused = |why: Reason| Refused::new(403, why);
        let headers: Vec<_> = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let (method, target) = (request.method.as_str(), request.target.as_str());
        let head = RequestHead { to: &rule.destination, method, target, headers: &headers };
        let most = rule.requests.max_request_bytes().unwrap_or(u64::MAX);
        match (rule.requests.fault(method, target), request.framing) {
            (Some(why), _) => return Err(refused(why.into())),
            (None, Framing::Length(length)) if length > most => return Err(refused(TOO_LONG.into())),
            _ => {}
        }
        let mut inspection = self.gateway.inspection().begin(&head).map_err(refused)?;
        if rule.requests.max_requests().is_some_and(|most| self.gateway.count_request(self.place) > most) {
            return Err(Refused::new(429, "the host has been sent as many requests as its rule allows"));
        }
        // INVARIANT (refused-stays-inside): only what was read whole, and may pass, makes a connection.
        let (reused, mut outside) = match self.outside.take() {
            Some(outside) => (true, outside),
            None => (false, self.connect()?),
        };
        if request.expects {
            inside.write(b"HTTP/1.1 100 Continue\r\n\r\n").map_err(|_| refused("the client is gone".into()))?;
        }
        let mut sent = self.send(inside, &mut outside, request, most, &mut *inspection)?;
        let mut answer = Answer::read(&mut outside, request);
        if reused
            && matches!(request.framing, Framing::Nothing | Framing::Length(0))
            && matches!(answer, Err(Fault::Source(_)))
        {
            // The host had ended the connection before it heard the request.
            outside = self.connect()?;
            sent = self.send(inside, &mut outside, request, most, &mut *inspection)?;
            answer = Answer::read(&mut outside, request);
        }
        let answer = answer.map_err(|fault| Refused::new(502, format!("its answer: {fault}")))?;
        let ends = request.closes || answer.closes || !sent.whole;
        let head = answer.encode(ends);
        self.counts.comes_in(head.len());
        if inside.write(&head).is_err() {
            return Ok(Next::Ends);
        }
        let copied = copy(&mut outside, inside, answer.framing, &mut Counted(self.counts));
        let bytes_in = copied.bytes;
        let path = brief(request.target.split('?').next().unwrap_or_default());
        self.gateway.note(Note::Requested {
            rule: self.place,
            method: brief(&request.method),
            path,
            status: answer.status,
            bytes_out: sent.bytes,
            bytes_in,
        });
        if copied.result.is_err() || ends {
            return Ok(Next::Ends);
        }
        self.outside = Some(outside);
        Ok(Next::Goes)
    }

    fn connect(&self) -> Result<Peer<Box<dyn Stream>>, Refused> {
        let connected = self.gateway.connect(self.place, self.with_tls);
        connected
            .map(|stream| Peer::new(stream, self.gateway.head_time()))
            .map_err(|NotConnected { why, told }| Refused { status: 502, why: why.into(), told })
    }

    /// Sends the request, as far as the host takes it.
    fn send(
        &self,
        inside: &mut Peer<impl Stream>,
        outside: &mut Peer<Box<dyn Stream>>,
        request: &Request,
        most: u64,
        inspection: &mut dyn BodyInspection,
    ) -> Result<Sent, Refused> {
        let head = request.encode();
        self.counts.goes_out(head.len());
        if outside.write(&head).is_err() {
            // What it has to say is read all the same.
            return Ok(Sent { bytes: 0, whole: false });
        }
        let copied =
            copy(inside, outside, request.framing, &mut Inspected { inspection, counts: self.counts, left: most });
        match copied.result {
            Ok(()) => match inspection.end() {
                Verdict::Pass => Ok(Sent { bytes: copied.bytes, whole: true }),
                Verdict::Refuse(why) => Err(Refused::new(403, why)),
            },
            Err(Fault::Target(_)) => Ok(Sent { bytes: copied.bytes, whole: false }),
            Err(Fault::Refused(why)) => Err(Refused::new(403, why)),
            Err(Fault::Malformed(why)) => Err(Refused::new(400, why)),
            Err(Fault::Source(error)) => Err(Refused::new(400, format!("its body did not come: {error}"))),
        }
    }
}

/// A body that leaves: judged, then counted.
struct Inspected<'i> {
    inspection: &'i mut dyn BodyInspection,
    counts: &'i Counts,
    /// Bytes that it may still have.
    left: u64,
}

/// What is said of a body that is longer than its rule allows.
const TOO_LONG: &str = "its body is longer than the host's rule allows";

impl Look for Inspected<'_> {
    fn look(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or(TOO_LONG)?;
        match self.inspection.look(bytes) {
            Verdict::Pass => {
                self.counts.goes_out(bytes.len());
                Ok(())
            }
            Verdict::Refuse(why) => Err(why),
        }
    }

    fn patience(&self) -> usize {
        self.inspection.patience()
    }
}

/// A body that comes: counted.
struct Counted<'c>(&'c Counts);

impl Look for Counted<'_> {
    fn look(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        self.0.comes_in(bytes.len());
        Ok(())
    }
}

struct Sent {
    bytes: u64,
    /// Whether all of the request was taken from the client.
    whole: bool,
}
