//! Rules, hierarchies and tables are refused or read, never a panic; a view is a table again, and holds no column that it must not.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use hotcell_crypto::SecretKey;
use hotcell_disclosure::sampler::SystemBits;
use hotcell_disclosure::{DisclosureError, Format, HierarchyFile, Redaction, View, Views, redact, reverse};
use hotcell_testkit::fuzz::Target;

const MUTATIONS: u64 = 3000;

#[test]
fn no_file_of_rules_makes_its_reader_panic_and_each_fault_has_a_line() {
    let mut good = 0;
    let hierarchy = include_str!("corpus/hierarchy/district.toml");
    Target::new(env!("CARGO_MANIFEST_DIR"), "rules").run(MUTATIONS, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        match Views::parse("fuzz.toml", &text, &|_| Some(hierarchy.to_owned())) {
            Ok(views) => good += views.all().len(),
            Err(DisclosureError::Rules { line, .. }) => {
                assert!(line >= 1 && line <= text.lines().count() + 1, "line {line}")
            }
            Err(other) => panic!("{other}"),
        }
    });
    assert!(good > 100, "{good}: nothing behind the first check was tried");
}

#[test]
fn no_file_of_a_hierarchy_makes_its_reader_panic_and_each_fault_has_a_line() {
    let mut good = 0;
    Target::new(env!("CARGO_MANIFEST_DIR"), "hierarchy").run(MUTATIONS, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        match HierarchyFile::parse("fuzz.toml", &text) {
            Ok(_) => good += 1,
            Err(DisclosureError::Rules { line, .. }) => {
                assert!(line >= 1 && line <= text.lines().count() + 1, "line {line}")
            }
            Err(other) => panic!("{other}"),
        }
    });
    assert!(good > 100, "{good}: nothing behind the first check was tried");
}

fn view(anonymity: &str, quasi: &str) -> View {
    let text = format!(
        "format = 1\n[[view]]\nname = \"v\"\nrole = \"r\"\ndataset = \"d\"\n{anonymity}[view.columns]\n\
         age = {{ do = \"generalise\", by = \"age\"{quasi} }}\nborn = {{ do = \"generalise\", by = \"date\", level = 2{quasi} }}\n\
         zip = {{ do = \"generalise\", by = \"prefix\", level = 2{quasi} }}\nill = {{ do = \"generalise\", by = \"icd\"{quasi} }}\n\
         cost = {{ do = \"noise\", noise = \"laplace\", spread = \"1/2\", min = \"-5\", max = \"20\", step = \"0.5\" }}\n\
         name = {{ do = \"token\" }}\nnote = {{ do = \"encrypt\" }}\n"
    );
    Views::parse("v.toml", &text, &|_| None).unwrap().all()[0].clone()
}

fn tables(name: &'static str, format: Format) {
    let key = SecretKey::generate();
    let views = [view("", ""), view("[view.anonymity]\nk = 2\nmax_suppressed_percent = 100\n", ", quasi = true")];
    let mut seen = 0;
    Target::new(env!("CARGO_MANIFEST_DIR"), name).run(MUTATIONS, |bytes| {
        for view in &views {
            let mut to = Vec::new();
            let redaction = Redaction {
                view,
                format,
                key: Some(&key),
                granted: None,
                bits: &mut SystemBits::default(),
                look: &mut |_, _, _| {},
            };
            let Ok(report) = redact(redaction, bytes, &mut to) else { continue };
            seen += 1;
            if let Some(reached) = report.anonymity {
                assert!(reached.k_reached >= 2 || report.rows_written == 0, "{reached:?}");
            }
            let mut back = Vec::new();
            reverse(view, format, &key, to.as_slice(), &mut back).unwrap();
        }
    });
    assert!(seen > 100, "{seen}: hardly a table was good");
}

#[test]
fn no_csv_makes_redaction_panic_and_each_view_leads_back() {
    tables("csv", Format::Csv);
}

#[test]
fn no_json_lines_make_redaction_panic_and_each_view_leads_back() {
    tables("jsonl", Format::Jsonl);
}
