//! What goes to standard output.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};
use serde::Serialize;

/// Prints one JSON value.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)
}

/// A table for a terminal.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(LINE_UNDER_HEADER).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.to_vec());
    if table.width().is_none_or(|width| width < LEAST_WIDTH) {
        table.set_width(LEAST_WIDTH);
    }
    table
}

/// A text of others for a terminal: control characters, but line ends, are written as escapes.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => shown.push('\n'),
            _ if character.is_control() || is_bidirectional(character) => shown.extend(character.escape_unicode()),
            _ => shown.push(character),
        }
    }
    shown
}

/// The same on one line.
pub(crate) fn plain_line(text: &str) -> String {
    plain(text).replace('\n', "\\n")
}

/// Characters that turn the direction of what follows, so that a text reads as another one.
fn is_bidirectional(character: char) -> bool {
    matches!(character, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// No lines but one under the header.
const LINE_UNDER_HEADER: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Some terminals say that they have no width; and in less than this no table can be read.
const LEAST_WIDTH: u16 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_others_cannot_command_the_terminal() {
        for (text, shown) in [
            ("ordinary, 日本語", "ordinary, 日本語"),
            ("\x1b[2J", "\\u{1b}[2J"),
            ("a\rb", "a\\u{d}b"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("fdp.\u{202e}exe", "fdp.\\u{202e}exe"),
        ] {
            assert_eq!(plain(text), shown);
        }
        assert_eq!(plain_line("one\ntwo"), "one\\ntwo");
    }
}
