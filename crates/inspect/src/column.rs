//! A checked column: which values it has, each with its number, and how a cell is read into that number.
//!
//! Everything that leaves in a column is one of [`CheckedColumn::choices`] values. A cell becomes the *ordinal* of its
//! value and nothing else of it is kept (texts apart, which are kept as they are): that is what makes the rewriting
//! lossless for values and lossy for everything else, and the capacity true.

use std::collections::HashMap;

use crate::decimal::{self, DecimalError};
use crate::names::is_unprintable;
use crate::{Finding, FindingKind};

/// A column of a checked schema.
#[derive(Debug)]
pub(crate) struct CheckedColumn {
    pub(crate) name: String,
    pub(crate) nullable: bool,
    pub(crate) domain: Domain,
}

/// The values of a column.
#[derive(Debug)]
pub(crate) enum Domain {
    /// `min`, … `max`, each times ten to the power of `precision`; an integer has precision 0.
    Number { whole: bool, min: i64, max: i64, precision: u32 },
    /// These, in this order.
    Category { values: Vec<String>, places: HashMap<String, u64> },
    /// False, true.
    Boolean,
    /// Texts of at most `max_length` bytes.
    Text { max_length: u64, class: Option<CharacterClass> },
    /// The values of an input's column.
    Key { from: String },
}

/// A set of printable ASCII characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CharacterClass(u128);

/// A cell as its format gives it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell<'a> {
    /// JSON's null.
    Null,
    /// A cell of CSV, which has no types of its own.
    Csv { text: &'a str, quoted: bool },
    /// A JSON string.
    Text(&'a str),
    /// A JSON number, as its text.
    Number(&'a str),
    /// A JSON boolean.
    Boolean(bool),
}

/// The value of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// The value is missing.
    Null,
    /// The number of the value among those of the column; `exact` is false when digits were rounded away.
    Ordinal { ordinal: u64, exact: bool },
    /// A text, checked.
    Text(&'a str),
    /// A key, still to be looked up.
    Key(&'a str),
}

impl CheckedColumn {
    /// The source of the keys, of a key column.
    pub(crate) fn key_source(&self) -> Option<&str> {
        match &self.domain {
            Domain::Key { from } => Some(from),
            _ => None,
        }
    }

    /// Reads a cell; the error says what is wrong with it.
    pub(crate) fn read<'a>(&self, cell: Cell<'a>) -> Result<Value<'a>, FindingKind> {
        if self.is_null(&cell) {
            return if self.nullable { Ok(Value::Null) } else { Err(FindingKind::Null) };
        }
        match &self.domain {
            Domain::Number { whole, min, max, precision } => {
                let (Cell::Csv { text, .. } | Cell::Number(text)) = cell else { return Err(FindingKind::WrongType) };
                let read = decimal::read_decimal(text, *precision).map_err(|error| match error {
                    DecimalError::NotANumber => FindingKind::NotANumber,
                    DecimalError::TooLarge => FindingKind::OutOfRange,
                })?;
                if *whole && !read.exact {
                    Err(FindingKind::WrongType)
                } else if read.scaled < *min || read.scaled > *max {
                    Err(FindingKind::OutOfRange)
                } else {
                    // INVARIANT: both lie within ±10^18, so that the difference fits.
                    Ok(Value::Ordinal { ordinal: read.scaled.abs_diff(*min), exact: read.exact })
                }
            }
            Domain::Category { places, .. } => {
                let text = cell.text().ok_or(FindingKind::WrongType)?;
                let ordinal = *places.get(text).ok_or(FindingKind::UndeclaredValue)?;
                Ok(Value::Ordinal { ordinal, exact: true })
            }
            Domain::Boolean => {
                let value = match cell {
                    Cell::Boolean(value) => value,
                    Cell::Csv { text: "true" | "True" | "TRUE", .. } => true,
                    Cell::Csv { text: "false" | "False" | "FALSE", .. } => false,
                    _ => return Err(FindingKind::WrongType),
                };
                Ok(Value::Ordinal { ordinal: u64::from(value), exact: true })
            }
            Domain::Text { max_length, class } => {
                let (Cell::Csv { text, .. } | Cell::Text(text)) = cell else { return Err(FindingKind::WrongType) };
                let allowed = |character| match class {
                    Some(class) => class.contains(character),
                    None => !is_unprintable(character),
                };
                if text.len() as u64 > *max_length {
                    Err(FindingKind::TextTooLong)
                } else if !text.chars().all(allowed) {
                    Err(FindingKind::TextCharacters)
                } else {
                    Ok(Value::Text(text))
                }
            }
            Domain::Key { .. } => cell.text().map(Value::Key).ok_or(FindingKind::WrongType),
        }
    }

    /// A missing value: JSON's null; of CSV an empty cell, except where an empty text is meant (quoted, or in a text
    /// column that knows no missing value).
    fn is_null(&self, cell: &Cell<'_>) -> bool {
        match cell {
            Cell::Null => true,
            Cell::Csv { text: "", quoted } => match self.domain {
                Domain::Text { .. } => self.nullable && !quoted,
                _ => true,
            },
            _ => false,
        }
    }

    /// What was expected, for a finding about a cell; made of the declaration alone.
    pub(crate) fn expectation(&self, kind: FindingKind) -> Option<String> {
        match (&self.domain, kind) {
            (Domain::Number { min, max, precision, .. }, FindingKind::OutOfRange) => Some(format!(
                "{} to {}",
                decimal::decimal_text(*min, *precision),
                decimal::decimal_text(*max, *precision)
            )),
            (Domain::Text { max_length, .. }, FindingKind::TextTooLong) => Some(format!("at most {max_length} bytes")),
            (_, FindingKind::WrongType) => Some(self.domain.label().to_owned()),
            _ => None,
        }
    }

    /// A finding about a cell of this column.
    pub(crate) fn finding(&self, kind: FindingKind, file: &str, row: u64) -> Finding {
        Finding {
            kind,
            file: file.to_owned(),
            row: Some(row),
            column: Some(self.name.clone()),
            detail: self.expectation(kind),
        }
    }
}

impl Domain {
    fn label(&self) -> &'static str {
        match self {
            Self::Number { whole: true, .. } => "integer",
            Self::Number { whole: false, .. } => "decimal",
            Self::Category { .. } => "category",
            Self::Boolean => "boolean",
            Self::Text { .. } => "text",
            Self::Key { .. } => "key",
        }
    }
}

impl<'a> Cell<'a> {
    /// The text of a cell that stands for a category or a key: numbers and strings are alike.
    fn text(self) -> Option<&'a str> {
        match self {
            Self::Csv { text, .. } | Self::Text(text) | Self::Number(text) => Some(text),
            Self::Null | Self::Boolean(_) => None,
        }
    }
}

impl CharacterClass {
    /// Reads `[A-Za-z0-9_-]`: printable ASCII characters and ranges; `-` stands for itself at either end.
    pub(crate) fn parse(pattern: &str) -> Option<Self> {
        let body = pattern.strip_prefix('[')?.strip_suffix(']')?.as_bytes();
        if body.is_empty() || body.first() == Some(&b'^') || body.iter().any(|byte| !(b' '..=b'~').contains(byte)) {
            return None;
        }
        if body.iter().any(|byte| matches!(byte, b'[' | b']' | b'\\')) {
            return None;
        }
        let mut set = 0u128;
        let mut rest = body;
        loop {
            rest = match rest {
                [] => return Some(Self(set)),
                [first, b'-', last, rest @ ..] => {
                    if first > last {
                        return None;
                    }
                    (*first..=*last).for_each(|byte| set |= 1 << byte);
                    rest
                }
                [byte, rest @ ..] => {
                    set |= 1 << byte;
                    rest
                }
            };
        }
    }

    /// The number of characters.
    pub(crate) fn len(self) -> u32 {
        self.0.count_ones()
    }

    fn contains(self, character: char) -> bool {
        character.is_ascii() && self.0 & 1 << u32::from(character) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_class_holds_what_it_says() {
        let class = CharacterClass::parse("[A-C0-9_-]").unwrap();
        assert_eq!(class.len(), 3 + 10 + 2);
        for (character, held) in [('A', true), ('D', false), ('-', true), ('_', true), ('\n', false), ('Ａ', false)] {
            assert_eq!(class.contains(character), held, "{character}");
        }
        for pattern in
            ["", "[]", "A-Z", "[A-Z", "A-Z]", "[^A]", "[Z-A]", "[é]", "[a\n]", "[a]b]", "[a]+", "[\\d]", "[[]"]
        {
            assert_eq!(CharacterClass::parse(pattern), None, "{pattern}");
        }
    }
}
