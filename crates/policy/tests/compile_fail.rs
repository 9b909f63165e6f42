//! What the types promise: each of these programs must not compile.

#[test]
fn grants_cannot_be_made_copied_serialised_or_used_twice() {
    trybuild::TestCases::new().compile_fail("tests/refused/*.rs");
}
