//! The public interface: agreement with Python onnxruntime, hostile models, whole runs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod formats;
mod hostile;
mod pickles;
mod runs;
mod vectors;
