//! Whole runs of the runner on the biopsy example.

use std::fs;
use std::path::PathBuf;

use hotcell_models::{Model, PROGRESS_MARK, RunnerArgs, RunnerError, RunnerReport, runner_main, score};
use hotcell_types::Explain;

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/biopsy").join(name)
}

fn columns(specs: &[&str]) -> Vec<hotcell_models::OutputColumn> {
    specs.iter().map(|spec| spec.parse().unwrap()).collect()
}

/// Scores a text with the biopsy model; the scored text and the progress.
fn run(table: &str, change: impl FnOnce(&mut RunnerArgs)) -> Result<(String, String, RunnerReport), RunnerError> {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("data");
    fs::write(&input, table).unwrap();
    let mut args = RunnerArgs::new(example("model.onnx"), input, folder.path().join("scores.csv"));
    change(&mut args);
    let mut progress = Vec::new();
    let report = runner_main(&args, &mut progress);
    if report.is_err() {
        assert!(!args.output.exists(), "an unfinished output was left");
    }
    report.map(|report| (fs::read_to_string(&args.output).unwrap(), String::from_utf8(progress).unwrap(), report))
}

fn patients() -> String {
    fs::read_to_string(example("patients.csv")).unwrap()
}

/// The header and the first `count` patients.
fn first(count: usize) -> String {
    patients().lines().take(count + 1).map(|line| format!("{line}\n")).collect()
}

#[test]
fn all_patients_are_scored_in_order_and_well() {
    let specs = ["probability_malignant=probabilities[1]", "malignant=label"];
    let (scores, progress, report) = run(&patients(), |args| args.columns = columns(&specs)).unwrap();
    assert_eq!(report, RunnerReport { rows: 569, features: 30, columns: 3 });
    let mut lines = scores.lines();
    assert_eq!(lines.next(), Some("patient,probability_malignant,malignant"));
    let diagnoses = fs::read_to_string(example("diagnosis.csv")).unwrap();
    let mut right = 0;
    for (score, diagnosis) in lines.zip(diagnoses.lines().skip(1)) {
        let fields: Vec<&str> = score.split(',').collect();
        let (patient, truth) = diagnosis.split_once(',').unwrap();
        assert_eq!(fields[0], patient);
        let probability: f64 = fields[1].parse().unwrap();
        assert_eq!(probability > 0.5, fields[2] == "1", "{score}");
        right += usize::from((truth == "malignant") == (fields[2] == "1"));
    }
    assert!(right > 550, "{right} of 569");
    assert!(progress.starts_with(&format!("{PROGRESS_MARK}0 569\n")), "{progress:?}");
    assert!(progress.ends_with(&format!("{PROGRESS_MARK}569 569\n")), "{progress:?}");
}

#[test]
fn batches_threads_and_forms_do_not_change_the_scores() {
    let (expected, ..) = run(&patients(), |_| {}).unwrap();
    assert!(expected.starts_with("patient,label,probability_0,probability_1\n"), "{}", &expected[..60]);
    for (threads, batch_rows) in [(1, 1), (1, 7), (2, 300), (3, 100), (4, 4096)] {
        let (scores, ..) = run(&patients(), |args| {
            args.threads = threads;
            args.batch_rows = batch_rows;
        })
        .unwrap();
        assert_eq!(scores, expected, "{threads} threads, {batch_rows} rows");
    }
    let text = patients();
    let names: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let json: String = text
        .lines()
        .skip(1)
        .map(|line| {
            let cells = names.iter().zip(line.split(',')).map(|(name, value)| match name {
                &"patient" => format!("\"{name}\":\"{value}\""),
                _ => format!("\"{name}\":{value}"),
            });
            format!("{{{}}}\n", cells.collect::<Vec<_>>().join(","))
        })
        .collect();
    let (scores, ..) = run(&json, |_| {}).unwrap();
    assert_eq!(scores, expected);
}

#[test]
fn json_lines_are_written_when_the_name_says_so() {
    let (scores, ..) = run(&first(2), |args| {
        args.output.set_extension("jsonl");
        args.columns = columns(&["malignant=label"]);
    })
    .unwrap();
    assert_eq!(scores, "{\"patient\":\"P0001\",\"malignant\":1}\n{\"patient\":\"P0002\",\"malignant\":1}\n");
}

#[test]
fn a_table_without_a_key_gets_the_number_of_the_row() {
    let text: String = first(3).lines().map(|line| format!("{}\n", line.split_once(',').unwrap().1)).collect();
    let (scores, ..) = run(&text, |args| args.columns = columns(&["malignant=label"])).unwrap();
    assert_eq!(scores, "row,malignant\n1,1\n2,1\n3,1\n");
}

#[test]
fn a_table_without_rows_gives_a_header() {
    let declared = |args: &mut RunnerArgs| {
        args.columns = columns(&["malignant=label"]);
        args.keys = vec!["patient".into()];
    };
    let (scores, _, report) = run(&first(0), declared).unwrap();
    assert_eq!((scores.as_str(), report.rows), ("patient,malignant\n", 0));
}

#[test]
fn bad_tables_are_refused_by_row_and_column_without_their_values() {
    let line = |change: &dyn Fn(&mut Vec<String>)| {
        let mut rows: Vec<Vec<String>> =
            first(3).lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
        change(&mut rows[2]);
        rows.into_iter().map(|row| row.join(",") + "\n").collect::<String>()
    };
    for (value, why) in [
        ("", "row 2, column `mean_texture`: the value is missing"),
        ("NaN", "row 2, column `mean_texture`: the value is not a finite number"),
        ("-inf", "row 2, column `mean_texture`: the value is not a finite number"),
        ("s3cret", "row 2, column `mean_texture`: the value is not a number"),
        ("1e300", "row 2, column `mean_texture`: the number is too large for 32-bit floats"),
    ] {
        let error = run(&line(&|row| row[2] = value.into()), |_| {}).unwrap_err();
        assert_eq!(error.to_string(), why);
        assert!(!error.remedy().is_empty());
    }
    let error = run(&line(&|row| row.truncate(5)), |_| {}).unwrap_err().to_string();
    assert!(error.contains("row 2") && error.contains("5 fields, not 31"), "{error}");
}

#[test]
fn missing_values_pass_when_allowed() {
    let text = first(1).replace(",10.38,", ",,");
    assert!(run(&text, |args| args.allow_missing = true).is_ok());
}

#[test]
fn wrong_columns_are_named() {
    type Change = fn(&mut RunnerArgs);
    let cases: [(Change, &str); 5] = [
        (|args| args.keys = vec!["ward".into()], "no column `ward`"),
        (|args| args.features = vec!["mean_radius".into()], "takes 30 features, the table has 1"),
        (|args| args.columns = columns(&["p=scores"]), "no output `scores`"),
        (|args| args.columns = columns(&["p=probabilities"]), "choose one"),
        (|args| args.columns = columns(&["p=probabilities[2]"]), "no class `2`"),
    ];
    for (change, says) in cases {
        let error = run(&first(2), change).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn an_output_that_exists_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("scores.csv");
    fs::write(&output, "mine").unwrap();
    let args = RunnerArgs::new(example("model.onnx"), example("patients.csv"), &output);
    let error = runner_main(&args, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, RunnerError::File { verb: "create", .. }), "{error}");
    assert_eq!(fs::read_to_string(&output).unwrap(), "mine");
}

#[test]
fn a_folder_must_hold_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("data");
    fs::create_dir(&input).unwrap();
    let args = RunnerArgs::new(example("model.onnx"), &input, folder.path().join("scores.csv"));
    for files in [0, 1, 2] {
        let result = runner_main(&args, &mut Vec::new());
        match files {
            1 => assert_eq!(result.unwrap().rows, 2),
            _ => assert!(result.unwrap_err().to_string().contains(&format!("holds {files} files"))),
        }
        fs::write(input.join(format!("{files}.csv")), first(2)).unwrap();
        let _ = fs::remove_file(&args.output);
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let model = Model::load(&fs::read(example("model.onnx")).unwrap()).unwrap();
    let args = RunnerArgs::new("m", "i", "o.csv");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let error = score(&model, patients().as_bytes(), full, &args, 0, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, RunnerError::Write { what: "scores", .. }), "{error}");
}
