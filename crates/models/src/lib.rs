//! Model formats and the inference runner that lives inside a sandbox.
