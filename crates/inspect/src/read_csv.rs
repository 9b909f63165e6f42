//! Strict CSV (RFC 4180) over a whole text: what is ambiguous to other readers is refused, not guessed.
//!
//! The common CSV reader is lenient by design (quotes inside bare cells, an open quote at the end, lone carriage
//! returns as line ends); a workload's output is read by this small strict one, which allocates only to undouble
//! quotes, within the cell limit.

use crate::column::Cell;
use crate::table::{MAX_CELL_BYTES, MAX_LINE_BYTES, Table};
use crate::{Finding, FindingKind, schema::CheckedFile};

/// Reads a whole CSV text into the table. Gives whether the columns came in the declared order.
pub(crate) fn read(file: &CheckedFile, text: &str, table: &mut Table<'_>) -> Result<bool, Finding> {
    let mut records = Records { text, at: 0, unquoted: String::new() };
    let of_file = |kind| Finding::of_file(kind, &file.name);

    // The place of the column in the schema, for each place in the file.
    let mut places = Vec::new();
    let has_header = records.next(&of_file, |position, name, _| {
        let Some(place) = file.places.get(name) else {
            let detail = format!("column {} of the file, a name of {} bytes", position + 1, name.len());
            return Err(of_file(FindingKind::UndeclaredColumn).with_detail(detail));
        };
        if places.contains(place) {
            return Err(Finding { column: Some(name.to_owned()), ..of_file(FindingKind::DuplicateColumn) });
        }
        places.push(*place);
        Ok(())
    })?;
    if !has_header {
        return Err(of_file(FindingKind::NoHeader));
    }
    if let Some((_, column)) = file.columns.iter().enumerate().find(|(place, _)| !places.contains(place)) {
        return Err(Finding { column: Some(column.name.clone()), ..of_file(FindingKind::MissingColumn) });
    }

    loop {
        let mut cells = 0;
        let row = table.rows() + 1;
        let fault = |kind| Finding { row: Some(row), ..of_file(kind) };
        let more = records.next(&fault, |position, text, quoted| {
            cells = position + 1;
            let place = places.get(position).ok_or_else(|| fault(FindingKind::CellCount))?;
            table.set(*place, Cell::Csv { text, quoted })
        })?;
        if !more {
            return Ok(places.is_sorted());
        }
        if cells != places.len() {
            return Err(fault(FindingKind::CellCount));
        }
        table.end_row()?;
    }
}

/// The records of a text.
struct Records<'a> {
    text: &'a str,
    at: usize,
    /// The content of a quoted cell that has doubled quotes.
    unquoted: String,
}

/// What ended a cell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Comma,
    Line,
}

impl Records<'_> {
    /// Reads one record and hands each cell to `take` (position, text, whether quoted). False at the end of the text.
    fn next(
        &mut self,
        fault: &dyn Fn(FindingKind) -> Finding,
        mut take: impl FnMut(usize, &str, bool) -> Result<(), Finding>,
    ) -> Result<bool, Finding> {
        let start = self.at;
        if start >= self.text.len() {
            return Ok(false);
        }
        for position in 0.. {
            let quoted = self.byte(self.at) == Some(b'"');
            let cell = if quoted { self.quoted_cell() } else { self.bare_cell() };
            let (from, to) = cell.map_err(fault)?;
            let undoubled = quoted && !self.unquoted.is_empty();
            let text = if undoubled { self.unquoted.as_str() } else { self.text.get(from..to).unwrap_or_default() };
            if text.len() > MAX_CELL_BYTES {
                return Err(fault(FindingKind::CellTooLong));
            }
            if self.at - start > MAX_LINE_BYTES {
                return Err(fault(FindingKind::LineTooLong));
            }
            take(position, text, quoted)?;
            if self.end_of_cell().map_err(fault)? == End::Line {
                break;
            }
        }
        Ok(true)
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// A cell without quotes; stops before what ends it.
    fn bare_cell(&mut self) -> Result<(usize, usize), FindingKind> {
        let from = self.at;
        let rest = self.text.as_bytes().get(from..).unwrap_or_default();
        let length = rest.iter().position(|byte| matches!(byte, b',' | b'\n' | b'\r' | b'"')).unwrap_or(rest.len());
        self.at = from + length;
        if self.byte(self.at) == Some(b'"') { Err(FindingKind::BadQuotes) } else { Ok((from, self.at)) }
    }

    /// A cell in quotes; fills `unquoted` where quotes are doubled inside, else leaves it empty.
    fn quoted_cell(&mut self) -> Result<(usize, usize), FindingKind> {
        self.unquoted.clear();
        let from = self.at + 1;
        let mut piece = from;
        loop {
            let rest = self.text.as_bytes().get(piece..).unwrap_or_default();
            let length = rest.iter().position(|byte| *byte == b'"').ok_or(FindingKind::BadQuotes)?;
            let quote = piece + length;
            if self.byte(quote + 1) != Some(b'"') {
                if !self.unquoted.is_empty() {
                    self.unquoted.push_str(self.text.get(piece..quote).unwrap_or_default());
                }
                self.at = quote + 1;
                return Ok((from, quote));
            }
            self.unquoted.push_str(self.text.get(piece..=quote).unwrap_or_default());
            piece = quote + 2;
            if self.unquoted.len() > MAX_CELL_BYTES {
                return Err(FindingKind::CellTooLong);
            }
        }
    }

    /// Consumes a comma, a line end or the end of the text.
    fn end_of_cell(&mut self) -> Result<End, FindingKind> {
        let (end, length) = match (self.byte(self.at), self.byte(self.at + 1)) {
            (Some(b','), _) => (End::Comma, 1),
            (Some(b'\n'), _) => (End::Line, 1),
            (Some(b'\r'), Some(b'\n')) => (End::Line, 2),
            (Some(b'\r'), _) => return Err(FindingKind::BareReturn),
            (Some(_), _) => return Err(FindingKind::BadQuotes),
            (None, _) => (End::Line, 0),
        };
        self.at += length;
        Ok(end)
    }
}
