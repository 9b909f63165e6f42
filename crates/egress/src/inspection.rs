//! What looks at the bytes of opened connections: an interface, which whoever starts the gateway fills.

use hotcell_types::Destination;

/// The head of a request that is about to leave.
#[derive(Debug, Clone)]
pub struct RequestHead<'a> {
    /// To whom.
    pub to: &'a Destination,
    /// The method.
    pub method: &'a str,
    /// The path and what follows it.
    pub target: &'a str,
    /// Names and values, in order.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// Whether it may leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Pass,
    /// It may not: why, without what was found.
    Refuse(String),
}

/// Looks at requests.
pub trait Inspection: Send + Sync {
    /// Looks at a head, and gives what looks at its body.
    ///
    /// # Errors
    /// Why the request may not leave; nothing of it does.
    fn begin(&self, head: &RequestHead<'_>) -> Result<Box<dyn BodyInspection>, String>;
}

/// Looks at one body.
pub trait BodyInspection {
    /// Looks at the next bytes, before they leave. What left already has left: where that must not be, a refusal comes
    /// with the first bytes.
    fn look(&mut self, bytes: &[u8]) -> Verdict;

    /// How many bytes the next look wants at least: fewer wait for more, or for the end of the body. For what looks anew at
    /// what it saw before, so that many tiny pieces do not cost more than their sender's share.
    fn patience(&self) -> usize {
        0
    }

    /// Looks at the end.
    fn end(&mut self) -> Verdict {
        Verdict::Pass
    }
}

/// Lets everything pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct Uninspected;

impl Inspection for Uninspected {
    fn begin(&self, _: &RequestHead<'_>) -> Result<Box<dyn BodyInspection>, String> {
        Ok(Box::new(Self))
    }
}

impl BodyInspection for Uninspected {
    fn look(&mut self, _: &[u8]) -> Verdict {
        Verdict::Pass
    }
}
