//! A view back: tokens and encrypted fields opened, all else as it is.

use std::io::{Read, Write};

use hotcell_crypto::SecretKey;

use crate::error::DisclosureError;
use crate::rules::{Method, View};
use crate::secret::{self, RowName};
use crate::table::{Form, Format, Reader, Writer};

/// Opens the tokens and encrypted fields of a view. Whether who asks may is for policy to say, and asked before.
///
/// Returns the number of fields that were opened.
///
/// # Errors
/// [`DisclosureError::NotOpened`] for the first field that does not open; what was written until then is thrown away by whoever
/// calls.
pub fn reverse(
    view: &View,
    format: Format,
    key: &SecretKey,
    from: impl Read,
    to: impl Write,
) -> Result<u64, DisclosureError> {
    let mut reader = Reader::new(format, from)?;
    let mut writer = Writer::new(format, to, reader.names().to_vec().iter().map(String::as_str))?;
    let (mut row, mut opened) = (0, 0);
    while let Some(mut cells) = reader.next_row()? {
        row += 1;
        let names = reader.names();
        let row_key = view.row_key.as_ref().map(|key| {
            let cell = cells.iter().find(|cell| names.get(cell.column) == Some(key));
            cell.map(|cell| cell.text.clone()).unwrap_or_default()
        });
        let row_name = match &row_key {
            Some(key) => RowName::Key(key),
            None => RowName::Number(row),
        };
        for cell in &mut cells {
            let Some(name) = names.get(cell.column) else { continue };
            let Some(column) = view.columns.get(name) else { continue };
            let is_reversible = matches!(column.method, Method::Token { .. } | Method::Encrypt);
            if !is_reversible || cell.is_empty() || cell.text == crate::ANY {
                continue;
            }
            let Some(field) = secret::key_of(view, name, &column.method, Some(key))? else { continue };
            let value = match &column.method {
                Method::Token { keeps_format, .. } => secret::open_token(&field, &cell.text, *keeps_format),
                _ => secret::open(&field, &secret::place(view, name, &row_name), &cell.text),
            };
            let value = value.ok_or_else(|| DisclosureError::NotOpened { row, column: name.clone() })?;
            (cell.text, cell.form) = (value, Form::Text);
            opened += 1;
        }
        writer.row(&cells, names)?;
    }
    writer.finish()?;
    Ok(opened)
}
