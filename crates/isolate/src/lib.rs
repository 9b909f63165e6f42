//! From a grant to a contained process, and back to nothing.
pub(crate) static LAUNCHER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/launcher"));
/// x
pub fn size() -> usize { LAUNCHER.len() }
