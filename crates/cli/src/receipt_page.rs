//! A receipt as one page of A4 paper: HTML that needs nothing else, for reading and for printing.
//!
//! A receipt may come from anywhere. Every text of it is made harmless (control and direction characters, HTML) and cut
//! to a length, and every list to a number of lines that fit the page; what is cut off is counted. The page is a
//! picture of the receipt, no proof: it says so, and how the file is checked.

use std::fmt::{Display, Write as _};

use hotcell_audit::receipt::Verified;
use hotcell_types::{Bits, ByteSize, Enforcement, Observation, OutputRecord, ReceiptBody, Timestamp};

use crate::print::plain_line;
use crate::report;

/// The whole page. `trusted` says whether the reader brought the key that signed.
pub(crate) fn page(verified: &Verified, trusted: bool) -> String {
    let body = &verified.body;
    let mut page = Page { html: String::with_capacity(16 * 1024) };
    let task = text(&body.task, LINE);
    let _ = write!(page.html, "{HEAD}<title>Receipt {task}</title></head><body><main>");
    let _ = write!(page.html, "<h1>Receipt <span class=\"mono\">{task}</span></h1>");
    page.verdict(verified, trusted);
    page.html.push_str("<table>");
    who(&mut page, body);
    what(&mut page, body);
    rule(&mut page, body);
    walls(&mut page, body);
    limits(&mut page, body);
    left(&mut page, body);
    let refusals = body.refusals.iter().map(|refusal| format!("{} [{}]", refusal.what, refusal.code));
    page.row("Refused", &or(lines(refusals, REFUSALS), "nothing was refused"));
    let destroyed: Vec<_> = body.destroyed.iter().map(|gone| format!("{} ({})", gone.what, gone.how)).collect();
    page.row("Destroyed", &or(vec![text(destroyed.join(" · "), PARAGRAPH)], "nothing"));
    if !body.caveats.is_empty() {
        page.row("Not protected", &lines(body.caveats.iter(), CAVEATS));
    }
    key(&mut page, verified, trusted);
    page.html.push_str("</table>");
    let version = text(&body.hotcell_version, WORD);
    let _ = write!(
        page.html,
        "<footer>Hotcell {version} · a picture of the receipt, no proof; the file is checked offline by \
         <span class=\"mono\">hotcell receipt verify FILE --trust KEY</span></footer></main></body></html>\n"
    );
    page.html
}

struct Page {
    html: String,
}

impl Page {
    /// Whether the reader may rely on it, in words that a black-and-white print keeps.
    fn verdict(&mut self, verified: &Verified, trusted: bool) {
        let (class, title, words) = match trusted {
            true => ("good", "VERIFIED", "intact, in the log that it names, and signed by the key that the reader trusts"),
            false => (
                "bad",
                "NOT VERIFIED: SIGNER UNKNOWN",
                "intact in itself, but no trusted key was brought: anybody may have signed it",
            ),
        };
        let outcome = text(report::outcome(verified.body.outcome), LINE);
        let _ = write!(
            self.html,
            "<p class=\"verdict {class}\"><b>{title}</b> {words}</p><p class=\"outcome\">Outcome: <b>{outcome}</b>{}</p>",
            exit_text(&verified.body)
        );
    }

    /// One subject: lines that are HTML already.
    fn row(&mut self, label: &str, lines: &[String]) {
        let _ = write!(self.html, "<tr><th>{label}</th><td>{}</td></tr>", lines.join("<br>"));
    }
}

fn exit_text(body: &ReceiptBody) -> String {
    match body.exit_status {
        Some(status) => format!(", the workload exited with {status}"),
        None => ", the workload was not executed".to_owned(),
    }
}

fn who(page: &mut Page, body: &ReceiptBody) {
    let purpose = if body.purpose.is_empty() { "no purpose named" } else { &body.purpose };
    page.row("Who asked", &[format!("{}, for: {}", text(&body.principal, LINE / 2), text(purpose, LINE))]);
    let Timestamp(ended) = body.ended;
    let ran = match body.started {
        Some(started) => {
            let seconds = ended.saturating_sub(started.0) as f64 / 1e3;
            format!("{started} to {} ({seconds:.3} s, with all destroyed)", body.ended)
        }
        None => format!("submitted {}, ended {}", body.submitted, body.ended),
    };
    page.row("When", &[text(ran, LINE)]);
}

fn what(page: &mut Page, body: &ReceiptBody) {
    let command = body.workload.command.join(" ");
    let command = if command.is_empty() { &body.workload.kind } else { &command };
    page.row("What ran", &[mono(command, PARAGRAPH)]);
    if let Some(model) = &body.model {
        let version = model.version.map(|version| format!(" version {version}")).unwrap_or_default();
        let sealed = if model.sealed { "sealed" } else { "plain" };
        let signer = model.signer.as_ref().map_or("unsigned".to_owned(), |signer| format!("signed by {signer}"));
        let id = text(format!("{}{version}, {sealed}, {signer}", model.id), PARAGRAPH);
        page.row("Model", &[id, mono(model.digest, LINE)]);
    }
    let inputs = body.inputs.iter().map(|input| {
        let commitment = input.commitment.map(|digest| format!(", commitment {digest}")).unwrap_or_default();
        format!("{}: {} files, {}{commitment}", input.name, input.files, ByteSize(input.bytes))
    });
    page.row("Inputs", &or(lines(inputs, INPUTS), "none"));
}

fn rule(page: &mut Page, body: &ReceiptBody) {
    let policy = &body.policy;
    page.row(
        "By which rule",
        &[
            text(format!("{} (grant {})", policy.rules.join(", "), policy.grant), PARAGRAPH),
            format!("profile {}, {}", text(&policy.profile, WORD), mono(policy.profile_digest, LINE)),
            format!("policy {}", mono(policy.policy_digest, LINE)),
        ],
    );
}

/// The walls that stand by name; those that do not, each with what was seen.
fn walls(page: &mut Page, body: &ReceiptBody) {
    let is_full = |seen: &&Observation| seen.holds && seen.enforcement == Enforcement::Full;
    let mut names: Vec<_> = body.walls.iter().filter(is_full).map(|seen| seen.wall.label()).collect();
    names.sort_unstable();
    names.dedup();
    let count = body.walls.iter().filter(is_full).count();
    let isolation = text(&body.isolation, WORD);
    let mut said = vec![format!(
        "{count} of {} observations from inside saw a wall stand in full (isolation: {isolation})",
        body.walls.len()
    )];
    said.push(text(names.join(", "), PARAGRAPH));
    let others = body.walls.iter().filter(|seen| !is_full(seen)).map(|seen| {
        let how = match &seen.enforcement {
            Enforcement::Full => "in full".to_owned(),
            Enforcement::Partial { missing } => format!("in part: {missing}"),
            Enforcement::Absent { why } => format!("absent: {why}"),
        };
        format!("{}{} {how}", if seen.holds { "" } else { "DOES NOT HOLD: " }, seen.wall)
    });
    said.extend(lines(others, WALLS));
    if !body.best_effort.is_empty() {
        said.push(format!("<b>given up by name:</b> {}", text(body.best_effort.join(", "), LINE)));
    }
    page.row("Which walls", &said);
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
    page.row("Limits", &or(vec![text(said.join(" · "), PARAGRAPH)], "none"));
}

fn left(page: &mut Page, body: &ReceiptBody) {
    let outputs = body.outputs.iter().map(|record| (output(record), record.digest));
    let mut said: Vec<_> =
        outputs.take(OUTPUTS).map(|(line, digest)| format!("{}<br>{}", text(line, LINE), mono(digest, LINE))).collect();
    if let Some(more) = body.outputs.len().checked_sub(OUTPUTS).filter(|more| *more > 0) {
        said.push(format!("… and {more} more, in the file"));
    }
    let streams: Vec<_> = body
        .streams
        .iter()
        .filter(|stream| stream.bytes > 0)
        .map(|stream| format!("{}: {}, {}", stream.name, ByteSize(stream.bytes), stream.disposition))
        .collect();
    if !streams.is_empty() {
        said.push(text(streams.join(" · "), LINE));
    }
    said.push(match body.capacity {
        Bits(bits) if bits > 0.0 => format!("<b>altogether at most {}</b>", text(body.capacity, WORD)),
        _ => "<b>nothing left</b>".to_owned(),
    });
    page.row("What left", &said);
}

fn output(record: &OutputRecord) -> String {
    let rows = record.rows.map(|rows| format!(", {rows} rows")).unwrap_or_default();
    let to = match record.recipients.len() {
        0 => "in plain".to_owned(),
        1 => "sealed to 1 recipient".to_owned(),
        count => format!("sealed to {count} recipients"),
    };
    let path: String = record.path.chars().take(LINE / 2).collect();
    let cut = if path.len() < record.path.len() { "…" } else { "" };
    format!("{path}{cut}: {}{rows}, {}, at most {}, {to}", ByteSize(record.bytes), record.form, record.capacity)
}

fn key(page: &mut Page, verified: &Verified, trusted: bool) {
    let Verified { signer, signed, origin, index, size, witnessed, checks, .. } = verified;
    let known = if trusted { "the trusted key" } else { "<b>unknown signer</b>" };
    page.row(
        "By which key",
        &[
            format!("{} ({known})", mono(signer, LINE)),
            format!("signed {}; entry {index} of {size} in the log {}, {witnessed}", text(signed, WORD), mono(origin, LINE)),
            format!("checked: {}", text(checks.join("; "), PARAGRAPH)),
        ],
    );
}

/// At most so many lines, each cut to its length, and a last one that counts the rest.
fn lines<T: Display>(all: impl Iterator<Item = T>, most: usize) -> Vec<String> {
    let all: Vec<_> = all.map(|line| text(line, LINE)).collect();
    let more = all.len().saturating_sub(most);
    let mut shown: Vec<_> = all.into_iter().take(most).collect();
    if more > 0 {
        shown.push(format!("… and {more} more, in the file"));
    }
    shown
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

/// Characters of a word, a line and a paragraph, and lines of each list: together they fit one page at their largest,
/// also where every character is a wide one (a test prints that page).
const WORD: usize = 40;
const LINE: usize = 110;
const PARAGRAPH: usize = 320;
const INPUTS: usize = 3;
const WALLS: usize = 4;
const OUTPUTS: usize = 4;
const REFUSALS: usize = 4;
const CAVEATS: usize = 2;

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
        assert_eq!(text("<script>alert('x')</script>&\"", 100), "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;");
        assert_eq!(text("a\u{202e}b\x1b[2J\nc", 100), "a\\u{202e}b\\u{1b}[2J\\nc");
        assert_eq!(text("日本語のテキスト", 3), "日本語…");
    }

    #[test]
    fn a_list_is_cut_and_the_rest_is_counted() {
        assert_eq!(lines(["a", "b", "c"].iter(), 2), ["a", "b", "… and 1 more, in the file"]);
        assert_eq!(or(lines(std::iter::empty::<&str>(), 2), "none"), ["none"]);
    }
}
