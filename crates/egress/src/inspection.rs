//! What looks at the bytes of opened connections: an interface, which whoever starts the gateway fills.

use std::fs::File;
use std::io;

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
    /// It may not.
    Refuse(Reason),
}

/// Why something may not leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Its code, one of [`CARRIES_INPUT`] and [`CARRIES_FINDING`], where it has one.
    pub code: Option<&'static str>,
    /// Why, without what was found.
    pub what: String,
}

impl<T: Into<String>> From<T> for Reason {
    fn from(what: T) -> Self {
        Self { code: None, what: what.into() }
    }
}

/// A request carries a stretch or a record of an input.
pub const CARRIES_INPUT: &str = "NET-004";
/// A request carries what a detector found, or what could not be looked at.
pub const CARRIES_FINDING: &str = "NET-005";

/// Looks at requests.
pub trait Inspection: Send + Sync {
    /// Looks at a head, and gives what looks at its body.
    ///
    /// # Errors
    /// Why the request may not leave; nothing of it does.
    fn begin(&self, head: &RequestHead<'_>) -> Result<Box<dyn BodyInspection>, Reason>;

    /// Holds requests against an index of fingerprints from now on.
    ///
    /// # Errors
    /// When the index is none, or nothing here could use it: then nothing may leave.
    fn hold_against(self: Box<Self>, index: File) -> io::Result<Box<dyn Inspection>> {
        drop(index);
        Err(io::ErrorKind::Unsupported.into())
    }
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
    fn begin(&self, _: &RequestHead<'_>) -> Result<Box<dyn BodyInspection>, Reason> {
        Ok(Box::new(Self))
    }
}

impl BodyInspection for Uninspected {
    fn look(&mut self, _: &[u8]) -> Verdict {
        Verdict::Pass
    }
}
