//! The launcher as a program of its own: built by the crate that embeds it, not by cargo.
#![no_std]
#![no_main]

use hotcell_sys as _; // its entry point, panic handler and memory functions

#[unsafe(no_mangle)]
extern "C" fn hotcell_main() -> ! {
    hotcell_launcher::main()
}
