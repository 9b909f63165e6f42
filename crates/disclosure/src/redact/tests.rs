use super::*;
use crate::reverse;
use crate::rules::Views;
use crate::sampler::SystemBits;

fn view(rules: &str) -> View {
    let head = "format = 1\n[[view]]\nname = \"v\"\nrole = \"r\"\ndataset = \"d\"\n";
    Views::parse("v.toml", &format!("{head}{rules}"), &|_| None).unwrap().all()[0].clone()
}

fn try_seen(
    rules: &str,
    format: Format,
    text: &str,
    key: Option<&SecretKey>,
) -> Result<(String, Report), DisclosureError> {
    let view = view(rules);
    let mut to = Vec::new();
    let redaction = Redaction {
        view: &view,
        format,
        key,
        granted: None,
        bits: &mut SystemBits::default(),
        look: &mut |_, _, _| {},
    };
    let report = redact(redaction, text.as_bytes(), &mut to)?;
    Ok((String::from_utf8(to).unwrap(), report))
}

fn seen(rules: &str, format: Format, text: &str) -> String {
    try_seen(rules, format, text, None).unwrap().0
}

const CSV: &str = "name,age,zip,note\nLi Wei,43,100084,\"a, b\"\n王芳,,200001,x\n";

#[test]
fn each_column_leaves_as_its_rule_says_and_what_no_rule_names_does_not() {
    let rules = "[view.columns]\nname = { do = \"mask\", first = 1 }\nage = { do = \"generalise\", by = \"age\", level = 2 }\nzip = { do = \"generalise\", by = \"prefix\", level = 3 }\n";
    assert_eq!(seen(rules, Format::Csv, CSV), "name,age,zip\nLx Xxx,40-49,100***\n王某,,200***\n");
    assert_eq!(
        seen("others = \"keep\"\n[view.columns]\nname = { do = \"suppress\" }\n", Format::Csv, CSV),
        "age,zip,note\n43,100084,\"a, b\"\n,200001,x\n"
    );
    let jsonl =
        "{\"name\":\"Ann\",\"age\":43,\"id\":12345678901234567890,\"x\":{\"name\":\"Ann\"}}\n\n{\"age\":null}\n";
    let rules = "[view.columns]\nage = { do = \"generalise\", by = \"age\" }\nid = { do = \"keep\" }\n";
    assert_eq!(seen(rules, Format::Jsonl, jsonl), "{\"age\":\"40-44\",\"id\":12345678901234567890}\n{\"age\":null}\n");
}

#[test]
fn a_mark_of_byte_order_hides_no_column() {
    let rules = "others = \"keep\"\n[view.columns]\nname = { do = \"mask\" }\n";
    assert!(seen(rules, Format::Csv, &format!("\u{feff}{CSV}")).starts_with("name,age,zip,note\nXx Xxx,"));
    assert_eq!(seen(rules, Format::Jsonl, "\u{feff}{\"name\":\"Ann\"}\n"), "{\"name\":\"Xxx\"}\n");
}

#[test]
fn a_table_that_is_none_is_refused_without_a_value_in_the_reason() {
    let rules = "[view.columns]\nname = { do = \"mask\" }\n";
    for (format, text, said) in [
        (Format::Csv, "name,name\nSecret,x\n", "two columns"),
        (Format::Csv, "name,age\nSecret\n", "row 1: it has 1 values"),
        (Format::Csv, "nome\nSecret\n", "which the table lacks"),
        (Format::Csv, "", "header"),
        (Format::Jsonl, "[\"Secret\"]\n", "row 1"),
        (Format::Jsonl, "{\"name\":\"Secret\",\"name\":\"Secret\"}\n", "one name"),
        (Format::Jsonl, "{\"name\":[\"Secret\"]}\n", "an object or a list"),
        (Format::Jsonl, "{\"name\":\"Secret\n", "row 1"),
    ] {
        let error = try_seen(rules, format, text, None).unwrap_err().to_string();
        assert!(error.contains(said) && !error.contains("Secret"), "{text}: {error}");
    }
}

#[test]
fn hashes_tokens_and_encrypted_fields_need_the_key_and_lead_back_by_it_alone() {
    let rules = "[view.columns]\nname = { do = \"token\" }\nzip = { do = \"token\", format = \"digits\" }\nnote = { do = \"encrypt\" }\nage = { do = \"hash\" }\n";
    assert!(matches!(try_seen(rules, Format::Csv, CSV, None), Err(DisclosureError::NoKey { .. })));
    let key = SecretKey::generate();
    let (text, report) = try_seen(rules, Format::Csv, CSV, Some(&key)).unwrap();
    assert!(
        !text.contains("Li") && !text.contains("王") && !text.contains("100084") && !text.contains("a, b"),
        "{text}"
    );
    assert_eq!(report.rows_written, 2);
    let back = |text: &str, key: &SecretKey| {
        let mut to = Vec::new();
        reverse(&view(rules), Format::Csv, key, text.as_bytes(), &mut to)
            .map(|opened| (opened, String::from_utf8(to).unwrap()))
    };
    let (opened, plain) = back(&text, &key).unwrap();
    assert_eq!(opened, 6);
    assert!(
        plain.contains("Li Wei") && plain.contains("100084") && plain.contains("\"a, b\"") && plain.contains("h:"),
        "{plain}"
    );
    assert!(matches!(back(&text, &SecretKey::generate()), Err(DisclosureError::NotOpened { row: 1, .. })));
    // An encrypted field that was moved to another row does not open there.
    let mut lines: Vec<&str> = text.lines().collect();
    lines.swap(1, 2);
    assert!(
        matches!(back(&lines.join("\n"), &key), Err(DisclosureError::NotOpened { column, .. }) if column == "note")
    );
}

#[test]
fn a_column_that_is_not_granted_is_not_in_the_view_whatever_the_rules_say() {
    let view = view("others = \"keep\"\n[view.columns]\nname = { do = \"keep\" }\n");
    let granted = BTreeSet::from(["age".to_owned()]);
    let mut to = Vec::new();
    let redaction = Redaction {
        view: &view,
        format: Format::Csv,
        key: None,
        granted: Some(&granted),
        bits: &mut SystemBits::default(),
        look: &mut |_, _, _| {},
    };
    redact(redaction, CSV.as_bytes(), &mut to).unwrap();
    assert_eq!(to, b"age\n43\n\"\"\n");
}

const CLASSES: &str = "[view.anonymity]\nk = 3\nl = 2\nmax_suppressed_percent = 20\nperson = \"id\"\n[view.columns]\nage = { do = \"generalise\", by = \"age\", level = 1, quasi = true }\nill = { do = \"generalise\", by = \"icd\", level = 2, sensitive = true }\nnote = { do = \"encrypt\" }\n";

#[test]
fn classes_are_reached_and_counted_in_what_leaves() {
    let mut text = "id,age,ill,note\n".to_owned();
    for n in 0..20 {
        let ill = ["I21", "J45", "E11"][n % 3];
        text.push_str(&format!("p{n},{},{ill},note {n}\n", 40 + n % 10));
    }
    text.push_str("p99,97,I10,alone\n");
    let key = SecretKey::generate();
    let (seen, report) = try_seen(CLASSES, Format::Csv, &text, Some(&key)).unwrap();
    let anonymity = report.anonymity.unwrap();
    assert!(anonymity.k_reached >= 3 && anonymity.l_reached >= 2 && anonymity.loss > 0.0, "{anonymity:?}");
    assert_eq!((report.rows_read, report.rows_written, report.rows_suppressed), (21, 20, 1));
    assert!(!seen.contains("90+") && !seen.contains("alone"), "{seen}");
    let mut to = Vec::new();
    assert_eq!(reverse(&view(CLASSES), Format::Csv, &key, seen.as_bytes(), &mut to).unwrap(), 20);
    // Sorted by what they show: the order of arrival is gone.
    let rows: Vec<&str> = seen.lines().skip(1).map(|line| line.rsplit_once(',').unwrap().0).collect();
    assert!(rows.is_sorted(), "{rows:?}");
}

#[test]
fn classes_that_cannot_be_reached_are_refused_with_the_reason() {
    let text = "id,age,ill,note\np1,41,I21,a\np1,42,J45,b\np1,43,E11,c\n";
    let error = try_seen(CLASSES, Format::Csv, text, Some(&SecretKey::generate())).unwrap_err().to_string();
    assert!(error.contains("classes of 3 people") && error.contains("of 3 rows 3 would"), "{error}");
}
