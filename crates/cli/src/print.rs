//! What goes to standard output.

use std::fmt;
use std::io::{self, StderrLock, StdoutLock, Write};

use comfy_table::{ContentArrangement, LineStyle, TableStyle};
use serde::Serialize;
use textwrap::core::display_width;
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

use crate::look::{self, Language, Look};
use crate::words;

/// Standard output for what people read: in their language, with signs that their terminal has.
pub(crate) fn out() -> Edge<StdoutLock<'static>> {
    Edge::new(io::stdout().lock(), look::stdout(), look::language())
}

/// Standard error for what people read.
pub(crate) fn err() -> Edge<StderrLock<'static>> {
    Edge::new(io::stderr().lock(), look::stderr(), look::language())
}

/// Where texts leave us: whole lines are put into the reader's language and signs, and on a terminal into its width.
///
/// What is not ours (a workload's output, JSON) does not pass through here.
pub(crate) struct Edge<W: Write> {
    to: W,
    look: Look,
    language: Language,
    /// The beginning of a line that has no end yet.
    begun: Vec<u8>,
}

impl<W: Write> Edge<W> {
    fn new(to: W, look: Look, language: Language) -> Self {
        Self { to, look, language, begun: Vec::new() }
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let Ok(line) = std::str::from_utf8(line) else { return self.to.write_all(line) };
        let mut text = translated(line, self.language);
        // While it is still known which texts are others'.
        if self.look.colour {
            text = painted(&text);
        }
        text = signs(&text, self.look);
        if self.look.is_terminal {
            text = wrapped(&text, usize::from(self.look.width), self.language);
        }
        self.to.write_all(text.as_bytes())
    }

    /// A heading on a line of its own.
    pub(crate) fn heading(&mut self, text: &str) -> io::Result<()> {
        let text = shown(text, self.look, self.language);
        let text =
            if self.look.is_terminal { wrapped(&text, usize::from(self.look.width), self.language) } else { text };
        match self.look.colour {
            true => writeln!(self.to, "{BOLD}{text}{PLAIN}"),
            false => writeln!(self.to, "{text}"),
        }
    }
}

impl<W: Write> Write for Edge<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun.extend_from_slice(bytes);
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let rest = self.begun.split_off(end + 1);
            let line = std::mem::replace(&mut self.begun, rest);
            self.line(&line)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let begun = std::mem::take(&mut self.begun);
        self.line(&begun)?;
        self.to.flush()
    }
}

impl<W: Write> Drop for Edge<W> {
    /// A last line without an end is told as well.
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

/// A text in the reader's language and signs. What is marked as others' is as it was, without its marks.
pub(crate) fn shown(text: &str, look: Look, language: Language) -> String {
    signs(&translated(text, language), look)
}

fn translated(text: &str, language: Language) -> String {
    match language {
        Language::Chinese => words::lines(text),
        Language::English => text.to_owned(),
    }
}

/// A text without marks, in the signs that there are.
fn signs(text: &str, look: Look) -> String {
    let text = if text.contains(MARKS) { text.replace(MARKS, "") } else { text.to_owned() };
    if look.unicode { text } else { look::ascii(&text) }
}

/// A line whose verdict, a column of its own, is coloured: of the sixteen colours, which the terminal's owner has
/// chosen for light or dark. A word of others, between marks or in backticks, is no verdict.
fn painted(line: &str) -> String {
    for (words, colour) in [(GOOD, GREEN), (BAD, RED)] {
        for word in words {
            let place = line.match_indices(word).find(|(at, _)| {
                let (before, after) = (&line[..*at], &line[at + word.len()..]);
                let begins = before.trim_start().trim_start_matches(TOLD).is_empty() || before.ends_with("  ");
                let is_ours = before.rfind(OPEN) <= before.rfind(CLOSE) && before.matches('`').count() % 2 == 0;
                begins && is_ours && (after.starts_with("  ") || after.trim_end().is_empty())
            });
            if let Some((at, _)) = place {
                let (before, after) = (&line[..at], &line[at + word.len()..]);
                return format!("{before}{colour}{word}{PLAIN}{after}");
            }
        }
    }
    line.to_owned()
}

const GOOD: &[&str] = &["stands", "立住", "stopped", "已阻止", "full", "完整", "held off", "挡住"];
const BAD: &[&str] =
    &["DOWN", "倒塌", "NOT STOPPED", "未能阻止", "absent", "缺失", "partial", "部分", "NOT HELD", "未挡住"];
const BOLD: &str = "\x1b[1m";
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[1;31m";
const PLAIN: &str = "\x1b[0m";

/// A line in the width of a terminal: it goes on below its last column. What is to be copied, a command, stays whole:
/// one of ours, and what is indented as far as commands are.
fn wrapped(line: &str, width: usize, language: Language) -> String {
    let text = line.trim_start_matches(' ');
    if display_width(line) <= width || text.starts_with("hotcell ") || line.starts_with(COMMAND_INDENT) {
        return line.to_owned();
    }
    let column = line.trim_end().rfind("  ").and_then(|gap| line.get(..gap + 2)).map_or(0, display_width);
    let column = if column <= line.len() - text.len() || column > width * 2 / 3 {
        line.len() - text.len() + HANGING
    } else {
        column
    };
    let indent = " ".repeat(column);
    let separator = match language {
        Language::English => WordSeparator::AsciiSpace,
        Language::Chinese => WordSeparator::UnicodeBreakProperties,
    };
    let options = Options::new(width)
        .subsequent_indent(&indent)
        .word_separator(separator)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit)
        .break_words(false);
    textwrap::fill(line, options)
}

/// Before a command that is to be copied.
const COMMAND_INDENT: &str = "     ";

/// How far a line that has no columns goes on to the right of its beginning.
const HANGING: usize = 2;

/// Prints one JSON value.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)
}

/// A table for a terminal; its cells are told in the reader's language.
pub(crate) struct Table {
    table: comfy_table::Table,
    look: Look,
    language: Language,
    /// Whether cells of it are others', so that none of it is coloured.
    has_others: bool,
}

/// A table with this header, and no lines but one under it.
pub(crate) fn table(header: &[&str]) -> Table {
    let (look, language) = (look::stdout(), look::language());
    let line = if look.unicode { '─' } else { '-' };
    let style = TableStyle::new().header_separator(LineStyle::none().fill(line).junction(line));
    let mut table = comfy_table::Table::new();
    table.load_style(style).set_content_arrangement(ContentArrangement::Dynamic).set_width(look.width);
    table.set_header(header.iter().map(|cell| shown(cell, look, language)));
    Table { table, look, language, has_others: false }
}

impl Table {
    pub(crate) fn add_row<C: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let cells = cells.into_iter().map(|cell| {
            self.has_others |= cell.as_ref().contains(OPEN);
            shown(cell.as_ref(), self.look, self.language)
        });
        self.table.add_row(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It has been put into the reader's language cell by cell.
        let (begin, end) = if self.has_others { (OPEN, Some(CLOSE)) } else { (TOLD, None) };
        let end = end.map(String::from).unwrap_or_default();
        let table = self.table.to_string();
        let mut lines = table.lines();
        lines.next().map_or(Ok(()), |line| write!(f, "{begin}{line}{end}"))?;
        lines.try_for_each(|line| write!(f, "\n{begin}{line}{end}"))
    }
}

/// A name, a command, a path: a text that is not ours, on one line and harmless to a terminal, and between marks that
/// keep the phrase book away from it. The marks are gone when it is shown.
pub(crate) fn theirs(text: impl fmt::Display) -> String {
    format!("{OPEN}{}{CLOSE}", plain_line(&text.to_string()))
}

/// Begins a text of others. Characters that no script has, and that do not pass in the texts of others.
pub(crate) const OPEN: char = '\u{10fff0}';
/// Ends it.
pub(crate) const CLOSE: char = '\u{10fff1}';
/// Begins a line of ours that is in the reader's language already.
pub(crate) const TOLD: char = '\u{10fff2}';
const MARKS: [char; 3] = [OPEN, CLOSE, TOLD];

/// A text of others for a terminal: control characters, but line ends, are written as escapes.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => shown.push('\n'),
            _ if character.is_control() || is_bidirectional(character) || MARKS.contains(&character) => {
                shown.extend(character.escape_unicode());
            }
            _ => shown.push(character),
        }
    }
    shown
}

/// The same on one line.
pub(crate) fn plain_line(text: &str) -> String {
    plain(text).replace('\n', "\\n")
}

/// The same of a line in which some texts are marked as others' already.
pub(crate) fn plain_around(text: &str) -> String {
    let pieces = text.split_inclusive(MARKS).map(|piece| {
        let (piece, mark) = match piece.strip_suffix(MARKS) {
            Some(before) => (before, &piece[before.len()..]),
            None => (piece, ""),
        };
        plain_line(piece) + mark
    });
    pieces.collect()
}

/// Characters that turn the direction of what follows, so that a text reads as another one.
fn is_bidirectional(character: char) -> bool {
    matches!(character, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

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
            ("\u{10fff1}read", "\\u{10fff1}read"),
        ] {
            assert_eq!(plain(text), shown);
        }
        assert_eq!(plain_line("one\ntwo"), "one\\ntwo");
    }

    #[test]
    fn a_long_line_goes_on_below_its_last_column() {
        let wrap = |line: &str| wrapped(line, 40, Language::English);
        for (line, expected) in [
            ("short", "short"),
            (
                "control   is missing, and this is how it can be had\n",
                "control   is missing, and this is how it\n          can be had\n",
            ),
            (
                "a sentence without columns, which is longer than a line",
                "a sentence without columns, which is\n  longer than a line",
            ),
            (
                "   hotcell run --code . --input data=./csv --output ./out -- python3 job.py",
                "   hotcell run --code . --input data=./csv --output ./out -- python3 job.py",
            ),
            (
                "key age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z it is",
                "key\n  age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z\n  it is",
            ),
        ] {
            assert_eq!(wrap(line), expected);
        }
        let painted = wrapped("a  \x1b[32mfull\x1b[0m  of what there is, and so on and on", 40, Language::English);
        assert_eq!(painted, "a  \x1b[32mfull\x1b[0m  of what there is, and so on and\n         on");
        let chinese = wrapped("控制项    这台主机缺少所需的内核功能，请按下面的办法启用它。", 40, Language::Chinese);
        assert!(chinese.lines().count() == 2 && chinese.lines().all(|line| display_width(line) <= 40), "{chinese}");
    }

    #[test]
    fn a_command_that_is_to_be_copied_is_not_broken() {
        let command = "     sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=1000";
        assert_eq!(wrapped(command, 40, Language::English), command);
        assert!(wrapped(&command[1..], 40, Language::English).contains('\n'));
    }

    #[test]
    fn a_text_of_others_stays_as_it_is_in_each_language_and_its_marks_never_leave() {
        let look = Look { is_terminal: false, moves: false, colour: false, unicode: true, width: 80 };
        for (text, english, chinese) in [
            (theirs("make"), "make", "make"),
            (format!("  {}", theirs("refused: a  b")), "  refused: a  b", "  refused: a  b"),
            (format!("refused: {} [X-1]", theirs("read")), "refused: read [X-1]", "已拒绝：read [X-1]"),
            (
                format!("{} would run: {}", theirs("a"), theirs("sh -c 'echo  x'")),
                "a would run: sh -c 'echo  x'",
                "a 将运行：sh -c 'echo  x'",
            ),
            (format!("workload    {}", theirs("make  write")), "workload    make  write", "工作负载    make  write"),
            (
                theirs("\u{10fff1}make\u{10fff0}\n\x1b["),
                "\\u{10fff1}make\\u{10fff0}\\n\\u{1b}[",
                "\\u{10fff1}make\\u{10fff0}\\n\\u{1b}[",
            ),
        ] {
            for (language, expected) in [(Language::English, english), (Language::Chinese, chinese)] {
                let mut edge = Edge::new(Vec::new(), look, language);
                writeln!(edge, "{text}").unwrap();
                assert_eq!(String::from_utf8_lossy(&edge.to), format!("{expected}\n"), "{language:?}");
            }
        }
        assert_eq!(plain_around(&format!("\x1b{}\n", theirs("\x1b"))), format!("\\u{{1b}}{OPEN}\\u{{1b}}{CLOSE}\\n"));
    }

    #[test]
    fn the_cells_of_a_table_are_put_into_words_once() {
        let look = Look { is_terminal: false, moves: false, colour: false, unicode: true, width: 80 };
        let mut cells = table(&["control", "state"]);
        cells.language = Language::Chinese;
        cells.add_row([&theirs("read"), "refused"]);
        let mut edge = Edge::new(Vec::new(), look, Language::Chinese);
        writeln!(edge, "{cells}").unwrap();
        let told = String::from_utf8_lossy(&edge.to).into_owned();
        assert!(told.contains("read") && told.contains("拒绝") && !told.contains(MARKS), "{told}");
    }

    #[test]
    fn a_verdict_in_a_column_of_its_own_is_coloured_and_no_other_word() {
        for (line, expected) in [
            ("seccomp  stands  x", "seccomp  \x1b[32mstands\x1b[0m  x"),
            ("seccomp  DOWN    x", "seccomp  \x1b[1;31mDOWN\x1b[0m    x"),
            ("   NOT STOPPED  x", "   \x1b[1;31mNOT STOPPED\x1b[0m  x"),
            ("it stands here", "it stands here"),
            ("a full disk", "a full disk"),
            ("\u{10fff2}full     all", "\u{10fff2}\x1b[32mfull\x1b[0m     all"),
            ("`a  full  b`", "`a  full  b`"),
            ("", ""),
        ] {
            assert_eq!(painted(line), expected);
        }
        for name in ["full", "a  stands  b", "DOWN  x"] {
            let line = format!("task  {}  x", theirs(name));
            assert_eq!(painted(&line), line);
        }
        let line = format!("{}  stands  x", theirs("full"));
        assert!(painted(&line).contains("\x1b[32mstands"), "{line}");
    }

    #[test]
    fn lines_pass_whole_however_they_are_written_and_what_is_not_text_passes_as_it_is() {
        let look = Look { is_terminal: false, moves: false, colour: false, unicode: false, width: 80 };
        for language in [Language::English, Language::Chinese] {
            let mut edge = Edge::new(Vec::new(), look, language);
            edge.write_all("a → ".as_bytes()).unwrap();
            assert_eq!(edge.to, b"");
            edge.write_all(b"b\nc").unwrap();
            edge.write_all(b"\xff\xfe\nd").unwrap();
            edge.flush().unwrap();
            assert_eq!(edge.to, [&b"a -> b\n"[..], b"c\xff\xfe\nd"].concat());
        }
    }
}
