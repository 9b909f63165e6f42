//! The life cycle of a task: submit, authorize, prepare, run, inspect, release, destroy, receipt.
