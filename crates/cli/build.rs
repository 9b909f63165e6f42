//! Links the program for a fixed address: it then begins without relocating itself.
//!
//! Most of what a position-independent program of this size would relocate (39,000 places in 170 pages) is never
//! looked at by a command that starts a sandbox. Stack, heap and mappings keep their random addresses.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let of = |name: &str| std::env::var(name).unwrap_or_default();
    let is_static = of("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "crt-static");
    if of("CARGO_CFG_TARGET_OS") == "linux" && of("CARGO_CFG_TARGET_ENV") == "gnu" && is_static {
        println!("cargo::rustc-link-arg-bins=-static");
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
