//! The cache: shared, whole or absent, removed only by whoever is alone with it.

use std::env;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use hotcell_oci::{ImageRef, OciError, Settings, Store, resolve};
use hotcell_types::Explain;

use crate::image::{Made, Packed, Place};
use crate::layer::Layer;
use crate::server::{Answer, Question, Server};

fn made(place: &Place) -> Made {
    let layers = [Layer::new().file("lower/a", &[1; 9000]).done(), Layer::new().file("upper/b", &[2; 9000]).done()];
    place.layout(&layers, Packed::Gzip, "null")
}

fn blob(made_at: &std::path::Path, question: &Question) -> Answer {
    let digest = question.path.rsplit("sha256:").next().unwrap_or_default();
    Answer::ok(fs::read(made_at.join("blobs/sha256").join(digest)).unwrap())
}

#[test]
fn two_who_want_an_image_at_once_fetch_it_once_and_both_have_it() {
    let place = Place::new();
    let made = made(&place);
    let layout = made.layout.clone();
    let server = Server::start(move |question| blob(&layout, question));
    let name = format!("{}/a@{}", server.host, made.manifest);
    std::thread::scope(|scope| {
        let fetches: Vec<_> = (0..6).map(|_| scope.spawn(|| place.fetch(&name).unwrap().root())).collect();
        for fetch in fetches {
            let root = fetch.join().unwrap();
            assert_eq!(fs::read(root.join("upper/b")).unwrap(), [2; 9000]);
        }
    });
    let layer = format!("/v2/a/blobs/{}", made.layers[1]);
    assert_eq!(server.asked().iter().filter(|question| question.path == layer).count(), 1);
    assert_eq!(place.left().len(), 1, "{:?}", place.left());
}

/// The body of the next test's child: fetches, and is killed meanwhile. Nothing at all in an ordinary run.
#[test]
fn fetches_when_asked() {
    let (Ok(name), Ok(store)) = (env::var("OCI_FETCH"), env::var("OCI_STORE")) else { return };
    let settings = Arc::new(Settings::default());
    let store = Store::new(store);
    let reference = ImageRef::parse(&name, &settings).unwrap();
    let _ = resolve(&reference, &settings, &store).unwrap().fetch(&store, &mut |_, _| true);
}

#[test]
fn killed_in_the_middle_it_leaves_no_image_and_the_next_fetch_cleans_up() {
    let place = Place::new();
    let made = made(&place);
    let (layout, second) = (made.layout.clone(), made.layers[1]);
    let (reached, is_reached) = channel();
    let (go_on, may_go_on) = channel::<()>();
    let reached = Mutex::new(Some(reached));
    let server = Server::start(move |question| {
        // The first who wants the second layer waits: the first layer is unpacked by then.
        if question.path.ends_with(&second.to_string())
            && let Some(reached) = reached.lock().unwrap().take()
        {
            reached.send(()).unwrap();
            may_go_on.recv().unwrap();
        }
        blob(&layout, question)
    });
    let name = format!("{}/a@{}", server.host, made.manifest);
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "cache::fetches_when_asked"])
        .env("OCI_FETCH", &name)
        .env("OCI_STORE", place.path("images"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    is_reached.recv().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    go_on.send(()).unwrap();
    let left = place.left();
    assert!(left.len() == 1 && left[0].ends_with(".part"), "{left:?}");
    assert!(place.path("images").join(&left[0]).join("root/lower/a").is_file(), "it was in the middle");
    assert_eq!(place.store().list().unwrap(), []);

    let image = place.fetch(&name).unwrap();
    assert_eq!(fs::read(image.root().join("upper/b")).unwrap(), [2; 9000]);
    assert_eq!(place.left(), [format!("sha256-{}", made.manifest.hex())]);
}

#[test]
fn what_another_fetch_left_is_swept_and_one_at_work_is_not() {
    let place = Place::new();
    let made = made(&place);
    let (dead, alive) = (format!(".sha256-{}.part", "a".repeat(64)), format!(".sha256-{}.part", "b".repeat(64)));
    for name in [&dead, &alive] {
        fs::create_dir_all(place.path("images").join(name).join("root/deep")).unwrap();
    }
    let lock = fs::File::create(place.path("images").join(format!(".sha256-{}.lock", "b".repeat(64)))).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    place.fetch(made.layout.to_str().unwrap()).unwrap();
    let left = place.left();
    assert!(!left.contains(&dead) && left.contains(&alive), "{left:?}");
}

#[test]
fn an_image_in_use_is_not_removed_and_one_that_is_not_is_gone_wholly() {
    let place = Place::new();
    let made = made(&place);
    let image = place.fetch(made.layout.to_str().unwrap()).unwrap();
    let store = place.store();
    let listed = store.list().unwrap();
    assert_eq!((listed.len(), listed[0].digest, listed[0].entries), (1, made.manifest, 4));
    let error = store.remove(&made.manifest.to_string()).unwrap_err();
    assert!(matches!(error, OciError::InUse { .. }), "{error}");
    drop(image);
    for wrong in ["", "sha256:", "nothing", &"0".repeat(64)] {
        let removed = store.remove(wrong);
        // `sha256:` begins the one digest that is there.
        if wrong == "sha256:" {
            assert_eq!(removed.unwrap(), made.manifest);
            place.fetch(made.layout.to_str().unwrap()).unwrap();
        } else {
            assert_eq!(removed.unwrap_err().code(), "OCI-052", "{wrong}");
        }
    }
    assert_eq!(store.remove(&made.manifest.hex()[..12]).unwrap(), made.manifest);
    let entries = fs::read_dir(place.path("images")).unwrap().count();
    assert_eq!(entries, 0, "not even a lock");
}

#[test]
fn a_fetch_that_is_stopped_leaves_nothing() {
    let place = Place::new();
    let made = made(&place);
    let settings = place.settings();
    let reference = ImageRef::parse(made.layout.to_str().unwrap(), &settings).unwrap();
    let resolved = resolve(&reference, &settings, &place.store()).unwrap();
    let error = resolved.fetch(&place.store(), &mut |_, _| false).unwrap_err();
    assert!(matches!(error, OciError::Cancelled), "{error}");
    assert_eq!(place.left(), Vec::<String>::new());
}
