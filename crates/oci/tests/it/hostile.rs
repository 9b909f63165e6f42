//! Layers that no honest tool makes. Each is refused with its reason; nothing is left of it, here or elsewhere.

use std::fs;
use std::process::Command;

use hotcell_oci::{Bounds, OciError};
use hotcell_testkit::require_program;
use hotcell_types::{Exit, Explain};

use crate::image::{Packed, Place, gzip, put, write_index};
use crate::layer::{Layer, Said};

fn header(kind: u8, path: &[u8], size: u64) -> Said<'_> {
    Said { kind, path, link: b"", mode: 0o644, size }
}

/// Layers, and a word of the reason for which each is refused.
fn vectors() -> Vec<(&'static str, Vec<Layer>, &'static str)> {
    let lower = || Layer::new().folder("a").symlink("out", "/").symlink("up", "../..").symlink("etc", "/etc");
    vec![
        ("an absolute path", vec![Layer::new().file("/escaped", b"x")], "absolute"),
        ("an absolute path by POSIX", vec![Layer::new().pax(&[("path", b"/escaped")]).file("a", b"x")], "absolute"),
        ("an absolute path by GNU", vec![Layer::new().long(b'L', b"/escaped\0").file("a", b"x")], "absolute"),
        ("a way up", vec![Layer::new().file("../escaped", b"x")], "upwards"),
        ("a way up in the middle", vec![Layer::new().folder("a").file("a/../../escaped", b"x")], "upwards"),
        ("a way up at the end", vec![Layer::new().folder("a/..")], "upwards"),
        ("a folder that leads up", vec![Layer::new().folder("..")], "upwards"),
        ("a link that leads up by its own path", vec![Layer::new().symlink("../escaped", "x")], "upwards"),
        ("a file behind a link of its own", vec![lower().file("out/tmp/escaped", b"x")], "symbolic link"),
        ("a file behind a relative link", vec![lower().file("up/escaped", b"x")], "symbolic link"),
        (
            "a file behind a link of a lower layer",
            vec![lower(), Layer::new().file("etc/escaped", b"x")],
            "symbolic link",
        ),
        ("a folder behind a link", vec![lower().folder("out/escaped/deep")], "symbolic link"),
        ("a link behind a link", vec![lower().symlink("out/tmp/escaped", "x")], "symbolic link"),
        ("a link to a link", vec![lower().symlink("b", "out").file("b/escaped", b"x")], "symbolic link"),
        ("a whiteout behind a link", vec![lower(), Layer::new().file("etc/.wh.passwd", b"")], "symbolic link"),
        ("an opaque mark behind a link", vec![lower(), Layer::new().file("etc/.wh..wh..opq", b"")], "symbolic link"),
        ("a whiteout of the folder above", vec![Layer::new().file("a/.wh...", b"")], "no name"),
        ("a whiteout of the folder itself", vec![Layer::new().file("a/.wh..", b"").folder("a")], "no name"),
        ("a whiteout of nothing", vec![Layer::new().folder("a").file("a/.wh.", b"")], "no name"),
        ("a whiteout that is a link", vec![Layer::new().symlink(".wh.a", "/etc")], "whiteout"),
        ("a whiteout that is a device", vec![Layer::new().special(b'3', ".wh.a")], "whiteout"),
        ("a whiteout that is a hard link", vec![Layer::new().file("a", b"").hard_link(".wh.b", "a")], "whiteout"),
        ("a hard link out", vec![Layer::new().hard_link("a", "/etc/passwd")], "out of the image"),
        ("a hard link up", vec![Layer::new().hard_link("a", "../../../../etc/passwd")], "out of the image"),
        ("a hard link through a link", vec![lower().hard_link("b", "etc/passwd")], "symbolic link"),
        ("a hard link to nothing", vec![Layer::new().hard_link("a", "b")], "nothing"),
        ("a hard link to a folder", vec![Layer::new().folder("b").hard_link("a", "b")], "nothing that is a file"),
        ("a hard link to itself", vec![Layer::new().file("a", b"x").hard_link("./a", "a")], "itself"),
        (
            "a hard link to what it replaces",
            vec![Layer::new().file("a/b", b"x").hard_link("a", "a/b")],
            "what it replaces",
        ),
        ("a file below a file", vec![Layer::new().file("a", b"x").file("a/b", b"x")], "no folder"),
        ("a file in place of the root", vec![Layer::new().file("./", b"x").file(".", b"x")], "root"),
        ("a link in place of the root", vec![Layer::new().symlink(".", "/")], "root"),
        ("a link without a target", vec![Layer::new().symlink("a", "")], "nowhere"),
        (
            "two names by GNU and POSIX",
            vec![Layer::new().long(b'L', b"one\0").pax(&[("path", b"two")]).file("a", b"x")],
            "two names",
        ),
        ("two long names", vec![Layer::new().long(b'L', b"one\0").long(b'L', b"two\0").file("a", b"x")], "two long"),
        (
            "two extended headers",
            vec![Layer::new().pax(&[("path", b"one")]).pax(&[("path", b"two")]).file("a", b"x")],
            "two extended",
        ),
        (
            "a thing said twice",
            vec![Layer::new().pax(&[("path", b"one"), ("path", b"../two")]).file("a", b"x")],
            "twice",
        ),
        ("another size by POSIX", vec![Layer::new().pax(&[("size", b"512")]).file("a", b"")], "two sizes"),
        ("a name for all", vec![Layer::new().pax_for_all(&[("path", b"../escaped")]).file("a", b"x")], "all entries"),
        ("a NUL in a name", vec![Layer::new().pax(&[("path", b"a\0b")]).file("a", b"x")], "NUL"),
        ("holes by GNU", vec![Layer::new().special(b'S', "a")], "holes"),
        ("holes by POSIX", vec![Layer::new().pax(&[("GNU.sparse.major", b"1")]).file("a", b"x")], "holes"),
        ("an unknown kind", vec![Layer::new().special(b'Z', "a")], "unknown kind"),
        (
            "an extended header that is none",
            vec![Layer::new().raw(header(b'x', b"p", 9), b"99 path=a").file("a", b"x")],
            "is none",
        ),
        ("an extended header of nothing", vec![Layer::new().file("a", b"x").pax(&[("path", b"b")])], "does not"),
        ("a name of 300 bytes", vec![Layer::new().pax(&[("path", &[b'n'; 300])]).file("a", b"x")], "255"),
        (
            "a path of 5000 bytes",
            vec![Layer::new().long(b'L', &b"n/".repeat(2500)).file("a", b"x")],
            "length of a path",
        ),
        ("a path of 200 folders", vec![Layer::new().pax(&[("path", &b"n/".repeat(200))]).folder("a")], "depth"),
        ("no tar", vec![Layer::new().junk(&[b'#'; 4096])], "layer 1"),
        ("a damaged header", vec![Layer::new().file("a", b"x").junk(&[1; 512])], "layer 1"),
        ("a file that is larger than the layer", vec![Layer::new().raw(header(b'0', b"a", 1 << 30), b"x")], "layer 1"),
    ]
}

#[test]
fn every_hostile_layer_is_refused_with_its_reason_and_leaves_nothing() {
    for (what, layers, word) in vectors() {
        let place = Place::new();
        fs::write(place.path("beside"), b"untouched").unwrap();
        let layers: Vec<_> = layers.into_iter().map(Layer::done).collect();
        let made = place.layout(&layers, Packed::Plain, "null");
        let error = match place.fetch(made.layout.to_str().unwrap()) {
            Err(error) => error,
            Ok(_) => panic!("{what} was taken"),
        };
        assert!(error.to_string().contains(word), "{what}: {error}");
        assert!(matches!(error.exit(), Exit::Refused), "{what}: {error}");
        assert_eq!(place.left(), Vec::<String>::new(), "{what}");
        let mut beside: Vec<_> = fs::read_dir(place.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        beside.sort();
        assert_eq!(beside, ["beside", "images", "layout"], "{what}");
    }
    assert!(!std::path::Path::new("/escaped").exists() && !std::path::Path::new("/tmp/escaped").exists());
}

/// What a tool does that follows names as they are: without our rules the same layers reach beyond the folder.
#[test]
fn a_careless_tool_is_led_out_by_the_same_layers() {
    require_program!("tar");
    for (what, path) in [("a way up", "../escaped"), ("a file behind a relative link", "up/escaped")] {
        let place = Place::new();
        let target = place.path("one/two");
        fs::create_dir_all(&target).unwrap();
        let layer = Layer::new().symlink("up", "..").file(path, b"x").done();
        let tar = place.path("layer.tar");
        fs::write(&tar, layer).unwrap();
        let output = Command::new("tar").arg("-xPf").arg(&tar).arg("-C").arg(&target).output().unwrap();
        let escaped = place.path("one/escaped").exists();
        assert!(escaped, "{what} leads nowhere, so its refusal proves nothing: {output:?}");
    }
}

#[test]
fn names_that_differ_in_case_or_come_twice_harm_nobody() {
    let place = Place::new();
    let layer = Layer::new()
        .file("a", b"first")
        .file("a", b"second")
        .file("A", b"other")
        .file_of_mode("./a", 0o4755, b"third")
        .symlink("link", "a")
        .file("link", b"in place of the link")
        .folder("f")
        .symlink("f", "/etc")
        .folder("f")
        .file("f/passwd", b"ours");
    let made = place.layout(&[layer.done()], Packed::Gzip, "null");
    let root = place.fetch(made.layout.to_str().unwrap()).unwrap().root();
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    assert_eq!((read("a"), read("A"), read("link")), ("third".into(), "other".into(), "in place of the link".into()));
    assert_eq!(read("f/passwd"), "ours");
    assert_ne!(fs::read_to_string("/etc/passwd").unwrap(), "ours");
}

#[test]
fn a_file_is_never_written_through_another_name_of_it() {
    let place = Place::new();
    let lower = Layer::new().file("original", b"original").hard_link("second", "original").done();
    let upper = Layer::new().file("second", b"changed").done();
    let made = place.layout(&[lower, upper], Packed::Plain, "null");
    let root = place.fetch(made.layout.to_str().unwrap()).unwrap().root();
    assert_eq!(fs::read_to_string(root.join("original")).unwrap(), "original");
}

#[test]
fn bounds_end_what_has_no_end() {
    let small =
        Bounds { unpacked_bytes: 1 << 20, entries: 50, root_entries: 8, made_bytes: 8 << 10, ..Bounds::default() };
    let many = (0..60).fold(Layer::new(), |layer, number| layer.file(&format!("d/{number}"), b""));
    let deep = (0..20).fold(Layer::new(), |layer, number| layer.file(&format!("d{number}/a/b/c"), b""));
    let wide = (0..9).fold(Layer::new(), |layer, number| layer.file(&format!("{number}"), b""));
    let large = Layer::new().file("a", &vec![0; 1 << 20]);
    let long = (10..50).fold(Layer::new(), |layer, number| {
        layer.pax(&[("path", format!("d/{number}{}", "n".repeat(240)).as_bytes())]).file("x", b"")
    });
    for (what, layer, word) in [
        ("entries", many, "number of entries"),
        ("folders made on the way", deep, "number of entries"),
        ("entries of the root", wide, "image's root"),
        ("paths", long, "length of all paths"),
        ("bytes", large, "image unpacks to"),
    ] {
        for packed in [Packed::Gzip, Packed::Zstd] {
            let place = Place::bounded(small);
            let made = place.layout(&[layer.clone().done()], packed, "null");
            let error = place.fetch(made.layout.to_str().unwrap()).unwrap_err();
            assert!(matches!(error, OciError::TooMuch { .. }), "{what}: {error}");
            assert!(error.to_string().contains(word), "{what}: {error}");
            assert_eq!(place.left(), Vec::<String>::new(), "{what}");
        }
    }
}

#[test]
fn a_working_directory_too_deep_to_be_removed_again_is_refused() {
    let place = Place::new();
    let layer = [Layer::new().file("a", b"a").done()];
    let at = |depth: usize| format!("{{\"WorkingDir\":\"{}\"}}", "/d".repeat(depth));
    for depth in [129, 1500] {
        let made = place.layout(&layer, Packed::Plain, &at(depth));
        let error = place.fetch(made.layout.to_str().unwrap()).unwrap_err();
        assert!(matches!(error, OciError::TooMuch { what: "the depth of a path", limit: 128 }), "{error}");
        assert_eq!(place.left(), Vec::<String>::new());
    }
    let made = place.layout(&layer, Packed::Plain, &at(128));
    let image = place.fetch(made.layout.to_str().unwrap()).unwrap();
    assert!(image.root().join("d/".repeat(128)).is_dir());
}

/// An archive as `docker save` writes it, whose list names its one image so many times.
fn saved(archive: Layer, config_bytes: usize, times: usize) -> Vec<u8> {
    let layer = Layer::new().file("a", b"a").done();
    let config = format!(
        "{{\"os\":\"linux\",\"architecture\":\"{}\",\"rootfs\":{{\"diff_ids\":[\"{}\"]}}}}",
        crate::image::architecture(),
        hotcell_crypto::sha256(&layer)
    );
    let config = config.clone() + &" ".repeat(config_bytes.saturating_sub(config.len()));
    let list = vec!["{\"Config\":\"config.json\",\"Layers\":[\"layer.tar\"]}"; times].join(",");
    let archive = archive.file("manifest.json", format!("[{list}]").as_bytes());
    archive.file("config.json", config.as_bytes()).file("layer.tar", &layer).done()
}

#[test]
fn an_archive_has_short_names_and_small_headers() {
    let place = Place::new();
    let tar = place.path("saved.tar");
    let fetch = |archive: Layer| {
        fs::write(&tar, saved(archive, 0, 1)).unwrap();
        place.fetch(tar.to_str().unwrap())
    };
    let honest = Layer::new().pax_for_all(&[("comment", b"by nobody")]).pax(&[("mtime", b"1600000000.5")]);
    assert_eq!(fs::read(fetch(honest).unwrap().root().join("a")).unwrap(), b"a");
    let large = vec![b'x'; 1 << 20];
    for (what, archive, code, word) in [
        ("a long name", Layer::new().long(b'L', b"config.json\0"), "OCI-025", "longer than 100"),
        ("a long link", Layer::new().long(b'K', b"config.json\0"), "OCI-025", "longer than 100"),
        ("another name", Layer::new().pax(&[("path", b"manifest.json")]), "OCI-025", "extended header"),
        ("another size", Layer::new().pax(&[("size", b"7")]), "OCI-025", "extended header"),
        ("a name for all", Layer::new().pax_for_all(&[("path", b"manifest.json")]), "OCI-025", "extended header"),
        ("a large header", Layer::new().pax(&[("comment", &large)]), "OCI-030", "extended header"),
        ("a large header for all", Layer::new().pax_for_all(&[("comment", &large)]), "OCI-030", "extended header"),
        ("no header", Layer::new().raw(header(b'x', b"p", 9), b"99 path=a"), "OCI-022", "is none"),
    ] {
        let Err(error) = fetch(archive) else { panic!("{what} was taken") };
        assert_eq!(error.code(), code, "{what}: {error}");
        assert!(error.to_string().contains(word), "{what}: {error}");
    }
}

/// The body of the next test's child, whose memory is its own. Nothing at all in an ordinary run.
#[test]
fn lists_an_archive_when_asked() {
    let Some(archive) = std::env::var_os("OCI_ARCHIVE") else { return };
    let place = Place::new();
    let error = place.fetch(archive.to_str().unwrap()).unwrap_err();
    assert!(matches!(&error, OciError::Ambiguous { images, .. } if images.len() == 64), "{error}");
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB")).unwrap();
    let most: u64 = most.trim().parse().unwrap();
    assert!(most < 128 << 10, "{most} KiB");
}

#[test]
fn a_list_that_names_a_large_config_many_times_costs_the_memory_of_one() {
    let place = Place::new();
    let tar = place.path("saved.tar");
    fs::write(&tar, saved(Layer::new(), 4 << 20, 64)).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hostile::lists_an_archive_when_asked"])
        .env("OCI_ARCHIVE", &tar)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

#[test]
fn a_bomb_is_noticed_by_its_ratio() {
    let place = Place::new();
    let layer = Layer::new().file("zeros", &vec![0; 80 << 20]).done();
    let made = place.layout(&[layer], Packed::Gzip, "null");
    let error = place.fetch(made.layout.to_str().unwrap()).unwrap_err();
    assert!(error.to_string().contains("for its size"), "{error}");
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn a_layer_that_unpacks_to_something_else_than_the_config_says_is_refused() {
    let place = Place::new();
    let honest = Layer::new().file("a", b"a").done();
    let made = place.layout(std::slice::from_ref(&honest), Packed::Gzip, "null");
    let config = fs::read_to_string(made.layout.join("blobs/sha256").join(made.config.hex())).unwrap();
    let other = hotcell_crypto::sha256(b"other");
    let config = config.replace(&hotcell_crypto::sha256(&honest).to_string(), &other.to_string());
    let digest = put(&made.layout, config.as_bytes());
    let manifest = fs::read_to_string(made.layout.join("blobs/sha256").join(made.manifest.hex())).unwrap();
    let manifest = manifest.replace(&made.config.to_string(), &digest.to_string());
    let digest = put(&made.layout, manifest.as_bytes());
    write_index(&made.layout, &[(digest, manifest.len(), None)]);
    let error = place.fetch(made.layout.to_str().unwrap()).unwrap_err();
    assert!(matches!(error, OciError::WrongDigest { .. }), "{error}");
    assert!(matches!(error.exit(), Exit::Integrity));
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn layouts_whose_blobs_are_changed_cut_gone_or_links_are_refused() {
    let layer = || vec![Layer::new().file("a", &[7; 3000]).done()];
    type Spoil = fn(&std::path::Path);
    let cases: [(&str, Spoil, &str); 6] = [
        (
            "changed",
            |blob| {
                let mut bytes = fs::read(blob).unwrap();
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
                fs::write(blob, bytes).unwrap();
            },
            "OCI-020",
        ),
        (
            "cut",
            |blob| {
                let bytes = fs::read(blob).unwrap();
                fs::write(blob, &bytes[..bytes.len() / 2]).unwrap();
            },
            "OCI-021",
        ),
        (
            "longer",
            |blob| {
                let mut bytes = fs::read(blob).unwrap();
                bytes.push(0);
                fs::write(blob, bytes).unwrap();
            },
            "OCI-021",
        ),
        ("gone", |blob| fs::remove_file(blob).unwrap(), "OCI-010"),
        (
            "a link",
            |blob| {
                let moved = blob.with_extension("moved");
                fs::rename(blob, &moved).unwrap();
                std::os::unix::fs::symlink(&moved, blob).unwrap();
            },
            "OCI-025",
        ),
        (
            "a folder",
            |blob| {
                fs::remove_file(blob).unwrap();
                fs::create_dir(blob).unwrap();
            },
            "OCI-022",
        ),
    ];
    for (what, spoil, code) in cases {
        let place = Place::new();
        let made = place.layout(&layer(), Packed::Gzip, "null");
        spoil(&made.layout.join("blobs/sha256").join(made.layers[0].hex()));
        let error = place.fetch(made.layout.to_str().unwrap()).unwrap_err();
        assert_eq!(error.code(), code, "{what}: {error}");
        assert_eq!(place.left(), Vec::<String>::new(), "{what}");
    }
}

#[test]
fn what_is_no_image_is_named() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).unwrap();
    fs::write(place.path("text"), b"just a text, and not a short one").unwrap();
    fs::write(place.path("packed.tar.gz"), gzip(&Layer::new().file("oci-layout", b"{}").done())).unwrap();
    fs::write(
        place.path("cut.tar"),
        Layer::new().file("manifest.json", b"[]").raw(header(b'0', b"x", 9999), b"").cut(),
    )
    .unwrap();
    fs::write(place.path("links.tar"), Layer::new().symlink("manifest.json", "/etc/passwd").done()).unwrap();
    let twice = Layer::new().file("manifest.json", b"[]").file("./manifest.json", b"[{}]");
    fs::write(place.path("twice.tar"), twice.done()).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.path("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    for (name, code) in [
        ("not-there", "OCI-010"),
        ("empty", "OCI-022"),
        ("text", "OCI-022"),
        ("packed.tar.gz", "OCI-025"),
        ("cut.tar", "OCI-022"),
        ("links.tar", "OCI-025"),
        ("twice.tar", "OCI-022"),
        ("pipe", "OCI-022"),
    ] {
        let error = place.fetch(place.path(name).to_str().unwrap()).unwrap_err();
        assert_eq!(error.code(), code, "{name}: {error}");
        assert!(!error.remedy().is_empty());
    }
    let made = place.layout(&[Layer::new().file("a", b"").done()], Packed::Plain, "null");
    let wrong = format!("{}@{}", made.layout.display(), hotcell_crypto::sha256(b"another"));
    assert_eq!(place.fetch(&wrong).unwrap_err().code(), "OCI-010");
    let of_config = format!("{}@{}", made.layout.display(), made.config);
    assert_eq!(place.fetch(&of_config).unwrap_err().code(), "OCI-022", "a config is no manifest");
}
