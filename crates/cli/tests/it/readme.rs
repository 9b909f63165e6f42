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

#[test]
fn the_chinese_readme_shows_the_same_commands_and_links() {
    let read = |name: &str| fs::read_to_string(workspace().join(name)).unwrap();
    let (english, chinese) = (read("README.md"), read("README.zh-CN.md"));
    let blocks = |text: &str| text.split("```").skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(blocks(&chinese), blocks(&english));
    let headings = |text: &str| text.lines().filter(|line| line.starts_with("## ")).count();
    assert_eq!(headings(&chinese), headings(&english));
    let links = |text: &str| {
        let mut links: Vec<_> =
            text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap().to_owned()).collect();
        links.retain(|link| !link.starts_with("README"));
        links.sort();
        links
    };
    // The picture is of the demo in each language.
    let pictures = |links: Vec<String>| links.iter().map(|link| link.replace(".zh-CN.svg", ".svg")).collect::<Vec<_>>();
    assert_eq!(pictures(links(&chinese)), links(&english));
    for link in links(&english).into_iter().chain(links(&chinese)) {
        assert!(workspace().join(&link).exists(), "{link} is not there");
    }
}
