use super::*;
use crate::{KeySet, OutputSchema};

/// A checked file of this schema (the JSON of its tables), and the keys `P3`, `P1`, `P2` of `data.patient`.
fn declared(format: &str, rest: &str, columns: &str) -> (CheckedFile, InputKeys) {
    let json = format!(r#"[{{"file":"out.{format}","format":"{format}"{rest},"column":[{columns}]}}]"#);
    let schema: OutputSchema = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{json}\n{error}"));
    let file = schema.check().unwrap_or_else(|error| panic!("{json}\n{error}")).files.remove(0);
    (file, InputKeys::from([("data.patient".to_owned(), KeySet::new(["P3", "P1", "P2"]).unwrap())]))
}

const KEY: &str = r#"{"name":"patient","type":"key","from":"data.patient"}"#;
const SCORE: &str = r#"{"name":"p","type":"decimal","min":0,"max":1,"precision":3}"#;
const ALL: &str = r#"{"name":"n","type":"integer","min":-5,"max":300,"nullable":true},
    {"name":"d","type":"decimal","min":-1.5,"max":1.5,"precision":2,"nullable":true},
    {"name":"c","type":"category","values":["low","high, very","\"q\""],"nullable":true},
    {"name":"b","type":"boolean","nullable":true},
    {"name":"t","type":"text","max_length":12,"nullable":true}"#;

fn run(declared: &(CheckedFile, InputKeys), text: &[u8]) -> Result<(String, Canonical), Finding> {
    let mut to = Vec::new();
    match canonicalize(&declared.0, &declared.1, text, &mut to) {
        Ok(canonical) => {
            assert_eq!(to.len() as u64, canonical.bytes);
            assert_eq!(canonical.rewriting.changed, to != text);
            Ok((String::from_utf8(to).unwrap(), canonical))
        }
        Err(CanonicalizeError::Refused(finding)) => {
            assert!(to.is_empty(), "nothing is written of a refused table");
            Err(finding)
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_table_is_written_anew_from_its_values() {
    let csv = declared("csv", r#","max_rows":100"#, ALL);
    let wanted =
        "n,d,c,b,t\n,,,,\n-5,0.00,low,false,\"\"\n7,-0.12,\"high, very\",true,a b\n7,1.50,\"\"\"q\"\"\",true,é\n";
    for text in [
        wanted,
        "n,d,c,b,t\n7,-0.125,\"high, very\",True,a b\n-5,-0,low,False,\"\"\n,,,,\n007,15e-1,\"\"\"q\"\"\",TRUE,\"é\"\n",
        "t,b,c,d,n\r\n\"\",false,low,0.0049,-5.0\r\né,true,\"\"\"q\"\"\",1.5,+7\r\n,,\"\",,\r\na b,true,\"high, very\",-0.12,7",
        "\u{FEFF}n,d,c,b,t\n7,-1.2e-1,\"high, very\",true,a b\n,,,,\n7,1.500,\"\"\"q\"\"\",true,é\n-5,.0,\"low\",\"false\",\"\"\n",
    ] {
        let (out, canonical) = run(&csv, text.as_bytes()).unwrap_or_else(|finding| panic!("{text}\n{finding}"));
        assert_eq!(out, wanted, "{text}");
        assert_eq!(canonical.rows, 4);
    }

    let jsonl = declared("jsonl", r#","max_rows":100"#, ALL);
    let wanted = concat!(
        "{\"n\":null,\"d\":null,\"c\":null,\"b\":null,\"t\":null}\n",
        "{\"n\":-5,\"d\":0.00,\"c\":\"low\",\"b\":false,\"t\":\"\"}\n",
        "{\"n\":7,\"d\":1.50,\"c\":\"\\\"q\\\"\",\"b\":true,\"t\":\"é\\\\\"}\n",
    );
    for text in [
        wanted,
        "{\"t\":\"\\u00e9\\\\\", \"n\":7e0,\"d\":1.4999,\"c\":\"\\u0022q\\\"\",\"b\":true}\r\n{\"n\":-5,\"d\":-1e-9,\"c\":\"low\",\"b\":false,\"t\":\"\"}\r\n { \"b\":null,\"d\":null,\"n\":null,\"c\":null,\"t\":null } ",
    ] {
        let (out, _) = run(&jsonl, text.as_bytes()).unwrap_or_else(|finding| panic!("{text}\n{finding}"));
        assert_eq!(out, wanted, "{text}");
    }
}

#[test]
fn what_was_hidden_in_digits_order_and_spelling_is_erased_and_noted() {
    let file = declared("csv", r#","rows":"one-per-key","order":"as-input""#, &format!("{KEY},{SCORE}"));
    let (clean, canonical) = run(&file, b"patient,p\nP3,0.100\nP1,0.200\nP2,0.300\n").unwrap();
    assert!(canonical.rewriting.notes().is_empty());
    assert!(!canonical.rewriting.changed);

    let (out, canonical) = run(&file, b"p,patient\n2.00084230217990e-1,P1\n0.29999912280,P2\n1E-1,P3\n").unwrap();
    assert_eq!(out, clean);
    let rewriting = canonical.rewriting;
    assert_eq!((rewriting.rounded_cells, rewriting.moved_rows, rewriting.moved_columns), (2, 3, true));
    assert_eq!(
        rewriting.notes(),
        [
            "rounded 2 cells to the declared precision",
            "moved 3 rows into the declared order",
            "moved columns into the declared order"
        ]
    );

    let (_, canonical) = run(&file, b"patient,p\nP3,0.10\nP1,.2\nP2,\"0.3\"\n").unwrap();
    assert_eq!(canonical.rewriting.notes(), ["respelled values in their canonical form"]);
}

#[test]
fn rows_come_in_the_declared_order() {
    let rows = b"patient,p\nP1,0.2\nP2,0.1\nP3,0.3\n";
    for (rest, wanted) in [
        ("", "patient,p\nP1,0.200\nP2,0.100\nP3,0.300\n"),
        (r#","order":"as-input""#, "patient,p\nP3,0.300\nP1,0.200\nP2,0.100\n"),
    ] {
        let file = declared("csv", rest, &format!("{KEY},{SCORE}"));
        assert_eq!(run(&file, rows).unwrap().0, wanted);
    }
    // Without keys: by all columns, equal rows stay.
    let text = r#"{"name":"t","type":"text","max_length":20}"#;
    let file = declared("csv", r#","max_rows":9"#, &format!("{text},{SCORE}"));
    let (out, _) = run(&file, b"t,p\nlonger than 8b,1\nlonger than 8a,1\nb,0.5\nb,0.25\n,1\nb,0.5\n").unwrap();
    assert_eq!(out, "t,p\n\"\",1.000\nb,0.250\nb,0.500\nb,0.500\nlonger than 8a,1.000\nlonger than 8b,1.000\n");
    // With keys and any number of rows: by key, then by the rest.
    let file = declared("csv", r#","rows":"any","max_rows":9"#, &format!("{SCORE},{KEY}"));
    assert_eq!(run(&file, b"p,patient\n1,P2\n0,P2\n1,P1\n").unwrap().0, "p,patient\n1.000,P1\n0.000,P2\n1.000,P2\n");
}

#[test]
fn capacity_is_what_the_declaration_leaves_open() {
    let bits = |rest: &str, columns: &str, text: &str| {
        run(&declared("csv", rest, columns), text.as_bytes()).unwrap_or_else(|finding| panic!("{finding}")).1.capacity.0
    };
    let log2_1001 = 1001f64.log2();
    let both = format!("{KEY},{SCORE}");
    let all_rows = "patient,p\nP3,0\nP1,0\nP2,0\n";
    let flag = r#"{"name":"f","type":"boolean"}"#;
    for (rest, columns, text, wanted) in [
        // Every key once: the keys carry nothing, a score 1001 values.
        (r#","rows":"one-per-key""#, both.as_str(), all_rows, 3.0 * log2_1001),
        // Which keys have a row: 0 to 3 rows, then 3 of 3, 1 of 3.
        ("", &both, all_rows, 2.0 + 3.0 * log2_1001),
        ("", &both, "patient,p\nP1,0\n", 2.0 + 3f64.log2() + log2_1001),
        (r#","max_rows":1"#, &both, "patient,p\nP1,0\n", 1.0 + 3f64.log2() + log2_1001),
        // Any rows: each names one of three keys.
        (r#","rows":"any","max_rows":3"#, &both, all_rows, 2.0 + 3.0 * (3f64.log2() + log2_1001)),
        (r#","max_rows":4,"min_rows":4"#, flag, "f\ntrue\ntrue\ntrue\ntrue\n", 4.0),
        (r#","max_rows":7"#, flag, "f\n", 3.0),
        (r#","max_rows":1,"min_rows":1"#, r#"{"name":"i","type":"integer","min":-8,"max":7}"#, "i\n0\n", 4.0),
        (r#","max_rows":1,"min_rows":1"#, r#"{"name":"c","type":"category","values":["only"]}"#, "c\nonly\n", 0.0),
        (r#","max_rows":1,"min_rows":1"#, r#"{"name":"t","type":"text","max_length":15}"#, "t\nabc\n", 4.0 + 24.0),
        (
            r#","max_rows":1,"min_rows":1"#,
            r#"{"name":"t","type":"text","max_length":15,"pattern":"[ab]"}"#,
            "t\naba\n",
            4.0 + 3.0,
        ),
        // A missing value is one value more.
        (
            r#","max_rows":1,"min_rows":1"#,
            &format!(r#"{flag},{{"name":"i","type":"integer","min":1,"max":3,"nullable":true}}"#),
            "f,i\ntrue,\n",
            1.0 + 2.0,
        ),
    ] {
        let seen = bits(rest, columns, text);
        assert!((seen - wanted).abs() < 1e-9, "{rest} {text}: {seen} instead of {wanted}");
    }
}

#[test]
fn what_is_not_as_declared_is_refused_by_code_and_place() {
    let both = format!("{KEY},{SCORE}");
    let one_per_key = r#","rows":"one-per-key""#;
    let text = r#"{"name":"t","type":"text","max_length":3,"pattern":"[a-z]"},{"name":"c","type":"category","values":["x"]},{"name":"i","type":"integer","min":0,"max":9},{"name":"b","type":"boolean"}"#;
    let free = r#"{"name":"t","type":"text","max_length":100},{"name":"c","type":"category","values":["x"]}"#;
    let long_line = format!("t,c\n\"{}\",x\n", "y".repeat(70_000));
    let doubled = format!("t,c\n\"{}\",x\n", "\"\"".repeat(70_000));
    for (rest, columns, table, wanted) in [
        ("", both.as_str(), &b""[..], ("INS-109", None, None)),
        ("", &both, b"patient\nP1\n", ("INS-110", None, Some("p"))),
        ("", &both, b"\nP1\n", ("INS-111", None, None)),
        ("", &both, b"patient,p,note\nP1,0,x\n", ("INS-111", None, None)),
        ("", &both, b"patient, p\nP1,0\n", ("INS-111", None, None)),
        ("", &both, b"patient,p,p\nP1,0,0\n", ("INS-112", None, Some("p"))),
        ("", &both, b"patient,p\nP1\n", ("INS-107", Some(1), None)),
        ("", &both, b"patient,p\nP1,0,0\n", ("INS-107", Some(1), None)),
        ("", &both, b"patient,p\nP1,0\n\n", ("INS-120", Some(2), Some("patient"))),
        ("", &both, b"patient,p\nP1,\n", ("INS-120", Some(1), Some("p"))),
        ("", &both, b"patient,p\nP1,NaN\n", ("INS-114", Some(1), Some("p"))),
        ("", &both, b"patient,p\nP1,inf\n", ("INS-114", Some(1), Some("p"))),
        ("", &both, b"patient,p\nP1, 0.5\n", ("INS-114", Some(1), Some("p"))),
        ("", &both, b"patient,p\nP1,1.0006\n", ("INS-115", Some(1), Some("p"))),
        ("", &both, b"patient,p\nP1,-0.001\n", ("INS-115", Some(1), Some("p"))),
        ("", &both, b"patient,p\nP1,1e400\n", ("INS-115", Some(1), Some("p"))),
        ("", &both, b"patient,p\nP1,0\nP9,0\n", ("INS-117", Some(2), Some("patient"))),
        ("", &both, b"patient,p\nP1,0\nP2,0\nP1,1\n", ("INS-118", Some(3), None)),
        (one_per_key, &both, b"patient,p\nP1,0\nP2,0\n", ("INS-119", None, None)),
        (one_per_key, &both, b"patient,p\nP1,0\nP2,0\nP2,0\n", ("INS-118", Some(3), None)),
        (r#","max_rows":1"#, &both, b"patient,p\nP1,0\nP2,0\n", ("INS-123", Some(2), None)),
        (r#","min_rows":2"#, &both, b"patient,p\nP1,0\n", ("INS-124", None, None)),
        ("", &both, b"patient,p\nP1,\xff\n", ("INS-101", None, None)),
        ("", &both, b"patient,p\nP\"1,0\n", ("INS-105", Some(1), None)),
        ("", &both, b"patient,p\n\"P1\"x,0\n", ("INS-105", Some(1), None)),
        ("", &both, b"patient,p\n\"P1,0\n", ("INS-105", Some(1), None)),
        ("", &both, b"patient,p\n\"P1\"", ("INS-107", Some(1), None)),
        ("", &both, b"patient,p\rP1,0\r", ("INS-106", None, None)),
        (r#","max_rows":9"#, text, b"t,c,i,b\nabcd,x,1,true\n", ("INS-121", Some(1), Some("t"))),
        (r#","max_rows":9"#, text, b"t,c,i,b\naB,x,1,true\n", ("INS-122", Some(1), Some("t"))),
        (r#","max_rows":9"#, text, b"t,c,i,b\na,X,1,true\n", ("INS-116", Some(1), Some("c"))),
        (r#","max_rows":9"#, text, b"t,c,i,b\na,x,1.5,true\n", ("INS-113", Some(1), Some("i"))),
        (r#","max_rows":9"#, text, b"t,c,i,b\na,x,10,true\n", ("INS-115", Some(1), Some("i"))),
        (r#","max_rows":9"#, text, b"t,c,i,b\na,x,1,yes\n", ("INS-113", Some(1), Some("b"))),
        (r#","max_rows":9"#, free, b"t,c\n\"a\nb\",x\n", ("INS-122", Some(1), Some("t"))),
        (r#","max_rows":9"#, free, b"t,c\na\x1bb,x\n", ("INS-122", Some(1), Some("t"))),
        (r#","max_rows":9"#, free, "t,c\na\u{202E}b,x\n".as_bytes(), ("INS-122", Some(1), Some("t"))),
        (r#","max_rows":9"#, free, long_line.as_bytes(), ("INS-104", Some(1), None)),
        (r#","max_rows":9"#, free, doubled.as_bytes(), ("INS-104", Some(1), None)),
    ] {
        let finding = run(&declared("csv", rest, columns), table).expect_err(&String::from_utf8_lossy(table));
        let seen = (finding.kind.code(), finding.row, finding.column.as_deref());
        assert_eq!(seen, wanted, "{}\n{finding}", String::from_utf8_lossy(table));
    }
    for (table, wanted) in [
        (&b"[]\n"[..], ("INS-108", Some(1), None)),
        (b"\n", ("INS-108", Some(1), None)),
        (b"{\"patient\":\"P1\",\"p\":0}\n\n", ("INS-108", Some(2), None)),
        (b"{\"patient\":\"P1\",\"p\":0} x\n", ("INS-108", Some(1), None)),
        (b"{\"patient\":\"P1\",\"p\":0,}\n", ("INS-108", Some(1), None)),
        (b"{\"patient\":\"P1\",\"p\":[0]}\n", ("INS-108", Some(1), None)),
        (b"{\"patient\":\"P1\",\"p\":{\"a\":0}}\n", ("INS-108", Some(1), None)),
        (b"{\"patient\":\"P1\",\"p\":NaN}\n", ("INS-108", Some(1), None)),
        (b"{\"patient\":\"\\ud800\",\"p\":0}\n", ("INS-108", Some(1), None)),
        (b"{\"patient\":\"P1\"}\n", ("INS-110", Some(1), Some("p"))),
        (b"{\"patient\":\"P1\",\"p\":0,\"x\":1}\n", ("INS-111", Some(1), None)),
        (b"{\"patient\":\"P1\",\"p\":0,\"p\":0}\n", ("INS-112", Some(1), Some("p"))),
        (b"{\"patient\":\"P1\",\"p\":\"0\"}\n", ("INS-113", Some(1), Some("p"))),
        (b"{\"patient\":true,\"p\":0}\n", ("INS-113", Some(1), Some("patient"))),
        (b"{\"patient\":\"P1\",\"p\":null}\n", ("INS-120", Some(1), Some("p"))),
        (
            b"{\"patient\":\"P1\",\"p\":1e-400000000000000000000}\n{\"patient\":7,\"p\":0}",
            ("INS-117", Some(2), Some("patient")),
        ),
    ] {
        let finding = run(&declared("jsonl", "", &both), table).expect_err(&String::from_utf8_lossy(table));
        let seen = (finding.kind.code(), finding.row, finding.column.as_deref());
        assert_eq!(seen, wanted, "{}\n{finding}", String::from_utf8_lossy(table));
    }
}

#[test]
fn a_finding_never_shows_what_the_workload_wrote() {
    let file = declared("csv", "", &format!("{KEY},{SCORE}"));
    for table in ["patient,p,s3cret\nP1,0,0\n", "patient,p\ns3cret,0\n", "patient,p\nP1,s3cret\n", "s3cret"] {
        let finding = run(&file, table.as_bytes()).unwrap_err();
        assert!(!format!("{finding} {finding:?} {}", finding.kind.remedy()).contains("s3cret"), "{finding:?}");
    }
    let finding = run(&file, b"patient,p,s3cret\n").unwrap_err();
    let text = "`out.csv`: a column is not declared (column 3 of the file, a name of 6 bytes)";
    assert_eq!(finding.to_string(), text);
}

#[test]
fn keys_that_were_not_handed_in_are_an_error() {
    let (file, _) = declared("csv", "", &format!("{KEY},{SCORE}"));
    let error = canonicalize(&file, &InputKeys::new(), &b"patient,p\n"[..], Vec::new()).unwrap_err();
    assert_eq!((error.code(), error.exit()), ("INS-406", Exit::Usage));
    assert_eq!(error.remedy(), "give the task an input of that name: --input data=FILE");
}

#[test]
fn a_table_over_the_limit_is_refused_and_never_wholly_read() {
    let (file, keys) = declared("csv", "", &format!("{KEY},{SCORE}"));
    let mut endless = std::io::repeat(b'x').take(u64::MAX);
    let error = canonicalize(&file, &keys, &mut endless, Vec::new()).unwrap_err();
    assert_eq!(error.code(), "INS-102");
    assert_eq!(u64::MAX - endless.limit(), MAX_TABLE_BYTES + 1);
}

#[test]
fn failures_of_reading_and_writing_are_errors_of_their_own() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::Other.into())
        }
    }
    let (file, keys) = declared("csv", "", &format!("{KEY},{SCORE}"));
    assert_eq!(canonicalize(&file, &keys, Broken, Vec::new()).unwrap_err().code(), "INS-407");
    let mut full = [0u8; 4];
    let error = canonicalize(&file, &keys, &b"patient,p\nP1,0\n"[..], &mut full[..]).unwrap_err();
    assert_eq!((error.code(), error.exit()), ("INS-408", Exit::Failed));
}

/// A small generator of numbers (xorshift64*), so that the loops below are the same each time.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit.max(1)
    }
}

#[test]
fn equal_values_give_equal_bytes_and_the_canonical_form_is_its_own() {
    let mut seeded = Seeded(7);
    for round in 0..300 {
        let rows: Vec<[usize; 5]> = (0..seeded.below(30))
            .map(|_| [seeded.below(307), seeded.below(302), seeded.below(4), seeded.below(3), seeded.below(5)])
            .collect();
        for format in ["csv", "jsonl"] {
            let file = declared(format, r#","max_rows":100"#, ALL);
            let mut outs = Vec::new();
            for _ in 0..3 {
                let table = spelled(&rows, format, &mut seeded);
                let (out, canonical) =
                    run(&file, table.as_bytes()).unwrap_or_else(|finding| panic!("{round}: {table}\n{finding}"));
                let (again, second) = run(&file, out.as_bytes()).unwrap();
                assert_eq!(again, out, "{table}");
                assert!(!second.rewriting.changed);
                assert_eq!(second.capacity, canonical.capacity);
                outs.push(out);
            }
            assert!(outs.windows(2).all(|pair| pair[0] == pair[1]), "{rows:?}");
        }
    }
}

/// The same rows in some order and some spelling. Column values are small numbers; 0 is a missing one.
fn spelled(rows: &[[usize; 5]], format: &str, seeded: &mut Seeded) -> String {
    let json = format == "jsonl";
    let mut rows = rows.to_vec();
    (1..rows.len()).for_each(|place| rows.swap(place, seeded.below(place + 1)));
    let quoted = |text: &str, seeded: &mut Seeded| match json {
        true if seeded.below(2) == 0 => {
            text.chars().fold("\"".to_owned(), |all, c| format!("{all}\\u{:04x}", u32::from(c))) + "\""
        }
        true => format!("\"{}\"", text.replace('"', "\\\"")),
        false if text.contains([',', '"']) || text.is_empty() || seeded.below(2) == 0 => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        false => text.to_owned(),
    };
    let mut columns = [0, 1, 2, 3, 4];
    (1..5).for_each(|place| columns.swap(place, seeded.below(place + 1)));
    let names = ["n", "d", "c", "b", "t"];
    let mut lines = Vec::new();
    if !json {
        lines.push(columns.map(|column| names[column]).join(","));
    }
    for row in rows {
        let cells = columns.map(|column| {
            let value = row[column];
            let text = match (column, value) {
                (_, 0) => {
                    if json {
                        "null".to_owned()
                    } else {
                        String::new()
                    }
                }
                (0, _) => {
                    let number = value as i64 - 6;
                    [format!("{number}"), format!("{number}.0"), format!("{number}e0"), format!("{number}.00E+0")]
                        [seeded.below(4)]
                    .clone()
                }
                (1, _) => {
                    let scaled = value as i64 - 151;
                    let (sign, size) = (if scaled < 0 { "-" } else { "" }, scaled.unsigned_abs());
                    [
                        format!("{sign}{}.{:02}", size / 100, size % 100),
                        format!("{sign}{size}e-2"),
                        format!("{sign}{}.{:02}00004", size / 100, size % 100),
                        format!("{sign}{size}.00E-2"),
                    ][seeded.below(4)]
                    .clone()
                }
                (2, _) => quoted(["low", "high, very", "\"q\""][value - 1], seeded),
                (3, _) => ["false", "true"][value - 1].to_owned(),
                _ => quoted(["", "x", "a b", "é,\""][value - 1], seeded),
            };
            if json { format!("\"{}\":{text}", names[column]) } else { text }
        });
        lines.push(if json { format!("{{{}}}", cells.join(", ")) } else { cells.join(",") });
    }
    lines.join(["\n", "\r\n"][seeded.below(2)]) + if lines.is_empty() { "" } else { "\n" }
}

#[test]
fn mutated_tables_never_panic_and_never_give_an_unstable_form() {
    let csv =
        "n,d,c,b,t\n7,-0.125,\"high, very\",true,a b\n,,,,\n-5,1.5e-1,\"\"\"q\"\"\",false,\"\"\n300,0,low,true,é\n";
    let jsonl = "{\"n\":7,\"d\":-0.125,\"c\":\"high, very\",\"b\":true,\"t\":\"a\\u0020b\"}\n{\"n\":null,\"d\":1E-1,\"c\":\"\\\"q\\\"\",\"b\":null,\"t\":\"\"}\n";
    let pieces: [&[u8]; 20] = [
        b"\"",
        b",",
        b"\n",
        b"\r",
        b"\r\n",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"null",
        b"e",
        b"-",
        b"9999999999",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\0",
        b"\xe2\x80\xae",
        b":",
        b"\\ud800",
        b".",
    ];
    let mut seeded = Seeded(99);
    let (mut accepted, mut refused) = (0, 0);
    for (format, text) in [("csv", csv), ("jsonl", jsonl)] {
        let file = declared(format, r#","max_rows":100"#, ALL);
        for _ in 0..20_000 {
            let mut bytes = text.as_bytes().to_vec();
            for _ in 0..1 + seeded.below(3) {
                let at = seeded.below(bytes.len());
                match seeded.below(4) {
                    0 => bytes[at] = seeded.below(256) as u8,
                    1 => drop(bytes.remove(at)),
                    2 => drop(bytes.splice(at..at, pieces[seeded.below(pieces.len())].iter().copied())),
                    _ => {
                        let piece = bytes[at..bytes.len().min(at + 1 + seeded.below(20))].to_vec();
                        let to = seeded.below(bytes.len());
                        bytes.splice(to..to, piece);
                    }
                }
            }
            match run(&file, &bytes) {
                Ok((out, canonical)) => {
                    accepted += 1;
                    assert_eq!(run(&file, out.as_bytes()).unwrap().0, out, "{:?}", String::from_utf8_lossy(&bytes));
                    assert!(canonical.capacity.0.is_finite() && canonical.rows <= 100);
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(accepted > 500 && refused > 10_000, "the loop reaches both ends: {accepted}, {refused}");
}
