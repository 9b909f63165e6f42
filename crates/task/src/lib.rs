//! The life cycle of a task: submit, authorize, prepare, run, inspect, release, destroy, receipt.
//!
//! [`run_task`] is the only way through. Each step consumes what the one before it made: the sandbox a grant in
//! use, the release an inspected output, the receipt what was destroyed. Each step is in the audit log before it
//! is acted on; two of these writes wait for the disk: the one before the workload starts, and the receipt.
//!
//! INVARIANT (nothing-half-released): files reach the output folder only after every one of them was inspected
//! and permitted, each whole; where one is refused, none leaves.
//!
//! Deliberately absent: the command line, printing, the environment and the date, which the caller brings.

mod denials;
mod error;
mod fields;
mod file;
mod image;
mod inputs;
mod journey;
mod judge;
mod keys;
mod model;
mod network;
mod observe;
mod policy;
mod prints;
mod receipt;
mod registry;
mod release;
mod running;
mod spec;
mod store;
mod streams;
mod submit;
mod views;

pub use error::TaskError;
pub use file::parse_task_file;
pub use hotcell_isolate::RefusedCall;
pub use image::image_store;
pub use journey::{Context, Problem, ReleasedStream, TaskReport, run_task};
pub use keys::{open_log, personal_keys, read_or_create_signing_key};
pub use observe::{Observer, ProgressFilter, Silent, Step};
pub use policy::{
    InForce, PolicyFileError, bundle_policy, install_policy, policy_in_force, read_policy, read_policy_folder,
};
pub use registry::{
    AddModel, AddStep, Added, Keeper, ModelState, RegisteredModel, RegistryError, add_model, approved_model,
    change_model, find_model, list_models, read_manifest, remove_model, verify_registered,
};
pub use running::{RunningTask, cancel_task, running_tasks};
pub use spec::{ImageSpec, ModelSpec, RunnerSpec, TaskInput, TaskSpec, Work};
pub use store::{TaskFolder, read_receipt};
pub use submit::{DryImage, DryRun, dry_run};
