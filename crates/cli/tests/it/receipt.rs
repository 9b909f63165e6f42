//! `hotcell receipt verify`.

use std::fs;
use std::process::Command;

use hotcell_audit::receipt::issue;
use hotcell_task::open_log;
use hotcell_testkit::{have_program, skip};
use hotcell_types::{
    Bits, Destroyed, Digest, Enforcement, GrantId, InputRecord, LimitRecord, ModelRecord, Observation, Outcome,
    OutputRecord, PolicyRecord, ReceiptBody, Refusal, RightRecord, StreamRecord, TaskId, Timestamp, Wall,
    WorkloadRecord,
};

use crate::hotcell::{Place, text};

fn observation(wall: Wall, enforcement: Enforcement) -> Observation {
    let (tried, expected, seen) = ("socket".to_owned(), "EPERM".to_owned(), "EPERM".to_owned());
    Observation { wall, tried, expected, seen, holds: true, enforcement }
}

/// A receipt with something under each heading; the strings that a stranger may choose try to command the terminal.
fn body() -> ReceiptBody {
    let partial = Enforcement::Partial { missing: "watched every 50 ms".into() };
    ReceiptBody {
        task: TaskId::from_bytes([7; 10]),
        hotcell_version: "0.1.0".into(),
        outcome: Outcome::Released,
        exit_status: Some(0),
        submitted: Timestamp(1_000),
        started: Some(Timestamp(2_000)),
        ended: Timestamp(3_500),
        principal: "local:1000".into(),
        purpose: "second\x1b[2J opinion".into(),
        policy: PolicyRecord {
            grant: GrantId::from_bytes([8; 10]),
            rules: vec!["run-local".into()],
            policy_digest: Digest([1; 32]),
            profile: "infer".into(),
            profile_digest: Digest([2; 32]),
        },
        isolation: "process".into(),
        caveats: vec!["not protected from the user who ran it".into()],
        rights: vec![RightRecord {
            access: vec!["READ".into()],
            kind: "path".into(),
            over: "/input/patients".into(),
            walls: vec![Wall::MountNamespace],
        }],
        walls: vec![observation(Wall::Seccomp, Enforcement::Full), observation(Wall::MemoryLimit, partial)],
        best_effort: vec!["landlock".into()],
        limits: vec![LimitRecord {
            name: "memory".into(),
            limit: "512 MiB".into(),
            used: Some("20 MiB".into()),
            enforcement: "full".into(),
            reached: false,
        }],
        workload: WorkloadRecord {
            kind: "command".into(),
            command: vec!["python3".into(), "x.py".into()],
            digest: None,
        },
        image: None,
        model: Some(ModelRecord {
            id: "example/scorer".into(),
            version: Some(3),
            sealed: true,
            digest: Digest([3; 32]),
            signer: Some("hotcell-verify1vendor".into()),
        }),
        inputs: vec![InputRecord { name: "data".into(), bytes: 99, files: 2, commitment: Some(Digest([4; 32])) }],
        outputs: vec![OutputRecord {
            path: "scores\n.csv".into(),
            bytes: 10,
            digest: Digest([5; 32]),
            form: "canonical".into(),
            rows: Some(3),
            capacity: Bits(36.5),
            recipients: vec!["age1customer".into()],
        }],
        streams: vec![StreamRecord { name: "stdout".into(), bytes: 12, disposition: "withheld".into() }],
        capacity: Bits(36.5),
        egress: None,
        refusals: vec![Refusal { code: "INS-303".into(), what: "the stream holds values of the input".into() }],
        destroyed: vec![Destroyed { what: "processes".into(), how: "killed and reaped".into() }],
    }
}

/// A place with a receipt `r` of the Hotcell whose public key is `signer.pub`, and the key of another.
fn place() -> Place {
    let place = Place::new();
    let log = open_log(&place.state(), "0.0.0", Timestamp(0)).unwrap();
    fs::write(place.path("r"), issue(&log, &body(), Timestamp(4_000), &[]).unwrap().as_bytes()).unwrap();
    fs::copy(place.state().join("keys/signing.key.pub"), place.path("signer.pub")).unwrap();
    place.expect(0, &["keygen", "--signing", "--output", "other"]);
    place
}

#[test]
fn an_intact_receipt_of_the_trusted_signer_is_shown_with_the_checks_it_passed() {
    let place = place();
    let told = place.expect(0, &["receipt", "verify", "r", "--trust", "signer.pub"]);
    for part in [
        "task        t-",
        "released; the workload exited with 0",
        "local:1000",
        "second\\u{1b}[2J opinion",
        "1970-01-01T00:00:02.000Z to 1970-01-01T00:00:03.500Z (1.500 s",
        "infer (sha256:0202",
        "run-local (g-",
        "1 of 2 observations saw a wall stand in full: seccomp",
        "memory-limit in part: watched every 50 ms",
        "landlock, by --best-effort",
        "memory 512 MiB, used 20 MiB (full)",
        "python3 x.py",
        "example/scorer version 3, sealed, signed by hotcell-verify1vendor",
        "data: 2 files, 99 bytes, commitment sha256:0404",
        "scores\\n.csv: 10 bytes, 3 rows, canonical, at most 37 bits, sealed to age1customer",
        "stdout: 12 bytes, withheld",
        "at most 37 bits left",
        "the stream holds values of the input [INS-303]",
        "processes: killed and reaped",
        "not protected from the user who ran it",
        "checked: the entry is in the log",
        "(the trusted key)",
        "unwitnessed",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert!(!told.contains('\x1b'));
}

#[test]
fn as_json_everything_is_there() {
    let place = place();
    let told = place.json(0, &["--json", "receipt", "verify", "r", "--trust", "signer.pub"]);
    assert_eq!(told["receipt"], serde_json::to_value(body()).unwrap());
    assert_eq!((&told["trusted"], &told["witnessed"]), (&true.into(), &"unwitnessed".into()));
    assert_eq!(told["signer"], fs::read_to_string(place.path("signer.pub")).unwrap().trim());
    assert!(told.get("error").is_none());
}

#[test]
fn without_a_key_to_trust_all_is_shown_and_the_answer_is_no() {
    let place = place();
    let output = place.output(&["receipt", "verify", "r"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("(unknown signer)"));
    let told = text(&output.stderr);
    assert!(told.contains("signature intact, signer unknown") && told.contains("AUD-201") && told.contains("--trust"));
    let told = place.json(1, &["--json", "receipt", "verify", "r"]);
    assert_eq!((&told["trusted"], &told["error"]["code"]), (&false.into(), &"AUD-201".into()));
    assert_eq!(told["receipt"]["task"], body().task.to_string());
}

#[test]
fn another_signer_and_every_alteration_is_refused_without_showing_anything() {
    let place = place();
    let receipt = fs::read(place.path("r")).unwrap();
    let edit = |from: &str, to: &str| text(&receipt).replace(from, to).into_bytes();
    let mut flipped = receipt.clone();
    flipped[receipt.len() / 2] ^= 1;
    for (name, bytes, code) in [
        ("flipped", flipped, ""),
        ("cut", receipt[..receipt.len() - 2].to_vec(), "AUD-204"),
        ("longer", [&receipt[..], b"\n"].concat(), "AUD-204"),
        ("other-version", edit("hotcell-receipt/v1", "hotcell-receipt/v2"), "AUD-204"),
        ("empty", Vec::new(), "AUD-204"),
        ("not-json", b"all is well".to_vec(), "AUD-204"),
        ("huge", vec![b' '; 5 << 20], "AUD-203"),
    ] {
        fs::write(place.path(name), bytes).unwrap();
        let told = place.json(123, &["--json", "receipt", "verify", name, "--trust", "signer.pub"]);
        assert!(told["error"]["code"].as_str().unwrap().starts_with(code) && told.get("receipt").is_none(), "{told}");
    }
    let told = place.json(123, &["--json", "receipt", "verify", "r", "--trust", "other.pub"]);
    assert_eq!(told["error"]["code"], "AUD-202");
}

#[test]
fn a_key_or_file_that_is_none_is_told() {
    let place = place();
    place.expect(0, &["keygen", "--output", "encryption"]);
    for (words, status) in [
        (&["r", "--trust", "missing"][..], 2),
        (&["r", "--trust", "encryption.pub"], 2),
        (&["r", "--trust", "other"], 2),
        (&["missing"], 125),
        (&["."], 125),
    ] {
        place.expect(status, &[&["receipt", "verify"], words].concat());
    }
}

#[test]
fn a_page_says_whether_the_signer_is_known_and_there_is_none_of_an_altered_receipt() {
    let place = place();
    place.expect(0, &["receipt", "verify", "r", "--trust", "signer.pub", "--html", "good.html"]);
    let good = fs::read_to_string(place.path("good.html")).unwrap();
    assert!(good.contains("<b>VERIFIED</b>") && !good.contains("NOT VERIFIED"));
    for part in
        ["scores\\n.csv", "second\\u{1b}[2J opinion", "INS-303", "processes (killed and reaped)", "the trusted key"]
    {
        assert!(good.contains(part), "{part}\n{good}");
    }
    let bad = place.expect(1, &["receipt", "verify", "r", "--html", "-"]);
    assert!(bad.contains("NOT VERIFIED: SIGNER UNKNOWN") && bad.contains("unknown signer"));
    let altered = fs::read_to_string(place.path("r")).unwrap().replacen("hotcell-receipt", "hotcell-Receipt", 1);
    fs::write(place.path("altered"), altered).unwrap();
    place.expect(123, &["receipt", "verify", "altered", "--trust", "signer.pub", "--html", "altered.html"]);
    place.expect(123, &["receipt", "verify", "r", "--trust", "other.pub", "--html", "altered.html"]);
    assert!(!place.path("altered.html").exists());
}

/// Everything that a stranger may choose, as long, wide and wicked as can be, and more of it than a page holds.
fn largest(wide: &str) -> ReceiptBody {
    let wide = wide.repeat(700 / wide.chars().count());
    let many = |count: usize| (0..count).map(|number| format!("{number} {wide}"));
    let partial = || Enforcement::Partial { missing: wide.clone() };
    ReceiptBody {
        hotcell_version: wide.clone(),
        principal: wide.clone(),
        purpose: wide.clone(),
        isolation: wide.clone(),
        policy: PolicyRecord { rules: many(9).collect(), profile: wide.clone(), ..body().policy },
        caveats: many(9).collect(),
        rights: many(99)
            .map(|over| RightRecord { access: vec![wide.clone()], kind: wide.clone(), over, walls: Wall::ALL.into() })
            .collect(),
        walls: Wall::ALL
            .iter()
            .map(|wall| observation(*wall, Enforcement::Full))
            .chain(Wall::ALL.iter().map(|wall| observation(*wall, partial())))
            .collect(),
        best_effort: many(9).collect(),
        limits: ["memory", "pids", "cpu", "wall", "scratch"]
            .map(|name| LimitRecord {
                name: name.into(),
                limit: wide.clone(),
                used: Some(wide.clone()),
                enforcement: wide.clone(),
                reached: true,
            })
            .into(),
        workload: WorkloadRecord { kind: "command".into(), command: many(99).collect(), digest: None },
        model: Some(ModelRecord { id: wide.clone(), signer: Some(wide.clone()), ..body().model.unwrap() }),
        inputs: many(50).map(|name| InputRecord { name, ..body().inputs[0].clone() }).collect(),
        outputs: many(100)
            .map(|path| OutputRecord { path, recipients: vec!["age1customer".into(); 9], ..body().outputs[0].clone() })
            .collect(),
        streams: ["stdout", "stderr"]
            .map(|name| StreamRecord { name: name.into(), bytes: u64::MAX, disposition: wide.clone() })
            .into(),
        refusals: many(100).map(|what| Refusal { code: "INS-303".into(), what }).collect(),
        destroyed: many(20).map(|what| Destroyed { what, how: wide.clone() }).collect(),
        ..body()
    }
}

#[test]
fn a_receipt_at_its_largest_is_one_page_of_a4() {
    let place = place();
    let log = open_log(&place.state(), "0.0.0", Timestamp(0)).unwrap();
    let wicked = "</td><script>document.title='owned'</script>\u{202e}危険な名前";
    for (number, wide) in [wicked, "危険な名前の出力ファイル", "W", "WWWWW @@@@@ %%%%% "].into_iter().enumerate()
    {
        let receipt = issue(&log, &largest(wide), Timestamp(4_000), &[]).unwrap();
        fs::write(place.path("r"), receipt.as_bytes()).unwrap();
        let page = format!("page-{number}.html");
        match number {
            0 => place.expect(1, &["receipt", "verify", "r", "--html", &page]),
            _ => place.expect(0, &["receipt", "verify", "r", "--trust", "signer.pub", "--html", &page]),
        };
        let html = fs::read_to_string(place.path(&page)).unwrap();
        assert!(!html.contains("<script") && !html.contains('\u{202e}'));
        assert!(html.contains("more, in the file"), "what is cut off is counted");
        printed(&place, &page);
    }
}

/// Prints a page as a browser does: it must be one of A4, and everything down to the last line of the table on it.
fn printed(place: &Place, page: &str) {
    let (Some(browser), true) =
        (["chromium", "chromium-browser"].into_iter().find(|name| have_program(name)), have_program("pdfinfo"))
    else {
        skip!("needs the programs `chromium` and `pdfinfo`")
    };
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-pdf-header-footer",
            "--print-to-pdf=page.pdf",
            page,
        ])
        .current_dir(place.path("."))
        .env("HOME", place.path("."))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let info = text(&Command::new("pdfinfo").arg(place.path("page.pdf")).output().unwrap().stdout);
    assert!(info.lines().any(|line| line.starts_with("Pages:") && line.ends_with(" 1")), "{info}");
    assert!(info.contains("(A4)"), "{info}");
    assert!(!info.contains("owned"), "a script ran: {info}");
    let words = text(&Command::new("pdftotext").arg(place.path("page.pdf")).arg("-").output().unwrap().stdout);
    for part in ["Receipt t-", "By which key", "checked: ", "a picture of the receipt"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    // What does not fit is cut off: the last row must end above the footer.
    let boxes =
        Command::new("pdftotext").args(["-bbox", "page.pdf", "-"]).current_dir(place.path(".")).output().unwrap();
    let boxes = text(&boxes.stdout);
    let bottom_of = |word: &str, nth_last: bool| {
        let mut found = boxes.lines().filter(|line| line.contains(&format!(">{word}<")));
        let line = if nth_last { found.next_back() } else { found.next() }.unwrap_or_else(|| panic!("{word}: {boxes}"));
        line.split("yMax=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().parse::<f64>().unwrap()
    };
    assert!(bottom_of("checked:", true) < bottom_of("picture", true) - 12.0, "the table reaches into the footer");
}

#[test]
fn a_receipt_replaces_an_older_one_that_is_kept_and_no_other_file() {
    let place = Place::new();
    let run = |file: &str| place.output(&["run", "--receipt", file, "--", "true"]);
    let task = |file: &str| place.json(1, &["--json", "receipt", "verify", file])["receipt"]["task"].clone();
    assert_eq!(run("r.json").status.code(), Some(0));
    let first = task("r.json");
    assert_eq!(run("r.json").status.code(), Some(0));
    assert_ne!(task("r.json"), first, "the older one is replaced, for the state folder has it");
    place.file("empty", "");
    for file in ["empty", "/dev/null"] {
        assert_eq!(run(file).status.code(), Some(0), "{file}");
    }
    assert_ne!(task("empty"), first);

    place.file("data", "all that I have\n");
    std::os::unix::fs::symlink("data", place.path("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", place.path("dangling")).unwrap();
    fs::create_dir(place.path("folder")).unwrap();
    // A receipt whose only copy this may be: another state folder made it.
    let elsewhere = Place::new();
    elsewhere.expect(0, &["run", "--receipt", "r.json", "--", "true"]);
    fs::copy(elsewhere.path("r.json"), place.path("foreign.json")).unwrap();
    let foreign = fs::read(place.path("foreign.json")).unwrap();
    place.file("task.toml", "command = [\"true\"]\nreceipt = \"data\"\n");
    let before = place.expect(0, &["ps", "--all"]);
    for arguments in [
        &["run", "--receipt", "data", "--", "true"][..],
        &["run", "--receipt", "link", "--", "true"],
        &["run", "--receipt", "dangling", "--", "true"],
        &["run", "--receipt", "folder", "--", "true"],
        &["run", "--receipt", "foreign.json", "--", "true"],
        &["run", "--task", "task.toml"],
        &["run", "--dry-run", "--task", "task.toml"],
    ] {
        let output = place.output(arguments);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains("CLI-013") && told.contains("name another file"), "{arguments:?}: {told}");
    }
    assert_eq!(place.expect(0, &["ps", "--all"]), before, "nothing was run");
    assert_eq!(fs::read_to_string(place.path("data")).unwrap(), "all that I have\n");
    assert_eq!(fs::read(place.path("foreign.json")).unwrap(), foreign);
    assert!(!place.path("nowhere").exists());

    // What leaves may have the name by the end.
    let script = "echo 42 > /output/answer";
    let output = place.output(&["run", "--output", "out", "--receipt", "out/answer", "--", "sh", "-c", script]);
    assert!(text(&output.stderr).contains("CLI-013"), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(place.path("out/answer")).unwrap(), "42\n");
    let into = ["run", "--output", "new", "--receipt", "new/receipt.json", "--", "sh", "-c", script];
    place.expect(0, &into);
    task("new/receipt.json");
    // Also where nothing leaves.
    let fails = place.output(&["run", "--output", "./none", "--receipt", "none/receipt.json", "--", "false"]);
    assert_eq!(fails.status.code(), Some(1), "{}", text(&fails.stderr));
    task("none/receipt.json");
}
