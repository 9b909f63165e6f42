//! What can go wrong between a table and its view.

use std::io;

use hotcell_types::{Exit, Explain};

/// Why there is no view of a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DisclosureError {
    /// A file of rules or of a hierarchy has a fault.
    #[error("{file}, line {line}: {problem}")]
    Rules {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// No rule speaks of this role and dataset.
    #[error("no view of the dataset `{}` for `{}`", dataset.escape_debug(), role.escape_debug())]
    NoView {
        /// The dataset.
        dataset: String,
        /// The role, or the name of the view.
        role: String,
    },
    /// The table cannot be read or written.
    #[error("the table cannot be read or written")]
    Table {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The table has a fault.
    #[error("{}{problem}", row.map(|row| format!("row {row}: ")).unwrap_or_default())]
    Content {
        /// The row, from 1, where it is one.
        row: Option<u64>,
        /// What is wrong; never a value.
        problem: String,
    },
    /// A rule needs a key.
    #[error("the rule for `{}` needs a key", column.escape_debug())]
    NoKey {
        /// The column.
        column: String,
    },
    /// The classes cannot be made as large or as diverse as demanded.
    #[error("{problem}")]
    NotAnonymous {
        /// What was tried, and how far it came.
        problem: String,
    },
    /// A token or an encrypted field does not open.
    #[error("row {row}: the field `{}` does not open with this key at this place", column.escape_debug())]
    NotOpened {
        /// The row, from 1.
        row: u64,
        /// The column.
        column: String,
    },
    /// The view still holds what the detectors know.
    #[error("the view still holds {what}")]
    Sensitive {
        /// Kinds, columns and counts; never a value.
        what: String,
    },
}

impl DisclosureError {
    pub(crate) fn toml(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start);
        let problem = error.message().trim().replace('\n', "; ");
        Self::Rules { file: file.to_owned(), line: line_of(text, start), problem }
    }

    pub(crate) fn content(row: Option<u64>, problem: impl Into<String>) -> Self {
        Self::Content { row, problem: problem.into() }
    }
}

impl From<io::Error> for DisclosureError {
    fn from(source: io::Error) -> Self {
        Self::Table { source }
    }
}

/// The line of a place in a text, from 1.
pub(crate) fn line_of(text: &str, place: usize) -> usize {
    text.bytes().take(place).filter(|byte| *byte == b'\n').count() + 1
}

impl Explain for DisclosureError {
    fn code(&self) -> &'static str {
        match self {
            Self::Rules { .. } => "DIS-001",
            Self::NoView { .. } => "DIS-002",
            Self::Table { .. } => "DIS-010",
            Self::Content { .. } => "DIS-011",
            Self::NoKey { .. } => "DIS-020",
            Self::NotAnonymous { .. } => "DIS-030",
            Self::NotOpened { .. } => "DIS-040",
            Self::Sensitive { .. } => "DIS-050",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Rules { .. } => "mend that line; docs/formats/views.md has the form",
            Self::NoView { .. } => "name a role and a dataset that the rules have a [[view]] for, or write one",
            Self::Table { .. } => "check that the file is there, whole, and that you may use it",
            Self::Content { .. } => "mend the table or its rules: CSV with a header, or one JSON object in each line",
            Self::NoKey { .. } => "give one: --key FILE, made by `hotcell keygen`",
            Self::NotAnonymous { .. } => {
                "demand less of `k` or `l`, permit more suppressed rows, or leave out a column that tells people apart"
            }
            Self::NotOpened { .. } => "use the key, the rules and the dataset that the view was made with, on the unchanged view",
            Self::Sensitive { .. } => {
                "suppress, mask or encrypt those columns; or say in the view that its reader sees such data: scan = \"report\""
            }
        }
        .to_owned()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Rules { .. } | Self::NoKey { .. } => Exit::Usage,
            Self::Table { .. } | Self::Content { .. } => Exit::Failed,
            Self::NoView { .. } | Self::NotAnonymous { .. } | Self::Sensitive { .. } => Exit::Refused,
            Self::NotOpened { .. } => Exit::Integrity,
        }
    }
}
