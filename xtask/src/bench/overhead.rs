//! Scoring a million rows inside a sandbox and the same runner on the same rows outside.
