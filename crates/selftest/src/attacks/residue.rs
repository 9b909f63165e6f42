//! What is left when a task is over.

use std::time::Duration;

use hotcell_sys::attempt::fork_by_clone;

use super::*;
use crate::attack::{Class::Residue, Judge, Place};

pub(super) static ATTACKS: &[Attack] = &[
    Attack::new("files-left", Residue, &[(Seen::Gone, "teardown")], &["openat"], |facts| {
        let left = ["/scratch", "/scratch/.shm", "/var/tmp"]
            .map(|folder| std::fs::write(format!("{folder}/{}", facts.text("token")), facts.text("token")));
        any(left.map(Seen::io))
    })
    .at(Place::Alone(&[], Judge::Residue)),
    Attack::new("groups-and-mounts-left", Residue, &[(Seen::Gone, "teardown")], &["clone"], |_| {
        // Processes that hold folders open, so that nothing can be removed while they live.
        for _ in 0..8 {
            if let Ok(0) = fork_by_clone(0) {
                let _held = std::fs::File::open("/scratch");
                std::thread::sleep(Duration::from_secs(600));
                hotcell_sys::process::exit(0)
            }
        }
        Seen::Through
    })
    .at(Place::Alone(&[], Judge::Residue)),
];
