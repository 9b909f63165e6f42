//! The declaration of outputs as people write it, and its checked form.

use std::collections::HashMap;
use std::fmt;

use hotcell_types::{Exit, Explain};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::column::CheckedColumn;

/// The outputs that a task declares: the `[[output]]` tables of its task file.
///
/// Serialising gives fields in a fixed order, so that the JSON text can be digested.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OutputSchema {
    /// The declared files.
    pub files: Vec<OutputFile>,
}

/// One declared file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputFile {
    /// Its name in the output folder.
    pub file: String,
    /// How it is written.
    pub format: Format,
    /// The order in which the rows are written anew.
    #[serde(default)]
    pub order: Order,
    /// How many rows a key may have. Default: at most one, or any number where no column is a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowRule>,
    /// Fewest rows; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_rows: Option<u64>,
    /// Most rows; needed where neither keys nor `rows` bound them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<u64>,
    /// The columns, in the order in which they are written anew.
    #[serde(default, rename = "column")]
    pub columns: Vec<ColumnSpec>,
}

/// One declared column. Which fields apply depends on its type; the others must be absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnSpec {
    /// Its name in the header line or the objects.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// Whether a value may be missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nullable: bool,
    /// Smallest value, of `integer` and `decimal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Number>,
    /// Largest value, of `integer` and `decimal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Number>,
    /// Number of decimals, of `decimal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<u32>,
    /// The values, of `category`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<String>>,
    /// Most bytes of UTF-8, of `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u64>,
    /// The allowed characters, of `text`: a class such as `[A-Za-z0-9_-]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The input and its column that holds the keys, of `key`: `data.patient`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated values with a header line (RFC 4180).
    Csv,
    /// One flat JSON object per line.
    Jsonl,
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// A whole number between `min` and `max`.
    Integer,
    /// A number between `min` and `max` with `precision` decimals.
    Decimal,
    /// One of `values`.
    Category,
    /// `true` or `false`.
    Boolean,
    /// Text of at most `max_length` bytes.
    Text,
    /// A value that stands in the input column `from`.
    Key,
}

/// The order in which rows are written anew. The workload's own order never leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// By the key columns, then by the other columns from left to right.
    #[default]
    Ascending,
    /// By the place of the keys in the input, then by the other columns from left to right.
    AsInput,
}

/// How many rows a key may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowRule {
    /// Exactly one row for each key of the input: the keys carry nothing new.
    OnePerKey,
    /// At most one row for each key (or combination of keys): which keys have a row carries information.
    AtMostOnePerKey,
    /// Any number of rows.
    Any,
}

/// A bound, kept as the decimal text that was written: `0`, `0.5` or `"0.5"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number(pub String);

/// A schema that was checked: each declaration can be met and means one thing.
#[derive(Debug)]
pub struct CheckedSchema {
    pub(crate) files: Vec<CheckedFile>,
}

/// One declared file that was checked.
#[derive(Debug)]
pub struct CheckedFile {
    pub(crate) name: String,
    pub(crate) format: Format,
    pub(crate) order: Order,
    pub(crate) rows: RowRule,
    pub(crate) min_rows: u64,
    pub(crate) max_rows: u64,
    pub(crate) columns: Vec<CheckedColumn>,
    /// Places of the columns by name.
    pub(crate) places: HashMap<String, usize>,
}

/// A declaration that is impossible, contradictory or incomplete.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}`: {problem}{}", .detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default())]
pub struct SchemaError {
    /// Where it stands: `output[0].column[2].precision`, counted from 0.
    pub path: String,
    /// What is wrong.
    pub problem: SchemaProblem,
    /// What was expected or found.
    pub detail: Option<String>,
}

coded! {
    /// What is wrong with a declaration.
    SchemaProblem {
        TooManyFiles = "INS-001", "too many files are declared", "declare at most 100 files";
        FileName = "INS-002", "the file name cannot be used", "use a plain name: printable, no slash, not beginning with `-` or `.`, at most 255 bytes";
        FileTwice = "INS-003", "the file is declared twice", "declare each file once";
        FormatContradicts = "INS-004", "the file name's ending contradicts the format", "let `format` and the ending agree: csv with .csv, jsonl with .jsonl or .ndjson";
        NoColumns = "INS-005", "no column is declared", "declare at least one `[[output.column]]`";
        TooManyColumns = "INS-006", "too many columns are declared", "declare at most 256 columns";
        ColumnName = "INS-007", "the column name cannot be used", "use 1 to 128 bytes of printable characters";
        ColumnTwice = "INS-008", "the column is declared twice", "declare each column once";
        FieldForeign = "INS-009", "the field does not belong to a column of this type", "remove the field, or change the type";
        FieldMissing = "INS-010", "the field is needed for a column of this type", "add the field";
        BadNumber = "INS-011", "the bound is not a number that the column can hold", "write a finite number of at most 18 digits, decimals included, with no more decimals than `precision`";
        EmptyRange = "INS-012", "`min` is larger than `max`", "swap or correct the bounds";
        Precision = "INS-013", "the precision is too large", "use at most 18 decimals";
        NoValues = "INS-014", "no value is declared", "list at least one value";
        BadValue = "INS-015", "a value cannot be used", "use 1 to 256 bytes of printable characters";
        ValueTwice = "INS-016", "a value is declared twice", "list each value once";
        TooManyValues = "INS-017", "too many values are declared", "list at most 10000 values, or use a key or text column";
        BadLength = "INS-018", "the length cannot be used", "use 1 to 65536 bytes";
        BadPattern = "INS-019", "the pattern is not a character class", "write printable ASCII characters and ranges in brackets, such as `[A-Za-z0-9_-]`";
        BadSource = "INS-020", "the source of the keys is not an input and a column", "write it as `INPUT.COLUMN`, such as `data.patient`";
        KeyNullable = "INS-021", "a key cannot be nullable", "remove `nullable`";
        NeedsKey = "INS-022", "this needs a key column", "add a column of type key, or remove this";
        NeedsOneKey = "INS-023", "`one-per-key` needs exactly one key column", "keep one column of type key, or declare `at-most-one-per-key`";
        RowsContradict = "INS-024", "the number of rows is fixed by `one-per-key` already", "remove `min_rows` and `max_rows`";
        RowsUnbounded = "INS-025", "the number of rows is not bounded", "add `max_rows`";
        RowBounds = "INS-026", "the bounds on rows cannot be met", "use 1 to 10000000 rows, with `min_rows` not above `max_rows`";
        LoneNullable = "INS-027", "a CSV file of one nullable column cannot show a missing value: most readers skip an empty line", "use the format jsonl, or add a column";
    }
}

impl OutputSchema {
    /// Checks every declaration.
    ///
    /// # Errors
    /// [`SchemaError`] for the first one that is impossible, contradictory or incomplete, with its path.
    pub fn check(self) -> Result<CheckedSchema, SchemaError> {
        crate::schema_check::check(self)
    }
}

impl CheckedSchema {
    /// The declared files.
    pub fn files(&self) -> &[CheckedFile] {
        &self.files
    }

    /// The declared file of that name.
    pub fn file(&self, name: &str) -> Option<&CheckedFile> {
        self.files.iter().find(|file| file.name == name)
    }
}

impl CheckedFile {
    /// Its name in the output folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The sources of its key columns, as `INPUT.COLUMN`: what the caller has to read before
    /// [`canonicalize`](crate::canonicalize).
    pub fn key_sources(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter_map(CheckedColumn::key_source)
    }
}

impl SchemaError {
    pub(crate) fn new(path: impl Into<String>, problem: SchemaProblem) -> Self {
        Self { path: path.into(), problem, detail: None }
    }

    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl Explain for SchemaError {
    fn code(&self) -> &'static str {
        self.problem.code()
    }

    fn remedy(&self) -> String {
        self.problem.remedy().to_owned()
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

impl Format {
    /// Its name in declarations.
    pub fn label(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Number {
    /// A whole number, a number with decimals (its shortest decimal form is what was meant) or a text.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Integer(i64),
            Float(f64),
            Text(String),
        }
        Ok(Self(match Raw::deserialize(deserializer)? {
            Raw::Integer(number) => number.to_string(),
            Raw::Float(number) => number.to_string(),
            Raw::Text(text) => text,
        }))
    }
}
