//! What cannot be meant, or is not what it says: each a code, a remedy, and nothing half made.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use hotcell_testkit::require_program;

use crate::hotcell::{Place, text};

/// A bad value for each limit, whatever it counts.
const BAD_VALUES: &[&str] = &[
    "",
    " ",
    "-1",
    "-0",
    "+1",
    "1e3",
    "0x10",
    "NaN",
    "inf",
    "٣",
    "1,5",
    "one",
    "1..5",
    "1.",
    ".5",
    "5parsecs",
    "MiB",
    "1MiBs",
    "18446744073709551616",
    "99999999999999999999999999999999",
    "18446744073709551615",
    "16777216TiB",
    "9999999999h",
];

/// What is below the least, or above the most that the profile gives.
const IMPOSSIBLE: &[&str] = &[
    "wall=0s",
    "wall=0ms",
    "wall=8760h",
    "memory=0",
    "memory=1",
    "memory=1TiB",
    "pids=0",
    "pids=99999999",
    "cpu=0",
    "cpu=0.0001",
    "cpu=99999999",
    "scratch=0",
    "scratch=500TiB",
    "output=0",
    "output_files=99999999999",
    "output_bytes=900TiB",
    "open_files=0",
    "open_files=1",
    "open_files=9999999",
    "file_size=0",
    "file_size=1",
    "file_size=4095",
    "stream_bytes=900TiB",
];

/// Runs, and gives what is wrong about how it was refused.
fn refusal(place: &Place, arguments: &[&str], statuses: &[i32]) -> Option<String> {
    let before = listing(place);
    let output = place.output(arguments);
    let (status, said) = (output.status.code().unwrap_or(-1), text(&output.stderr));
    let code = said.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '-').find(|word| is_code(word));
    // The parser of the command line says what is wrong in words of its own.
    let is_told = code.is_some_and(|code| code != "HOT-001") && said.contains("help: ") || said.starts_with("error: ");
    let after: Vec<_> = listing(place).difference(&before).cloned().collect();
    let is_clean = after.iter().all(|name| name == "state") && output.stdout.is_empty();
    let left = fs::read_dir(place.state().join("running")).map_or(0, Iterator::count);
    (!statuses.contains(&status) || !is_told || !is_clean || left != 0)
        .then(|| format!("{arguments:?}: {status}, made {after:?}, {left} left: {said}"))
}

fn is_code(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.len() == 7
        && bytes[..3].iter().all(u8::is_ascii_uppercase)
        && bytes[3] == b'-'
        && bytes[4..].iter().all(u8::is_ascii_digit)
}

fn listing(place: &Place) -> BTreeSet<String> {
    let entries = fs::read_dir(place.path(".")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn impossible_limits_are_refused_each_with_a_code_and_a_remedy() {
    let place = Place::new();
    let keys = [
        "wall",
        "memory",
        "pids",
        "cpu",
        "scratch",
        "output",
        "output_files",
        "output_bytes",
        "open_files",
        "file_size",
        "stream_bytes",
    ];
    let mut limits: Vec<String> = IMPOSSIBLE.iter().map(|text| (*text).to_owned()).collect();
    limits.extend(keys.iter().flat_map(|key| BAD_VALUES.iter().map(move |value| format!("{key}={value}"))));
    limits.extend(
        ["", "=", "=1", "memory", "memory==1", "swap=1MiB", "Memory=1MiB", "memory =512MiB"].map(str::to_owned),
    );
    // Asked only what would be done: each is refused before that.
    let wrong: Vec<_> = limits
        .iter()
        .filter_map(|limit| refusal(&place, &["run", "--dry-run", "--limit", limit, "--", "/bin/true"], &[2, 121]))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    // And the least of each is no bad input.
    for limit in ["wall=100ms", "file_size=4096", "output_files=0", "output_bytes=0", "stream_bytes=0", "cpu=0.01"] {
        place.expect(0, &["run", "--dry-run", "--limit", limit, "--", "/bin/true"]);
    }
    place.expect(0, &["run", "--limit", "file_size=4096", "--", "/bin/true"]);
}

#[test]
fn links_and_other_things_in_place_of_files_and_folders_are_refused_where_they_are_not_what_is_needed() {
    require_program!("mkfifo");
    let place = Place::new();
    let digest = format!("sha256:{}", "ab".repeat(32));
    place.file("file", "a,b\n1,2\n");
    fs::create_dir(place.path("folder")).unwrap();
    symlink("nowhere", place.path("dangling")).unwrap();
    symlink("circle", place.path("circle")).unwrap();
    symlink("file", place.path("link")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(place.path("pipe")).status().unwrap().success());
    fs::write(
        place.path("noise.tar"),
        (0..3000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>(),
    )
    .unwrap();
    place.file("empty.tar", "");
    let by_digest = format!("registry.invalid/tool@{digest}");
    let wrong_digest = format!("./noise.tar@{digest}");
    let unreachable = format!("127.0.0.1:9/tool@{digest}");
    let run: &[(&[&str], &[i32])] = &[
        // Inputs.
        (&["--input", "a=dangling"], &[125]),
        (&["--input", "a=circle"], &[125]),
        (&["--input", "a=missing"], &[125]),
        (&["--input", "a=pipe"], &[2]),
        (&["--input", "a=/dev/null"], &[2]),
        (&["--input", "../a=file"], &[2]),
        (&["--input", "..=folder"], &[2]),
        (&["--input", "a/b=file"], &[2]),
        (&["--input", "=file"], &[2]),
        (&["--input", "a=file", "--input", "a=link"], &[2]),
        // Code.
        (&["--code", "dangling"], &[2]),
        (&["--code", "circle"], &[2]),
        (&["--code", "link"], &[2]),
        (&["--code", "pipe"], &[2]),
        // Places for what comes out.
        (&["--output", "link"], &[125]),
        (&["--output", "dangling"], &[125]),
        (&["--output", "circle/x"], &[125]),
        (&["--output", "file/x"], &[125]),
        (&["--receipt", "folder"], &[2]),
        (&["--receipt", "missing/receipt"], &[2]),
        (&["--receipt", "circle/receipt"], &[2]),
        // Profiles and task files.
        (&["--profile", "dangling.toml"], &[125]),
        (&["--profile", "./folder.toml"], &[125]),
        (&["--profile", "unheard-of"], &[2]),
        (&["--task", "dangling"], &[125]),
        (&["--task", "folder"], &[125]),
        // Images.
        (&["--image", "tool"], &[2]),
        (&["--image", "registry.invalid/tool"], &[2]),
        (&["--image", "registry.invalid/tool:1"], &[2]),
        (&["--image", "registry.invalid/tool@sha256:12"], &[2]),
        (&["--image", "https://registry.invalid/tool"], &[2]),
        (&["--image", &by_digest], &[125]),
        (&["--image", &unreachable], &[125]),
        (&["--image", "./missing"], &[125]),
        (&["--image", "./dangling"], &[125]),
        (&["--image", "./circle"], &[125]),
        (&["--image", "./folder"], &[121]),
        (&["--image", "./pipe"], &[2, 121, 125]),
        (&["--image", "./empty.tar"], &[121]),
        (&["--image", "./noise.tar"], &[121]),
        (&["--image", &wrong_digest], &[121, 123]),
    ];
    let mut wrong = Vec::new();
    for (options, statuses) in run {
        let arguments = [&["run"], *options, &["--", "/bin/echo", "ran"]].concat();
        wrong.extend(refusal(&place, &arguments, statuses));
    }
    let other: &[(&[&str], &[i32])] = &[
        (&["run", "--model", "dangling", "--input", "a=file"], &[125]),
        (&["run", "--model", "folder", "--input", "a=file"], &[2, 121, 125]),
        (&["open", "--key", "dangling", "--output", "opened", "file"], &[125]),
        (&["open", "--key", "circle", "--output", "opened", "file"], &[125]),
        (&["receipt", "verify", "file"], &[123]),
        (&["receipt", "verify", "circle"], &[125]),
        (&["receipt", "verify", "folder"], &[125]),
        (&["policy", "check", "dangling"], &[125]),
        (&["image", "pull", "./noise.tar"], &[121]),
        (&["image", "pull", "./circle"], &[125]),
    ];
    for (arguments, statuses) in other {
        wrong.extend(refusal(&place, arguments, statuses));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
