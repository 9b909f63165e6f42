//! Decides once and says how long it took from nothing: `cargo run --release -p hotcell-policy --example decide`.

use std::time::Instant;

use hotcell_policy::{Decision, Engine, Principal, Profile, Request, Runner};
use hotcell_types::{GrantId, TaskId, Timestamp};

fn main() {
    for round in ["cold", "warm"] {
        let start = Instant::now();
        let profile = match Profile::builtin("strict") {
            Ok(profile) => profile,
            Err(error) => return println!("{error}"),
        };
        let read = start.elapsed();
        let request = Request {
            grant: GrantId::from_bytes([0; 10]),
            task: TaskId::from_bytes([0; 10]),
            now: Timestamp(0),
            principal: Principal { id: "local:1000".to_owned(), local: true, roles: Vec::new() },
            owner: "local:1000".to_owned(),
            purpose: String::new(),
            profile,
            isolation: "process".to_owned(),
            runner: Runner::Command,
            shown: Default::default(),
            best_effort: Default::default(),
            image: None,
            model: None,
            datasets: Vec::new(),
            inputs_owned: true,
            recipients: Vec::new(),
            role: None,
        };
        let start = Instant::now();
        let decision = Engine::default().decide(request);
        let decided = start.elapsed();
        match decision {
            Decision::Allow(grant) => println!("{round}: allowed by {}", grant.rules().join(", ")),
            Decision::Deny(denial) => println!("{round}: {denial}"),
        }
        println!("{round}: profile {read:?}, decision {decided:?}");
    }
}
