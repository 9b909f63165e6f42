//! The engine as a whole: detectors against their examples, encodings within each other, bounds, splits.

use std::io::Write;

use super::*;
use crate::scan::{Bound, StreamScanner};

const CARD: &str = "4111 1111 1111 1111";

#[test]
fn every_detector_finds_its_examples_and_not_its_counterexamples() {
    let scanner = Scanner::builtin().unwrap();
    let mut wrong = Vec::new();
    for (name, text) in BUILTIN {
        for detector in detector::read(text, name).unwrap() {
            assert!(!detector.must_not_match().is_empty(), "`{}` has no counterexample", detector.id());
            if let Err(error) = scanner.try_examples(name, std::slice::from_ref(&detector.id)) {
                wrong.push(error.to_string());
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_are_at_least_a_hundred_kinds_of_keys_and_tokens() {
    let secrets = BUILTIN.iter().find(|(name, _)| *name == "secrets.toml").unwrap();
    assert!(detector::read(secrets.1, secrets.0).unwrap().len() >= 100);
}

fn packed(name: &str, bytes: &[u8]) -> Vec<u8> {
    let hex =
        |separator: &str| bytes.iter().map(|byte| format!("{separator}{byte:02x}")).collect::<String>().into_bytes();
    let deflate = || {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    match name {
        "percent" => hex("%"),
        "escapes" => hex("\\x"),
        "hex" => hex(""),
        "base64" => base64_of(bytes, b'+', b'/'),
        "base64url" => base64_of(bytes, b'-', b'_'),
        "base64-shifted" => [b"ab".to_vec(), base64_of(bytes, b'+', b'/')].concat(),
        "base64-wrapped" => {
            let signs = base64_of(bytes, b'+', b'/');
            signs.chunks(64).collect::<Vec<_>>().join(&b"\r\n"[..])
        }
        "base32" => base32_of(bytes),
        "utf-16" => String::from_utf8_lossy(bytes).encode_utf16().flat_map(u16::to_le_bytes).collect(),
        "utf-16-be" => String::from_utf8_lossy(bytes).encode_utf16().flat_map(u16::to_be_bytes).collect(),
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "zlib" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => deflate(),
        "zstd" => ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest),
        "zip" => {
            let data = deflate();
            let mut zip = b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0".to_vec();
            zip.extend((data.len() as u32).to_le_bytes());
            zip.extend((bytes.len() as u32).to_le_bytes());
            zip.extend(5u16.to_le_bytes());
            zip.extend([0, 0]);
            zip.extend(b"a.txt");
            [zip, data].concat()
        }
        other => panic!("no such encoding: {other}"),
    }
}

fn base64_of(bytes: &[u8], plus: u8, slash: u8) -> Vec<u8> {
    let sign = |value: u32| match value & 63 {
        value @ 0..=25 => b'A' + value as u8,
        value @ 26..=51 => b'a' + (value - 26) as u8,
        value @ 52..=61 => b'0' + (value - 52) as u8,
        62 => plus,
        _ => slash,
    };
    let mut signs = Vec::new();
    for group in bytes.chunks(3) {
        let value = group.iter().fold(0u32, |value, byte| value << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        (0..=group.len()).for_each(|place| signs.push(sign(value >> (18 - 6 * place))));
        signs.extend(std::iter::repeat_n(b'=', 3 - group.len()));
    }
    signs
}

fn base32_of(bytes: &[u8]) -> Vec<u8> {
    let (mut bits, mut count, mut signs) = (0u64, 0, Vec::new());
    for byte in bytes {
        bits = bits << 8 | u64::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            signs.push(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[(bits >> count & 31) as usize]);
        }
        bits &= 0xff;
    }
    if count > 0 {
        signs.push(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[(bits << (5 - count) & 31) as usize]);
    }
    signs
}

const ENCODINGS: [&str; 15] = [
    "percent",
    "escapes",
    "hex",
    "base64",
    "base64url",
    "base64-shifted",
    "base64-wrapped",
    "base32",
    "utf-16",
    "utf-16-be",
    "gzip",
    "zlib",
    "deflate",
    "zstd",
    "zip",
];

/// Text with a card in it, long enough to be worth compressing and wrapping.
fn letter() -> String {
    format!(
        "Dear Sir, thank you for your letter of the third. Please charge the card {CARD} for the visit, as before. Yours"
    )
}

#[test]
fn a_card_is_found_in_each_encoding_and_in_any_two_within_each_other() {
    let scanner = Scanner::builtin().unwrap();
    let is_found = |bytes: &[u8]| scanner.scan(bytes).findings.iter().any(|finding| finding.kind == "bank-card");
    let mut missed = Vec::new();
    for outer in ENCODINGS {
        let once = packed(outer, letter().as_bytes());
        if !is_found(&once) {
            missed.push(outer.to_owned());
        }
        for inner in ENCODINGS {
            // UTF-16 stands for characters, not for bytes of any kind.
            let is_text = std::str::from_utf8(&packed(inner, letter().as_bytes())).is_ok();
            if outer.starts_with("utf") && !is_text {
                continue;
            }
            if !is_found(&packed(outer, &packed(inner, letter().as_bytes()))) {
                missed.push(format!("{inner} in {outer}"));
            }
        }
    }
    assert!(missed.is_empty(), "not found in: {missed:?}");
}

/// [`letter`], packed by brotli's own program: there is no packer among our crates.
const BROTLI: &[u8] = &[
    0x1b, 0x7b, 0x00, 0x88, 0x8d, 0x93, 0x5c, 0xdb, 0x6e, 0x1c, 0x94, 0xdb, 0x52, 0x3d, 0xfa, 0xca, 0x87, 0x6e, 0x2a,
    0x0b, 0x8a, 0x22, 0x38, 0x78, 0xb5, 0x69, 0xa6, 0xcc, 0xf2, 0xe8, 0xe4, 0x80, 0xfd, 0xff, 0xf7, 0x2d, 0xce, 0xd2,
    0x00, 0x28, 0xc2, 0xdc, 0xc6, 0xae, 0xcb, 0xf7, 0xf5, 0x3c, 0x31, 0xa2, 0xd5, 0xb7, 0xf5, 0x34, 0x2e, 0x07, 0x6f,
    0xe6, 0xd9, 0x5c, 0x9f, 0xca, 0x6c, 0x33, 0x2b, 0x90, 0x45, 0x7b, 0x0b, 0x28, 0x8a, 0x84, 0xe7, 0x05, 0x24, 0x21,
    0xcc, 0x28, 0x1f, 0x93, 0xdc, 0x20, 0xef, 0xff, 0x41, 0xac, 0x2d, 0xea, 0x02,
];

#[test]
fn a_card_is_found_in_brotli_by_itself_and_within_another_encoding() {
    let scanner = Scanner::builtin().unwrap();
    let kinds = |bytes: &[u8]| -> Vec<String> {
        scanner.scan(bytes).findings.into_iter().map(|finding| finding.kind).collect()
    };
    assert_eq!(kinds(BROTLI), ["bank-card"]);
    for outer in ["base64", "base64url", "base64-wrapped", "gzip", "zstd"] {
        assert_eq!(kinds(&packed(outer, BROTLI)), ["bank-card"], "{outer}");
    }
}

#[test]
fn a_place_leads_back_into_the_original() {
    let scanner = Scanner::builtin().unwrap();
    for name in ["percent", "escapes", "hex", "base64", "base32", "utf-16"] {
        let encoded = packed(name, letter().as_bytes());
        let bytes = [b"before ".as_slice(), &encoded].concat();
        let report = scanner.scan(&bytes);
        let finding = report.findings.iter().find(|finding| finding.kind == "bank-card").unwrap();
        // What stands at the place, decoded, is the card.
        let at = letter().find(CARD).unwrap();
        let scale = encoded.len() as f64 / letter().len() as f64;
        let expected = 7.0 + at as f64 * scale;
        assert!((finding.start as f64 - expected).abs() <= scale + 1.0, "{name}: {finding:?}, expected {expected}");
        assert!(!finding.encodings.is_empty(), "{name}");
    }
    let plain = scanner.scan(letter().as_bytes());
    assert_eq!(plain.findings[0].start as usize, letter().find(CARD).unwrap());
}

#[test]
fn a_split_never_hides() {
    let scanner = Scanner::builtin().unwrap();
    let text = format!("{}\n{}", letter(), String::from_utf8(packed("base64", letter().as_bytes())).unwrap());
    let whole = scanner.scan(text.as_bytes());
    assert!(whole.findings.len() >= 2);
    for cut in 0..text.len() {
        let mut stream = StreamScanner::new(&scanner);
        stream.push(&text.as_bytes()[..cut]);
        stream.push(&text.as_bytes()[cut..]);
        assert_eq!(stream.finish().findings, whole.findings, "cut at {cut}");
    }
}

#[test]
fn a_long_stream_is_looked_at_in_windows_and_nothing_lies_between_them() {
    let scanner = Scanner::builtin().unwrap();
    let window = 2 * StreamScanner::OVERLAP;
    for place in [window - 10, window - StreamScanner::OVERLAP - 5, window + 1, 3 * window - 7] {
        let mut text = "lorem ipsum dolor sit amet\n".repeat(4 * window / 27).into_bytes();
        text[place..place + CARD.len()].copy_from_slice(CARD.as_bytes());
        text[place - 1] = b' ';
        text[place + CARD.len()] = b' ';
        let mut stream = StreamScanner::with_window(&scanner, window);
        text.chunks(777).for_each(|piece| stream.push(piece));
        let report = stream.finish();
        let found: Vec<_> =
            report.findings.iter().map(|finding| (finding.kind.as_str(), finding.start as usize)).collect();
        assert_eq!(found, [("bank-card", place)]);
    }
}

#[test]
fn bombs_and_depths_end_at_the_bounds_and_are_told() {
    let bounds = Bounds { decoded_bytes: 4 << 20, ..Bounds::default() };
    let scanner = Scanner::builtin().unwrap().within(bounds);
    let bomb = packed("gzip", &vec![b' '; 32 << 20]);
    let report = scanner.scan(&bomb);
    assert_eq!(report.unseen.first().map(|unseen| unseen.reason), Some(Bound::Size), "{report:?}");
    let mut deep = letter().into_bytes();
    for _ in 0..8 {
        deep = packed("base64", &deep);
    }
    let report = scanner.scan(&deep);
    assert_eq!(report.unseen.first().map(|unseen| unseen.reason), Some(Bound::Depth), "{report:?}");
    assert!(!report.is_clean());
}

#[test]
fn odd_shapes_are_looked_at_in_bounded_time_and_memory() {
    let scanner = Scanner::builtin().unwrap();
    for (name, bytes) in [
        ("one long line", vec![b'a'; 4 << 20]),
        ("one long number", vec![b'7'; 1 << 20]),
        ("numbers without end", b"1 ".repeat(1 << 19)),
        ("signs of mail alone", b"@".repeat(1 << 20)),
        ("plus signs and digits", b"+1".repeat(1 << 19)),
        ("percent signs", b"%".repeat(1 << 20)),
        ("percent codes", b"%41".repeat(1 << 18)),
        ("backslashes", b"\\".repeat(1 << 20)),
        ("zeros", vec![0; 1 << 20]),
        ("broken UTF-8", b"\xff\xe9\xbc".repeat(1 << 18)),
        ("ten thousand columns", [b"column,".repeat(10_000), b"\n".to_vec(), b"12,".repeat(10_000)].concat()),
        ("words of context", b"password = token: secret ".repeat(20_000)),
        ("headers of streams", b"\x1f\x8b\x08".repeat(20_000)),
    ] {
        let report = scanner.scan(&bytes);
        assert!(report.findings.len() <= scanner.bounds().findings, "{name}");
    }
}

#[test]
fn of_kinds_that_fit_one_place_the_one_that_its_line_speaks_for_is_told() {
    let scanner = Scanner::builtin().unwrap();
    let kinds = |text: &str| -> Vec<String> {
        scanner.scan(text.as_bytes()).findings.into_iter().map(|finding| finding.kind).collect()
    };
    // A number with the check digit of one kind, and of the plan of another.
    assert_eq!(kinds("Steuer-ID: 13077582641"), ["de-tax-id"]);
    assert_eq!(kinds("Steuer-ID folgt.\n联系电话：13077582641"), ["cn-mobile"]);
    assert_eq!(kinds("call 961-617-8997 now"), ["phone"]);
    assert_eq!(kinds("NHS number 961-617-8997"), ["uk-nhs"]);
    // What stands on other lines makes no telephone number of an address or a day.
    assert_eq!(kinds("call me\nfrom 93.184.216.34 port 22"), ["ip-address"]);
    assert_eq!(kinds("Phone: none\nDOB: 1985-03-12"), ["date-of-birth"]);
}

#[test]
fn a_row_of_signs_hides_no_address_of_mail_behind_it() {
    let scanner = Scanner::builtin().unwrap();
    for signs in [1, 100, 20_000, 50_000] {
        let text = format!("{} jane.doe@hospital.org {}", "@".repeat(signs), "@".repeat(signs));
        let found = scanner.scan(text.as_bytes()).findings;
        assert_eq!(found.iter().map(|finding| finding.start).collect::<Vec<_>>(), [signs as u64 + 1], "{signs}");
    }
}

#[test]
fn a_users_detector_is_added_replaces_its_namesake_and_is_held_against_its_examples() {
    let file = "[[detector]]\nid = \"email\"\ntitle = \"Ours\"\nconfidence = 0.9\nwords = [\"@\"]\nbefore = 20\npattern = '[a-z]+@ours'\nmatch = [\"me@ours\"]\n\n[[canary]]\nid = \"c1\"\ntext = \"canary-1234\"\n";
    let scanner = Scanner::with(&[("own.toml", file)]).unwrap();
    let kinds = |text: &str| -> Vec<String> {
        scanner.scan(text.as_bytes()).findings.into_iter().map(|finding| finding.kind).collect()
    };
    assert_eq!(kinds("jane@hospital.org"), Vec::<String>::new());
    assert_eq!(kinds("me@ours and canary-1234"), ["email", "canary"]);
    let encoded = String::from_utf8(packed("base64", b"a canary-1234 in a cage")).unwrap();
    assert_eq!(kinds(&encoded), ["canary"]);
}

#[test]
fn what_is_wrong_with_a_file_of_detectors_is_named_with_its_line() {
    for (change, expected) in [
        (("title", "titel"), "line 3: unknown field `titel`"),
        (("confidence = 0.9", "confidence = 2.0"), "line 1: detector `own`: `confidence` lies between 0 and 1"),
        (("digits = [8]", "digits = [3]"), "line 1: detector `own`: `digits` are counts from 4 to 40"),
        (("digits = [8]\n", ""), "exactly one of `digits`, `token` and `words`"),
        (("'77\\d{6}'", "'77('"), "`pattern` is no regular expression: unclosed group"),
        (("\"77123456\"", "\"88123456\""), "`match` example 1 is not found"),
        (("\"88123456\"", "\"77123456\""), "`reject` example 1 is found"),
        (("region", "validator = \"luhm\"\nregion"), "there is no validator `luhm`"),
        (("id = \"own\"", "id = \"Own\""), "made of a-z, 0-9 and `-`"),
        (("digits = [8]", "digits = [8]\nbeside = \":\""), "`beside` means nothing here"),
    ] {
        let good = "[[detector]]\nid = \"own\"\ntitle = \"Own\"\nregion = \"any\"\nconfidence = 0.9\ndigits = [8]\npattern = '77\\d{6}'\nmatch = [\"77123456\"]\nreject = [\"88123456\"]\n";
        assert!(Scanner::with(&[("own.toml", good)]).is_ok());
        let (from, to) = change;
        let bad = good.replacen(from, to, 1);
        let error = Scanner::with(&[("own.toml", &bad)]).unwrap_err().to_string();
        assert!(error.contains(expected) && error.starts_with("`own.toml`"), "{error}, expected {expected}");
    }
}

#[test]
fn no_value_stands_in_what_is_told() {
    let scanner = Scanner::builtin().unwrap();
    let report = scanner.scan(letter().as_bytes());
    assert!(!report.findings.is_empty());
    assert!(!format!("{report:?}").contains("4111"));
}
