//! Cells of a table before the detectors, each beside the name of its column.

use std::collections::BTreeMap;

use crate::scan::{Report, Scanner};

/// Looks at cells as they come.
#[derive(Debug)]
pub struct CellScan<'a> {
    scanner: &'a Scanner,
    text: String,
    /// Where the cells of a column end, in what was gathered.
    columns: Vec<(usize, String)>,
    found: BTreeMap<String, u64>,
}

/// What is gathered before it is looked at.
const GATHERED_BYTES: usize = 1 << 20;

impl<'a> CellScan<'a> {
    /// Before these detectors.
    pub fn new(scanner: &'a Scanner) -> Self {
        Self { scanner, text: String::new(), columns: Vec::new(), found: BTreeMap::new() }
    }

    /// Looks at one cell.
    pub fn look(&mut self, column: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        self.text.push_str(column);
        self.text.push_str(": ");
        self.text.push_str(value);
        self.text.push('\n');
        self.columns.push((self.text.len(), column.to_owned()));
        if self.text.len() >= GATHERED_BYTES {
            self.scan();
        }
    }

    /// What was found: how often each kind in each column (`email in note`); nothing where nothing was.
    pub fn finish(mut self) -> BTreeMap<String, u64> {
        self.scan();
        self.found
    }

    fn scan(&mut self) {
        let Report { findings, more, unseen, .. } = self.scanner.scan(self.text.as_bytes());
        let found = findings.iter().map(|finding| (finding.kind.as_str(), finding.start));
        let unseen = unseen.iter().map(|unseen| ("what could not be decoded", unseen.start));
        for (kind, start) in found.chain(unseen) {
            let place = self.columns.partition_point(|(end, _)| *end as u64 <= start);
            let column = self.columns.get(place).map(|(_, column)| column.as_str()).unwrap_or_default();
            *self.found.entry(format!("{kind} in {column}")).or_default() += 1;
        }
        if more > 0 {
            *self.found.entry("more".to_owned()).or_default() += more;
        }
        self.text.clear();
        self.columns.clear();
    }
}

/// What was found, in words; never a value.
pub fn told(found: &BTreeMap<String, u64>) -> String {
    let lines: Vec<_> = found.iter().map(|(what, count)| format!("{} ({count})", what.escape_debug())).collect();
    lines.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_told_by_kind_and_column_and_never_as_it_is() {
        let scanner = Scanner::builtin().unwrap();
        let mut cells = CellScan::new(&scanner);
        for _ in 0..30_000 {
            cells.look("age", "40-44");
            cells.look("illness", "IX Circulatory system");
        }
        cells.look("note", "write to jane.doe@hospital.org");
        let found = cells.finish();
        assert_eq!(found, BTreeMap::from([("email in note".to_owned(), 1)]));
        assert_eq!(told(&found), "email in note (1)");
    }
}
