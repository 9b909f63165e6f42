//! The small static program that builds a sandbox from a plan and becomes its first process.
