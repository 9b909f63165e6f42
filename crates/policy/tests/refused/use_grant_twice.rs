//! One grant, two tasks.
fn twice(grant: hotcell_policy::Grant, now: hotcell_types::Timestamp) {
    let _first = grant.begin(now);
    let _second = grant.begin(now);
}
fn main() {}
