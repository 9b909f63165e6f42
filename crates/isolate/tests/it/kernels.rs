//! The core tests once more, on a stock kernel of Debian in an emulated machine: this very program runs there.

use hotcell_testkit::machine::Machine;

#[test]
fn the_core_tests_pass_on_linux_6_12_as_root_and_as_a_user() {
    hotcell_testkit::full_only!();
    let Some(drop_to) = hotcell_testkit::which("setpriv") else {
        hotcell_testkit::skip!("needs the program `setpriv`")
    };
    let mut machine = match Machine::new("6.12") {
        Ok(machine) => machine,
        Err(reason) => hotcell_testkit::skip!("{reason}"),
    };
    machine.program("/usr/bin/tests", &std::env::current_exe().unwrap()).unwrap();
    machine.program("/usr/bin/drop-to", &drop_to).unwrap();
    // What needs Python says that it is skipped; the rest needs a shell only.
    let run = "tests --test-threads 2 preflight:: walls:: teardown::no_process";
    let root = format!("mkdir -p /tmp/root; HOTCELL_TEST_DATA=/tmp/root {run}");
    let user = format!(
        "mkdir -p /tmp/user; chown user /tmp/user
         HOTCELL_TEST_DATA=/tmp/user HOME=/tmp/user drop-to --reuid 1000 --regid 1000 --clear-groups {run}"
    );
    let answers = machine.run(&[("kernel", "uname -r"), ("root", &root), ("user", &user)]).unwrap();
    assert!(answers["kernel"].text.contains("6.12."), "{:?}", answers["kernel"]);
    for who in ["root", "user"] {
        let answer = &answers[who];
        assert_eq!(answer.status, 0, "{who}\n{}", answer.text);
        let passed = answer.text.matches(" ... ok").count();
        assert!(passed >= 9, "{who}: {passed} tests\n{}", answer.text);
    }
}
