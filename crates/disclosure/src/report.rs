//! What was done to a table: columns, rows, classes; never a value.

use serde::Serialize;

/// What was done to a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The name of the view.
    pub view: String,
    /// The role that it is for.
    pub role: String,
    /// The dataset.
    pub dataset: String,
    /// Rows of the table.
    pub rows_read: u64,
    /// Rows of the view.
    pub rows_written: u64,
    /// Rows that were left out.
    pub rows_suppressed: u64,
    /// Each column of the table, or of the rules.
    pub columns: Vec<ColumnReport>,
    /// The classes, where any are demanded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymity: Option<AnonymityReport>,
}

/// What was done to a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnReport {
    /// Its name.
    pub column: String,
    /// What was done, by its name in the rules; `absent` where the table lacks it.
    pub done: String,
    /// By which hierarchy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The level that it was lifted to, and the highest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<[usize; 2]>,
    /// What one noisy cell promises.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promise: Option<String>,
    /// Values that the rule could not understand, and that left as `*`.
    pub not_understood: u64,
}

/// What came of the demand for classes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnonymityReport {
    /// The fewest people in a class that were demanded.
    pub k: u32,
    /// The fewest different sensitive values that were demanded.
    pub l: u32,
    /// Classes in the view.
    pub classes: u64,
    /// People in the smallest, counted in the view itself.
    pub k_reached: u64,
    /// Different values of the least diverse sensitive column in the least diverse class.
    pub l_reached: u64,
    /// What was lost, from 0 (nothing) to 1 (everything).
    pub loss: f64,
    /// Combinations of levels that there are.
    pub combinations: usize,
}
