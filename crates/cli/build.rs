//! Links the program with the entry point of `hotcell-sys`, where there is one.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let of = |name: &str| std::env::var(name).unwrap_or_default();
    // The entry point reads the program header of a static position-independent program.
    let is_static = of("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "crt-static");
    if of("CARGO_CFG_TARGET_ARCH") == "x86_64" && of("CARGO_CFG_TARGET_ENV") == "gnu" && is_static {
        println!("cargo::rustc-link-arg-bins=-Wl,--undefined=hotcell_entry,--entry=hotcell_entry");
    }
}
