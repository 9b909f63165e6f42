//! The canonical form: every value has one spelling.

use std::io::{self, Write};

use crate::decimal::write_decimal;
use crate::schema::{CheckedFile, Format};
use crate::table::{Shown, Table};

/// How much is gathered before it is written.
const BLOCK_BYTES: usize = 64 << 10;

/// What was written.
pub(crate) struct Written {
    /// Bytes in all.
    pub(crate) bytes: u64,
    /// Whether they are the very bytes that were read.
    pub(crate) unchanged: bool,
}

/// Writes the rows in the given order; `read` is what the workload wrote, for comparison only.
pub(crate) fn write_table<W: Write>(
    file: &CheckedFile,
    table: &Table<'_>,
    order: &[u32],
    read: &[u8],
    to: W,
) -> io::Result<Written> {
    let mut out = Output { to, block: Vec::with_capacity(2 * BLOCK_BYTES), read, unchanged: true, bytes: 0 };
    // What stands before each value of a row, made once.
    let leads: Vec<Vec<u8>> = match file.format {
        Format::Csv => (0..file.columns.len()).map(|place| if place == 0 { vec![] } else { vec![b','] }).collect(),
        Format::Jsonl => (file.columns.iter().enumerate())
            .map(|(place, column)| {
                let mut lead = vec![if place == 0 { b'{' } else { b',' }];
                write_json_text(&column.name, &mut lead);
                lead.push(b':');
                lead
            })
            .collect(),
    };
    if file.format == Format::Csv {
        for (lead, column) in leads.iter().zip(&file.columns) {
            out.block.extend_from_slice(lead);
            write_csv_text(&column.name, &mut out.block);
        }
        out.block.push(b'\n');
    }
    for row in order {
        for (place, lead) in leads.iter().enumerate() {
            out.block.extend_from_slice(lead);
            write_value(table.shown(*row, place), file.format, &mut out.block);
        }
        out.block.extend_from_slice(match file.format {
            Format::Csv => b"\n",
            Format::Jsonl => b"}\n",
        });
        if out.block.len() >= BLOCK_BYTES {
            out.flush()?;
        }
    }
    out.flush()?;
    out.to.flush()?;
    Ok(Written { bytes: out.bytes, unchanged: out.unchanged && out.bytes == read.len() as u64 })
}

struct Output<'a, W> {
    to: W,
    block: Vec<u8>,
    /// What was read and not yet compared.
    read: &'a [u8],
    unchanged: bool,
    bytes: u64,
}

impl<W: Write> Output<'_, W> {
    fn flush(&mut self) -> io::Result<()> {
        match self.read.split_at_checked(self.block.len()) {
            Some((same, rest)) if same == self.block => self.read = rest,
            _ => self.unchanged = false,
        }
        self.to.write_all(&self.block)?;
        self.bytes += self.block.len() as u64;
        self.block.clear();
        Ok(())
    }
}

fn write_value(value: Shown<'_>, format: Format, to: &mut Vec<u8>) {
    match (value, format) {
        (Shown::Null, Format::Csv) => {}
        (Shown::Null, Format::Jsonl) => to.extend_from_slice(b"null"),
        (Shown::Number(scaled, precision), _) => write_decimal(scaled, precision, to),
        (Shown::Boolean(true), _) => to.extend_from_slice(b"true"),
        (Shown::Boolean(false), _) => to.extend_from_slice(b"false"),
        (Shown::Text(text), Format::Csv) => write_csv_text(text, to),
        (Shown::Text(text), Format::Jsonl) => write_json_text(text, to),
    }
}

/// Quotes only where the text needs it, and where it is empty (an empty bare cell is a missing value).
fn write_csv_text(text: &str, to: &mut Vec<u8>) {
    if !text.is_empty() && !text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        to.extend_from_slice(text.as_bytes());
        return;
    }
    to.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            to.push(b'"');
        }
        to.push(byte);
    }
    to.push(b'"');
}

/// RFC 8259, escaping only what must be: quotes, backslashes, control characters.
fn write_json_text(text: &str, to: &mut Vec<u8>) {
    to.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => to.extend_from_slice(&[b'\\', byte]),
            0..=0x1f => to.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => to.push(byte),
        }
    }
    to.push(b'"');
}
