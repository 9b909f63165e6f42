//! Receipts: issued, checked offline, altered.

use hotcell_audit::receipt::{Receipt, ReceiptError, issue, verify};
use hotcell_audit::{Durability, verify as verify_log};
use hotcell_types::{
    Bits, Digest, Exit, Explain, GrantId, Outcome, OutputRecord, PolicyRecord, ReceiptBody, TaskId, Timestamp,
    WorkloadRecord,
};

use crate::support::{Key, event, folder, open};

pub(crate) fn body(outputs: usize) -> ReceiptBody {
    let output = |n: usize| OutputRecord {
        path: format!("out/{n}.csv"),
        bytes: 10,
        digest: Digest([n as u8; 32]),
        form: "canonical".into(),
        rows: Some(1),
        capacity: Bits(12.5),
        recipients: vec![],
    };
    ReceiptBody {
        task: TaskId::from_bytes([7; 10]),
        hotcell_version: "0.1.0".into(),
        outcome: Outcome::Released,
        exit_status: Some(0),
        submitted: Timestamp(1),
        started: Some(Timestamp(2)),
        ended: Timestamp(3),
        principal: "local:1000".into(),
        purpose: "test".into(),
        policy: PolicyRecord {
            grant: GrantId::from_bytes([8; 10]),
            rules: vec!["r1".into()],
            policy_digest: Digest([1; 32]),
            profile: "strict".into(),
            profile_digest: Digest([2; 32]),
        },
        isolation: "process".into(),
        caveats: vec![],
        rights: vec![],
        walls: vec![],
        best_effort: vec![],
        limits: vec![],
        workload: WorkloadRecord { kind: "command".into(), command: vec!["true".into()], digest: None },
        image: None,
        model: None,
        inputs: vec![],
        outputs: (0..outputs).map(output).collect(),
        streams: vec![],
        capacity: Bits(12.5),
        egress: None,
        refusals: vec![],
        destroyed: vec![],
    }
}

fn receipt(key: &Key, outputs: usize) -> Receipt {
    let dir = folder();
    let log = open(dir.path(), key);
    log.append(&(0..300).map(event).collect::<Vec<_>>(), Durability::Lazy).unwrap();
    issue(&log, &body(outputs), Timestamp(9), &[event(300)]).unwrap()
}

#[test]
fn a_receipt_says_what_the_task_was_and_stands_in_the_log() {
    let (dir, key) = (folder(), Key::new());
    let log = open(dir.path(), &key);
    let mut last = 0;
    for outputs in [0, 1, 3] {
        let receipt = issue(&log, &body(outputs), Timestamp(9), &[event(1)]).unwrap();
        let verified = verify(receipt.as_bytes(), Some(&key.verifying())).unwrap();
        assert_eq!(verified.body, body(outputs));
        assert_eq!((verified.signer, verified.witnessed), (key.verifying(), vec![]));
        assert_eq!((verified.index, verified.size), (last + 1, last + 2));
        last += 2;
    }
    assert_eq!(verify_log(dir.path(), &key.verifying()).unwrap().signed.size, last);
}

#[test]
fn without_a_key_to_trust_the_signer_is_unknown() {
    let key = Key::new();
    let error = verify(receipt(&key, 1).as_bytes(), None).unwrap_err();
    assert_eq!((error.code(), error.exit()), ("AUD-201", Exit::No));
    assert!(error.to_string().starts_with("signature intact, signer unknown"), "{error}");
    let ReceiptError::SignerUnknown { verified } = error else { panic!() };
    assert_eq!((verified.body, verified.signer), (body(1), key.verifying()));
}

#[test]
fn a_receipt_signed_again_with_another_key_fails() {
    let (owner, forger) = (Key::new(), Key::new());
    let error = verify(receipt(&forger, 1).as_bytes(), Some(&owner.verifying())).unwrap_err();
    assert_eq!((error.code(), error.exit()), ("AUD-202", Exit::Integrity));
    // Naming the owner as the signer does not help.
    let text = String::from_utf8(receipt(&forger, 1).as_bytes().to_vec()).unwrap();
    let renamed = text.replace(&forger.verifying().to_string(), &owner.verifying().to_string());
    let error = verify(renamed.as_bytes(), Some(&owner.verifying())).unwrap_err();
    assert_eq!((error.code(), error.exit()), ("AUD-205", Exit::Integrity));
}

#[test]
fn a_receipt_with_any_byte_changed_cut_or_added_fails() {
    let key = Key::new();
    let good = receipt(&key, 1);
    let fails = |bytes: &[u8], what: &str| {
        let error = verify(bytes, Some(&key.verifying())).expect_err(what);
        assert_eq!(error.exit(), Exit::Integrity, "{what}: {error}");
    };
    for place in 0..good.as_bytes().len() {
        let mut altered = good.as_bytes().to_vec();
        for change in [1, 0x20, 0x80] {
            altered[place] ^= change;
            fails(&altered, &format!("byte {place} xor {change}"));
            altered[place] ^= change;
        }
        fails(&good.as_bytes()[..place], &format!("cut at {place}"));
        altered.insert(place, b' ');
        fails(&altered, &format!("a space at {place}"));
    }
}

#[test]
fn parts_of_two_receipts_do_not_make_one() {
    let key = Key::new();
    let [one, two] = [receipt(&key, 1), receipt(&key, 2)];
    let parse = |receipt: &Receipt| serde_json::from_slice::<serde_json::Value>(receipt.as_bytes()).unwrap();
    for (part, code) in [("envelope", "AUD-206"), ("entry", "AUD-206"), ("proof", "AUD-207")] {
        let mixed = parse(&two)[part].to_string();
        let original = parse(&one)[part].to_string();
        // Replaced as text, so that the form stays the one that receipts have.
        let pretty = |json: &str| {
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            if part == "envelope" { envelope(&value) } else { json.to_owned() }
        };
        let text = String::from_utf8(one.as_bytes().to_vec()).unwrap();
        assert!(text.contains(&pretty(&original)), "{part}");
        let text = text.replace(&pretty(&original), &pretty(&mixed));
        let error = verify(text.as_bytes(), Some(&key.verifying())).unwrap_err();
        assert_eq!((error.code(), error.exit()), (code, Exit::Integrity), "{part}: {error}");
    }
}

/// An envelope as it stands in a receipt file.
fn envelope(value: &serde_json::Value) -> String {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let signed = &value["signatures"][0];
    format!(
        "{{\n    \"payload\": \"{}\",\n    \"payloadType\": \"{}\",\n    \"signatures\": [\n      {{\n        \"keyid\": \"{}\",\n        \"sig\": \"{}\"\n      }}\n    ]\n  }}",
        text(&value["payload"]),
        text(&value["payloadType"]),
        text(&signed["keyid"]),
        text(&signed["sig"])
    )
}
