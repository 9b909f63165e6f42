//! What the types promise: each of these programs must not compile.

#[test]
fn grants_cannot_be_made_copied_serialised_or_used_twice() {
    // It compiles Cedar once more; the same promises stand as documentation tests of `Grant`.
    hotcell_testkit::full_only!();
    trybuild::TestCases::new().compile_fail("tests/refused/*.rs");
}
