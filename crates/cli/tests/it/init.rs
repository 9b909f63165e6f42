//! `hotcell init`: what it writes, a run reads and does.

use hotcell_testkit::workspace;

use crate::hotcell::{Place, text};

#[test]
fn a_folder_with_a_model_and_a_table_becomes_a_task_that_scores_it() {
    let place = Place::new();
    for file in ["model.onnx", "patients.csv"] {
        std::fs::copy(workspace().join("examples/biopsy").join(file), place.path(file)).unwrap();
    }
    let told = place.expect(0, &["init"]);
    assert!(told.contains("wrote task.toml; run it: hotcell run --task task.toml"), "{told}");
    let written = std::fs::read_to_string(place.path("task.toml")).unwrap();
    assert!(written.contains("keys = [\"patient\"]") && written.contains("# [[output]]"), "{written}");
    place.expect(0, &["run", "--task", "task.toml"]);
    assert!(std::fs::read_to_string(place.path("out/scores.csv")).unwrap().starts_with("patient,"));
}

#[test]
fn a_script_becomes_a_task_and_nothing_is_ever_overwritten() {
    let place = Place::new();
    place.file("count.sh", "wc -l < /input/data > /output/lines\n");
    place.file("data.csv", "a,b\n1,2\n");
    place.expect(0, &["init"]);
    place.expect(0, &["run", "--task", "task.toml"]);
    assert_eq!(std::fs::read_to_string(place.path("out/lines")).unwrap().trim(), "2");

    let before = std::fs::read_to_string(place.path("task.toml")).unwrap();
    let refused = place.output(&["init", "--", "true"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("init overwrites nothing"), "{}", text(&refused.stderr));
    assert_eq!(std::fs::read_to_string(place.path("task.toml")).unwrap(), before);
    std::os::unix::fs::symlink("nowhere", place.path("link.toml")).unwrap();
    assert_eq!(place.output(&["init", "--output", "link.toml"]).status.code(), Some(2));
    place.expect(0, &["init", "--output", "other.toml", "--", "echo", "a b"]);
    assert!(std::fs::read_to_string(place.path("other.toml")).unwrap().contains("command = [\"echo\", \"a b\"]"));
}

#[test]
fn an_empty_folder_gives_no_task_but_a_way_to_one() {
    let place = Place::new();
    let refused = place.output(&["init"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("hotcell init -- COMMAND"), "{}", text(&refused.stderr));
    assert_eq!(place.output(&["init", "--learn"]).status.code(), Some(2), "a command is needed to learn from");
    assert!(place.names().is_empty(), "{:?}", place.names());
}

#[test]
fn a_learned_run_is_contained_and_proposes_limits_that_the_command_keeps() {
    let place = Place::new();
    place.file("data.csv", "a,b\n1,2\n");
    place.file(
        "work.sh",
        "cat /input/data > /output/copy\nhead -c 20m /dev/zero | tail -c 20m | wc -c > /output/size\n\
                           touch /code/x 2>/dev/null && echo escaped > /output/escaped\ntrue\n",
    );
    let output = place.output(&["init", "--learn", "--", "sh", "work.sh"]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    assert!(err.contains("seen: left copy") && !err.contains("escaped"), "{err}");
    let written = std::fs::read_to_string(place.path("task.toml")).unwrap();
    assert!(written.contains("from a learned run") && written.contains("output_files = 2"), "{written}");
    assert!(written.contains("wall = \"1m\""), "{written}");
    assert!(!place.path("x").exists() && !place.path("out").exists(), "a learned run leaves nothing but the file");
    assert_eq!(
        std::fs::read_dir(place.state())
            .unwrap()
            .flatten()
            .filter(|entry| { entry.file_name().to_string_lossy().starts_with("learning-") })
            .count(),
        0
    );
    place.expect(0, &["run", "--task", "task.toml"]);
    assert_eq!(std::fs::read_to_string(place.path("out/copy")).unwrap(), "a,b\n1,2\n");
}

#[test]
fn a_run_that_fails_teaches_nothing() {
    let place = Place::new();
    let output = place.output(&["init", "--learn", "--", "sh", "-c", "exit 7"]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("nothing was learned") && told.contains("7"), "{told}");
    assert!(!place.path("task.toml").exists());
}
