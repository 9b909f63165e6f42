//! A declared table, parsed, checked and written anew from its values.

use std::io::{Read, Write};

use hotcell_types::{Bits, Exit, Explain};

use crate::column::CheckedColumn;
use crate::schema::{CheckedFile, Format};
use crate::table::Table;
use crate::{Finding, FindingKind, InputKeys, capacity, read_csv, read_jsonl, write};

/// Largest table that is inspected. Rows are sorted, so that the whole of it is held in memory: about this much for
/// the text, eight bytes per cell (at most 256 MiB) and this much again for texts.
pub const MAX_TABLE_BYTES: u64 = 100 << 20;

/// A table that was written anew.
#[derive(Debug, Clone, PartialEq)]
pub struct Canonical {
    /// Number of rows, without the header line.
    pub rows: u64,
    /// Bytes written.
    pub bytes: u64,
    /// The most that the table can carry.
    pub capacity: Bits,
    /// What the rewriting changed.
    pub rewriting: Rewriting,
}

/// What the rewriting changed, which is what can no longer carry anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewriting {
    /// Cells that had digits beyond the declared precision.
    pub rounded_cells: u64,
    /// Rows that stood elsewhere than in the declared order.
    pub moved_rows: u64,
    /// Whether the columns (or members of an object) came in another order than declared.
    pub moved_columns: bool,
    /// Whether a byte order mark was dropped.
    pub dropped_mark: bool,
    /// Whether the bytes differ at all from what the workload wrote.
    pub changed: bool,
}

/// A table that was not written anew.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CanonicalizeError {
    /// It is not what was declared.
    #[error(transparent)]
    Refused(#[from] Finding),
    /// The keys of an input were not handed in.
    #[error("the keys `{from}` for output `{file}` were not read from the input")]
    KeysMissing {
        /// The declared file.
        file: String,
        /// The source of the keys.
        from: String,
    },
    /// The file cannot be read.
    #[error("output `{file}` cannot be read")]
    Read {
        /// The declared file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The new file cannot be written.
    #[error("the canonical form of output `{file}` cannot be written")]
    Write {
        /// The declared file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Parses a table, checks it against its declaration and writes it anew from its values alone.
///
/// Two tables with the same values give the same bytes, whatever their spelling, quoting, order of rows and columns.
/// `keys` holds the key set of each of [`CheckedFile::key_sources`]. Nothing is written before the whole table was
/// checked; after an error of writing, what was written must be thrown away.
///
/// # Errors
/// [`CanonicalizeError::Refused`] with the first finding; the others when the surroundings fail.
///
/// # Security
/// A finding tells where something is wrong, which the workload chooses: a refused table carries about the logarithm
/// of its rows times columns times kinds of findings, where the finding is shown.
pub fn canonicalize<R: Read, W: Write>(
    file: &CheckedFile,
    keys: &InputKeys,
    from: R,
    to: W,
) -> Result<Canonical, CanonicalizeError> {
    let keys = (file.columns.iter().map(CheckedColumn::key_source))
        .map(|source| match source {
            None => Ok(None),
            Some(from) => keys
                .get(from)
                .map(Some)
                .ok_or_else(|| CanonicalizeError::KeysMissing { file: file.name.clone(), from: from.to_owned() }),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut table = Table::new(file, keys);
    let bytes = read_bounded(file, from)?;
    let text = check_utf8(file, &bytes)?;
    let unmarked = text.strip_prefix('\u{FEFF}');
    let content = unmarked.unwrap_or(text);
    let in_order = match file.format {
        Format::Csv => read_csv::read(file, content, &mut table)?,
        Format::Jsonl => read_jsonl::read(file, content, &mut table)?,
    };
    let order = table.ordered()?;
    let written = write::write_table(file, &table, &order, &bytes, to)
        .map_err(|source| CanonicalizeError::Write { file: file.name.clone(), source })?;
    Ok(Canonical {
        rows: table.rows(),
        bytes: written.bytes,
        capacity: capacity::of_table(file, &table),
        rewriting: Rewriting {
            rounded_cells: table.rounded_cells(),
            moved_rows: (0u32..).zip(&order).filter(|(place, row)| place != *row).count() as u64,
            moved_columns: !in_order,
            dropped_mark: unmarked.is_some(),
            changed: !written.unchanged,
        },
    })
}

impl Rewriting {
    /// The changes in words, for people and receipts.
    pub fn notes(&self) -> Vec<String> {
        let plural = |count: u64, thing: &str| format!("{count} {thing}{}", if count == 1 { "" } else { "s" });
        let mut notes = Vec::new();
        if self.rounded_cells > 0 {
            notes.push(format!("rounded {} to the declared precision", plural(self.rounded_cells, "cell")));
        }
        if self.moved_rows > 0 {
            notes.push(format!("moved {} into the declared order", plural(self.moved_rows, "row")));
        }
        if self.moved_columns {
            notes.push("moved columns into the declared order".into());
        }
        if self.dropped_mark {
            notes.push("dropped a byte order mark".into());
        }
        if self.changed && notes.is_empty() {
            notes.push("respelled values in their canonical form".into());
        }
        notes
    }
}

impl Explain for CanonicalizeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Refused(finding) => finding.code(),
            Self::KeysMissing { .. } => "INS-406",
            Self::Read { .. } => "INS-407",
            Self::Write { .. } => "INS-408",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Refused(finding) => finding.remedy(),
            Self::KeysMissing { from, .. } => {
                let input = from.split_once('.').map_or(from.as_str(), |(input, _)| input);
                format!("give the task an input of that name: --input {input}=FILE")
            }
            Self::Read { .. } => "look at the cause and run the task again".into(),
            Self::Write { .. } => "make room where the output is written, and run the task again".into(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Refused(finding) => finding.exit(),
            Self::KeysMissing { .. } => Exit::Usage,
            Self::Read { .. } | Self::Write { .. } => Exit::Failed,
        }
    }
}

fn read_bounded<R: Read>(file: &CheckedFile, from: R) -> Result<Vec<u8>, CanonicalizeError> {
    let mut bytes = Vec::new();
    from.take(MAX_TABLE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| CanonicalizeError::Read { file: file.name.clone(), source })?;
    if bytes.len() as u64 > MAX_TABLE_BYTES {
        let limit = format!("at most {}", hotcell_types::ByteSize(MAX_TABLE_BYTES));
        return Err(Finding::of_file(FindingKind::TooLarge, &file.name).with_detail(limit).into());
    }
    Ok(bytes)
}

fn check_utf8<'a>(file: &CheckedFile, bytes: &'a [u8]) -> Result<&'a str, Finding> {
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        Finding::of_file(FindingKind::NotUtf8, &file.name).with_detail(format!("line {line}"))
    })
}

#[cfg(test)]
#[path = "canonical/tests.rs"]
mod tests;
