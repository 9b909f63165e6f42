//! A receipt as one page of A4 paper: HTML that needs nothing else, for reading and for printing.
//!
//! A receipt may come from anywhere. Every text of it is made harmless (control and direction characters, HTML) and cut
//! to a length, and every list to a number of lines that fit the page; what is cut off of a list is counted. The page is a
//! picture of the receipt, no proof: it says so, and how the file is checked.

use std::fmt::{Display, Write as _};

use hotcell_audit::receipt::Verified;
use hotcell_types::{Bits, ByteSize, OutputRecord, ReceiptBody};

use crate::print::plain_line;
use crate::receipt_words::{self, Walls};
use crate::report;
use crate::rights;

/// The whole page. `trusted` says whether the reader brought the key that signed.
pub(crate) fn page(verified: &Verified, trusted: bool) -> String {
    let mut rooms = ROOMS.iter();
    loop {
        let page = Page::of(verified, trusted, rooms.next().copied().unwrap_or(LEAST));
        if page.lines <= FIT || page.room == LEAST {
            return page.html;
        }
    }
}

struct Page {
    html: String,
    room: Room,
    /// Lines of the table, as far as they can be told without a browser.
    lines: usize,
}

/// How many characters and lines there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    /// Characters of a line of others.
    line: usize,
    /// Characters of a paragraph.
    paragraph: usize,
    /// Lines of each list.
    list: usize,
}

impl Page {
    fn of(verified: &Verified, trusted: bool, room: Room) -> Self {
        let body = &verified.body;
        let mut page = Self { html: String::with_capacity(16 * 1024), room, lines: 0 };
        let _ = write!(page.html, "{HEAD}<title>Receipt {task}</title></head><body><main>", task = body.task);
        let _ = write!(page.html, "<h1>Receipt <span class=\"mono\">{}</span></h1>", body.task);
        page.verdict(verified, trusted);
        page.html.push_str("<table>");
        who(&mut page, body);
        what(&mut page, body);
        rule(&mut page, body);
        rights(&mut page, body);
        walls(&mut page, body);
        limits(&mut page, body);
        left(&mut page, body);
        let egress = receipt_words::egress(body);
        if !egress.is_empty() {
            page.row("By the network", &lines(egress.iter(), room));
        }
        let refusals = body.refusals.iter().map(|refusal| format!("{} [{}]", refusal.what, refusal.code));
        page.row("Refused", &or(lines(refusals, room), "nothing was refused"));
        let destroyed: Vec<_> = body.destroyed.iter().map(|gone| format!("{} ({})", gone.what, gone.how)).collect();
        page.row("Destroyed", &or(vec![text(destroyed.join(" · "), room.paragraph)], "nothing"));
        if !body.caveats.is_empty() {
            page.row("Not protected", &lines(body.caveats.iter(), room));
        }
        key(&mut page, verified, trusted);
        page.html.push_str("</table>");
        let version = text(&body.hotcell_version, WORD);
        let _ = writeln!(
            page.html,
            "<footer>Hotcell {version} · a picture of the receipt, no proof; the file is checked offline by \
             <span class=\"mono\">hotcell receipt verify FILE --trust KEY</span></footer></main></body></html>"
        );
        page
    }

    /// Whether the reader may rely on it, in words that a black-and-white print keeps.
    fn verdict(&mut self, verified: &Verified, trusted: bool) {
        let (class, title, words) = match trusted {
            true => {
                ("good", "VERIFIED", "intact, in the log that it names, and signed by the key that the reader trusts")
            }
            false => (
                "bad",
                "NOT VERIFIED: SIGNER UNKNOWN",
                "intact in itself, but no trusted key was brought: anybody may have signed it",
            ),
        };
        let outcome = text(report::outcome(verified.body.outcome), WORD);
        let _ = write!(
            self.html,
            "<p class=\"verdict {class}\"><b>{title}</b> {words}</p><p class=\"outcome\">Outcome: <b>{outcome}</b>, {}</p>",
            receipt_words::exit(&verified.body)
        );
    }

    /// One subject: lines that are HTML already.
    fn row(&mut self, label: &str, lines: &[String]) {
        let parts = lines.iter().flat_map(|line| line.split("<br>"));
        self.lines += parts.map(|part| width(part).div_ceil(UNITS_OF_A_LINE).max(1)).sum::<usize>();
        let _ = write!(self.html, "<tr><th>{label}</th><td>{}</td></tr>", lines.join("<br>"));
    }
}

fn who(page: &mut Page, body: &ReceiptBody) {
    let purpose = if body.purpose.is_empty() { "no purpose named" } else { &body.purpose };
    page.row(
        "Who asked",
        &[format!("{}, for: {}", text(&body.principal, page.room.line / 2), text(purpose, page.room.line))],
    );
    page.row("When", &[text(receipt_words::times(body), page.room.line)]);
}

fn what(page: &mut Page, body: &ReceiptBody) {
    let command = body.workload.command.join(" ");
    let command = if command.is_empty() { &body.workload.kind } else { &command };
    page.row("What ran", &[mono(command, page.room.paragraph)]);
    if let Some(image) = &body.image {
        page.row("In which image", &[text(&image.name, page.room.line), mono(image.digest, page.room.line)]);
    }
    if let Some(model) = &body.model {
        let version = model.version.map(|version| format!(" version {version}")).unwrap_or_default();
        let sealed = if model.sealed { "sealed" } else { "plain" };
        let signer = model.signer.as_ref().map_or("unsigned".to_owned(), |signer| format!("signed by {signer}"));
        let id = text(format!("{}{version}, {sealed}, {signer}", model.id), page.room.paragraph);
        page.row("Model", &[id, mono(model.digest, page.room.line)]);
    }
    let inputs = body.inputs.iter().map(|input| {
        let commitment = input.commitment.map(|digest| format!(", commitment {digest}")).unwrap_or_default();
        format!("{}: {} files, {}{commitment}", input.name, input.files, ByteSize(input.bytes))
    });
    page.row("Inputs", &or(lines(inputs, page.room), "none"));
}

fn rule(page: &mut Page, body: &ReceiptBody) {
    let policy = &body.policy;
    page.row(
        "By which rule",
        &[
            text(format!("{} (grant {})", policy.rules.join(", "), policy.grant), page.room.paragraph),
            format!("profile {}, {}", text(&policy.profile, WORD), mono(policy.profile_digest, page.room.line)),
            format!("policy {}", mono(policy.policy_digest, page.room.line)),
        ],
    );
}

/// What the task might do, over what; which walls held it to that is in the file.
fn rights(page: &mut Page, body: &ReceiptBody) {
    if body.rights.is_empty() {
        return;
    }
    let groups = rights::grouped(&body.rights, &str::to_owned);
    let said: Vec<_> = groups.iter().map(|group| format!("{} {}", group.access, group.over.join(", "))).collect();
    page.row("Its rights", &[text(said.join(" · "), page.room.paragraph)]);
}

/// The walls that stand by name; those that do not, each with what was seen.
fn walls(page: &mut Page, body: &ReceiptBody) {
    let Walls { full, all, names, others } = receipt_words::walls(body);
    let isolation = text(&body.isolation, WORD);
    page.row(
        "Which walls",
        &[
            vec![format!("{full} of {all} observations from inside saw a wall stand in full (isolation: {isolation})")],
            vec![text(names.join(", "), page.room.paragraph)],
            lines(others.into_iter().map(receipt_words::lacking), page.room),
            given_up(page.room, body),
        ]
        .concat(),
    );
}

fn given_up(room: Room, body: &ReceiptBody) -> Vec<String> {
    let names = (!body.best_effort.is_empty()).then(|| text(body.best_effort.join(", "), room.line));
    names.into_iter().map(|names| format!("<b>given up by name:</b> {names}")).collect()
}

fn limits(page: &mut Page, body: &ReceiptBody) {
    let said: Vec<_> = body
        .limits
        .iter()
        .map(|limit| {
            let used = limit.used.as_ref().map(|used| format!("{used} of ")).unwrap_or_default();
            let reached = if limit.reached { " REACHED" } else { "" };
            let how = if limit.enforcement == "full" { "" } else { " (watched)" };
            format!("{} {used}{}{reached}{how}", limit.name, limit.limit)
        })
        .collect();
    page.row("Limits", &or(vec![text(said.join(" · "), page.room.paragraph)], "none"));
}

fn left(page: &mut Page, body: &ReceiptBody) {
    let outputs = body.outputs.iter().map(|record| (output(record, page.room), record.digest));
    let mut said: Vec<_> = outputs
        .take(page.room.list)
        .map(|(line, digest)| format!("{}<br>{}", text(line, page.room.line), mono(digest, page.room.line)))
        .collect();
    if let Some(more) = body.outputs.len().checked_sub(page.room.list).filter(|more| *more > 0) {
        said.push(format!("… and {more} more, in the file"));
    }
    let streams: Vec<_> = body
        .streams
        .iter()
        .filter(|stream| stream.bytes > 0)
        .map(|stream| format!("{}: {}, {}", stream.name, ByteSize(stream.bytes), stream.disposition))
        .collect();
    if !streams.is_empty() {
        said.push(text(streams.join(" · "), page.room.line));
    }
    said.push(match body.capacity {
        Bits(bits) if bits > 0.0 => format!("<b>altogether at most {}</b>", text(body.capacity, WORD)),
        _ => "<b>nothing left</b>".to_owned(),
    });
    page.row("What left", &said);
}

fn output(record: &OutputRecord, room: Room) -> String {
    let rows = record.rows.map(|rows| format!(", {rows} rows")).unwrap_or_default();
    let to = match record.recipients.len() {
        0 => "in plain".to_owned(),
        1 => "sealed to 1 recipient".to_owned(),
        count => format!("sealed to {count} recipients"),
    };
    let path: String = record.path.chars().take(room.line / 2).collect();
    let cut = if path.len() < record.path.len() { "…" } else { "" };
    format!("{path}{cut}: {}{rows}, {}, at most {}, {to}", ByteSize(record.bytes), record.form, record.capacity)
}

fn key(page: &mut Page, verified: &Verified, trusted: bool) {
    let Verified { signer, signed, origin, index, size, checks, .. } = verified;
    let witnessed = text(verified.witnesses(), page.room.line);
    let known = if trusted { "the trusted key" } else { "<b>unknown signer</b>" };
    page.row(
        "By which key",
        &[
            format!("{} ({known})", mono(signer, page.room.line)),
            format!(
                "signed {}; entry {index} of {size} in the log {}, {witnessed}",
                text(signed, WORD),
                mono(origin, page.room.line)
            ),
            format!("checked: {}", text(checks.join("; "), page.room.paragraph)),
        ],
    );
}

/// At most so many lines, each cut to its length, and a last one that counts the rest.
fn lines<T: Display>(all: impl Iterator<Item = T>, room: Room) -> Vec<String> {
    let all: Vec<_> = all.map(|line| text(line, room.line)).collect();
    let more = all.len().saturating_sub(room.list);
    let mut shown: Vec<_> = all.into_iter().take(room.list).collect();
    if more > 0 {
        shown.push(format!("… and {more} more, in the file"));
    }
    shown
}

/// Width of HTML as it is shown, in units of a small letter; rather too much than too little.
fn width(html: &str) -> usize {
    let (mut units, mut in_tag, mut in_entity) = (0, false, false);
    for character in html.chars() {
        match character {
            '<' => in_tag = true,
            '>' => in_tag = false,
            _ if in_tag => {}
            '&' => (in_entity, units) = (true, units + 1),
            ';' if in_entity => in_entity = false,
            _ if in_entity => {}
            'm' | 'w' | '@' | '%' | 'A'..='Z' => units += 2,
            ' '..='~' => units += 1,
            _ => units += 2,
        }
    }
    units
}

fn or(lines: Vec<String>, otherwise: &str) -> Vec<String> {
    let is_empty = lines.iter().all(String::is_empty);
    if is_empty { vec![otherwise.to_owned()] } else { lines }
}

fn mono(shown: impl Display, most: usize) -> String {
    format!("<span class=\"mono\">{}</span>", text(shown, most))
}

/// A text of others as HTML, cut after so many characters.
fn text(shown: impl Display, most: usize) -> String {
    let shown = plain_line(&shown.to_string());
    let mut html = String::with_capacity(shown.len());
    for (at, character) in shown.chars().enumerate() {
        if at == most {
            html.push('…');
            break;
        }
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(character),
        }
    }
    html
}

/// Characters of a short text of others.
const WORD: usize = 40;
/// Units, as [`width`] counts them, of a line on the page.
const UNITS_OF_A_LINE: usize = 96;
/// Lines of the table for which the page has room.
const FIT: usize = 50;
/// From ample to scarce; the first that fits is taken.
const ROOMS: [Room; 3] = [
    Room { line: 110, paragraph: 320, list: 5 },
    Room { line: 110, paragraph: 220, list: 3 },
    Room { line: 80, paragraph: 150, list: 2 },
];
/// What fits also where every character is a wide one (a test prints that page).
const LEAST: Room = Room { line: 44, paragraph: 90, list: 1 };

/// Nothing is loaded and nothing runs; colours are not needed to read it.
const HEAD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
@page { size: A4; margin: 0 }
* { box-sizing: border-box }
html, body { margin: 0; background: #fff; color: #000 }
main { position: relative; width: 210mm; height: 296mm; padding: 11mm 13mm; overflow: hidden;
  font: 8.4pt/1.32 "Liberation Sans", "Noto Sans", Arial, "Noto Sans CJK SC", sans-serif }
h1 { font-size: 15pt; margin: 0 0 2mm }
h1 .mono { font-size: 12pt }
.mono { font-family: "Liberation Mono", "DejaVu Sans Mono", monospace; font-size: 7.4pt; font-weight: normal }
.verdict { margin: 0 0 1.5mm; padding: 2mm 3mm; border: 0.5mm solid #000 }
.verdict b { font-size: 11pt; margin-right: 2mm }
.good { border-color: #1b5e20 } .good b::before { content: "✓ " }
.bad { border: 1mm double #000; background: #eee } .bad b::before { content: "⚠ " }
.outcome { margin: 0 0 2mm; font-size: 10pt }
table { width: 100%; border-collapse: collapse; table-layout: fixed }
th { width: 25mm; text-align: left; vertical-align: top; padding: 1.1mm 2mm 1.1mm 0 }
td { vertical-align: top; padding: 1.1mm 0; overflow-wrap: anywhere }
tr { border-top: 0.2mm solid #888 }
footer { position: absolute; left: 13mm; right: 13mm; bottom: 7mm; font-size: 7.4pt; background: #fff;
  border-top: 0.3mm solid #000; padding-top: 1mm }
</style>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_others_is_no_html_and_is_cut() {
        assert_eq!(
            text("<script>alert('x')</script>&\"", 100),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;"
        );
        assert_eq!(text("a\u{202e}b\x1b[2J\nc", 100), "a\\u{202e}b\\u{1b}[2J\\nc");
        assert_eq!(text("日本語のテキスト", 3), "日本語…");
    }

    #[test]
    fn a_list_is_cut_and_the_rest_is_counted() {
        let room = Room { list: 2, ..LEAST };
        assert_eq!(lines(["a", "b", "c"].iter(), room), ["a", "b", "… and 1 more, in the file"]);
        assert_eq!(or(lines(std::iter::empty::<&str>(), room), "none"), ["none"]);
    }

    #[test]
    fn width_counts_what_is_shown() {
        assert_eq!(width("<b>ab</b>&lt;c"), 4);
        assert_eq!(width("日本W"), 6);
    }
}
