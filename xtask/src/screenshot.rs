//! The pictures of the README: the last screen of a real run of the demo, as an SVG for light and for dark.
//!
//! The terminal is tmux, so that what is drawn is what a terminal shows, not what the program wrote.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::command::{Result, no_arguments, program, read, root, title};
use crate::packages;

const COLUMNS: usize = 100;
const ROWS: usize = 50;

/// Locale, file, and what stands on the screen when the demo is over.
const PICTURES: &[(&str, &str, &str)] = &[
    ("C.UTF-8", "docs/images/demo.svg", "hotcell demo --keep DIR"),
    ("zh_CN.UTF-8", "docs/images/demo.zh-CN.svg", "hotcell demo --keep DIR"),
];

/// No demo takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// One column and one line of the picture, in its own units.
const COLUMN: f64 = 8.4;
const LINE: f64 = 18.0;
const MARGIN: f64 = 16.0;

/// The recipe.
pub(crate) fn recipe(args: &[String]) -> Result {
    let [program, rest @ ..] = args else {
        return Err("give the program: cargo xtask screenshot target/TRIPLE/release/hotcell".into());
    };
    no_arguments(rest)?;
    let program = fs::canonicalize(program).map_err(|error| format!("cannot use {program}: {error}"))?;
    packages::provide(&[("tmux", "tmux")]);
    for (locale, file, last) in PICTURES {
        title(file);
        let screen = screen(&program, locale, last)?;
        let to = root().join(file);
        fs::create_dir_all(to.parent().unwrap_or(root()))?;
        fs::write(to, svg(&screen))?;
    }
    Ok(())
}

/// What a terminal shows after the demo, with its colours.
fn screen(demo: &Path, locale: &str, last: &str) -> Result<String> {
    if program("tmux").is_none() {
        return Err("a picture needs the program `tmux`".into());
    }
    let socket = format!("hotcell-{}", std::process::id());
    let tmux = |words: &[&str]| {
        let mut command = Command::new("tmux");
        command.args(["-u", "-L", &socket, "-f", "/dev/null"]).args(words).env("LC_ALL", "C.UTF-8");
        command
    };
    let (width, height) = (COLUMNS.to_string(), ROWS.to_string());
    // The prompt is what a reader would have typed.
    let shell = format!("printf '$ hotcell demo\\n'; LC_ALL={locale} '{}' demo; read end", demo.display());
    read(&mut tmux(&["new-session", "-d", "-x", &width, "-y", &height, &shell]))?;
    let begin = Instant::now();
    let screen = loop {
        let screen = read(&mut tmux(&["capture-pane", "-p", "-e"]))?;
        if screen.contains(last) {
            break Ok(screen);
        }
        if begin.elapsed() > PATIENCE {
            break Err(format!("the demo did not come to its end:\n{screen}").into());
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    read(&mut tmux(&["kill-server"]))?;
    screen
}

/// The screen as a picture.
fn svg(screen: &str) -> String {
    let lines: Vec<&str> = screen.trim_end().lines().collect();
    let width = MARGIN * 2.0 + COLUMN * COLUMNS as f64;
    let height = MARGIN * 2.0 + LINE * lines.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n{STYLE}\
         <rect width=\"100%\" height=\"100%\" rx=\"8\"/>\n"
    );
    for (number, line) in lines.iter().enumerate() {
        let y = MARGIN + LINE * (number as f64 + 0.75);
        for piece in pieces(line) {
            let x = MARGIN + COLUMN * piece.column as f64;
            let length = COLUMN * piece.width as f64;
            let class = piece.class.map(|class| format!(" class=\"{class}\"")).unwrap_or_default();
            // A string takes no error from being written to.
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{length:.1}\"{class}>{}</text>",
                escaped(&piece.text)
            );
        }
    }
    svg + "</svg>\n"
}

/// A run of characters of one look, without blanks at its ends.
#[derive(Debug, PartialEq)]
struct Piece {
    column: usize,
    width: usize,
    class: Option<&'static str>,
    text: String,
}

/// The pieces of a line with escape sequences. Wide blanks part pieces, so that columns stand exactly.
fn pieces(line: &str) -> Vec<Piece> {
    let (mut pieces, mut class, mut column) = (Vec::new(), None, 0);
    for (number, run) in line.split('\x1b').enumerate() {
        let text = match run.strip_prefix('[').and_then(|run| run.split_once('m')) {
            Some((codes, text)) if number > 0 => {
                class = class_of(codes, class);
                text
            }
            _ => run,
        };
        let mut rest = text;
        while !rest.is_empty() {
            let bare = rest.trim_start_matches(' ');
            column += rest.len() - bare.len();
            let end = bare.find("  ").unwrap_or(bare.len());
            let (piece, after) = bare.split_at(end);
            let bare_piece = piece.trim_end();
            if !bare_piece.is_empty() {
                pieces.push(Piece { column, width: columns(bare_piece), class, text: bare_piece.to_owned() });
            }
            column += columns(piece);
            rest = after;
        }
    }
    pieces
}

/// The look after these codes of SGR.
fn class_of(codes: &str, before: Option<&'static str>) -> Option<&'static str> {
    codes.split(';').fold(before, |class, code| match code {
        "" | "0" | "22" | "39" => None,
        "1" => class.or(Some("bold")),
        "31" => Some("red"),
        "32" => Some("green"),
        _ => class,
    })
}

/// Columns in a terminal. What our screens show is ASCII, Chinese, or a sign of one column.
fn columns(text: &str) -> usize {
    let is_wide = |letter: char| matches!(letter, '\u{2e80}'..='\u{9fff}' | '\u{ff00}'..='\u{ff60}');
    text.chars().map(|letter| if is_wide(letter) { 2 } else { 1 }).sum()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const STYLE: &str = "<style>
text { font: 14px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, 'Noto Sans Mono CJK SC', monospace; fill: #24292f; white-space: pre }
rect { fill: #f6f8fa } .bold { font-weight: bold } .green { fill: #1a7f37 } .red { fill: #cf222e; font-weight: bold }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } rect { fill: #161b22 } .green { fill: #3fb950 } .red { fill: #ff7b72 } }
</style>
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_falls_into_pieces_that_stand_in_their_columns() {
        let piece = |column, width, class, text: &str| Piece { column, width, class, text: text.into() };
        assert_eq!(
            pieces("   \x1b[32mstopped\x1b[39m  trace a <b>   \x1b[1mx\x1b[0m"),
            [
                piece(3, 7, Some("green"), "stopped"),
                piece(12, 11, None, "trace a <b>"),
                piece(26, 1, Some("bold"), "x")
            ]
        );
        assert_eq!(pieces("任务  x"), [piece(0, 4, None, "任务"), piece(6, 1, None, "x")]);
        assert_eq!(pieces(""), []);
    }

    #[test]
    fn a_picture_holds_what_the_screen_shows() {
        let picture = svg("$ hotcell demo\n\n\x1b[1m7. Once\x1b[0m  a & b\n");
        assert!(picture.contains(">$ hotcell demo</text>") && picture.contains("class=\"bold\">7. Once</text>"));
        assert!(picture.contains("a &amp; b") && picture.ends_with("</svg>\n"));
    }
}
