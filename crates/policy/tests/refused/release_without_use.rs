//! A release under a grant that was never used.
fn release(engine: &hotcell_policy::Engine, grant: &hotcell_policy::Grant, item: hotcell_policy::ReleaseItem) {
    let _ = engine.decide_release(grant, item);
}
fn main() {}
