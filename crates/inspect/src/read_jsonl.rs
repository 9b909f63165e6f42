//! Strict JSON lines: one flat object per line, numbers kept as their text.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::column::Cell;
use crate::table::{MAX_CELL_BYTES, MAX_LINE_BYTES, Table};
use crate::{Finding, FindingKind, schema::CheckedFile};

/// Reads a whole text of JSON lines into the table. Gives whether the members came in the declared order.
pub(crate) fn read(file: &CheckedFile, text: &str, table: &mut Table<'_>) -> Result<bool, Finding> {
    let mut in_order = true;
    let mut rest = text;
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = after;
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.len() > MAX_LINE_BYTES {
            return Err(table.finding(FindingKind::LineTooLong));
        }
        let mut found = None;
        let row = Row { file, table, in_order: &mut in_order, found: &mut found };
        let mut json = serde_json::Deserializer::from_str(line);
        if json.deserialize_map(row).and_then(|()| json.end()).is_err() {
            return Err(found.unwrap_or_else(|| table.finding(FindingKind::NotAnObject)));
        }
        table.end_row()?;
    }
    Ok(in_order)
}

/// One object, read member by member into the current row.
struct Row<'r, 's> {
    file: &'r CheckedFile,
    table: &'r mut Table<'s>,
    in_order: &'r mut bool,
    /// What is wrong, if it is more than the form.
    found: &'r mut Option<Finding>,
}

/// A string that is borrowed from the line unless it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Row<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<(), M::Error> {
        let mut expected = 0;
        let mut position = 0u64;
        while let Some(Text(name)) = members.next_key()? {
            position += 1;
            let is_expected = self.file.columns.get(expected).is_some_and(|column| column.name == name);
            let place = if is_expected { Some(expected) } else { self.file.places.get(name.as_ref()).copied() };
            let read = match place {
                None => {
                    let detail = format!("member {position} of the object, a name of {} bytes", name.len());
                    Err(self.table.finding(FindingKind::UndeclaredColumn).with_detail(detail))
                }
                Some(place) => {
                    *self.in_order &= place == expected;
                    expected = place + 1;
                    read_value(members.next_value()?, place, self.table)
                }
            };
            if let Err(finding) = read {
                *self.found = Some(finding);
                return Err(M::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

fn read_value(value: &RawValue, place: usize, table: &mut Table<'_>) -> Result<(), Finding> {
    let text = value.get();
    if text.len() > MAX_CELL_BYTES {
        return Err(table.finding(FindingKind::CellTooLong));
    }
    match text.as_bytes().first() {
        Some(b'"') => {
            let text: Text<'_> = serde_json::from_str(text).map_err(|_| table.finding(FindingKind::NotAnObject))?;
            table.set(place, Cell::Text(&text.0))
        }
        Some(b't') => table.set(place, Cell::Boolean(true)),
        Some(b'f') => table.set(place, Cell::Boolean(false)),
        Some(b'n') => table.set(place, Cell::Null),
        Some(b'[' | b'{') => Err(table.finding(FindingKind::NotAnObject)),
        _ => table.set(place, Cell::Number(text)),
    }
}
