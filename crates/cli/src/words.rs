//! What we say in Chinese: a phrase book, keyed by the English text as in gettext.
//!
//! Texts are translated where they leave us, line by line, so that no command knows of it. A phrase of the book is a
//! line, a column of a line or a part that stands for a `{}` of a longer phrase; `{}` stands for what a line carries
//! (a name, a number, another phrase). What stands in backticks is never touched: it is the user's own; nor is what
//! [`crate::print::theirs`] has marked, in which no phrase, column or value begins or ends.

use std::collections::HashMap;
use std::sync::OnceLock;

use unicode_width::UnicodeWidthStr;

use crate::print::{CLOSE, OPEN, TOLD};

/// The book: a phrase, then `= ` and its translation. `#` begins a comment.
pub(crate) const BOOK: &str = include_str!("zh-CN.txt");

/// Phrases within phrases are looked up so deep.
const MAX_DEPTH: u32 = 8;

/// What one text may cost: no text of ours is longer.
const MAX_BYTES: usize = 8 << 10;

/// Translates each line of a text. What the book does not have stays as it is.
pub(crate) fn lines(text: &str) -> String {
    let mut translated = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        translated.push_str(&Book::get().line(line));
        translated.push_str(end);
    }
    translated
}

/// The translation of a whole text, if the book has one.
pub(crate) fn whole(text: &str) -> Option<String> {
    Book::get().phrase(text, MAX_DEPTH)
}

/// The same, of a phrase without values.
pub(crate) fn fixed(text: &str) -> Option<&'static str> {
    Book::get().fixed.get(text).copied()
}

struct Book {
    fixed: HashMap<&'static str, &'static str>,
    /// Those with a `{}`; the ones that say most come first.
    open: Vec<Phrase>,
}

struct Phrase {
    /// What stands around the values.
    parts: Vec<&'static str>,
    translation: &'static str,
}

impl Book {
    fn get() -> &'static Self {
        static READ: OnceLock<Book> = OnceLock::new();
        READ.get_or_init(|| Self::read(BOOK))
    }

    fn read(text: &'static str) -> Self {
        let (mut fixed, mut open) = (HashMap::new(), Vec::new());
        for (phrase, translation) in pairs(text) {
            match phrase.contains("{}") {
                true => open.push(Phrase { parts: phrase.split("{}").collect(), translation }),
                false => drop(fixed.insert(phrase, translation)),
            }
        }
        let said = |phrase: &Phrase| phrase.parts.iter().map(|part| part.len()).sum::<usize>();
        open.sort_by_key(|phrase| std::cmp::Reverse(said(phrase)));
        Self { fixed, open }
    }

    /// A line with its indentation; columns, which two spaces divide, keep their places.
    fn line(&self, line: &str) -> String {
        let text = line.trim_start_matches(' ');
        let indent = &line[..line.len() - text.len()];
        if text.is_empty() || line.len() > MAX_BYTES || text.starts_with(TOLD) {
            return line.to_owned();
        }
        match self.fixed.get(text) {
            Some(translation) => format!("{indent}{translation}"),
            None if find(text, "  ").is_some() => self.columns(line),
            None => format!("{indent}{}", self.phrase(text, MAX_DEPTH).unwrap_or_else(|| text.to_owned())),
        }
    }

    fn columns(&self, line: &str) -> String {
        let mut made = String::new();
        let mut rest = line;
        let mut place = 0;
        while !rest.is_empty() {
            let cell = rest.trim_start_matches(' ');
            place += rest.len() - cell.len();
            let end = find(cell, "  ").unwrap_or(cell.len());
            let (cell, after) = cell.split_at(end);
            let gap = place.saturating_sub(width(&made)).max(if made.trim().is_empty() { 0 } else { 2 });
            if !cell.is_empty() {
                made.extend(std::iter::repeat_n(' ', gap));
                made.push_str(&self.phrase(cell, MAX_DEPTH).unwrap_or_else(|| cell.to_owned()));
            }
            place += width(cell);
            rest = after;
        }
        made
    }

    /// The translation of a phrase, with the phrases inside of it.
    fn phrase(&self, text: &str, depth: u32) -> Option<String> {
        if depth == 0 || text.len() > MAX_BYTES {
            return None;
        }
        if let Some(translation) = self.fixed.get(text) {
            return Some((*translation).to_owned());
        }
        self.open.iter().find_map(|phrase| {
            let values = phrase.values(text)?;
            let values: Vec<_> = values
                .into_iter()
                .map(|(value, is_quoted)| match is_quoted {
                    true => value.to_owned(),
                    false => self.phrase(value, depth - 1).unwrap_or_else(|| value.to_owned()),
                })
                .collect();
            Some(fill(phrase.translation, &values))
        })
    }
}

impl Phrase {
    /// What stands for each `{}` in a text of this form, and whether in backticks. None of them is empty.
    fn values<'a>(&self, text: &'a str) -> Option<Vec<(&'a str, bool)>> {
        let (first, others) = self.parts.split_first()?;
        let (last, middle) = others.split_last()?;
        let mut rest = text.strip_prefix(first)?.strip_suffix(last)?;
        let mut before = *first;
        let mut values = Vec::new();
        for part in middle {
            // At least one character is the value's, or one text of others.
            let from = match rest.starts_with(OPEN) {
                true => rest.find(CLOSE)? + CLOSE.len_utf8(),
                false => rest.chars().next()?.len_utf8(),
            };
            let at = from + find(rest.get(from..)?, part)?;
            values.push((&rest[..at], before.ends_with('`')));
            rest = rest.get(at + part.len()..)?;
            before = part;
        }
        if rest.is_empty() {
            return None;
        }
        values.push((rest, before.ends_with('`')));
        Some(values)
    }
}

/// Where a text of ours stands in another one, outside of the texts of others.
fn find(text: &str, part: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let rest = text.get(from..)?;
        let open = rest.find(OPEN).unwrap_or(rest.len());
        if let Some(at) = rest.get(..open)?.find(part) {
            return Some(from + at);
        }
        from += open + rest.get(open..)?.find(CLOSE)? + CLOSE.len_utf8();
    }
}

/// The columns that a text takes when its marks are gone.
fn width(text: &str) -> usize {
    text.width() - text.matches([OPEN, CLOSE]).map(UnicodeWidthStr::width).sum::<usize>()
}

/// A translation with its values: `{}` is the next one, `{2}` the second.
fn fill(translation: &str, values: &[String]) -> String {
    let mut filled = String::new();
    let mut rest = translation;
    let mut next = 0;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((number, after)) = after.split_once('}') else {
            rest = after;
            break;
        };
        let place = if number.is_empty() { next } else { number.parse::<usize>().unwrap_or(0).wrapping_sub(1) };
        next += usize::from(number.is_empty());
        filled.push_str(values.get(place).map_or("", String::as_str));
        rest = after;
    }
    filled + rest
}

/// The phrases of the book with their translations.
pub(crate) fn pairs(book: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = book.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut phrase = None;
    lines.filter_map(move |line| match line.strip_prefix("= ") {
        Some(translation) => phrase.take().map(|phrase| (phrase, translation)),
        None => {
            phrase = Some(line);
            None
        }
    })
}

#[cfg(test)]
mod tests;
