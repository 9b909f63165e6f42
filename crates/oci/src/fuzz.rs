//! Names, configs, manifests, settings and layers of others are refused, never a panic.

use std::fs;
use std::sync::Arc;

use hotcell_testkit::fuzz::Target;

use crate::bounds::Bounds;
use crate::config::ImageConfig;
use crate::layer::{Count, Unpacking};
use crate::manifest::Document;
use crate::reference::ImageRef;
use crate::resolve;
use crate::settings::Settings;
use crate::store::Store;
use crate::tree::Tree;

fn target(name: &'static str) -> Target {
    Target::new(env!("CARGO_MANIFEST_DIR"), name)
}

#[test]
fn no_name_of_an_image_makes_its_parser_panic_and_what_is_read_reads_again_as_the_same() {
    let settings = Settings::parse("short_names = \"registry.example/team\"\n", "fuzz.toml").unwrap();
    let mut read = 0;
    target("image-name").run(3000, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(image) = ImageRef::parse(&text, &settings) else { return };
        // A path is shown with its odd signs escaped.
        if let ImageRef::Registry { .. } = image {
            read += 1;
            let again = ImageRef::parse(&image.to_string(), &settings);
            assert_eq!(again.ok().as_ref(), Some(&image), "{text:?} was read as {image}");
        }
    });
    assert!(read > 0);
}

#[test]
fn no_config_of_an_image_makes_its_parser_panic_and_a_working_folder_leads_nowhere_up() {
    let mut read = 0;
    target("config").run(4000, |bytes| {
        let Ok(config) = ImageConfig::parse(bytes, &Bounds::default()) else { return };
        read += 1;
        let _ = (config.default_command(), config.variables());
        let _ = config.user_in("root:x:0:0::/:/bin/sh\nname:x:7:8::/:/bin/sh\n");
        let folder = config.working_dir.as_deref().unwrap_or("/");
        assert!(folder.starts_with('/') && folder.split('/').all(|part| part != ".."), "{folder}");
    });
    assert!(read > 0);
}

#[test]
fn no_manifest_or_settings_make_their_parser_panic() {
    target("manifest").run(4000, |bytes| {
        let _ = Document::parse(bytes, &Bounds::default());
    });
    target("settings").run(3000, |bytes| {
        let _ = Settings::parse(&String::from_utf8_lossy(bytes), "fuzz.toml");
    });
}

#[test]
fn no_layer_makes_unpacking_panic_or_write_beyond_its_root() {
    let mut unpacked = 0;
    target("layer").run(150, |bytes| {
        let around = tempfile::tempdir().unwrap();
        let root = around.path().join("root");
        fs::create_dir(&root).unwrap();
        let (tree, bounds, mut count) = (Tree::open(&root).unwrap(), Bounds::default(), Count::default());
        unpacked += u32::from(Unpacking::new(&tree, &bounds, 0, &mut count).unpack(bytes).is_ok());
        let names: Vec<_> = fs::read_dir(around.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["root"]);
    });
    assert!(unpacked > 0, "the layers themselves are unpacked");
}

#[test]
fn no_archive_makes_finding_its_image_panic() {
    let place = tempfile::tempdir().unwrap();
    let (store, settings) = (Store::new(place.path().join("store")), Arc::new(Settings::default()));
    let path = place.path().join("image.tar");
    let image = ImageRef::parse(path.to_str().unwrap(), &settings).unwrap();
    let mut found = 0;
    target("archive").run(200, |bytes| {
        fs::write(&path, bytes).unwrap();
        found += u32::from(resolve(&image, &settings, &store).is_ok());
    });
    assert!(found > 0, "the archives themselves hold an image");
}
