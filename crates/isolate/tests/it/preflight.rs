//! The preflight misses every wall that is left out.

use hotcell_isolate::{IsolateError, Omitted};
use hotcell_policy::Profile;
use hotcell_types::Wall;

use crate::harness::{run_with, spec};

/// The walls that can be left out one by one by any user.
const OMITTABLE: &[Wall] = &[
    Wall::PidNamespace,
    Wall::MountNamespace,
    Wall::NetworkNamespace,
    Wall::IpcNamespace,
    Wall::UtsNamespace,
    Wall::CgroupNamespace,
    Wall::ReadOnly,
    Wall::NoExec,
    Wall::Capabilities,
    Wall::Landlock,
    Wall::Seccomp,
    Wall::Descriptors,
    Wall::CoreDumps,
    Wall::PidsLimit,
];

#[test]
fn a_wall_that_is_left_out_is_missed_and_the_run_refused() {
    for wall in OMITTABLE {
        assert_missed(*wall, &[*wall]);
    }
    // Without this one only the capabilities of the sandbox's own users let the others be put up.
    assert_missed(Wall::NoNewPrivs, &[Wall::NoNewPrivs, Wall::Capabilities]);
}

#[test]
fn a_sandbox_that_runs_as_root_of_the_host_is_refused() {
    // Without its own users an ordinary user's sandbox has no right to build anything: the start itself fails.
    hotcell_testkit::require_root!();
    assert_missed(Wall::UserNamespace, &[Wall::UserNamespace]);
}

fn assert_missed(wall: Wall, omitted: &[Wall]) {
    // Not below /tmp, which inside is another folder.
    let state = tempfile::tempdir_in(hotcell_testkit::data_dir()).unwrap();
    let mut spec = spec(&["true"], state.path());
    spec.omitted = Omitted::dangerous_without(omitted);
    match run_with(spec, Profile::builtin("strict").unwrap(), &[]) {
        Err(IsolateError::WallsDown { observations }) => {
            assert!(observations.iter().any(|o| o.wall == wall), "{wall}: {observations:?}");
        }
        Err(error) => panic!("{wall}: {error}"),
        Ok(_) => panic!("{wall}: left out, and nobody missed it"),
    }
}

#[test]
fn a_program_that_can_leave_out_walls_carries_the_mark_of_it() {
    // Put together here, so that this test does not itself bring what it looks for.
    let mark = ["HOTCELL-DANGEROUS", "-WITHOUT-WALLS"].concat();
    let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(program.windows(mark.len()).any(|bytes| bytes == mark.as_bytes()));
}
