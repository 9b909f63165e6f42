//! Files that are not what they say, of every format that holds no program.

use hotcell_models::scan::{Kind, Report, Why, scan_bytes};

#[track_caller]
fn refused(report: &Report, kind: Why) {
    assert!(report.refused.iter().any(|refusal| refusal.kind == kind), "{report:#?}");
}

fn safetensors(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn safetensors_fit_their_header_to_the_byte() {
    let good = r#"{"__metadata__":{"a":"b"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let report = scan_bytes(&safetensors(good, 8), "m.safetensors");
    assert_eq!((report.kind, report.refused), (Some(Kind::Safetensors), vec![]));
    for (header, data) in [
        (good, 7),
        (good, 9),
        (r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4),
        (r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#, 12),
        (r#"{"w":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}}"#, 4),
        (r#"{"w":{"dtype":"X","shape":[2],"data_offsets":[0,8]}}"#, 8),
        (
            r#"{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"v":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#,
            4,
        ),
        (
            r#"{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#,
            4,
        ),
        (r#"{"__metadata__":{"a":1}}"#, 0),
        ("[1]", 0),
    ] {
        refused(&scan_bytes(&safetensors(header, data), "m.safetensors"), Why::Malformed);
    }
    // Ten gigabytes in a file of a kilobyte.
    let huge = [&10_000_000_000u64.to_le_bytes()[..], &[b'{'; 1000]].concat();
    refused(&scan_bytes(&huge, "m.safetensors"), Why::TooLarge);
    let long = [&90_000_000u64.to_le_bytes()[..], &[b'{'; 1000]].concat();
    refused(&scan_bytes(&long, "m.safetensors"), Why::Malformed);
}

fn npy(header: &str, data: usize) -> Vec<u8> {
    let length = u16::try_from(header.len()).unwrap();
    [&b"\x93NUMPY\x01\x00"[..], &length.to_le_bytes(), header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn arrays_of_numpy_hold_numbers_to_the_byte() {
    let good = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }\n";
    assert!(scan_bytes(&npy(good, 96), "a.npy").is_clean());
    let record = "{'descr': [('a', '<i4'), (('title', 'b'), '<f8', (2,))], 'fortran_order': False, 'shape': (), }";
    assert!(scan_bytes(&npy(record, 20), "a.npy").is_clean());
    for (header, data) in [
        (good, 95),
        (good, 97),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", 0),
        ("{'descr': '<f8', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", 4),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'x': 1}", 8),
        ("{'descr': '<f8', 'fortran_order': __import__('os'), 'shape': (1,), }", 8),
        ("{'descr': '\\x4f', 'fortran_order': False, 'shape': (1,), }", 8),
        ("", 0),
    ] {
        refused(&scan_bytes(&npy(header, data), "a.npy"), Why::Malformed);
    }
    for objects in ["'|O'", "[('a', '<i4'), ('b', 'O')]", "'O8'"] {
        let header = format!("{{'descr': {objects}, 'fortran_order': False, 'shape': (1,), }}");
        refused(&scan_bytes(&npy(&header, 8), "a.npy"), Why::ObjectArray);
    }
}

#[test]
fn gguf_counts_are_backed_by_bytes_and_its_template_is_checked() {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let file = |tensors: u64, settings: u64, rest: &[u8]| {
        [&b"GGUF\x03\0\0\0"[..], &tensors.to_le_bytes(), &settings.to_le_bytes(), rest].concat()
    };
    let template = |source: &str| {
        file(0, 1, &[text("tokenizer.chat_template"), 8u32.to_le_bytes().to_vec(), text(source)].concat())
    };
    assert!(scan_bytes(&template("{{ messages[0].content }}"), "m.gguf").is_clean());
    refused(&scan_bytes(&template("{{ ''.__class__ }}"), "m.gguf"), Why::Template);
    refused(&scan_bytes(&file(u64::MAX, 0, b""), "m.gguf"), Why::TooLarge);
    refused(&scan_bytes(&file(1, 0, b""), "m.gguf"), Why::Malformed);
    let list =
        [text("a"), 9u32.to_le_bytes().to_vec(), 9u32.to_le_bytes().to_vec(), 10_000_000_000u64.to_le_bytes().to_vec()]
            .concat();
    refused(&scan_bytes(&file(0, 1, &list), "m.gguf"), Why::Malformed);
    let tensor = [
        text("w"),
        1u32.to_le_bytes().to_vec(),
        1000u64.to_le_bytes().to_vec(),
        0u32.to_le_bytes().to_vec(),
        0u64.to_le_bytes().to_vec(),
    ]
    .concat();
    refused(&scan_bytes(&file(1, 0, &tensor), "m.gguf"), Why::Malformed);
}

/// A field of Protocol Buffers with bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    [field, bytes.to_vec()].concat()
}

fn onnx(graph: &[Vec<u8>]) -> Vec<u8> {
    [&b"\x08\x08"[..], &field(7, &graph.concat()), &field(8, b"\x10\x12")].concat()
}

#[test]
fn onnx_names_standard_operators_and_data_beside_it() {
    let node =
        |domain: &str, operator: &str| field(1, &[field(4, operator.as_bytes()), field(7, domain.as_bytes())].concat());
    let external = |key: &str, value: &str| {
        let entry = [field(1, key.as_bytes()), field(2, value.as_bytes())].concat();
        field(5, &[field(8, b"w"), field(13, &entry)].concat())
    };
    let good = scan_bytes(&onnx(&[node("", "Gemm"), external("location", "w.bin")]), "m.onnx");
    assert!(good.is_clean() && good.data_files == ["w.bin"], "{good:?}");
    for (domain, operator) in [("evil", "Run"), ("ai.onnx.contrib", "Python"), ("com.microsoft", "PyOp")] {
        refused(&scan_bytes(&onnx(&[node(domain, operator)]), "m.onnx"), Why::Operator);
    }
    // In a subgraph of an attribute.
    let inner = field(6, &node("evil", "Run"));
    let outer = field(1, &[field(4, b"If"), field(5, &inner)].concat());
    refused(&scan_bytes(&onnx(&[outer]), "m.onnx"), Why::Operator);
    for outside in ["/etc/passwd", "../../x", "a/../../x", "..", "", "C:\\x"] {
        refused(&scan_bytes(&onnx(&[external("location", outside)]), "m.onnx"), Why::ExternalData);
    }
    refused(&scan_bytes(&onnx(&[external("offset", "-1")]), "m.onnx"), Why::ExternalData);
    let mut deep = Vec::new();
    for _ in 0..100 {
        deep = field(1, &[field(4, b"If"), field(5, &field(6, &deep))].concat());
    }
    refused(&scan_bytes(&onnx(&[deep]), "m.onnx"), Why::TooLarge);
    refused(&scan_bytes(b"\x08\x08\x3a\xff\xff\xff\xff\x0f", "m.onnx"), Why::Malformed);
}

/// A member of a zip: name, bytes; and what is altered in its own header.
fn zip(members: &[(&str, &[u8])], alter: impl Fn(&mut Vec<u8>, &mut Vec<u8>)) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in members {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let (sum, length, name_length) =
            (crc.sum().to_le_bytes(), (bytes.len() as u32).to_le_bytes(), (name.len() as u16).to_le_bytes());
        let offset = (file.len() as u32).to_le_bytes();
        let mut local =
            [&b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0"[..], &sum, &length, &length, &name_length, &[0, 0], name.as_bytes()]
                .concat();
        let mut central = [
            &b"PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0\0\0"[..],
            &sum,
            &length,
            &length,
            &name_length,
            &[0; 12],
            &offset,
            name.as_bytes(),
        ]
        .concat();
        alter(&mut local, &mut central);
        file.extend([&local[..], bytes].concat());
        directory.extend(central);
    }
    let count = (members.len() as u16).to_le_bytes();
    let (length, offset) = ((directory.len() as u32).to_le_bytes(), (file.len() as u32).to_le_bytes());
    [file, directory, [&b"PK\x05\x06\0\0\0\0"[..], &count, &count, &length, &offset, &[0, 0]].concat()].concat()
}

#[test]
fn archives_are_read_only_where_all_readers_agree() {
    let members: &[(&str, &[u8])] = &[("m/a.txt", b"hello"), ("m/b.json", b"{}")];
    let good = zip(members, |_, _| {});
    assert_eq!((scan_bytes(&good, "m.zip").kind, scan_bytes(&good, "m.zip").refused), (Some(Kind::Zip), vec![]));
    type Alter = fn(&mut Vec<u8>, &mut Vec<u8>);
    let alterations: [(&str, Alter, Why); 7] = [
        ("another name in its own header", |local, _| local[30] = b'x', Why::Ambiguous),
        ("encrypted in the directory only", |_, central| central[8] |= 1, Why::Compressed),
        ("a flag in its own header only", |local, _| local[6] |= 1, Why::Ambiguous),
        ("another checksum", |local, central| (local[14], central[16]) = (1, 1), Why::Ambiguous),
        ("another length", |local, _| local[22] ^= 1, Why::Ambiguous),
        ("compressed by an unknown way", |local, central| (local[8], central[10]) = (14, 14), Why::Compressed),
        ("a link", |_, central| central[41] = 0xa0, Why::Link),
    ];
    for (what, alter, kind) in alterations {
        let report = scan_bytes(&zip(members, alter), "m.zip");
        assert!(report.refused.iter().any(|refusal| refusal.kind == kind), "{what}: {report:?}");
    }
    for name in ["../a", "/a", "a/../../b", "a\\b", "C:a"] {
        refused(&scan_bytes(&zip(&[(name, b"x")], |_, _| {}), "m.zip"), Why::OutsideName);
    }
    refused(&scan_bytes(&zip(&[("a", b"x"), ("A", b"y")], |_, _| {}), "m.zip"), Why::Ambiguous);
    refused(&scan_bytes(&[&good[..], b"more"].concat(), "m.zip"), Why::Malformed);
    refused(&scan_bytes(&[b"more", &good[..]].concat(), "m.zip"), Why::Ambiguous);
    // A pickle in front, an archive behind.
    refused(&scan_bytes(&[&b"\x80\x02N."[..], &good].concat(), "m.pt"), Why::Ambiguous);
}

#[test]
fn a_pickle_is_found_however_deep_it_is_packed() {
    let bad = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.";
    let once = zip(&[("a/config.json", bad)], |_, _| {});
    refused(&scan_bytes(&once, "m.zip"), Why::Global);
    let twice = zip(&[("inner", &once)], |_, _| {});
    refused(&scan_bytes(&twice, "m.zip"), Why::Global);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, &twice).unwrap();
    refused(&scan_bytes(&packed.finish().unwrap(), "m.gz"), Why::Global);
    let mut deep = b"x".to_vec();
    for _ in 0..10 {
        deep = zip(&[("a", &deep)], |_, _| {});
    }
    refused(&scan_bytes(&deep, "m.zip"), Why::TooLarge);
    // NumPy takes for a pickle what is no array.
    refused(&scan_bytes(&zip(&[("a.npy", bad)], |_, _| {}), "m.npz"), Why::Malformed);
    // PyTorch's pickle, and a program beside it.
    refused(&scan_bytes(&zip(&[("m/data.pkl", bad)], |_, _| {}), "m.pt"), Why::Global);
    let script = zip(&[("m/data.pkl", b"\x80\x02N."), ("m/code/a.py", b"x")], |_, _| {});
    refused(&scan_bytes(&script, "m.pt"), Why::Code);
}

#[test]
fn a_bomb_is_not_unpacked() {
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..128 {
        std::io::Write::write_all(&mut bomb, &vec![0; 1 << 20]).unwrap();
    }
    refused(&scan_bytes(&bomb.finish().unwrap(), "m.gz"), Why::TooLarge);
}

#[test]
fn programs_and_what_nobody_knows_are_refused() {
    for (bytes, name, kind) in [
        (&b"\x7fELF\x02\x01\x01"[..], "weights.bin", Why::Code),
        (b"#!/bin/sh\nid\n", "README", Why::Code),
        (b"print(1)\n", "modeling.py", Why::Code),
        (b"MZ\x90\x00", "a.dat", Why::Code),
        (b"\x89HDF\r\n\x1a\n\x00\x01", "m.h5", Why::UnknownFormat),
        (b"7z\xbc\xaf\x27\x1c\x00", "m.pkl", Why::Compressed),
        (b"\x00\x01\x02\x03", "m.bin", Why::UnknownFormat),
        (br#"{"auto_map": {"AutoModel": "x--y.Z"}}"#, "config.json", Why::Code),
        (
            br#"{"chat_template": [{"name": "a", "template": "{{ x.__class__ }}"}]}"#,
            "tokenizer_config.json",
            Why::Template,
        ),
        (b"{{ cycler.x() }}", "chat_template.jinja", Why::Template),
        (br#"{"a": "#, "config.json", Why::Malformed),
    ] {
        refused(&scan_bytes(bytes, name), kind);
    }
}

#[test]
fn links_in_tars_are_refused() {
    let entry = |name: &str, kind: u8| {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_size(0);
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_cksum();
        [&header.as_bytes()[..], &[0; 1024]].concat()
    };
    assert!(scan_bytes(&entry("a.txt", b'0'), "m.tar").is_clean());
    for kind in *b"12346xL" {
        let report = scan_bytes(&entry("a.txt", kind), "m.tar");
        assert_eq!(report.is_clean(), kind == b'x', "{}: {report:?}", char::from(kind));
    }
    let mut outside = entry("aa/a.txt", b'0');
    outside[..2].copy_from_slice(b"..");
    let sum: u32 = outside[..512]
        .iter()
        .enumerate()
        .map(|(place, byte)| if (148..156).contains(&place) { 32 } else { u32::from(*byte) })
        .sum();
    outside[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    refused(&scan_bytes(&outside, "m.tar"), Why::OutsideName);
}
