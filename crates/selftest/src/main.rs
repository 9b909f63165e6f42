//! The attacker by itself, for tests that take walls away.

use std::process::ExitCode;

fn main() -> ExitCode {
    hotcell_selftest::inside::main(std::env::args_os().skip(1))
}
