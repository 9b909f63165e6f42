//! `hotcell keygen`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hotcell_testkit::require_program;

use crate::hotcell::{Place, text};

#[test]
fn a_new_key_is_for_its_owner_alone_and_its_public_part_is_printed() {
    for (options, start) in [(&[][..], "age1"), (&["--signing"][..], "hotcell-verify1")] {
        let place = Place::new();
        let printed = place.expect(0, &[&["keygen", "--output", "my.key"], options].concat());
        assert!(printed.starts_with(start) && printed.ends_with('\n') && printed.lines().count() == 1, "{printed}");
        assert_eq!(fs::read_to_string(place.path("my.key.pub")).unwrap(), printed);
        let mode = fs::metadata(place.path("my.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert!(!place.state().exists(), "a key pair needs no state");
    }
}

#[test]
fn as_json_the_names_and_the_public_key_are_told_and_no_secret() {
    let place = Place::new();
    let told = place.json(0, &["--json", "keygen", "--output", "k"]);
    let public = fs::read_to_string(place.path("k.pub")).unwrap();
    assert_eq!(told["public_key"], public.trim());
    assert_eq!(
        (&told["kind"], &told["file"], &told["public_file"]),
        (&"encryption".into(), &"k".into(), &"k.pub".into())
    );
    assert!(!told.to_string().contains("SECRET"));
}

#[test]
fn a_key_never_replaces_a_file_and_leaves_nothing_where_it_fails() {
    for (there, output) in [("k", "k"), ("k.pub", "k")] {
        let place = Place::new();
        place.file(there, "precious");
        let told = place.json(2, &["--json", "keygen", "--output", output]);
        assert_eq!(told["error"]["code"], "CRY-050");
        assert_eq!(fs::read_to_string(place.path(there)).unwrap(), "precious");
        assert_eq!(place.names(), [there]);
    }
    let place = Place::new();
    let told = place.json(125, &["--json", "keygen", "--output", "no/such/folder/k"]);
    assert_eq!(told["error"]["code"], "CRY-051");
}

#[test]
fn age_knows_the_public_part_of_our_key() {
    require_program!("age-keygen");
    let place = Place::new();
    let printed = place.expect(0, &["keygen", "--output", "k"]);
    let theirs = std::process::Command::new("age-keygen").arg("-y").arg(place.path("k")).output().unwrap();
    assert_eq!(text(&theirs.stdout), printed);
}
