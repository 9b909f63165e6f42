//! `hotcell seal` and `hotcell open` on age files.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use hotcell_testkit::require_program;

use crate::hotcell::{Place, text};

const SECRET: &str = "the dose is 1.8 Gy\n";

/// A place with keys `a` and `b`, a signing key `v`, and a file.
fn place() -> Place {
    let place = Place::new();
    place.expect(0, &["keygen", "--output", "a"]);
    place.expect(0, &["keygen", "--output", "b"]);
    place.expect(0, &["keygen", "--output", "v", "--signing"]);
    place.file("plain", SECRET);
    place
}

#[test]
fn what_is_sealed_is_opened_by_each_recipient_in_whatever_order_the_options_stand() {
    let place = place();
    let key = fs::read_to_string(place.path("a.pub")).unwrap();
    for words in [
        &["--recipient", "a.pub", "--output", "sealed", "plain"][..],
        &["--recipient", key.trim(), "--output", "sealed", "plain"],
        &["--output", "sealed", "--recipient", "a.pub", "plain"],
        &["--recipient", "b.pub", "a.pub", "--output", "sealed", "plain"],
        &["--recipient", "b.pub", "--recipient", "a.pub", "plain", "--output", "sealed"],
        &["plain", "--output", "sealed", "--recipient", "b.pub", "a.pub"],
    ] {
        place.expect(0, &[&["seal"], words].concat());
        assert!(!fs::read(place.path("sealed")).unwrap().windows(4).any(|part| part == b"dose"), "{words:?}");
        place.expect(0, &["open", "--key", "a", "--output", "opened", "sealed"]);
        assert_eq!(fs::read_to_string(place.path("opened")).unwrap(), SECRET, "{words:?}");
        place.remove(&["sealed", "opened"]);
    }
}

#[test]
fn an_opened_file_is_for_its_owner_alone_also_where_it_replaces_another() {
    let place = place();
    place.expect(0, &["seal", "--recipient", "a.pub", "--output", "sealed", "plain"]);
    place.file("opened", "an old file that all may read");
    fs::set_permissions(place.path("opened"), fs::Permissions::from_mode(0o644)).unwrap();
    place.expect(0, &["open", "--force", "--key", "a", "--output", "opened", "sealed"]);
    assert_eq!(fs::read_to_string(place.path("opened")).unwrap(), SECRET);
    assert_eq!(fs::metadata(place.path("opened")).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn standard_input_is_sealed_and_opened_under_the_name_of_a_dash() {
    let place = place();
    let feed = |words: &[&str], input: &[u8]| {
        let mut child = place.command(words).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        assert!(child.wait().unwrap().success(), "{words:?}");
    };
    feed(&["seal", "--recipient", "a.pub", "--output", "sealed", "-"], SECRET.as_bytes());
    feed(&["open", "--key", "a", "--output", "opened", "-"], &fs::read(place.path("sealed")).unwrap());
    assert_eq!(fs::read_to_string(place.path("opened")).unwrap(), SECRET);
}

#[test]
fn the_answer_as_json_tells_sizes_and_recipients() {
    let place = place();
    let told = place.json(0, &["--json", "seal", "--recipient", "a.pub", "b.pub", "--output", "sealed", "plain"]);
    assert_eq!((&told["form"], &told["plain_bytes"]), (&"age".into(), &SECRET.len().into()));
    assert_eq!(told["recipients"].as_array().unwrap().len(), 2);
    let told = place.json(0, &["--json", "open", "--key", "b", "--output", "opened", "sealed"]);
    assert_eq!((&told["output"], &told["plain_bytes"]), (&"opened".into(), &SECRET.len().into()));
}

#[test]
fn what_cannot_be_sealed_is_refused_and_leaves_nothing() {
    for (words, status, code) in [
        (&["--recipient", "a.pub", "--output", "out", "missing"][..], 125, "CLI-002"),
        (&["--recipient", "a.pub", "--output", "out", "."], 125, "CLI-002"),
        (&["--recipient", "a.pub", "--output", "plain", "plain"], 2, "CLI-010"),
        (&["--recipient", "a.pub", "--output", "no/folder/out", "plain"], 125, "CLI-011"),
        (&["--recipient", "a.pub", "--output", "sub", "plain"], 125, "CLI-011"),
        (&["--recipient", "a.pub", "--output", "/", "plain"], 125, "CLI-011"),
        (&["--recipient", "a.pub", "--output", "out"], 2, "CLI-001"),
        (&["--recipient", "a", "--output", "out", "plain"], 2, "CRY-056"),
        (&["--recipient", "v.pub", "--output", "out", "plain"], 2, "CRY-056"),
        (&["--recipient", "plain", "--output", "out", "plain"], 2, "CRY-056"),
        (&["--recipient", "age1mistyped", "--output", "out", "plain"], 2, "CRY-057"),
        (&["--recipient", "nobody", "--output", "out", "plain"], 2, "CRY-057"),
    ] {
        let place = place();
        fs::create_dir(place.path("sub")).unwrap();
        let before = place.names();
        let told = place.json(status, &[&["--json", "seal"], words].concat());
        assert_eq!(told["error"]["code"], code, "{words:?}: {told}");
        assert_eq!(told["error"]["exit"], status, "{words:?}");
        assert_eq!(place.names(), before, "{words:?}");
        assert_eq!(fs::read_to_string(place.path("plain")).unwrap(), SECRET, "{words:?}");
    }
}

#[test]
fn what_cannot_be_opened_is_refused_and_leaves_nothing() {
    for (words, status, code) in [
        (&["--key", "b", "--output", "out", "sealed"][..], 123, "CRY-044"),
        (&["--key", "a", "--output", "out", "cut"], 123, "CRY-046"),
        (&["--key", "a", "--output", "out", "cut-early"], 123, "CRY-047"),
        (&["--key", "a", "--output", "out", "cut-late"], 123, "CRY-047"),
        (&["--key", "a", "--output", "out", "changed"], 123, "CRY-046"),
        (&["--key", "a", "--output", "out", "longer"], 123, "CRY-046"),
        (&["--key", "a", "--output", "out", "plain"], 123, "CRY-040"),
        (&["--key", "a", "--output", "out", "empty"], 123, "CRY-047"),
        (&["--key", "a", "--output", "out", "missing"], 125, "CLI-002"),
        (&["--key", "a", "--output", "out", "."], 125, "CLI-002"),
        (&["--key", "a", "--output", "plain", "sealed"], 2, "CLI-010"),
        (&["--key", "a", "--output", "no/folder/out", "sealed"], 125, "CLI-011"),
        (&["--key", "v", "--output", "out", "sealed"], 2, "CRY-056"),
        (&["--key", "a.pub", "--output", "out", "sealed"], 2, "CRY-053"),
        (&["--key", "exposed", "--output", "out", "sealed"], 2, "CRY-053"),
        (&["--key", "missing", "--output", "out", "sealed"], 125, "CRY-052"),
    ] {
        let place = place();
        // Two of age's pieces of 64 KiB and a last one of 100 bytes, which is cut off with its tag: what is left is
        // genuine, but not whole.
        place.file("long", &"x".repeat(2 * 65_536 + 100));
        place.expect(0, &["seal", "--recipient", "a.pub", "--output", "sealed", "plain"]);
        place.expect(0, &["seal", "--recipient", "a.pub", "--output", "sealed-long", "long"]);
        let (sealed, long) = (fs::read(place.path("sealed")).unwrap(), fs::read(place.path("sealed-long")).unwrap());
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        fs::write(place.path("changed"), changed).unwrap();
        fs::write(place.path("longer"), [&sealed[..], b"x"].concat()).unwrap();
        fs::write(place.path("cut"), &sealed[..sealed.len() - 20]).unwrap();
        fs::write(place.path("cut-early"), &sealed[..30]).unwrap();
        fs::write(place.path("cut-late"), &long[..long.len() - 116]).unwrap();
        place.file("empty", "");
        fs::copy(place.path("a"), place.path("exposed")).unwrap();
        fs::set_permissions(place.path("exposed"), fs::Permissions::from_mode(0o640)).unwrap();
        // However much of it the umask of whoever runs the tests takes.
        fs::set_permissions(place.path("a.pub"), fs::Permissions::from_mode(0o644)).unwrap();
        let before = place.names();
        let told = place.json(status, &[&["--json", "open"], words].concat());
        assert_eq!(told["error"]["code"], code, "{words:?}: {told}");
        assert_eq!(place.names(), before, "{words:?}");
        assert_eq!(fs::read_to_string(place.path("plain")).unwrap(), SECRET, "{words:?}");
    }
}

#[test]
fn a_failure_with_force_leaves_the_old_file_as_it_was() {
    let place = place();
    place.expect(0, &["seal", "--recipient", "a.pub", "--output", "sealed", "plain"]);
    place.file("old", "old");
    let before = place.names();
    place.expect(123, &["open", "--force", "--key", "b", "--output", "old", "sealed"]);
    place.expect(125, &["seal", "--force", "--recipient", "a.pub", "--output", "old", "missing"]);
    assert_eq!(fs::read_to_string(place.path("old")).unwrap(), "old");
    assert_eq!(place.names(), before);
}

#[test]
fn a_kill_in_the_middle_leaves_nothing() {
    let place = place();
    let mut child =
        place.command(&["seal", "--recipient", "a.pub", "--output", "out", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // More than a pipe holds: when this returns, the command has begun to write.
    input.write_all(&vec![7; 1 << 20]).unwrap();
    let before = place.names();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!before.contains(&"out".to_owned()));
    let left: Vec<_> = place.names().into_iter().filter(|name| name.starts_with(".hotcell")).collect();
    if !left.is_empty() {
        hotcell_testkit::skip!("this file system has no unnamed files");
    }
    assert_eq!(place.names(), before);
}

#[test]
fn the_age_program_opens_what_we_seal_and_we_open_what_it_seals() {
    require_program!("age");
    let place = place();
    place.expect(0, &["seal", "--recipient", "a.pub", "--output", "sealed", "plain"]);
    let age = |words: &[&str]| {
        let output = Command::new("age").args(words).current_dir(place.path(".")).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    assert_eq!(age(&["--decrypt", "--identity", "a", "sealed"]), SECRET);
    age(&["--recipients-file", "a.pub", "--output", "theirs", "plain"]);
    place.expect(0, &["open", "--key", "a", "--output", "opened", "theirs"]);
    assert_eq!(fs::read_to_string(place.path("opened")).unwrap(), SECRET);
    age(&["--armor", "--recipients-file", "a.pub", "--output", "armoured", "plain"]);
    place.expect(123, &["open", "--key", "a", "--output", "again", "armoured"]);
}
