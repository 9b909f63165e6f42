//! A table under inspection: the ordinals of its values, and nothing else of what the workload wrote.

use std::cmp::Ordering;

use crate::column::{Cell, CheckedColumn, Domain, Value};
use crate::keys::KeySet;
use crate::schema::{CheckedFile, Order, RowRule};
use crate::{Finding, FindingKind};

/// Longest line of a table in bytes: 256 columns of ordinary values, or one long text.
pub(crate) const MAX_LINE_BYTES: usize = 1 << 20;
/// Longest cell in bytes.
pub(crate) const MAX_CELL_BYTES: usize = 64 << 10;
/// Most cells: bounds the memory at eight bytes each.
const MAX_CELLS: usize = 32 << 20;

/// The rows read so far.
#[derive(Debug)]
pub(crate) struct Table<'s> {
    file: &'s CheckedFile,
    /// The keys of each column, for key columns.
    keys: Vec<Option<&'s KeySet>>,
    /// The key that each column is expected to hold next.
    guesses: Vec<u64>,
    /// Per row and column: 0 for a missing value of a nullable column, else the ordinal (one more if nullable). The
    /// ordinal of a key is its place in the input, that of a text its place in `texts`.
    codes: Vec<u64>,
    texts: Texts,
    /// The row that is being filled.
    row: Vec<Option<u64>>,
    rows: u64,
    /// Bytes of text per column.
    text_bytes: Vec<u64>,
    rounded_cells: u64,
}

/// Texts, kept as they are.
#[derive(Debug, Default)]
struct Texts {
    text: String,
    ends: Vec<u32>,
}

/// A value on its way out.
pub(crate) enum Shown<'a> {
    /// A missing value.
    Null,
    /// A number, scaled, with its decimals.
    Number(i64, u32),
    /// `true` or `false`.
    Boolean(bool),
    /// A category, key or text.
    Text(&'a str),
}

impl<'s> Table<'s> {
    /// An empty table; `keys` holds one entry per column.
    pub(crate) fn new(file: &'s CheckedFile, keys: Vec<Option<&'s KeySet>>) -> Self {
        let width = file.columns.len();
        Self {
            file,
            keys,
            guesses: vec![0; width],
            codes: Vec::new(),
            texts: Texts::default(),
            row: vec![None; width],
            rows: 0,
            text_bytes: vec![0; width],
            rounded_cells: 0,
        }
    }

    /// The number of finished rows.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of text per column.
    pub(crate) fn text_bytes(&self) -> &[u64] {
        &self.text_bytes
    }

    /// Cells of which digits were rounded away.
    pub(crate) fn rounded_cells(&self) -> u64 {
        self.rounded_cells
    }

    /// The keys of a column.
    pub(crate) fn keys_of(&self, column: usize) -> Option<&'s KeySet> {
        self.keys.get(column).copied().flatten()
    }

    /// A finding about the row that is being filled.
    pub(crate) fn finding(&self, kind: FindingKind) -> Finding {
        Finding { row: Some(self.rows + 1), ..Finding::of_file(kind, &self.file.name) }
    }

    /// Fills one cell of the current row.
    pub(crate) fn set(&mut self, place: usize, cell: Cell<'_>) -> Result<(), Finding> {
        let file = self.file;
        let (Some(column), Some(slot)) = (file.columns.get(place), self.row.get_mut(place)) else {
            return Err(self.finding(FindingKind::UndeclaredColumn));
        };
        let finding = |kind| column.finding(kind, &file.name, self.rows + 1);
        if slot.is_some() {
            return Err(finding(FindingKind::DuplicateColumn));
        }
        let ordinal = match column.read(cell).map_err(finding)? {
            Value::Null => {
                *slot = Some(0);
                return Ok(());
            }
            Value::Ordinal { ordinal, exact } => {
                self.rounded_cells += u64::from(!exact);
                ordinal
            }
            Value::Text(text) => {
                if let Some(bytes) = self.text_bytes.get_mut(place) {
                    *bytes += text.len() as u64;
                }
                self.texts.push(text)
            }
            Value::Key(text) => {
                let keys = self.keys.get(place).copied().flatten();
                let guess = self.guesses.get_mut(place);
                let (Some(keys), Some(guess)) = (keys, guess) else { return Err(finding(FindingKind::UnknownKey)) };
                let key = keys.place_of(text, *guess).ok_or_else(|| finding(FindingKind::UnknownKey))?;
                *guess = key + 1;
                key
            }
        };
        *slot = Some(ordinal + u64::from(column.nullable));
        Ok(())
    }

    /// Finishes the current row.
    pub(crate) fn end_row(&mut self) -> Result<(), Finding> {
        if self.rows >= self.file.max_rows {
            let limit = format!("at most {}", self.file.max_rows);
            return Err(self.finding(FindingKind::TooManyRows).with_detail(limit));
        }
        if self.codes.len() + self.row.len() > MAX_CELLS {
            return Err(self.finding(FindingKind::TooManyCells).with_detail(format!("at most {MAX_CELLS}")));
        }
        for (column, slot) in self.file.columns.iter().zip(&mut self.row) {
            let missing = || column.finding(FindingKind::MissingColumn, &self.file.name, self.rows + 1);
            self.codes.push(slot.take().ok_or_else(missing)?);
        }
        self.rows += 1;
        Ok(())
    }

    /// The rows in the declared order, once all are read; checks what concerns all rows together.
    pub(crate) fn ordered(&self) -> Result<Vec<u32>, Finding> {
        let of_file = |kind| Finding::of_file(kind, &self.file.name);
        if self.rows < self.file.min_rows {
            return Err(of_file(FindingKind::TooFewRows).with_detail(format!("at least {}", self.file.min_rows)));
        }
        let places = self.sort_columns();
        let first = places.first().copied().unwrap_or_default();
        // INVARIANT: at most MAX_ROWS rows, which fit into 32 bits.
        let mut order: Vec<(u64, u32)> = (0..self.rows as u32).map(|row| (self.sort_prefix(first, row), row)).collect();
        let compare = |a: &(u64, u32), b: &(u64, u32)| a.0.cmp(&b.0).then_with(|| self.compare(a.1, b.1, &places));
        if !order.is_sorted_by(|a, b| compare(a, b).is_le()) {
            order.sort_unstable_by(compare);
        }
        let order: Vec<u32> = order.into_iter().map(|(_, row)| row).collect();
        self.check_keys(&order)?;
        Ok(order)
    }

    /// One value as it is to be written.
    pub(crate) fn shown(&self, row: u32, place: usize) -> Shown<'_> {
        let Some(column) = self.file.columns.get(place) else { return Shown::Null };
        let Some(ordinal) = self.ordinal(column, row, place) else { return Shown::Null };
        match &column.domain {
            Domain::Number { min, precision, .. } => Shown::Number(min.wrapping_add_unsigned(ordinal), *precision),
            Domain::Boolean => Shown::Boolean(ordinal != 0),
            Domain::Category { values, .. } => {
                Shown::Text(values.get(ordinal as usize).map(String::as_str).unwrap_or_default())
            }
            Domain::Text { .. } => Shown::Text(self.texts.get(ordinal)),
            Domain::Key { .. } => {
                Shown::Text(self.keys_of(place).and_then(|keys| keys.get(ordinal)).unwrap_or_default())
            }
        }
    }

    /// Key columns first, then the others: together a total order over the values.
    fn sort_columns(&self) -> Vec<usize> {
        let is_key = |place: &usize| self.keys_of(*place).is_some();
        let (keys, others): (Vec<_>, Vec<_>) = (0..self.file.columns.len()).partition(is_key);
        keys.into_iter().chain(others).collect()
    }

    fn check_keys(&self, order: &[u32]) -> Result<(), Finding> {
        if self.file.rows == RowRule::Any {
            return Ok(());
        }
        let keys: Vec<usize> = (0..self.file.columns.len()).filter(|place| self.keys_of(*place).is_some()).collect();
        for (before, row) in order.iter().zip(order.iter().skip(1)) {
            if self.compare(*before, *row, &keys) == Ordering::Equal {
                let row = u64::from(*before.max(row)) + 1;
                return Err(Finding { row: Some(row), ..Finding::of_file(FindingKind::DuplicateKey, &self.file.name) });
            }
        }
        // Every row has a key of the input and none twice: as many rows as keys are one row for each.
        let wanted = keys.first().and_then(|place| self.keys_of(*place)).map_or(0, |keys| keys.len() as u64);
        if self.file.rows == RowRule::OnePerKey && self.rows != wanted {
            let missing = format!("{} of {wanted}", wanted.saturating_sub(self.rows));
            return Err(Finding::of_file(FindingKind::MissingKeys, &self.file.name).with_detail(missing));
        }
        Ok(())
    }

    fn compare(&self, a: u32, b: u32, places: &[usize]) -> Ordering {
        let compare_cells = |place: &usize| {
            let Some(column) = self.file.columns.get(*place) else { return Ordering::Equal };
            let (a, b) = (self.ordinal(column, a, *place), self.ordinal(column, b, *place));
            match column.domain {
                Domain::Text { .. } => a.map(|text| self.texts.get(text)).cmp(&b.map(|text| self.texts.get(text))),
                _ => a.map(|key| self.sort_ordinal(*place, key)).cmp(&b.map(|key| self.sort_ordinal(*place, key))),
            }
        };
        places.iter().map(compare_cells).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    /// A number that orders the rows by their first sort column as far as 64 bits can.
    fn sort_prefix(&self, place: usize, row: u32) -> u64 {
        let Some(column) = self.file.columns.get(place) else { return 0 };
        let Some(ordinal) = self.ordinal(column, row, place) else { return 0 };
        match column.domain {
            Domain::Text { .. } => {
                let mut prefix = [0; 8];
                prefix.iter_mut().zip(self.texts.get(ordinal).bytes()).for_each(|(slot, byte)| *slot = byte);
                u64::from_be_bytes(prefix)
            }
            _ => self.sort_ordinal(place, ordinal),
        }
    }

    fn sort_ordinal(&self, place: usize, ordinal: u64) -> u64 {
        match self.keys_of(place) {
            Some(keys) if self.file.order == Order::Ascending => keys.rank(ordinal),
            _ => ordinal,
        }
    }

    /// The ordinal of a cell, or none for a missing value.
    fn ordinal(&self, column: &CheckedColumn, row: u32, place: usize) -> Option<u64> {
        let code = *self.codes.get(row as usize * self.file.columns.len() + place)?;
        if column.nullable { code.checked_sub(1) } else { Some(code) }
    }
}

impl Texts {
    fn push(&mut self, text: &str) -> u64 {
        // INVARIANT: all texts come out of one file of at most MAX_TABLE_BYTES, which fits into 32 bits.
        self.text.push_str(text);
        self.ends.push(self.text.len() as u32);
        self.ends.len() as u64 - 1
    }

    fn get(&self, place: u64) -> &str {
        let place = place as usize;
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        let end = self.ends.get(place).copied().unwrap_or_default();
        self.text.get(start as usize..end as usize).unwrap_or_default()
    }
}
