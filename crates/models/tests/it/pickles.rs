//! Hostile pickles, written instruction by instruction: none of them passes, and each is told for what it is.

use hotcell_models::scan::{Kind, Report, Why, scan_bytes};

/// Instructions, as bytes.
#[derive(Debug, Default, Clone)]
struct Pickle(Vec<u8>);

impl Pickle {
    fn new(protocol: u8) -> Self {
        Self(vec![0x80, protocol])
    }

    fn op(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        self.op(&[0x8c, u8::try_from(text.len()).unwrap()]).op(text.as_bytes())
    }

    fn global(self, module: &str, name: &str) -> Self {
        self.op(format!("c{module}\n{name}\n").as_bytes())
    }

    fn end(self) -> Vec<u8> {
        self.op(b".").0
    }
}

fn looked(bytes: &[u8]) -> Report {
    scan_bytes(bytes, "model.pkl")
}

fn kinds(report: &Report) -> Vec<Why> {
    report.refused.iter().map(|refusal| refusal.kind).collect()
}

#[track_caller]
fn refused(bytes: &[u8], kind: Why) {
    let report = looked(bytes);
    assert!(kinds(&report).contains(&kind), "{report:#?}");
    for refusal in &report.refused {
        assert!(!refusal.reason.is_empty() && !refusal.remedy.is_empty() && refusal.place.contains("model.pkl"));
    }
}

#[test]
fn plain_data_passes() {
    let data = Pickle::new(4).op(b"}(").text("a").op(b"K\x01").text("b").op(b"]K\x02au").end();
    assert_eq!((looked(&data).kind, looked(&data).refused), (Some(Kind::Pickle), vec![]));
}

#[test]
fn whatever_is_on_no_list_is_refused_by_whichever_instruction_it_is_named() {
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("__builtin__", "exec"),
        ("subprocess", "Popen"),
        ("pip", "main"),
        ("timeit", "timeit"),
        ("runpy", "run_path"),
        ("pydoc", "pipepager"),
        ("ensurepip", "_run_pip"),
        ("bdb", "Bdb.run"),
        ("idlelib.run", "Executive.runcode"),
        ("torch.utils.bottleneck.__main__", "run_cprofile"),
        ("numpy.testing._private.utils", "runstring"),
        ("logging", "FileHandler"),
        ("sklearn.base", "os.system"),
        ("numpy", "os"),
        ("\u{ff4f}s", "system"),
    ] {
        refused(&Pickle::new(2).global(module, name).op(b"(").text("id").op(b"tR").end(), Why::Global);
        refused(&Pickle::new(4).text(module).text(name).op(b"\x93(").text("id").op(b"tR").end(), Why::Global);
        refused(&Pickle(format!("(S'id'\ni{module}\n{name}\n.").into_bytes()).0, Why::Global);
        // Named and never called.
        refused(&Pickle::new(2).global(module, name).op(b"0N").end(), Why::Global);
    }
}

#[test]
fn a_name_that_is_computed_or_hidden_in_the_memo_is_followed() {
    // The memo's places are chosen by the pickle: `numpy` stands where a scanner that counts would look.
    let hidden =
        Pickle::new(4).text("os").op(b"q\x05").op(b"0").text("numpy").op(b"q\x00").op(b"0").op(b"h\x05").text("system");
    refused(&hidden.op(b"\x93").text("id").op(b"\x85R").end(), Why::Global);
    let repeated = Pickle::new(4).text("os").op(b"2").op(b"0").text("system").op(b"\x93").text("id").op(b"\x85R").end();
    refused(&repeated, Why::Global);
    let escaped = b"V\\u006fs\nV\\u0073ystem\n\x93(S'id'\ntR.";
    refused(escaped, Why::Global);
    let escaped = b"S'\\x6fs'\nS'system'\n\x93(S'id'\ntR.";
    refused(escaped, Why::Global);
    let computed =
        Pickle::new(4).global("_codecs", "encode").text("os").text("latin1").op(b"\x86R").text("system").op(b"\x93");
    refused(&computed.end(), Why::Global);
}

#[test]
fn what_is_on_the_list_is_called_in_the_usual_way_only() {
    for unusual in [
        // Something that was made is called.
        Pickle::new(2).global("collections", "OrderedDict").op(b")R)R"),
        // A class that may only be made empty is given arguments.
        Pickle::new(2).global("sklearn.linear_model._ridge", "Ridge").text("x").op(b"\x85\x81"),
        Pickle::new(2).global("sklearn.linear_model._ridge", "Ridge").text("x").op(b"\x85R"),
        // A type is called, a length asks for memory.
        Pickle::new(2).global("builtins", "str").text("x").op(b"\x85R"),
        Pickle::new(2).global("builtins", "bytearray").op(b"J\xff\xff\xff\x7f\x85R"),
        Pickle::new(2)
            .global("numpy.core.multiarray", "_reconstruct")
            .global("numpy", "ndarray")
            .op(b"J\xff\xff\xff\x7f\x85C\x01b\x87R"),
        // A codec is looked up by name.
        Pickle::new(2).global("_codecs", "encode").text("x").text("zlib_codec").op(b"\x86R"),
        // An instance is made of something that is no class, or from a text.
        Pickle::new(2)
            .global("copyreg", "_reconstructor")
            .global("builtins", "bytearray")
            .global("builtins", "object")
            .op(b"N\x87R"),
        Pickle::new(2).text("os").op(b")R"),
        // Arguments that are no tuple.
        Pickle::new(2).global("collections", "OrderedDict").op(b"]R"),
    ] {
        refused(&unusual.end(), Why::Call);
    }
}

#[test]
fn a_state_that_would_change_how_an_instance_acts_is_refused() {
    let instance = || Pickle::new(2).global("sklearn.linear_model._ridge", "Ridge").op(b")\x81");
    for state in [
        instance().op(b"}").text("__setstate__").op(b"K\x01sb"),
        instance().op(b"}(").text("__class__").op(b"K\x01ub"),
        instance().op(b"N}").text("__reduce__").op(b"K\x01s\x86b"),
        // A name that NumPy computes.
        instance()
            .op(b"}")
            .global("numpy.core.multiarray", "scalar")
            .global("numpy", "dtype")
            .op(b"U\x02U1K\x00K\x01\x87RC\x04xxxx\x86RK\x01sb"),
        // Of a class, a function, a dictionary.
        Pickle::new(2).global("sklearn.linear_model._ridge", "Ridge").op(b"}b"),
        Pickle::new(2).op(b"}}b"),
        Pickle::new(2).global("numpy", "dtype").op(b"N}\x86b"),
        // What is appended to is no list.
        Pickle::new(2).global("sklearn.linear_model._ridge", "Ridge").op(b"K\x01a"),
        instance().op(b"(K\x01e"),
        instance().op(b"K\x01K\x01s"),
    ] {
        refused(&state.end(), Why::Call);
    }
}

#[test]
fn an_appended_state_does_not_hide_a_call() {
    let hidden =
        Pickle::new(2).global("os", "system").text("id").op(b"\x85R").op(b"0").global("collections", "OrderedDict");
    refused(&hidden.op(b")R}b").end(), Why::Global);
}

#[test]
fn instructions_of_no_ordinary_pickle_are_refused() {
    for unusual in [
        b"\x82\x01.".to_vec(),
        b"\x83\x01\x00.".to_vec(),
        b"\x84\x01\x00\x00\x00.".to_vec(),
        b"Pid\n.".to_vec(),
        b"\x8c\x01aQ.".to_vec(),
        b"\x97.".to_vec(),
        b"N\x98.".to_vec(),
        Pickle::default().global("collections", "OrderedDict").op(b")}\x92").end(),
        Pickle::default().op(b"(").global("collections", "OrderedDict").op(b"o").end(),
    ] {
        refused(&[&b"\x80\x04"[..], &unusual].concat(), Why::Opcode);
    }
    refused(b"\x80\x06N.", Why::Opcode);
}

#[test]
fn a_pickle_that_breaks_after_its_payload_is_refused_for_its_payload() {
    let payload = Pickle::new(2).global("os", "system").text("id").op(b"\x85R").0;
    for end in [&b""[..], b"\xff", b"X\xff\xff\xff\xff", b"0000000."] {
        refused(&[&payload, end].concat(), Why::Global);
    }
}

#[test]
fn what_follows_the_end_is_looked_at_or_refused() {
    let good = Pickle::new(2).op(b"N").end();
    let bad = Pickle::new(2).global("os", "system").text("id").op(b"\x85R").end();
    assert!(looked(&[&good[..], &good].concat()).is_clean());
    refused(&[&good[..], &bad].concat(), Why::Global);
    refused(&[&good[..], b"rest"].concat(), Why::Ambiguous);
}

#[test]
fn a_pickle_among_bytes_is_looked_at_and_bytes_that_only_look_like_one_are_not() {
    let bad = Pickle::new(4).global("os", "system").text("id").op(b"\x85R").end();
    let length = u8::try_from(bad.len()).unwrap();
    let nested = Pickle::new(4).op(&[b'C', length]).op(&bad).end();
    refused(&nested, Why::Global);
    let like_one = Pickle::new(4).op(&[b'C', 4]).op(b"\x80\x04\xff.").end();
    assert!(looked(&like_one).is_clean());
}

#[test]
fn frames_that_readers_would_see_differently_are_refused() {
    // A frame within a frame.
    refused(b"\x80\x04\x95\x0c\0\0\0\0\0\0\0\x95\x03\0\0\0\0\0\0\0K\x01.", Why::Ambiguous);
    refused(b"\x80\x04\x95\x01\x00\x00\x00\x00\x00\x00\x00K\x01.", Why::Ambiguous);
    refused(b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xffK\x01.", Why::Malformed);
    assert!(looked(b"\x80\x04\x95\x03\x00\x00\x00\x00\x00\x00\x00K\x01.").is_clean());
}

#[test]
fn lengths_counts_and_depths_are_bounded_by_what_is_there() {
    for huge in [
        b"\x80\x04X\xff\xff\xff\xff.".to_vec(),
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.".to_vec(),
        b"\x80\x04\x8e\x00\xe4\x0b\x54\x02\x00\x00\x00.".to_vec(),
        b"\x80\x04\x96\xff\xff\xff\xff\xff\xff\xff\xff.".to_vec(),
        b"\x80\x04\x8b\xff\xff\xff\x7f.".to_vec(),
        b"\x80\x04\x8b\xff\xff\xff\xff.".to_vec(),
        b"\x80\x04T\xff\xff\xff\xff.".to_vec(),
        b"\x80\x04.".to_vec(),
        b"\x80\x04(t\x85\x86.".to_vec(),
        b"\x80\x04h\x07.".to_vec(),
        b"\x80\x04u.".to_vec(),
    ] {
        refused(&huge, Why::Malformed);
    }
    refused(b"\x80\x04Nr\xff\xff\xff\xff.", Why::TooLarge);
    let deep = [&b"\x80\x04N"[..], &b"\x85".repeat(2_000_000), b"."].concat();
    assert!(looked(&deep).is_clean());
    let wide = [&b"\x80\x04("[..], &b"N".repeat(2_000_000), b"t."].concat();
    refused(&wide, Why::TooLarge);
    let marks = [&b"\x80\x04"[..], &b"(".repeat(100_000), b"."].concat();
    refused(&marks, Why::TooLarge);
}

#[test]
fn the_name_of_a_file_does_not_matter() {
    let bad = Pickle::new(2).global("os", "system").text("id").op(b"\x85R").end();
    let text = b"cos\nsystem\n(S'id'\ntR.".to_vec();
    for name in
        ["model.bin", "weights", "README.md", "config.json", "a.txt", "a.npy", "a.safetensors", "a.onnx", "a.jpg"]
    {
        for bytes in [&bad, &text] {
            let report = scan_bytes(bytes, name);
            assert!(!report.is_clean(), "{name}: {report:?}");
        }
    }
    assert!(scan_bytes(b"cat\ndog\nRat\n", "vocab.txt").is_clean());
}

#[test]
fn arrays_of_joblib_hide_no_instructions() {
    let wrapper = |extra: &[u8]| {
        let state = Pickle::new(2)
            .global("joblib.numpy_pickle", "NumpyArrayWrapper")
            .op(b")\x81}(")
            .text("subclass")
            .global("numpy", "ndarray")
            .text("shape")
            .op(b"K\x02\x85")
            .text("order")
            .text("C")
            .text("dtype")
            .global("numpy", "dtype")
            .text("u1")
            .op(b"\x89\x88\x87R");
        state.op(extra).op(b"ub")
    };
    let aligned = Pickle::default().text("numpy_array_alignment_bytes").op(b"K\x10").0;
    let good = wrapper(&aligned).op(b"\x01\xffab").end();
    assert!(looked(&good).is_clean(), "{:?}", looked(&good));
    // Without the byte between them, Python's own reader would take the elements for instructions.
    refused(&wrapper(b"").op(b"ab").end(), Why::Ambiguous);
    refused(&wrapper(&aligned).op(b"\x00cos\n").end(), Why::Ambiguous);
    // The elements of one reader are the instructions of the other's next.
    refused(&wrapper(&aligned).op(b"\x01\xffab").global("os", "system").op(b")R").end(), Why::Global);
    // A length in the shape that is not backed by bytes.
    let long = wrapper(&aligned).op(b"\x01\xffa").end();
    assert!(!looked(&long).is_clean());
}

#[test]
fn a_record_that_hides_its_objects_is_no_array() {
    // A dtype whose flags say that there are no objects, over a field that is one.
    let object = Pickle::default().global("numpy", "dtype").text("O8").op(b"\x89\x88\x87R").0;
    let record = Pickle::new(2)
        .global("numpy.core.multiarray", "_reconstruct")
        .global("numpy", "ndarray")
        .op(b"K\x00\x85C\x01b\x87R(K\x01K\x01\x85")
        .global("numpy", "dtype")
        .text("V8")
        .op(b"\x89\x88\x87R(K\x03")
        .text("|")
        .op(b"N")
        .text("a")
        .op(b"\x85}")
        .text("a")
        .op(&object)
        .op(b"K\x00\x86sK\x08K\x01K\x00tb\x89C\x08AAAAAAAAtb");
    refused(&record.end(), Why::Call);
}
