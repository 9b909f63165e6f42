//! A release that nobody decided.
fn main() {
    let _ = hotcell_policy::ReleaseGrant { grant: todo!(), item: todo!(), rules: Vec::new(), obligations: todo!() };
}
