//! How many bits a canonical table can carry at most.
//!
//! The figure is the length of a code word for the table in a code that every consistent table has one in: the number
//! of rows, which keys they have, then each cell by its ordinal. No way of hiding something in the table can carry
//! more. Its terms are specified in `docs/formats/output-schema.md`.

use hotcell_types::Bits;

use crate::column::{CheckedColumn, Domain};
use crate::schema::{CheckedFile, RowRule};
use crate::table::Table;

/// The capacity of a table that was read wholly.
pub(crate) fn of_table(file: &CheckedFile, table: &Table<'_>) -> Bits {
    let rows = table.rows();
    let keys: Vec<u64> =
        (0..file.columns.len()).filter_map(|place| table.keys_of(place)).map(|keys| keys.len() as u64).collect();
    let cells: f64 = (file.columns.iter().zip(table.text_bytes()))
        .map(|(column, text_bytes)| of_column(column, rows, *text_bytes))
        .sum();
    Bits(of_rows(file, rows, &keys) + cells)
}

/// The number of rows and which keys they have.
fn of_rows(file: &CheckedFile, rows: u64, keys: &[u64]) -> f64 {
    let free_keys = || rows as f64 * keys.iter().map(|count| log2(*count)).sum::<f64>();
    match (file.rows, keys) {
        (RowRule::OnePerKey, _) => 0.0,
        (RowRule::AtMostOnePerKey, [count]) => {
            let most = file.max_rows.min(*count);
            log2(most.saturating_sub(file.min_rows) + 1) + log2_binomial(*count, rows)
        }
        _ => log2(file.max_rows - file.min_rows + 1) + free_keys(),
    }
}

/// All cells of a column.
fn of_column(column: &CheckedColumn, rows: u64, text_bytes: u64) -> f64 {
    let missing = u64::from(column.nullable);
    let rows = rows as f64;
    match &column.domain {
        // INVARIANT: bounds lie within ±10^18, so that the counts fit.
        Domain::Number { min, max, .. } => rows * log2(max.abs_diff(*min) + 1 + missing),
        Domain::Category { values, .. } => rows * log2(values.len() as u64 + missing),
        Domain::Boolean => rows * log2(2 + missing),
        Domain::Text { max_length, class } => {
            let per_byte = class.map_or(8.0, |class| f64::from(class.len()).log2());
            rows * log2(max_length + 1 + missing) + text_bytes as f64 * per_byte
        }
        Domain::Key { .. } => 0.0,
    }
}

fn log2(count: u64) -> f64 {
    (count.max(1) as f64).log2()
}

/// The logarithm of the number of ways to choose `chosen` of `count`.
fn log2_binomial(count: u64, chosen: u64) -> f64 {
    let fewer = chosen.min(count.saturating_sub(chosen));
    (0..fewer).map(|taken| ((count - taken) as f64 / (taken + 1) as f64).log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binomials_are_what_they_are() {
        for (count, chosen, ways) in [(5, 0, 1.0), (5, 5, 1.0), (5, 2, 10.0), (52, 5, 2_598_960.0), (3, 4, 1.0)] {
            assert!((log2_binomial(count, chosen).exp2() - ways).abs() < 1e-6 * ways, "{count} {chosen}");
        }
    }
}
