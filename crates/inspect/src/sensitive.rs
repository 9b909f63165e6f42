//! Personal data and secrets in what would leave: what the scanner finds becomes a reason to refuse.

use std::io::{self, Read};

use crate::column::Domain;
use crate::scan::{Report, Scanner, StreamScanner};
use crate::schema::{CheckedFile, Format};
use crate::{Finding, FindingKind};

/// Most reasons that are told of one file or stream.
const MAX_TOLD: usize = 20;

/// Looks at a file as it stands.
///
/// # Errors
/// When it cannot be read.
pub fn sensitive_in_file(name: &str, mut file: impl Read, scanner: &Scanner) -> io::Result<Vec<Finding>> {
    let mut stream = StreamScanner::new(scanner);
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(reasons(name, &stream.finish())),
            Ok(count) => stream.push(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Looks at the text columns of a table in its canonical form, each value beside the name of its column.
///
/// Numbers, categories and keys are not looked at: what they may be was declared value by value.
pub fn sensitive_in_table(file: &CheckedFile, canonical: &[u8], scanner: &Scanner) -> Vec<Finding> {
    let is_text =
        |place: usize| file.columns.get(place).is_some_and(|column| matches!(column.domain, Domain::Text { .. }));
    let mut text = String::new();
    let mut cells: Vec<(usize, u64, usize)> = Vec::new();
    let mut add = |row: u64, place: usize, value: &str| {
        if let Some(column) = file.columns.get(place).filter(|_| is_text(place)) {
            text.push_str(&column.name);
            text.push_str(": ");
            text.push_str(value);
            text.push('\n');
            cells.push((text.len(), row, place));
        }
    };
    match file.format {
        Format::Csv => {
            let mut reader = csv::ReaderBuilder::new().from_reader(canonical);
            for (row, record) in reader.records().flatten().enumerate() {
                record.iter().enumerate().for_each(|(place, value)| add(row as u64 + 1, place, value));
            }
        }
        Format::Jsonl => {
            for (row, line) in canonical.split(|byte| *byte == b'\n').enumerate() {
                let object: serde_json::Map<String, serde_json::Value> =
                    serde_json::from_slice(line).unwrap_or_default();
                for (name, value) in &object {
                    if let (Some(place), Some(value)) = (file.places.get(name), value.as_str()) {
                        add(row as u64 + 1, *place, value);
                    }
                }
            }
        }
    }
    let report = scanner.scan(text.as_bytes());
    let records = scanner.fingerprints().iter().flat_map(|prints| prints.records_in(canonical));
    let mut findings = reasons(&file.name, &report);
    let starts = report.findings.iter().chain(&report.prints).map(|finding| finding.start);
    let starts = starts.chain(report.unseen.iter().map(|unseen| unseen.start));
    for (finding, start) in findings.iter_mut().zip(starts) {
        let cell = cells.partition_point(|(end, ..)| *end as u64 <= start);
        if let Some((_, row, place)) = cells.get(cell) {
            finding.row = Some(*row);
            finding.column = file.columns.get(*place).map(|column| column.name.clone());
            // The place within what was put together for the look means nothing to anybody.
            finding.detail =
                finding.detail.take().map(|detail| detail.split(" at ").next().unwrap_or_default().to_owned());
        }
    }
    // Values of one record beside each other are that record, whatever each of them was declared to be.
    findings.extend(records.take(1).map(|record| {
        let before = canonical.get(..record.at.start).unwrap_or_default();
        let line = memchr::memchr_iter(b'\n', before).count() as u64;
        let header = u64::from(file.format == Format::Csv);
        let mut finding = Finding::of_file(FindingKind::InputRecord, &file.name);
        finding.row = Some((line + 1).saturating_sub(header).max(1));
        finding
    }));
    findings
}

/// Holds the names of files that would leave against fingerprints: each, and at all of them one after the other.
pub fn sensitive_in_names<'a>(names: impl Iterator<Item = &'a str> + Clone, scanner: &Scanner) -> Vec<Finding> {
    if scanner.fingerprints().is_empty() {
        return Vec::new();
    }
    let mut stems = String::new();
    for name in names.clone() {
        let base = name.rsplit('/').next().unwrap_or(name);
        stems.push_str(base.rsplit_once('.').map_or(base, |(stem, _)| stem));
    }
    let mut lines: String = names.clone().map(|name| format!("{name}\n")).collect();
    lines.extend(names);
    for text in [lines, stems] {
        let mut report = scanner.scan(text.as_bytes());
        // What looks like personal data or a key in a name is seldom one.
        report.findings.clear();
        if !report.is_clean() {
            let mut findings = reasons(NAMES, &report);
            // A place in what was put together for the look means nothing to anybody.
            findings.iter_mut().for_each(|finding| finding.detail = None);
            return findings;
        }
    }
    Vec::new()
}

/// What findings in names speak of.
const NAMES: &str = "names of files";

/// A report as reasons: kinds and places, never a value.
pub(crate) fn reasons(name: &str, report: &Report) -> Vec<Finding> {
    let prints = report.prints.iter().map(|print| {
        let kind = if print.kind == RECORD { FindingKind::InputRecord } else { FindingKind::InputStretch };
        let what = format!("bytes {} to {}{}", print.start, print.end, encoded(&print.encodings));
        Finding::of_file(kind, name).with_detail(what)
    });
    let found = report.findings.iter().map(|finding| {
        let encoded = encoded(&finding.encodings);
        let what = format!("{} at bytes {} to {}{encoded}", finding.kind, finding.start, finding.end);
        Finding::of_file(FindingKind::SensitiveData, name).with_detail(what)
    });
    let unseen = report.unseen.iter().map(|unseen| {
        let what = format!("at bytes {} to {}: {}", unseen.start, unseen.end, unseen.reason.what());
        Finding::of_file(FindingKind::NotDecoded, name).with_detail(what)
    });
    found.chain(prints).chain(unseen).take(MAX_TOLD).collect()
}

fn encoded(encodings: &[&str]) -> String {
    match encodings {
        [] => String::new(),
        names => format!(", in {}", names.join(", then ")),
    }
}

/// The kind of a print that is a record.
const RECORD: &str = "input-record";
