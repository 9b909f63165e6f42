//! A second grant from a first.
fn twice(grant: hotcell_policy::Grant) -> (hotcell_policy::Grant, hotcell_policy::Grant) {
    (grant.clone(), grant)
}
fn main() {}
