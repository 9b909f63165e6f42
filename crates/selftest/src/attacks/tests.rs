//! The table itself.

use std::collections::BTreeSet;

use hotcell_types::Wall;

use super::*;
use crate::attack::Class;

/// What can hold an attack and is no wall of a profile.
const OTHERS: &[&str] = &["inspection", "teardown", "stream limit", "open files", "the kernel", "the processor"];

#[test]
fn there_are_more_than_a_hundred_and_fifty_mechanisms_and_each_class_has_an_attack() {
    let mechanisms: BTreeSet<_> = attacks().map(|attack| attack.mechanism).collect();
    let all = attacks().count();
    assert!(mechanisms.len() >= 150, "{} mechanisms in {all} attacks", mechanisms.len());
    println!("{} mechanisms in {all} attacks", mechanisms.len());
    for class in Class::ALL {
        assert!(attacks().any(|attack| attack.class == *class), "{}", class.label());
    }
}

#[test]
fn names_are_their_own_and_walls_are_known() {
    let mut names = BTreeSet::new();
    for attack in attacks() {
        assert!(names.insert(attack.name), "{} twice", attack.name);
        let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_".contains(letter);
        assert!(attack.name.chars().all(plain), "{}", attack.name);
        assert!(!attack.expected.is_empty(), "{}", attack.name);
        for (seen, wall) in attack.expected {
            assert!(wall.parse::<Wall>().is_ok() || OTHERS.contains(wall), "{}: {wall}", attack.name);
            assert!(!matches!(seen, Seen::Through | Seen::NoAnswer | Seen::Lacking), "{}: {seen}", attack.name);
        }
    }
}
