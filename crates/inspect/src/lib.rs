//! What may leave: declared outputs, canonical rewriting, capacity in bits.
//!
//! Three gates, each for one kind of thing that a workload leaves behind:
//!
//! * [`collect`] takes the files out of the output folder, by descriptor, after every process is dead, and refuses
//!   whatever is not a plain file that may leave;
//! * [`canonicalize`] parses a declared table, checks it against its [`CheckedFile`] and writes it anew from its
//!   values, so that nothing hides in digits, quoting or order, and says how many bits it can still carry;
//! * [`sensitive_in_file`], [`sensitive_in_table`] and [`sensitive_in_names`] hold what would leave against the
//!   detectors of [`scan`] and the prints of the inputs ([`fingerprint`]);
//! * [`CellScan`] holds the cells of a table that was made here against them, column by column;
//! * [`inspect_stream`] judges captured standard streams, and [`Neutralizer`] makes live ones harmless to a terminal.
//!
//! INVARIANT (no-values): no error, finding or note of this crate holds a value that the workload wrote. Names of
//! files are shown escaped and cut; names of undeclared columns are not shown at all.
//!
//! The formats are specified in `docs/formats/output-schema.md`.

#[macro_use]
mod coded;

mod canonical;
mod capacity;
mod cells;
mod collect;
mod column;
mod controls;
mod decimal;
mod finding;
pub mod fingerprint;
mod keys;
mod names;
mod read_csv;
mod read_jsonl;
pub mod scan;
mod schema;
mod schema_check;
mod sensitive;
mod stream;
mod table;
mod write;

pub use canonical::{Canonical, CanonicalizeError, MAX_TABLE_BYTES, Rewriting, canonicalize};
pub use cells::{CellScan, told};
pub use collect::{CollectError, CollectRule, Collected, MAX_DEPTH, collect, opaque_capacity};
pub use controls::Neutralizer;
pub use finding::{Finding, FindingKind};
pub use keys::{InputKeys, KeySet, KeysError};
pub use schema::{
    CheckedFile, CheckedSchema, ColumnSpec, ColumnType, Format, Number, Order, OutputFile, OutputSchema, RowRule,
    SchemaError, SchemaProblem,
};
pub use sensitive::{sensitive_in_file, sensitive_in_names, sensitive_in_table};
pub use stream::{SensitiveValues, StreamRule, StreamVerdict, inspect_stream};
