//! Model formats and the inference runner that lives inside a sandbox.
//!
//! A model is an ONNX file. Its bytes are foreign: [`Model::load`] reads them with hard bounds, so that a
//! length in the file can never ask for more memory than the file itself is worth. A model made of the
//! classical operators (`ai.onnx.ml`: trees, linear models, scalers, label maps, and the plain arithmetic
//! that exporters put around them) runs in an evaluator of ours; any other model is a network and runs in
//! `rten`. The same answer as Python onnxruntime, to 1e-5, is what the vectors under `testdata/` hold both to.
//!
//! [`runner_main`] is what happens inside the sandbox: it reads a table in batches, scores it and writes one
//! row for each row read, in the same order and in constant memory.
//!
//! Deliberately absent: files beside the model (external data is refused), model-local functions, any other
//! way to name a file than [`RunnerArgs`], environment variables, the network and the clock.

mod args;
mod classical;
mod error;
mod manifest;
mod model;
mod network;
mod onnx;
mod outputs;
mod runner;
pub mod scan;
mod signature;
mod table;
mod tensor;
mod wire;

pub use args::{RunnerArgs, RunnerArgsError};
pub use error::{ModelError, RunnerError};
pub use manifest::{Manifest, ManifestFile, scan_model};
pub use model::{Batch, Model, Output, Port, Predictions};
pub use outputs::{OutputColumn, Pick};
pub use runner::{PROGRESS_MARK, RunnerReport, runner_main, score};
pub use signature::{SignedModelError, TrustedKey, sign_manifest, verify_model};
pub use table::{TableError, TableFormat};
pub use tensor::{Data, ElementType, Tensor};
