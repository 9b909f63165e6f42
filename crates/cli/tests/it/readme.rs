//! The README's examples run as they stand there.

use std::fs;
use std::process::{Command, Stdio};

use hotcell_testkit::workspace;

use crate::hotcell::{Place, text};

#[test]
fn every_example_of_the_readme_runs() {
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap();
    let blocks: Vec<_> = readme.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 4, "{} examples found", blocks.len());
    let place = Place::new();
    std::os::unix::fs::symlink(workspace().join("examples"), place.path("examples")).unwrap();
    place.file("job.py", "print(1)\n");
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_hotcell")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    for block in blocks {
        let mut shell = Command::new("sh");
        shell.args(["-eu", "-c", block]).current_dir(place.path(".")).stdin(Stdio::null());
        shell.env("PATH", &path).env("HOME", place.path("")).env_remove("XDG_STATE_HOME");
        let done = shell.output().unwrap();
        assert!(done.status.success(), "{block}\n{}\n{}", text(&done.stdout), text(&done.stderr));
    }
    assert_eq!(fs::read_to_string(place.path("counted/lines")).unwrap().trim(), "570");
    assert_eq!(fs::read_to_string(place.path("scores.csv")).unwrap().lines().count(), 570);
}
