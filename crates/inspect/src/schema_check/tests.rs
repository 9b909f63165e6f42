use hotcell_types::{Exit, Explain};
use serde::Deserialize;

use super::*;

/// As it sits in a task file.
#[derive(Deserialize)]
struct TaskFile {
    #[serde(default)]
    output: OutputSchema,
}

fn parse(text: &str) -> OutputSchema {
    toml::from_str::<TaskFile>(text).unwrap_or_else(|error| panic!("{text}\n{error}")).output
}

const HEAD: &str = "[[output]]\nfile = 'scores.csv'\nformat = 'csv'\n";

/// A file with the given lines after its head, then one column per entry.
fn file(lines: &str, columns: &[&str]) -> String {
    let columns: String = columns.iter().map(|column| format!("\n[[output.column]]\n{column}\n")).collect();
    format!("{HEAD}{lines}\n{columns}")
}

const KEY: &str = "name = 'patient'\ntype = 'key'\nfrom = 'data.patient'";
const SCORE: &str = "name = 'p'\ntype = 'decimal'\nmin = 0\nmax = 1\nprecision = 3";
const FLAG: &str = "name = 'f'\ntype = 'boolean'";

#[test]
fn declarations_that_mean_one_thing_are_accepted() {
    for text in [
        String::new(),
        file("", &[KEY, SCORE]),
        file("rows = 'one-per-key'\norder = 'as-input'", &[SCORE, KEY]),
        file("rows = 'any'\nmax_rows = 10", &[KEY, SCORE]),
        file("max_rows = 10\nmin_rows = 10", &[FLAG]),
        file(
            "max_rows = 9",
            &["name = 'p'\ntype = 'decimal'\nmin = -0.5\nmax = '0.5'\nprecision = 1\nnullable = true", FLAG],
        ),
        file("max_rows = 9", &["name = 'n'\ntype = 'integer'\nmin = -1000000000000000000\nmax = 1000000000000000000"]),
        file("max_rows = 9", &["name = 'c'\ntype = 'category'\nvalues = ['benign', 'malignant']"]),
        file("max_rows = 9", &["name = 't'\ntype = 'text'\nmax_length = 8\npattern = '[A-Z0-9-]'"]),
        file("max_rows = 9", &[KEY, &KEY.replace("'patient'", "'visit'")]),
    ] {
        parse(&text).check().unwrap_or_else(|error| panic!("{text}\n{error}"));
    }
}

#[test]
fn a_checked_schema_says_which_keys_it_needs() {
    let schema = parse(&file("", &[KEY, SCORE])).check().unwrap();
    let file = schema.file("scores.csv").unwrap();
    assert_eq!(file.key_sources().collect::<Vec<_>>(), ["data.patient"]);
    assert_eq!((file.name(), file.format(), schema.files().len()), ("scores.csv", Format::Csv, 1));
    assert!(schema.file("other.csv").is_none());
}

#[test]
fn a_schema_survives_json() {
    let schema = parse(&file("rows = 'any'\nmax_rows = 10", &[KEY, &SCORE.replace("max = 1", "max = 0.5")]));
    let json = serde_json::to_string(&schema).unwrap();
    assert_eq!(serde_json::from_str::<OutputSchema>(&json).unwrap(), schema);
    assert!(
        json.starts_with(r#"[{"file":"scores.csv","format":"csv","order":"ascending","rows":"any","max_rows":10,"#),
        "{json}"
    );
}

#[test]
fn unknown_fields_and_words_are_refused() {
    for text in [
        file("max_rows = 9\nsort = 'no'", &[FLAG]),
        file("max_rows = 9\norder = 'random'", &[FLAG]),
        file("max_rows = 9\nrows = 'two'", &[FLAG]),
        file("max_rows = -1", &[FLAG]),
        file("max_rows = 9", &["name = 'f'\ntype = 'bool'"]),
        file("max_rows = 9", &["name = 'f'\ntype = 'boolean'\nunit = 'mm'"]),
        file("max_rows = 9", &["type = 'boolean'"]),
        "[[output]]\nfile = 'x'\nformat = 'xml'".into(),
        "[[output]]\nformat = 'csv'".into(),
    ] {
        assert!(toml::from_str::<TaskFile>(&text).is_err(), "{text}");
    }
}

#[test]
fn every_contradiction_is_named_with_its_path_and_code() {
    let decimal = |fields: &str| format!("name = 'p'\ntype = 'decimal'\n{fields}");
    let cases = [
        ("output[1].file", "INS-003", file("max_rows = 9", &[FLAG]) + &file("max_rows = 9", &[FLAG])),
        ("output[0].file", "INS-002", file("max_rows = 9", &[FLAG]).replace("scores.csv", "../scores.csv")),
        ("output[0].file", "INS-002", file("max_rows = 9", &[FLAG]).replace("scores.csv", "-o.csv")),
        ("output[0].file", "INS-002", file("max_rows = 9", &[FLAG]).replace("scores.csv", ".csv")),
        ("output[0].format", "INS-004", file("max_rows = 9", &[FLAG]).replace("scores.csv", "scores.JSONL")),
        ("output[0].column", "INS-005", file("max_rows = 9", &[])),
        ("output[0].column[1].name", "INS-008", file("max_rows = 9", &[FLAG, FLAG])),
        ("output[0].column[0].name", "INS-007", file("max_rows = 9", &["name = ''\ntype = 'boolean'"])),
        ("output[0].column[0].name", "INS-007", file("max_rows = 9", &["name = \"a\\u001bb\"\ntype = 'boolean'"])),
        ("output[0].rows", "INS-022", file("rows = 'one-per-key'", &[FLAG])),
        ("output[0].rows", "INS-022", file("rows = 'at-most-one-per-key'\nmax_rows = 9", &[FLAG])),
        ("output[0].order", "INS-022", file("order = 'as-input'\nmax_rows = 9", &[FLAG])),
        ("output[0].rows", "INS-023", file("rows = 'one-per-key'", &[KEY, &KEY.replace("'patient'", "'v'")])),
        ("output[0].max_rows", "INS-024", file("rows = 'one-per-key'\nmax_rows = 9", &[KEY])),
        ("output[0].min_rows", "INS-024", file("rows = 'one-per-key'\nmin_rows = 9", &[KEY])),
        ("output[0].max_rows", "INS-025", file("", &[FLAG])),
        ("output[0].max_rows", "INS-025", file("rows = 'any'", &[KEY])),
        ("output[0].max_rows", "INS-026", file("max_rows = 0", &[FLAG])),
        ("output[0].max_rows", "INS-026", file("max_rows = 10000001", &[FLAG])),
        ("output[0].min_rows", "INS-026", file("max_rows = 9\nmin_rows = 10", &[FLAG])),
        (
            "output[0].column[0].nullable",
            "INS-027",
            file("max_rows = 9", &["name = 'f'\ntype = 'boolean'\nnullable = true"]),
        ),
        ("output[0].column[0].nullable", "INS-021", file("", &[&format!("{KEY}\nnullable = true"), FLAG])),
        ("output[0].column[0].from", "INS-010", file("", &["name = 'k'\ntype = 'key'"])),
        ("output[0].column[0].from", "INS-020", file("", &["name = 'k'\ntype = 'key'\nfrom = 'patient'"])),
        ("output[0].column[0].from", "INS-020", file("", &["name = 'k'\ntype = 'key'\nfrom = 'data.'"])),
        ("output[0].column[0].min", "INS-009", file("max_rows = 9", &[&format!("{FLAG}\nmin = 1")])),
        ("output[0].column[0].pattern", "INS-009", file("max_rows = 9", &[&format!("{SCORE}\npattern = '[a]'")])),
        (
            "output[0].column[0].precision",
            "INS-009",
            file("max_rows = 9", &["name = 'i'\ntype = 'integer'\nmin = 0\nmax = 1\nprecision = 1"]),
        ),
        ("output[0].column[0].precision", "INS-010", file("max_rows = 9", &[&decimal("min = 0\nmax = 1")])),
        (
            "output[0].column[0].precision",
            "INS-013",
            file("max_rows = 9", &[&decimal("min = 0\nmax = 1\nprecision = 19")]),
        ),
        ("output[0].column[0].max", "INS-010", file("max_rows = 9", &[&decimal("min = 0\nprecision = 1")])),
        ("output[0].column[0].max", "INS-011", file("max_rows = 9", &[&decimal("min = 0\nmax = 1.25\nprecision = 1")])),
        ("output[0].column[0].max", "INS-011", file("max_rows = 9", &[&decimal("min = 0\nmax = inf\nprecision = 1")])),
        ("output[0].column[0].min", "INS-011", file("max_rows = 9", &[&decimal("min = nan\nmax = 1\nprecision = 1")])),
        ("output[0].column[0].max", "INS-011", file("max_rows = 9", &[&decimal("min = 0\nmax = 2\nprecision = 18")])),
        (
            "output[0].column[0].max",
            "INS-011",
            file("max_rows = 9", &["name = 'i'\ntype = 'integer'\nmin = 0\nmax = 1.5"]),
        ),
        ("output[0].column[0].min", "INS-012", file("max_rows = 9", &[&decimal("min = 1\nmax = 0\nprecision = 1")])),
        ("output[0].column[0].values", "INS-010", file("max_rows = 9", &["name = 'c'\ntype = 'category'"])),
        (
            "output[0].column[0].values",
            "INS-014",
            file("max_rows = 9", &["name = 'c'\ntype = 'category'\nvalues = []"]),
        ),
        (
            "output[0].column[0].values[1]",
            "INS-016",
            file("max_rows = 9", &["name = 'c'\ntype = 'category'\nvalues = ['a', 'a']"]),
        ),
        (
            "output[0].column[0].values[1]",
            "INS-015",
            file("max_rows = 9", &["name = 'c'\ntype = 'category'\nvalues = ['a', '']"]),
        ),
        (
            "output[0].column[0].values[0]",
            "INS-015",
            file("max_rows = 9", &["name = 'c'\ntype = 'category'\nvalues = [\"a\\nb\"]"]),
        ),
        ("output[0].column[0].max_length", "INS-010", file("max_rows = 9", &["name = 't'\ntype = 'text'"])),
        (
            "output[0].column[0].max_length",
            "INS-018",
            file("max_rows = 9", &["name = 't'\ntype = 'text'\nmax_length = 0"]),
        ),
        (
            "output[0].column[0].max_length",
            "INS-018",
            file("max_rows = 9", &["name = 't'\ntype = 'text'\nmax_length = 65537"]),
        ),
        (
            "output[0].column[0].pattern",
            "INS-019",
            file("max_rows = 9", &["name = 't'\ntype = 'text'\nmax_length = 1\npattern = '^x+$'"]),
        ),
    ];
    for (path, code, text) in cases {
        let error = parse(&text).check().expect_err(&text);
        assert_eq!((error.path.as_str(), error.code()), (path, code), "{text}\n{error}");
        assert!(error.to_string().starts_with(&format!("`{path}`: ")), "{error}");
        assert!(!error.remedy().is_empty());
        assert_eq!(error.exit(), Exit::Usage);
    }
}

#[test]
fn sizes_of_a_schema_are_bounded() {
    let mut schema = parse(&file("max_rows = 9", &[FLAG]));
    let first = schema.files[0].clone();
    schema.files = (0..=MAX_FILES).map(|n| OutputFile { file: format!("{n}.csv"), ..first.clone() }).collect();
    assert_eq!(schema.check().unwrap_err().problem, SchemaProblem::TooManyFiles);

    let mut schema = OutputSchema { files: vec![first.clone()] };
    schema.files[0].columns =
        (0..=MAX_COLUMNS).map(|n| ColumnSpec { name: format!("c{n}"), ..first.columns[0].clone() }).collect();
    assert_eq!(schema.check().unwrap_err().problem, SchemaProblem::TooManyColumns);

    let values = (0..=MAX_VALUES).map(|n| n.to_string()).collect();
    let column = ColumnSpec { kind: ColumnType::Category, values: Some(values), ..first.columns[0].clone() };
    let schema = OutputSchema { files: vec![OutputFile { columns: vec![column], ..first }] };
    assert_eq!(schema.check().unwrap_err().problem, SchemaProblem::TooManyValues);
}

#[test]
fn the_example_of_the_documentation_is_accepted() {
    let page = include_str!("../../../../docs/formats/output-schema.md");
    let (_, rest) = page.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let schema = parse(example).check().unwrap();
    assert_eq!(schema.files().len(), 1);
    assert_eq!(schema.files()[0].key_sources().collect::<Vec<_>>(), ["data.patient"]);
}
