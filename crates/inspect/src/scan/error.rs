//! What can be wrong with detectors.

use hotcell_types::{Exit, Explain};

/// Why detectors cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DetectorError {
    /// Not TOML, an unknown key, or a value of another type.
    #[error("`{file}`, line {line}: {problem}")]
    Syntax {
        /// The file.
        file: String,
        /// The line.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A detector that cannot be.
    #[error("`{file}`, line {line}: detector `{id}`: {problem}")]
    Value {
        /// The file.
        file: String,
        /// The line where the detector begins.
        line: usize,
        /// The detector.
        id: String,
        /// What is wrong.
        problem: String,
    },
    /// Its own examples disprove it.
    #[error("`{file}`: detector `{id}`: {problem}")]
    Example {
        /// The file.
        file: String,
        /// The detector.
        id: String,
        /// Which example, by its number, and what it did.
        problem: String,
    },
    /// The file is too long.
    #[error("`{file}` has {bytes} bytes, more than {most}")]
    TooLong {
        /// The file.
        file: String,
        /// Its length.
        bytes: usize,
        /// The bound.
        most: usize,
    },
    /// Too many detectors.
    #[error("`{file}` has more than {most} detectors")]
    TooMany {
        /// The file.
        file: String,
        /// The bound.
        most: usize,
    },
}

impl Explain for DetectorError {
    fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "INS-051",
            Self::Value { .. } => "INS-052",
            Self::Example { .. } => "INS-053",
            Self::TooLong { .. } => "INS-054",
            Self::TooMany { .. } => "INS-055",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Syntax { .. } => "correct the line; docs/formats/detectors.md has every key".to_owned(),
            Self::Value { .. } => "correct the detector; docs/formats/detectors.md says what each key takes".to_owned(),
            Self::Example { .. } => "correct the pattern, or the example".to_owned(),
            Self::TooLong { .. } | Self::TooMany { .. } => "split the file, and name each with --detectors".to_owned(),
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}
