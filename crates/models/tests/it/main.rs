//! The public interface: agreement with Python onnxruntime, hostile models, whole runs.

mod hostile;
mod runs;
mod vectors;
