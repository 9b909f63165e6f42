//! The preflight misses every wall that is left out.

use hotcell_isolate::{IsolateError, Omitted};
use hotcell_policy::Profile;
use hotcell_types::Wall;

use crate::harness::{run_with, spec};

/// The walls that can be left out one by one. Without its own process ids a sandbox cannot even mount its
/// process file system, and without its own users or mounts it has no right to build anything: the start fails.
const OMITTABLE: &[Wall] = &[
    Wall::NetworkNamespace,
    Wall::IpcNamespace,
    Wall::UtsNamespace,
    Wall::CgroupNamespace,
    Wall::ReadOnly,
    Wall::NoExec,
    Wall::Capabilities,
    Wall::Landlock,
    Wall::Seccomp,
    Wall::CoreDumps,
];

#[test]
fn a_wall_that_is_left_out_is_missed_and_the_run_refused() {
    for wall in OMITTABLE {
        let state = tempfile::tempdir().unwrap();
        let mut spec = spec(&["true"], state.path());
        spec.omitted = Omitted::dangerous_without(&[*wall]);
        match run_with(spec, Profile::builtin("strict").unwrap(), &[]) {
            Err(IsolateError::WallsDown { observations }) => {
                assert!(observations.iter().any(|o| o.wall == *wall), "{wall}: {observations:?}");
            }
            Err(error) => panic!("{wall}: {error}"),
            Ok(_) => panic!("{wall}: left out, and nobody missed it"),
        }
    }
}
