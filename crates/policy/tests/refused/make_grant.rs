//! A grant by hand.
fn main() {
    let _ = hotcell_policy::Grant { terms: todo!(), expires: hotcell_types::Timestamp(0) };
}
