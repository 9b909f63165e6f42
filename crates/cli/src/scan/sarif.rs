//! SARIF 2.1.0, as forges and editors read it.

use std::path::Path;

use hotcell_inspect::scan::{Finding, Scanner, Unseen};
use serde_json::{Value, json};

use super::files::Looked;
use super::told::NOT_INSPECTED;
use crate::VERSION;

/// From this confidence on a finding is an error, below it a warning.
const ERROR_FROM: f32 = 0.8;

/// The whole log.
pub(super) fn log(scanner: &Scanner, results: Vec<Value>) -> Value {
    let rules = scanner.detectors().iter().map(|detector| {
        json!({
            "id": detector.id(),
            "shortDescription": { "text": detector.title() },
            "properties": { "kind": detector.kind(), "region": detector.region() },
        })
    });
    let unseen = json!({ "id": NOT_INSPECTED, "shortDescription": { "text": "A place that was not looked at" } });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "hotcell scan", "version": VERSION, "rules": rules.chain([unseen]).collect::<Vec<_>>() } },
            "columnKind": "utf16CodeUnits",
            "results": results,
        }],
    })
}

/// One finding.
pub(super) fn result(scanner: &Scanner, looked: &Looked, finding: &Finding, line: Option<u64>) -> Value {
    let detector = scanner.detector(finding);
    json!({
        "ruleId": detector.map(|detector| detector.id()),
        "level": if finding.confidence >= ERROR_FROM { "error" } else { "warning" },
        "message": { "text": format!("{}: {}", finding.kind, detector.map_or("", |detector| detector.title())) },
        "locations": [location(&looked.path, finding.start, finding.end, line)],
        "properties": { "confidence": finding.confidence, "encodings": finding.encodings },
    })
}

/// A place that was not looked at.
pub(super) fn unseen(looked: &Looked, unseen: &Unseen) -> Value {
    json!({
        "ruleId": NOT_INSPECTED,
        "level": "error",
        "message": { "text": unseen.reason.what() },
        "locations": [location(&looked.path, unseen.start, unseen.end, None)],
    })
}

fn location(path: &Path, start: u64, end: u64, line: Option<u64>) -> Value {
    let mut region = json!({ "byteOffset": start, "byteLength": end - start });
    if let (Some(line), Some(map)) = (line, region.as_object_mut()) {
        map.insert("startLine".to_owned(), line.into());
    }
    json!({ "physicalLocation": { "artifactLocation": { "uri": uri(path) }, "region": region } })
}

/// A path as a reference: whatever is not plain in one is percent-encoded.
fn uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'~');
    let encode = |byte: &u8| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") };
    path.as_os_str().as_bytes().iter().map(encode).collect()
}
