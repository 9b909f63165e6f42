//! `docs/formats/policy-schema.md` is what the schema says; `HOTCELL_WRITE=1 cargo test -p hotcell-policy --test schema_page`
//! writes it anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]
#![allow(missing_docs, reason = "tests")]

use std::fs;
use std::path::Path;

use hotcell_policy::{ACTIONS, OBLIGATIONS, SCHEMA, SCHEMA_VERSION};

/// One declaration of the schema, with what is said above it.
struct Declared {
    kind: String,
    name: String,
    /// Of an entity: what it lies in.
    within: String,
    doc: String,
    /// Attributes or context, with their types.
    fields: Vec<(String, String)>,
    resource: String,
}

/// Reads the schema as it is laid out: a declaration begins on a line of its own, and each field stands on one.
fn declarations() -> Vec<Declared> {
    let (mut found, mut doc): (Vec<Declared>, Vec<&str>) = (Vec::new(), Vec::new());
    for line in SCHEMA.lines() {
        let trimmed = line.trim();
        if let Some(text) = trimmed.strip_prefix("///") {
            doc.push(text.trim());
            continue;
        }
        if line.starts_with(' ') {
            let Some(last) = found.last_mut() else { continue };
            let Some((name, kind)) = trimmed.trim_end_matches(',').split_once(": ") else { continue };
            match name {
                "principal" => {}
                "resource" => last.resource = kind.to_owned(),
                "context" if kind == "{" => {}
                "context" => last.fields.push((String::new(), kind.to_owned())),
                _ => last.fields.push((name.replace('"', ""), kind.to_owned())),
            }
            continue;
        }
        let words: Vec<&str> = trimmed.split_whitespace().collect();
        let [kind @ ("type" | "entity" | "action"), name, ..] = words.as_slice() else { continue };
        let within =
            trimmed.split_once(" in [").and_then(|(_, rest)| rest.split_once(']')).map_or("", |(list, _)| list);
        found.push(Declared {
            kind: (*kind).to_owned(),
            name: name.trim_matches(&['"', ';'][..]).to_owned(),
            within: within.to_owned(),
            doc: std::mem::take(&mut doc).join(" "),
            fields: Vec::new(),
            resource: String::new(),
        });
    }
    found
}

fn page() -> String {
    let declared = declarations();
    let of = |kind: &'static str| declared.iter().filter(move |found| found.kind == kind);
    let mut page = format!(
        "# The schema of policies, version {SCHEMA_VERSION}\n\n\
         Generated from `policies/hotcell.cedarschema` (`HOTCELL_WRITE=1 cargo test -p hotcell-policy --test schema_page`); a test\n\
         holds the two together. How rules are written: [policy.md](policy.md). A `?` marks what may be absent: a rule asks for it\n\
         with `has`.\n\n## Actions\n\nAn action that nothing asks yet is denied by the default policy.\n\n\
         | action | on | what is asked | asked yet |\n|---|---|---|---|\n"
    );
    for action in of("action") {
        let known = ACTIONS.iter().find(|known| known.name == action.name).unwrap();
        let asked = if known.is_asked { "yes" } else { "no" };
        page.push_str(&format!("| `{}` | `{}` | {} | {asked} |\n", action.name, action.resource, action.doc));
    }
    page.push_str("\n## What a question says\n");
    for kind in of("type") {
        page.push_str(&format!("\n### {}\n\n{}\n\n", kind.name, kind.doc));
        fields(&mut page, kind);
    }
    for action in of("action") {
        let own = action.fields.iter().any(|(name, _)| !name.is_empty());
        if own {
            page.push_str(&format!("\n### context of `{}`\n\n", action.name));
            fields(&mut page, action);
        }
    }
    page.push_str("\nEvery other action has `Surroundings` as its context.\n\n## Entities\n");
    for entity in of("entity") {
        page.push_str(&format!("\n### {}\n\n{}", entity.name, entity.doc));
        if !entity.within.is_empty() {
            page.push_str(&format!(" Lies in: {}.", entity.within));
        }
        page.push('\n');
        if !entity.fields.is_empty() {
            page.push('\n');
            fields(&mut page, entity);
        }
    }
    page.push_str("\n## Obligations\n\nAnnotations on a rule that permits; any other is an error (POL-026).\n\n| annotation | takes |\n|---|---|\n");
    for (name, takes) in OBLIGATIONS {
        page.push_str(&format!("| `@{name}` | {takes} |\n"));
    }
    page
}

fn fields(page: &mut String, declared: &Declared) {
    page.push_str("| name | type |\n|---|---|\n");
    for (name, kind) in &declared.fields {
        page.push_str(&format!("| `{name}` | `{kind}` |\n"));
    }
}

#[test]
fn the_page_of_the_schema_says_what_the_schema_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats/policy-schema.md");
    let page = page();
    if std::env::var_os("HOTCELL_WRITE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/formats/policy-schema.md is not what the schema says: HOTCELL_WRITE=1 writes it anew"
    );
}

#[test]
fn nothing_of_the_schema_is_missing_from_the_page() {
    let page = page();
    for action in ACTIONS {
        assert!(page.contains(&format!("| `{}` | `{}` |", action.name, action.resource.name)), "{}", action.name);
        for (name, _) in action.resource.attributes.iter().chain(action.context) {
            assert!(page.contains(&format!("| `{name}")), "{name} of {}", action.name);
        }
    }
    let declared =
        SCHEMA.lines().filter(|line| ["entity ", "action ", "type "].iter().any(|word| line.starts_with(word)));
    assert_eq!(declared.count(), declarations().len());
    assert!(declarations().iter().all(|found| !found.doc.is_empty()), "each has a comment");
}
