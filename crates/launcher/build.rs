//! Tells the crate that embeds the launcher where these sources are.
fn main() {
    println!("cargo::metadata=src={}", concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    println!("cargo::rerun-if-changed=src");
}
