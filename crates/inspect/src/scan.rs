//! The scanner: personal data and secrets in bytes of any kind, whatever they are encoded in.
//!
//! Detectors are data ([`BUILTIN`], and files of users). [`Scanner::scan`] looks at bytes that are all there;
//! [`StreamScanner`] at those that come in pieces, where a cut never hides anything.
//!
//! ```
//! use hotcell_inspect::scan::Scanner;
//!
//! let scanner = Scanner::builtin()?;
//! let report = scanner.scan(b"card 4111 1111 1111 1111, thanks");
//! let finding = &report.findings[0];
//! assert_eq!((finding.kind.as_str(), finding.start, finding.end), ("bank-card", 5, 24));
//! assert!(scanner.scan(b"card 4111 1111 1111 1112, thanks").is_clean());
//! # Ok::<(), hotcell_inspect::scan::DetectorError>(())
//! ```

mod decode;
mod detector;
mod engine;
mod error;
mod numbers;
mod place;
mod report;
mod stream;
mod validator;

pub use detector::Detector;
pub use engine::{BUILTIN, Bounds, Scanner};
pub use error::DetectorError;
pub use report::{Bound, Finding, Report, Unseen};
pub use stream::StreamScanner;
