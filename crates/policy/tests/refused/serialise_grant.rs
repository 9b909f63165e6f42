//! A grant that travels.
fn travel(grant: &hotcell_policy::Grant) -> String {
    serde_json::to_string(grant).unwrap()
}
fn main() {}
