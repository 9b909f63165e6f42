//! What every error owes its reader.

use crate::Exit;

/// An error that says what to do about it.
///
/// The `Display` text says what failed and why: lower case, no full stop, no Rust type names, user
/// input in backticks, never a secret.
pub trait Explain: std::error::Error {
    /// A stable code such as `ISO-014`. It never changes its meaning once released.
    fn code(&self) -> &'static str;

    /// What the reader can do, as an imperative sentence that is true.
    fn remedy(&self) -> String;

    /// The exit status of a command that ends with this error.
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}
