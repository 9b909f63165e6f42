//! Recipes of the project.
fn main() {}
