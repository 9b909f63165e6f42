//! The way to the network, by real programs: a small internet is made in namespaces of its own, with one host that notes
//! everything that reaches it. The program under test is the one that is shipped; nothing of it is switched off.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use hotcell_testkit::{require_program, require_root};
use serde_json::Value;

use crate::hotcell::{Place, text};

/// Skips the test where the small internet cannot be made.
macro_rules! require_world {
    () => {
        require_root!();
        for program in ["ip", "unshare", "nsenter", "setpriv", "openssl", "curl", "wget", "python3"] {
            require_program!(program);
        }
    };
}

struct World {
    place: Place,
}

impl World {
    fn new() -> Self {
        let place = Place::new();
        let world = Self { place };
        for (name, content) in [("world.sh", include_str!("world.sh")), ("server.py", include_str!("server.py"))] {
            world.place.file(name, content);
        }
        let certificates = "
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem \
                -subj /CN=World -days 30 -addext basicConstraints=critical,CA:TRUE &&
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout leaf.key -out leaf.csr -subj /CN=host &&
            echo subjectAltName=DNS:api.example,DNS:other.example > names &&
            openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out leaf.pem -days 30 -extfile names";
        let made = Command::new("sh").arg("-c").arg(certificates).current_dir(world.folder()).output().unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
        // An ordinary user is to read and write here too.
        let all = fs::Permissions::from_mode(0o777);
        fs::set_permissions(world.folder(), all.clone()).unwrap();
        fs::set_permissions(world.folder().join("ca.pem"), fs::Permissions::from_mode(0o644)).unwrap();
        fs::create_dir_all(world.folder().join("states")).unwrap();
        fs::set_permissions(world.folder().join("states"), all).unwrap();
        world
    }

    fn folder(&self) -> PathBuf {
        self.place.path(".")
    }

    /// A shell script in this world, in which `hotcell_run` runs a task by this program.
    fn command(&self, user: &str, script: &str) -> Command {
        let folder = self.folder();
        let become_user = match user {
            "root" => String::new(),
            _ => "setpriv --reuid 65534 --regid 65534 --clear-groups".to_owned(),
        };
        let hotcell = env!("CARGO_BIN_EXE_hotcell");
        let state = folder.join("states").join(user);
        let script =
            format!("hotcell_run() {{ {become_user} {hotcell} --state {} run \"$@\"; }}\n{script}", state.display());
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "sh"]).arg(folder.join("world.sh")).arg(&folder);
        command.args(["sh", "-c", &script]).current_dir(&folder).stdin(Stdio::null());
        command.env("LC_ALL", "C.UTF-8").env("HOME", &folder).env_remove("XDG_STATE_HOME");
        command
    }

    fn run(&self, user: &str, script: &str) -> Output {
        let _ = fs::remove_file(self.folder().join("up"));
        self.command(user, script).output().unwrap()
    }

    /// What reached the host.
    fn seen(&self) -> String {
        text(&fs::read(self.folder().join("seen")).unwrap_or_default())
    }

    /// The particulars of all events of this kind.
    fn events(&self, user: &str, kind: &str) -> Vec<Value> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hotcell"));
        command.arg("--state").arg(self.folder().join("states").join(user)).args(["audit", "export"]);
        let output = command.env("HOME", self.folder()).output().unwrap();
        let lines = text(&output.stdout);
        let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone());
        events.filter(|event| event["kind"] == kind).map(|event| event["data"].clone()).collect()
    }
}

/// The two who run it.
const USERS: [&str; 2] = ["root", "nobody"];

#[test]
fn programs_reach_the_host_that_was_named_and_nothing_has_to_be_told_to_them() {
    require_world!();
    let world = World::new();
    world.place.file(
        "client.py",
        "import urllib.request, sys\n\
         answer = urllib.request.urlopen(urllib.request.Request('https://api.example/py', data=b'12345'))\n\
         sys.stdout.write(answer.read().decode())\n",
    );
    let script = "
        hotcell_run --egress api.example -- curl -sS https://api.example/a https://api.example/b -d hello
        hotcell_run --egress api.example -- curl -sS https://api.example/chunks
        hotcell_run --egress api.example -- curl -sS https://api.example/up -T - -H 'Expect: 100-continue' < /dev/null
        hotcell_run --egress api.example -- wget -q -O - https://api.example/wget
        hotcell_run --egress api.example --code . -- /usr/bin/python3 client.py
        hotcell_run --egress api.example:80 -- curl -sS http://api.example/plain
        hotcell_run --egress api.example,pass -- curl -sS https://api.example/passed
        hotcell_run --egress api.example --egress other.example,pass -- \
            curl -sS https://other.example/passed https://api.example/opened
        hotcell_run --egress api.example -- sh -c 'curl -sS https://api.example/large | wc -c'";
    for user in USERS {
        let output = world.run(user, script);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        for part in [
            "\"POST\", \"path\": \"/a\", \"host\": \"api.example\", \"bytes\": 5",
            "\"POST\", \"path\": \"/b\"",
            "\"GET\", \"path\": \"/chunks\"",
            "\"PUT\", \"path\": \"/up\"",
            "\"GET\", \"path\": \"/wget\"",
            "\"POST\", \"path\": \"/py\", \"host\": \"api.example\", \"bytes\": 5",
            "\"GET\", \"path\": \"/plain\"",
            "\"GET\", \"path\": \"/passed\", \"host\": \"api.example\"",
            "\"GET\", \"path\": \"/passed\", \"host\": \"other.example\"",
            "\"GET\", \"path\": \"/opened\"",
            "67108864",
        ] {
            assert!(out.contains(part), "{user}: {part}\n{out}\n{err}");
        }
        let requests = world.events(user, "egress-requested");
        let told: Vec<_> = requests.iter().map(|data| data["path"].as_str().unwrap()).collect();
        assert_eq!(told, ["/a", "/b", "/chunks", "/up", "/wget", "/py", "/plain", "/opened", "/large"], "{user}");
        let passed = world.events(user, "egress-connected").into_iter().filter(|data| data["form"] == "passed");
        assert_eq!(passed.map(|data| data["to"].clone()).collect::<Vec<_>>(), ["api.example:443", "other.example:443"]);
    }
}

#[test]
fn a_name_that_was_not_named_is_refused_at_once_with_the_option_that_would_permit_it() {
    require_world!();
    let world = World::new();
    for user in USERS {
        let output = world.run(user, "hotcell_run --egress api.example -- curl -sS https://other.example/");
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{err}");
        assert!(err.contains("refused: the name other.example was not resolved"), "{err}");
        assert!(err.contains("  to permit it: --egress other.example\n"), "{err}");
        let refused = world.events(user, "egress-refused");
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert_eq!(refused[0]["permit"], "--egress other.example");
        // With it, it is reached.
        let output = world.run(user, "hotcell_run --egress other.example -- curl -sS https://other.example/");
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

#[test]
fn the_host_that_tls_and_requests_mean_is_the_one_that_was_resolved() {
    require_world!();
    let world = World::new();
    world.place.file("unnamed.py", include_str!("unnamed.py"));
    for form in ["", ",pass"] {
        let script = format!(
            "hotcell_run --egress api.example{form} -- \
                 curl -sS --resolve other.example:443:198.18.1.1 https://other.example/
             hotcell_run --egress api.example{form} --code . -- /usr/bin/python3 unnamed.py"
        );
        let output = world.run("root", &script);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(err.contains("by TLS it means other.example"), "{err}");
        assert!(err.contains("to permit it: --egress other.example:443"), "{err}");
        assert!(
            out.contains("unnamed SSLError") && err.contains("it did not say, by TLS, whom it means"),
            "{out}{err}"
        );
        // A fatal alert: unrecognized_name.
        assert!(out.contains("plain 15030300020270") && err.contains("what it said is not TLS"), "{out}{err}");
        assert_eq!(world.seen(), "", "{form}");
    }
    let fronting = "hotcell_run --egress api.example -- curl -sS -H 'Host: other.example' https://api.example/front";
    let output = world.run("root", fronting);
    assert!(text(&output.stdout).contains("its Host is not the host of the connection"), "{}", text(&output.stderr));
    assert_eq!(world.seen(), "");
    // Where what goes there passes unopened, nobody reads it: which the receipt says.
    let output = world.run("root", &fronting.replace("api.example --", "api.example,pass --"));
    assert!(text(&output.stdout).contains("\"host\": \"other.example\""), "{}", text(&output.stderr));
    assert!(world.seen().contains("GET /front"));
}

#[test]
fn a_request_that_can_be_read_in_two_ways_is_refused_and_nothing_of_it_leaves() {
    require_world!();
    let world = World::new();
    world.place.file("smuggle.py", include_str!("smuggle.py"));
    let output = world.run("root", "hotcell_run --egress api.example --code . -- /usr/bin/python3 smuggle.py");
    assert_eq!(text(&output.stdout), "HTTP/1.1 400\n".repeat(19) + "all\n", "{}", text(&output.stderr));
    assert_eq!(world.seen(), "");
}

#[test]
fn personal_data_does_not_leave_in_requests_where_the_profile_has_them_inspected() {
    require_world!();
    let world = World::new();
    let profile = "name = \"looked-at\"\nextends = \"strict\"\n[inspection]\ndetectors = \"refuse\"\n";
    world.place.file("looked-at.toml", profile);
    let (card, encoded) = ("4111111111111111", "NDExMTExMTExMTExMTExMQ==");
    let run = |options: &str, curl: &str| {
        let script = format!("hotcell_run {options} --egress api.example -- curl -sS {curl}");
        let output = world.run("root", &script);
        (text(&output.stdout), text(&output.stderr))
    };
    let attempts = [
        format!("-d 'card {card}' https://api.example/pay"),
        format!("-d 'card {encoded}' https://api.example/pay"),
        format!("'https://api.example/pay?card={card}'"),
        format!("-H 'X-Note: card {card}' https://api.example/pay"),
    ];
    let (out, err) = run("--profile looked-at.toml", "-d 'twelve loaves of bread' https://api.example/order");
    assert!(out.contains("\"path\": \"/order\"") && world.seen().contains("twelve loaves"), "{out}{err}");
    for attempt in &attempts {
        let (out, err) = run("--profile looked-at.toml", attempt);
        assert!(out.contains("bank-card") && err.contains("bank-card"), "{attempt}: {out}{err}");
        assert!(!out.contains(card) && !err.contains(card), "{attempt}: {out}{err}");
        assert!(!world.seen().contains(card) && !world.seen().contains(encoded), "{attempt}: {}", world.seen());
    }
    for attempt in &attempts {
        let (out, err) = run("", attempt);
        assert!(out.contains("\"path\": \"/pay"), "{attempt}: {out}{err}");
    }
    assert!(world.seen().contains(card) && world.seen().contains(encoded), "{}", world.seen());
    // What passes unopened would be judged by nobody.
    let (_, err) = run("--profile looked-at.toml --egress other.example,pass", "https://api.example/");
    assert!(err.contains("`other.example:443,pass` would not be opened"), "{err}");
}

#[test]
fn something_of_an_input_does_not_leave_in_requests_whatever_it_is_packed_in() {
    require_world!();
    let world = World::new();
    let note = "The patient was seen on Tuesday for a persistent cough; she is allergic to penicillin.\n";
    world.place.file("note.txt", note);
    world.place.file("table.csv", &prints_table());
    for (name, rule) in [("held", "refuse"), ("free", "off")] {
        let profile = format!("name = \"{name}\"\nextends = \"strict\"\n[inspection]\nfingerprints = \"{rule}\"\n");
        world.place.file(&format!("{name}.toml"), &profile);
    }
    world.place.file("send.py", include_str!("send.py"));
    let run = |profile: &str, options: &str, how: &str| {
        let _ = fs::remove_file(world.folder().join("seen"));
        let script = format!(
            "hotcell_run --profile {profile}.toml --egress api.example {options} --input note=note.txt \
             --input table=table.csv --code . -- /usr/bin/python3 send.py {how}"
        );
        let output = world.run("root", &script);
        (text(&output.stdout), text(&output.stderr))
    };
    let (out, err) = run("held", "", "harmless");
    assert!(out.contains("200") && world.seen().contains("POST /harmless"), "{out}{err}");
    for how in ["plain", "base64", "gzip", "split", "record", "target"] {
        let (out, err) = run("held", "", how);
        assert!(out.contains("403") && out.contains("[NET-004]") && err.contains("[NET-004]"), "{how}: {out}{err}");
        assert!(!err.contains("penicillin") && !world.seen().contains("penicillin"), "{how}: {err}");
        assert!(!world.seen().contains(&format!("/{how}")), "{how}: {}", world.seen());
        // With that control off it leaves.
        let (out, err) = run("free", "", how);
        assert!(out.contains("200") && world.seen().contains(&format!("/{how}")), "{how}: {out}{err}");
    }
    let coded = world.events("root", "egress-refused").into_iter().filter(|data| data["code"] == "NET-004").count();
    assert_eq!(coded, 6);
    // What passes unopened would be held against nothing.
    let (_, err) = run("held", "--egress other.example,pass", "harmless");
    assert!(err.contains("`other.example:443,pass` would not be opened"), "{err}");
}

/// A table whose records are rare.
fn prints_table() -> String {
    let row = |n: u32| format!("P{:08},{},{},K{}\n", n * 7919, 20_000_000 + n * 31, n * 104_729, n * 15_485);
    std::iter::once("id,phone,account,card\n".to_owned()).chain((1..5000).map(row)).collect()
}

#[test]
fn no_address_can_be_reached_but_those_that_stand_for_hosts() {
    require_world!();
    let world = World::new();
    world.place.file("addresses.py", include_str!("addresses.py"));
    let script = "hotcell_run --egress api.example --code . -- /usr/bin/python3 addresses.py";
    for user in USERS {
        let output = world.run(user, script);
        let expected = ["ENETUNREACH"; 5].into_iter().chain(["ECONNREFUSED"; 3]).chain(["reached"]);
        let expected: String = expected.map(|line| format!("{line}\n")).collect();
        assert_eq!(text(&output.stdout), expected, "{user}: {}", text(&output.stderr));
    }
    // Without a host to reach, as ever: nothing but itself.
    let output = world.run("root", &script.replace("--egress api.example", ""));
    assert_eq!(text(&output.stdout), "ENETUNREACH\n".repeat(9), "{}", text(&output.stderr));
    assert_eq!(world.seen(), "");
}

#[test]
fn a_name_that_leads_to_an_address_of_no_host_on_the_internet_is_not_dialled() {
    require_world!();
    let world = World::new();
    for (name, why) in [
        ("rebound.example", "its address 127.0.0.1 is not dialled: this machine"),
        ("metadata.example", "its address 169.254.169.254 is not dialled"),
        ("private.example", "its address 10.0.0.1 is not dialled: a private network"),
        ("own.example", "its address 93.184.216.1 is not dialled: an address of this machine"),
        ("absent.example", "the name is not resolved"),
    ] {
        let script = format!("hotcell_run --egress {name} -- curl -sS https://{name}/");
        let output = world.run("root", &script);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(err.matches(why).count(), 1, "{name}: {err}");
        assert!(out.contains(why), "the program is told too: {out}");
    }
    assert_eq!(world.seen(), "");
}

#[test]
fn a_host_that_does_not_prove_to_be_the_one_gets_no_request() {
    require_world!();
    let world = World::new();
    let output = world.run("root", "hotcell_run --egress wrong.example -- curl -sS https://wrong.example/secret");
    assert!(text(&output.stdout).contains("its TLS was refused"), "{}", text(&output.stderr));
    assert!(!world.seen().contains("/secret"));
}

#[test]
fn what_left_counts_though_the_host_keeps_the_connection_open_and_the_workload_is_gone() {
    require_world!();
    let world = World::new();
    world.place.file("leave.py", include_str!("leave.py"));
    for form in ["", ",pass"] {
        let script = format!("hotcell_run --json --egress api.example{form} --code . -- /usr/bin/python3 leave.py");
        let output = world.run("root", &script);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let host = &report["egress"]["hosts"][0];
        assert!(host["bytes_out"].as_u64().unwrap() >= 100_000, "{form}: {report}");
        assert!(report["capacity_bits"].as_f64().unwrap() >= 800_000.0, "{form}: {report}");
    }
}

#[test]
fn when_the_gateway_is_killed_nothing_leaves_any_more_and_nothing_opens() {
    require_world!();
    let world = World::new();
    world.place.file(
        "twice.sh",
        "curl -sS https://api.example/before; echo asked; read _\n\
         curl -sS --max-time 20 https://api.example/after || echo failed\n\
         curl -sS --max-time 20 --resolve api.example:443:198.18.1.1 https://api.example/after || echo failed\n",
    );
    for process in ["hotcell-gateway", "hotcell-broker"] {
        let _ = fs::remove_file(world.folder().join("up"));
        let mut command = world.command("root", "hotcell_run --stdin --egress api.example --code . -- sh twice.sh");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while lines.next().unwrap().unwrap() != "asked" {}
        let killed = descendants(child.id()).into_iter().filter(|pid| name_of(*pid) == process).collect::<Vec<_>>();
        assert_eq!(killed.len(), 1, "{process}");
        let status = Command::new("kill").args(["-9", &killed[0].to_string()]).status().unwrap();
        assert!(status.success());
        while fs::read_to_string(format!("/proc/{}/stat", killed[0])).is_ok_and(|stat| !stat.contains(") Z ")) {
            std::thread::yield_now();
        }
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        let rest: Vec<_> = lines.map(Result::unwrap).filter(|line| line == "failed").collect();
        assert_eq!(rest.len(), 2, "{process}");
        child.wait().unwrap();
        assert!(!world.seen().contains("/after"));
    }
    assert_eq!(world.events("root", "egress-lost").len(), 2);
}

/// All processes below this one.
fn descendants(of: u32) -> Vec<u32> {
    let children = |of: u32| {
        let text = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
        text.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>()
    };
    let mut all = children(of);
    let mut at = 0;
    while at < all.len() {
        let more = children(all[at]);
        all.extend(more);
        at += 1;
    }
    all
}

/// The name by which a process was started.
fn name_of(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(line.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

#[test]
fn a_task_file_reaches_only_hosts_that_its_user_names() {
    let place = Place::new();
    place.file("task.toml", "command = [\"true\"]\n[[rights]]\naccess = [\"CONNECT\"]\nhost = \"api.example\"\n");
    let refused = place.output(&["run", "--dry-run", "--task", "task.toml"]);
    let err = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(121), "{err}");
    assert!(err.contains("CONNECT over api.example:443") && err.contains("--egress api.example:443"), "{err}");
    let allowed = place.expect(0, &["run", "--json", "--dry-run", "--task", "task.toml", "--egress", "api.example"]);
    let dry: Value = serde_json::from_str(&allowed).unwrap();
    let hosts = dry["rights"].as_array().unwrap().iter().filter(|right| right["over"] == "api.example:443");
    let hosts: Vec<_> = hosts.collect();
    assert_eq!(hosts.len(), 1);
    assert_eq!((&hosts[0]["access"][0], &hosts[0]["kind"]), (&"CONNECT".into(), &"host".into()));
    for wrong in ["127.0.0.1", "localhost", "*.example", "api.example:0", "api.example,open", ""] {
        let output = place.output(&["run", "--egress", wrong, "--", "true"]);
        assert_eq!(output.status.code(), Some(2), "{wrong}: {}", text(&output.stderr));
    }
    let infer = place.output(&["run", "--profile", "infer", "--egress", "api.example", "--", "true"]);
    assert_eq!(infer.status.code(), Some(121), "{}", text(&infer.stderr));
}

#[test]
fn requests_beyond_the_rule_of_their_host_do_not_reach_it_and_without_the_rule_they_do() {
    require_world!();
    let world = World::new();
    let script = "curl -sS https://api.example/v1/a https://api.example/v2/b; curl -sS -d x https://api.example/v1/c; \
                  curl -sS --path-as-is https://api.example/v1/../d; true";
    let task = |rules: &str| {
        format!(
            "command = [\"sh\", \"-c\", {script:?}]\n[[rights]]\naccess = [\"CONNECT\"]\nhost = \"api.example\"\n{rules}"
        )
    };
    world.place.file("limited.toml", &task("methods = [\"GET\"]\npaths = [\"/v1/*\"]\n"));
    world.place.file("free.toml", &task(""));
    let output = world.run("root", "hotcell_run --json --egress api.example --task limited.toml");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["egress"]["hosts"][0]["requests_limited"], true, "{report}");
    // What went where stands in a row of its own for each host.
    let mut show = Command::new(env!("CARGO_BIN_EXE_hotcell"));
    show.arg("--state").arg(world.folder().join("states/root")).arg("show").arg(report["task"].as_str().unwrap());
    let shown = text(&show.env("HOME", world.folder()).output().unwrap().stdout);
    let row = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = row.filter(|row| row.first() == Some(&"api.example:443")).collect::<Vec<_>>();
    assert_eq!(row.len(), 1, "{shown}");
    assert_eq!((&row[0][1..3], row[0][3], row[0].last()), (&["opened,", "limited"][..], "1", Some(&"3")), "{row:?}");
    let seen = world.seen();
    assert!(
        seen.contains("GET /v1/a") && !seen.contains("/v2/b") && !seen.contains("/c") && !seen.contains("/d"),
        "{seen}"
    );
    world.run("root", "hotcell_run --egress api.example --task free.toml");
    let seen = world.seen();
    assert!(seen.contains("/v2/b") && seen.contains("POST /v1/c") && seen.contains("/d"), "{seen}");
}

#[test]
fn gateway_and_broker_have_bounds_of_their_own_and_connections_beyond_theirs_wait_for_room() {
    require_world!();
    let world = World::new();
    world.place.file("many.py", include_str!("many.py"));
    let mut command =
        world.command("root", "hotcell_run --stdin --egress api.example --code . -- /usr/bin/python3 many.py");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let before: Vec<_> = lines.by_ref().map(Result::unwrap).take_while(|line| line != "open").collect();
    assert_eq!(before, ["waits"]);
    for name in ["hotcell-gateway", "hotcell-broker"] {
        let pid = descendants(child.id()).into_iter().find(|pid| name_of(*pid) == name).unwrap();
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let most = |of: &str| {
            let line = limits.lines().find(|line| line.starts_with(of)).unwrap();
            line[of.len()..].split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        assert!(most("Max data size") <= 4 << 30 && most("Max open files") <= 1024, "{name}: {limits}");
        assert_eq!((most("Max file size"), most("Max core file size"), most("Max msgqueue size")), (0, 0, 0), "{name}");
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().count();
        assert!(threads <= 260, "{name}: {threads}");
    }
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert_eq!(rest, ["200"]);
    assert!(child.wait().unwrap().success());
    assert!(world.seen().contains("GET /last"));
}

#[test]
fn an_event_comes_while_its_stream_goes_on_and_a_client_that_waits_for_a_word_gets_it() {
    require_world!();
    let world = World::new();
    // The host sends one event and never ends; the client sends its body after `100 Continue` only, within the test at least.
    let script = "
        hotcell_run --egress api.example -- sh -c '{ curl -sN https://api.example/events & } | head -1'
        hotcell_run --egress api.example -- sh -c 'head -c 2000000 /dev/zero | curl -sS --expect100-timeout 3600 \
            -H \"Expect: 100-continue\" -T - https://api.example/waits'";
    for user in USERS {
        let output = world.run(user, script);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(out.contains("data: first"), "{user}: {out}{err}");
        assert!(
            out.contains("\"PUT\", \"path\": \"/waits\", \"host\": \"api.example\", \"bytes\": 2000000"),
            "{user}: {out}{err}"
        );
    }
}
