//! What inspection found: a reason with a stable code and a place, never the value.

use std::fmt;

use hotcell_types::{Exit, Explain, Refusal};

coded! {
    /// Why something may not leave.
    FindingKind {
        NotUtf8 = "INS-101", "the text is not UTF-8", "write the file in UTF-8";
        TooLarge = "INS-102", "the file is larger than inspection accepts", "write fewer rows, or split the output into several declared files";
        LineTooLong = "INS-103", "the line is longer than inspection accepts", "write shorter rows";
        CellTooLong = "INS-104", "the cell is longer than inspection accepts", "write shorter values";
        BadQuotes = "INS-105", "the quotes do not follow RFC 4180", "quote whole cells only and double every quote inside them";
        BareReturn = "INS-106", "a carriage return stands outside quotes and not before a line feed", "end lines with a line feed";
        CellCount = "INS-107", "the row has another number of cells than the header", "write as many cells as the header has columns";
        NotAnObject = "INS-108", "the line is not one JSON object of plain values", "write one flat JSON object per line";
        NoHeader = "INS-109", "the header line is missing", "write the column names as first line";
        MissingColumn = "INS-110", "a declared column is missing", "write every declared column";
        UndeclaredColumn = "INS-111", "a column is not declared", "declare the column in the task's output schema, or do not write it";
        DuplicateColumn = "INS-112", "the column appears twice", "write each column once";
        WrongType = "INS-113", "the value is not of the declared type", "write values of the declared type";
        NotANumber = "INS-114", "the value is not a finite number", "write a decimal number; NaN and infinity cannot leave";
        OutOfRange = "INS-115", "the value is out of the declared range", "correct the value, or widen `min` and `max` of the column";
        UndeclaredValue = "INS-116", "the value is not one of the declared ones", "correct the value, or add it to `values` of the column";
        UnknownKey = "INS-117", "the key is not one of the input's", "write only keys that stand in the declared input column";
        DuplicateKey = "INS-118", "the key has a row already", "write one row per key, or declare `rows = \"any\"`";
        MissingKeys = "INS-119", "keys of the input have no row", "write one row for every key of the input, or declare `rows = \"at-most-one-per-key\"`";
        Null = "INS-120", "the value is missing in a column that is not nullable", "write a value, or declare `nullable = true`";
        TextTooLong = "INS-121", "the text is longer than declared", "shorten the text, or raise `max_length` of the column";
        TextCharacters = "INS-122", "the text has characters that are not allowed", "write only characters of the column's `pattern`, and no control characters";
        TooManyRows = "INS-123", "there are more rows than allowed", "write fewer rows, or raise `max_rows`";
        TooFewRows = "INS-124", "there are fewer rows than declared", "write more rows, or lower `min_rows`";
        TooManyCells = "INS-125", "the table has more cells than inspection accepts", "write fewer rows or columns";
        NameNotUtf8 = "INS-201", "the name is not UTF-8", "name outputs in UTF-8";
        NameTooLong = "INS-202", "the name is empty or longer than 255 bytes", "use a shorter name";
        NameUnprintable = "INS-203", "the name has control or direction characters", "use printable characters in names";
        NameDangerous = "INS-204", "the name begins with `-` or has a slash or backslash", "use another name";
        NameHidden = "INS-205", "the name begins with a dot", "do not write hidden files to the output folder";
        Symlink = "INS-206", "a symbolic link cannot leave", "write the content itself";
        HardLink = "INS-207", "a file with further hard links cannot leave", "write a file of its own";
        Device = "INS-208", "a device cannot leave", "write regular files only";
        Fifo = "INS-209", "a named pipe cannot leave", "write regular files only";
        Socket = "INS-210", "a socket cannot leave", "write regular files only";
        Mount = "INS-211", "another file system is mounted here", "mount nothing in the output folder";
        Sparse = "INS-212", "a file with holes cannot leave", "write the file from beginning to end";
        TooDeep = "INS-213", "folders are nested deeper than 8", "use fewer levels of folders";
        Undeclared = "INS-214", "this is not a declared output", "declare it as an `[[output]]` of the task, or write it to /scratch";
        Missing = "INS-215", "a declared output is missing", "let the workload write it, or remove it from the task's outputs";
        Unreadable = "INS-216", "it cannot be opened for reading", "leave outputs readable to their owner";
        TooManyFiles = "INS-217", "there are more files or folders than may leave", "write fewer files, for example one archive, or declare the outputs";
        TooManyBytes = "INS-218", "the files are larger together than may leave", "write less";
        NotAFile = "INS-219", "a declared output is not a file", "write a regular file of that name";
        StreamNotUtf8 = "INS-301", "the stream is not UTF-8 text", "let the workload print UTF-8 text";
        StreamTooLong = "INS-302", "the stream is longer than may be released", "let the workload print less";
        StreamHoldsInput = "INS-303", "the stream holds values of the input", "do not print input data";
        SensitiveData = "INS-501", "personal data or a secret stands in it", "do not write it; or let your own profile say `detectors = \"off\"` under [inspection] where it may leave";
        NotDecoded = "INS-502", "it is encoded deeper, or unpacks to more, than inspection looks at", "write it plainly";
        InputStretch = "INS-503", "a stretch of an input stands in it as it is", "write what was computed, not what was read; or let your own profile say `fingerprints = \"off\"` under [inspection] where it may leave";
        InputRecord = "INS-504", "values of one record of an input stand in it together", "write fewer of a record's values; or let your own profile say `fingerprints = \"off\"` under [inspection] where they may leave";
    }
}

/// One reason why something may not leave, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was found.
    pub kind: FindingKind,
    /// The file, by its path under the output folder, or the stream; safe to show.
    pub file: String,
    /// The row, counted from 1 without the header line.
    pub row: Option<u64>,
    /// The declared column. Never the name of an undeclared one, which the workload chooses.
    pub column: Option<String>,
    /// What was expected, or a count; never a value.
    pub detail: Option<String>,
}

impl Finding {
    /// A finding about a file as a whole.
    pub(crate) fn of_file(kind: FindingKind, file: &str) -> Self {
        Self { kind, file: file.to_owned(), row: None, column: None, detail: None }
    }

    /// Adds what was expected, or a count.
    #[must_use]
    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The form in which a receipt lists it.
    pub fn refusal(&self) -> Refusal {
        Refusal { code: self.kind.code().to_owned(), what: self.to_string() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.file)?;
        if let Some(row) = self.row {
            write!(f, ", row {row}")?;
        }
        if let Some(column) = &self.column {
            write!(f, ", column `{column}`")?;
        }
        write!(f, ": {}", self.kind)?;
        if let Some(detail) = &self.detail {
            write!(f, " ({detail})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Finding {}

impl Explain for Finding {
    fn code(&self) -> &'static str {
        self.kind.code()
    }

    fn remedy(&self) -> String {
        self.kind.remedy().to_owned()
    }

    fn exit(&self) -> Exit {
        Exit::Refused
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::SchemaProblem;

    #[test]
    fn every_reason_has_a_code_of_its_own_and_speaks_in_lower_case() {
        let findings = FindingKind::ALL.iter().map(|kind| (kind.code(), kind.what(), kind.remedy()));
        let problems = SchemaProblem::ALL.iter().map(|kind| (kind.code(), kind.what(), kind.remedy()));
        let mut codes = HashSet::new();
        for (code, what, remedy) in findings.chain(problems) {
            assert!(codes.insert(code), "{code} is used twice");
            assert!(code.len() == 7 && code.starts_with("INS-"), "{code}");
            for text in [what, remedy] {
                assert!(!text.ends_with('.') && !text.starts_with(|c: char| c.is_uppercase()), "{code}: {text}");
            }
        }
    }

    #[test]
    fn a_finding_names_its_place_and_expectation() {
        let finding = Finding {
            kind: FindingKind::OutOfRange,
            file: "scores.csv".into(),
            row: Some(5),
            column: Some("p".into()),
            detail: Some("0.000 to 1.000".into()),
        };
        let text = "`scores.csv`, row 5, column `p`: the value is out of the declared range (0.000 to 1.000)";
        assert_eq!(finding.to_string(), text);
        assert_eq!(finding.exit(), Exit::Refused);
        assert_eq!(finding.refusal().code, "INS-115");
    }
}
