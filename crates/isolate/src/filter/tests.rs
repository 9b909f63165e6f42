//! The filter as data: an interpreter of classic BPF asks it about every call.

use super::*;

const RULES: FilterRules<'static> = FilterRules {
    allowed: &[
        "read",
        "write",
        "close",
        "mmap",
        "mprotect",
        "clone",
        "ioctl",
        "prctl",
        "socket",
        "socketpair",
        "exit_group",
        "mknod",
        "mknodat",
        "personality",
        "openat",
        "futex",
        "statx",
        "getrandom",
    ],
    inet: false,
    write_xor_execute: false,
    unmerged: false,
    tsc: false,
    told: false,
};

/// What a filter answers: the interpreter of `Documentation/networking/filter.rst`, as far as seccomp needs it.
fn ask(filter: &Filter, architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let mut data = Vec::from(number.to_ne_bytes());
    data.extend(architecture.to_ne_bytes());
    data.extend(0u64.to_ne_bytes());
    data.extend(arguments.iter().flat_map(|argument| argument.to_ne_bytes()));
    let program: Vec<_> = filter
        .bytes()
        .chunks_exact(8)
        .map(|i| (u16::from_ne_bytes([i[0], i[1]]), i[2], i[3], u32::from_ne_bytes([i[4], i[5], i[6], i[7]])))
        .collect();
    let (mut at, mut accumulator) = (0, 0u32);
    loop {
        let (code, if_true, if_false, constant) = program[at];
        at += 1;
        let jump = |holds: bool| usize::from(if holds { if_true } else { if_false });
        match code {
            LOAD_WORD => {
                let place = constant as usize;
                accumulator = u32::from_ne_bytes(data[place..place + 4].try_into().unwrap());
            }
            AND => accumulator &= constant,
            JUMP => at += constant as usize,
            JUMP_EQUAL => at += jump(accumulator == constant),
            JUMP_AT_LEAST => at += jump(accumulator >= constant),
            RETURN => return constant,
            other => panic!("instruction {other:#x}"),
        }
    }
}

fn call(filter: &Filter, name: &str, arguments: [u64; 6]) -> u32 {
    ask(filter, ARCHITECTURE, name.parse::<Sysno>().unwrap().id() as u32, arguments)
}

const PERM: u32 = ERRNO | 1;
const NOSYS: u32 = ERRNO | 38;

#[test]
fn exactly_the_listed_calls_pass() {
    let filter = Filter::compile(&RULES).unwrap();
    let checked = ["clone", "ioctl", "prctl", "socket", "socketpair", "mknod", "mknodat", "personality"];
    for number in Sysno::iter() {
        let name = number.name();
        if checked.contains(&name) {
            continue;
        }
        let expected = match name {
            "clone3" => NOSYS,
            _ if RULES.allowed.contains(&name) => ALLOW,
            _ => PERM,
        };
        assert_eq!(ask(&filter, ARCHITECTURE, number.id() as u32, [0; 6]), expected, "{name}");
    }
}

/// AArch64, on whichever architecture the test runs.
const AARCH64: Architecture = Architecture {
    audit: 0xc000_00b7,
    number: |name| name.parse::<syscalls::aarch64::Sysno>().ok().map(|call| call.id() as u32),
    highest: || syscalls::aarch64::Sysno::iter().map(|call| call.id() as u32).max().unwrap_or(0),
};

#[test]
fn the_filter_for_aarch64_passes_the_calls_of_the_profiles_by_their_own_numbers_and_no_other() {
    for profile in hotcell_policy::Profile::BUILTIN {
        let profile = hotcell_policy::Profile::builtin(profile).unwrap();
        let allowed = profile.system_calls();
        let rules = FilterRules {
            allowed: &allowed,
            inet: false,
            write_xor_execute: false,
            unmerged: false,
            tsc: false,
            told: false,
        };
        let filter = Filter::compile_for(&AARCH64, &rules).unwrap();
        let checked = ["clone", "ioctl", "prctl", "socket", "socketpair", "mknodat", "personality"];
        let mut passing = 0;
        for call in syscalls::aarch64::Sysno::iter() {
            let answer = ask(&filter, AARCH64.audit, call.id() as u32, [0; 6]);
            let expected = match call.name() {
                name if checked.contains(&name) => continue,
                "clone3" => NOSYS,
                name if allowed.contains(&name) => ALLOW,
                _ => PERM,
            };
            assert_eq!(answer, expected, "{}", call.name());
            passing += usize::from(answer == ALLOW);
        }
        assert!(passing > 150, "{passing}");
        // The numbers of x86-64 mean other calls there, and its architecture is another one.
        assert_eq!(ask(&filter, 0xc000_003e, 0, [0; 6]), KILL_PROCESS);
        let number = |name| (AARCH64.number)(name).unwrap();
        for (name, arguments, expected) in [
            ("clone", [0x1200011, 0, 0, 0, 0, 0], ALLOW),
            ("clone", [0x1000_0000, 0, 0, 0, 0, 0], PERM),
            ("ioctl", [0, 0x5412, 0, 0, 0, 0], PERM),
            ("ioctl", [0, 0xffff_ffff_0000_5412, 0, 0, 0, 0], PERM),
            ("ioctl", [0, 0x5401, 0, 0, 0, 0], ALLOW),
            ("socket", [1, 1, 0, 0, 0, 0], ALLOW),
            ("socket", [2, 1, 0, 0, 0, 0], PERM),
            ("mknodat", [0, 0, 0o060644, 0, 0, 0], PERM),
        ] {
            assert_eq!(ask(&filter, AARCH64.audit, number(name), arguments), expected, "{name} {arguments:?}");
        }
        for name in ["ptrace", "mount", "unshare", "setns", "bpf", "keyctl", "io_uring_setup", "process_vm_readv"] {
            assert_eq!(ask(&filter, AARCH64.audit, number(name), [0; 6]), PERM, "{name}");
        }
    }
}

#[test]
fn other_architectures_kill_and_x32_numbers_are_refused() {
    let filter = Filter::compile(&RULES).unwrap();
    for architecture in [0x4000_0003, 0xc000_00b7 ^ 1, 0, ARCHITECTURE ^ 0x8000_0000] {
        assert_eq!(ask(&filter, architecture, 0, [0; 6]), KILL_PROCESS, "{architecture:#x}");
    }
    for number in [X32_BIT, X32_BIT | 39, X32_BIT | 512, u32::MAX] {
        assert_eq!(ask(&filter, ARCHITECTURE, number, [0; 6]), PERM, "{number:#x}");
    }
    assert_eq!(ask(&filter, ARCHITECTURE, 0x3fff_ffff, [0; 6]), NOSYS, "a call of the future");
}

#[test]
fn arguments_are_compared_in_32_bits() {
    let filter = Filter::compile(&RULES).unwrap();
    let high = 0xdead_beef_0000_0000;
    for (name, place, value, passes) in [
        ("clone", 0, 0x1200011, true),
        ("clone", 0, 0x1000_0000, false),
        ("clone", 0, 0x2000_0000, false),
        ("clone", 0, 0x4000_0000, false),
        ("clone", 0, 0x0002_0000, false),
        ("clone", 0, 0x0200_0000, false),
        ("clone", 0, 0x80, false),
        ("ioctl", 1, 0x5412, false),
        ("ioctl", 1, 0x541c, false),
        ("ioctl", 1, 0x5401, true),
        ("prctl", 0, 15, true),
        ("prctl", 0, 22, false),
        ("prctl", 0, 31, false),
        ("socket", 0, 1, true),
        ("socket", 0, 2, false),
        ("socket", 0, 10, false),
        ("socket", 0, 16, false),
        ("socket", 0, 40, false),
        ("socketpair", 0, 1, true),
        ("mknod", 1, 0o010644, true),
        ("mknod", 1, 0o020644, false),
        ("mknodat", 2, 0o060644, false),
        ("personality", 0, 0x0040_0000, false),
        ("personality", 0, 0xffff_ffff, true),
    ] {
        for value in [value, value | high] {
            let mut arguments = [0; 6];
            arguments[place] = value;
            let expected = if passes { ALLOW } else { PERM };
            assert_eq!(call(&filter, name, arguments), expected, "{name}({value:#x})");
        }
    }
}

#[test]
fn inet_sockets_and_executable_memory_are_a_choice() {
    let open = Filter::compile(&FilterRules { inet: true, ..RULES }).unwrap();
    let cloexec_nonblock = 0o2000000 | 0o4000;
    for (family, kind, protocol, passes) in [
        (1, 1, 0, true),
        (1, 5, 0, true),
        (2, 1, 0, true),
        (2, 2, 0, true),
        (2, 1, 6, true),
        (10, 2, 17, true),
        (10, 1 | cloexec_nonblock, 6, true),
        (2, 3, 0, false),
        (2, 3 | cloexec_nonblock, 1, false),
        (2, 3, 255, false),
        (2, 1, 262, false),
        (2, 1, 132, false),
        (2, 2, 1, false),
        (10, 2, 136, false),
        (2, 5, 0, false),
        (2, 6, 33, false),
        (16, 3, 0, false),
        (17, 3, 0, false),
        (40, 1, 0, false),
    ] {
        for high in [0, 0xdead_beef_0000_0000] {
            let answer = call(&open, "socket", [family | high, kind | high, protocol | high, 0, 0, 0]);
            assert_eq!(answer == ALLOW, passes, "socket({family}, {kind:#x}, {protocol})");
        }
    }
    assert_eq!(call(&open, "mmap", [0, 0, 7, 0, 0, 0]), ALLOW);
    let strict = Filter::compile(&FilterRules { write_xor_execute: true, ..RULES }).unwrap();
    assert_eq!(call(&strict, "mmap", [0, 0, 7, 0, 0, 0]), PERM);
    assert_eq!(call(&strict, "mmap", [0, 0, 5, 0, 0, 0]), ALLOW);
    assert_eq!(call(&strict, "mprotect", [0, 0, 5, 0, 0, 0]), PERM);
}

#[test]
fn a_name_that_is_no_call_is_refused() {
    let error = Filter::compile(&FilterRules { allowed: &["read", "raed"], ..RULES }).unwrap_err();
    assert!(error.to_string().contains("`raed`"), "{error}");
}

#[test]
fn long_filters_still_reach_their_answers() {
    // Every second call, so that nothing merges and the tree is as large as it can be.
    let names: Vec<_> = Sysno::iter().map(|call| call.name()).filter(|name| *name != "clone3").step_by(2).collect();
    let filter = Filter::compile(&FilterRules {
        allowed: &names,
        inet: false,
        write_xor_execute: true,
        unmerged: false,
        tsc: false,
        told: false,
    })
    .unwrap();
    for number in Sysno::iter() {
        let answer = ask(&filter, ARCHITECTURE, number.id() as u32, [u64::MAX; 6]);
        let refused = !names.contains(&number.name());
        assert_eq!(answer != ALLOW, refused || answer == PERM, "{}", number.name());
        assert!(!refused || answer != ALLOW, "{}", number.name());
    }
    assert!(filter.instructions() < 4096, "{}", filter.instructions());
}
