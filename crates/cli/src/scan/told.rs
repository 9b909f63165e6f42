//! How findings are told: as text, as lines of JSON, as SARIF.

use std::io::{self, Write};

use hotcell_inspect::scan::{Finding, Scanner};
use serde_json::{Value, json};

use super::files::Looked;
use super::{closing, sarif};
use crate::print::{self, theirs};

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text { explain: bool },
    Json { explain: bool },
    Sarif,
}

/// Tells findings as they come.
pub(super) struct Teller<'a> {
    form: Form,
    scanner: &'a Scanner,
    results: Vec<Value>,
    findings: u64,
    files: u64,
    bytes: u64,
}

/// The kind under which a place is told that could not be looked at.
pub(super) const NOT_INSPECTED: &str = "not-inspected";

impl<'a> Teller<'a> {
    pub(super) fn new(form: Form, scanner: &'a Scanner) -> Self {
        Self { form, scanner, results: Vec::new(), findings: 0, files: 0, bytes: 0 }
    }

    /// Tells of one file.
    pub(super) fn tell(&mut self, looked: &Looked) -> io::Result<()> {
        self.files += 1;
        self.bytes += looked.bytes;
        let report = &looked.report;
        self.findings += report.findings.len() as u64 + report.more + report.unseen.len() as u64;
        for (place, finding) in report.findings.iter().enumerate() {
            let line = looked.lines.get(place).copied();
            match self.form {
                Form::Text { explain } => self.text(looked, finding, line, explain)?,
                Form::Json { explain } => print_line(&self.json(looked, finding, line, explain))?,
                Form::Sarif => self.results.push(sarif::result(self.scanner, looked, finding, line)),
            }
        }
        for unseen in &report.unseen {
            match self.form {
                Form::Text { .. } => {
                    let path = theirs(looked.path.display());
                    writeln!(
                        print::out(),
                        "{path}:{}-{}  not looked at: {}",
                        unseen.start,
                        unseen.end,
                        unseen.reason.what()
                    )?;
                }
                Form::Json { .. } => print_line(&json!({
                    "kind": NOT_INSPECTED, "start": unseen.start, "end": unseen.end, "confidence": 1.0,
                    "path": looked.path.display().to_string(), "detector": null, "reason": unseen.reason.what(),
                }))?,
                Form::Sarif => self.results.push(sarif::unseen(looked, unseen)),
            }
        }
        if report.more > 0 {
            writeln!(print::err(), "{}: {} more findings", theirs(looked.path.display()), report.more)?;
        }
        Ok(())
    }

    /// Ends the answer, and gives how much was found.
    pub(super) fn finish(self) -> io::Result<u64> {
        match self.form {
            Form::Text { .. } => closing(self.findings, self.files, self.bytes)?,
            Form::Json { .. } => {}
            Form::Sarif => print::json(&sarif::log(self.scanner, self.results))?,
        }
        Ok(self.findings)
    }

    fn text(&self, looked: &Looked, finding: &Finding, line: Option<u64>, explain: bool) -> io::Result<()> {
        let path = theirs(looked.path.display());
        let line = line.map(|line| format!("{line}:")).unwrap_or_default();
        let mut to = print::out();
        writeln!(to, "{path}:{line}{}-{}  {}  {:.2}", finding.start, finding.end, finding.kind, finding.confidence)?;
        if explain {
            let Some(detector) = self.scanner.detector(finding) else { return Ok(()) };
            writeln!(
                to,
                "  detector: {} ({}, region {})",
                theirs(detector.id()),
                theirs(detector.title()),
                theirs(detector.region())
            )?;
            let check = match (detector.validator(), finding.checksum) {
                (Some(name), true) => format!("`{name}`, its check digit fits"),
                (Some(name), false) => format!("`{name}`"),
                (None, _) => "none".to_owned(),
            };
            writeln!(to, "  validator: {check}")?;
            writeln!(
                to,
                "  context: {}",
                if finding.context { "a word that speaks for it stands nearby" } else { "none" }
            )?;
            if !finding.encodings.is_empty() {
                writeln!(to, "  encodings: {}", finding.encodings.join(", then "))?;
            }
        }
        Ok(())
    }

    fn json(&self, looked: &Looked, finding: &Finding, line: Option<u64>, explain: bool) -> Value {
        let detector = self.scanner.detector(finding);
        let mut value = json!({
            "kind": finding.kind,
            "start": finding.start,
            "end": finding.end,
            "confidence": (f64::from(finding.confidence) * 1000.0).round() / 1000.0,
            "path": looked.path.display().to_string(),
            "line": line,
            "detector": detector.map(|detector| detector.id()),
        });
        if let (true, Some(map), Some(detector)) = (explain, value.as_object_mut(), detector) {
            map.insert("title".to_owned(), detector.title().into());
            map.insert("region".to_owned(), detector.region().into());
            map.insert("validator".to_owned(), detector.validator().into());
            map.insert("checksum".to_owned(), finding.checksum.into());
            map.insert("context".to_owned(), finding.context.into());
            map.insert("encodings".to_owned(), json!(finding.encodings));
        }
        value
    }
}

fn print_line(value: &Value) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{value}")
}
