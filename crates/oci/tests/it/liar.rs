//! Registries that lie, and what is shown to whom.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use hotcell_crypto::{Plaintext, sha256};
use hotcell_oci::{OciError, RegistrySettings, Settings};
use hotcell_types::{Exit, Explain};

use crate::image::{Made, Packed, Place};
use crate::layer::Layer;
use crate::server::{Answer, Question, Server};

fn made(place: &Place) -> Made {
    place.layout(&[Layer::new().file("a", &[7; 5000]).done()], Packed::Gzip, "null")
}

/// Answers from a layout, as an honest registry does.
fn honest(layout: &Path, question: &Question) -> Answer {
    let digest = question.path.rsplit("sha256:").next().unwrap_or_default();
    match fs::read(layout.join("blobs/sha256").join(digest)) {
        Ok(blob) => Answer::ok(blob),
        Err(_) => Answer::status(404),
    }
}

#[test]
fn an_honest_registry_gives_its_image() {
    let place = Place::new();
    let made = made(&place);
    let layout = made.layout.clone();
    let server = Server::start(move |question| honest(&layout, question));
    let image = place.fetch(&format!("{}/a/b@{}", server.host, made.manifest)).unwrap();
    assert_eq!(fs::read(image.root().join("a")).unwrap(), [7; 5000]);
    let asked: Vec<_> = server.asked().into_iter().map(|question| question.path).collect();
    assert_eq!(asked[0], format!("/v2/a/b/manifests/{}", made.manifest));
    assert_eq!(asked[2], format!("/v2/a/b/blobs/{}", made.layers[0]));
}

#[test]
fn what_differs_from_its_digest_or_size_is_refused_and_leaves_nothing() {
    type Lie = fn(&str, Answer) -> Answer;
    let cases: [(&str, Lie, &str); 9] = [
        (
            "another manifest",
            |path, answer| match path.contains("/manifests/") {
                true => Answer::ok("{\"schemaVersion\":2,\"manifests\":[]}"),
                false => answer,
            },
            "OCI-020",
        ),
        (
            "another config",
            |path, answer| match is_config(path) {
                true => Answer::ok("x".repeat(answer.body.len())),
                false => answer,
            },
            "OCI-020",
        ),
        (
            "a longer config",
            |path, mut answer| {
                if is_config(path) {
                    answer.body.push(b' ');
                }
                answer
            },
            "OCI-021",
        ),
        (
            "a changed layer",
            |path, mut answer| {
                if is_layer(path, &answer) {
                    answer.body[20] ^= 1;
                }
                answer
            },
            "OCI-020",
        ),
        (
            "a longer layer",
            |path, mut answer| {
                if is_layer(path, &answer) {
                    answer.body.extend([0; 100]);
                }
                answer
            },
            "OCI-021",
        ),
        (
            "a shorter layer that says so",
            |path, mut answer| {
                if is_layer(path, &answer) {
                    answer.body.truncate(10);
                }
                answer
            },
            "OCI-021",
        ),
        (
            "a layer that is cut off",
            |path, mut answer| {
                if is_layer(path, &answer) {
                    answer.length = Some(answer.body.len() as u64);
                    answer.body.truncate(10);
                }
                answer
            },
            "OCI-0",
        ),
        (
            "no layer",
            |path, answer| match is_layer(path, &answer) {
                true => Answer::status(404),
                false => answer,
            },
            "OCI-010",
        ),
        (
            "a fault",
            |path, answer| match is_layer(path, &answer) {
                true => Answer::status(500),
                false => answer,
            },
            "OCI-013",
        ),
    ];
    for (what, lie, code) in cases {
        let place = Place::new();
        let made = made(&place);
        let layout = made.layout.clone();
        let server = Server::start(move |question| lie(&question.path, honest(&layout, question)));
        let error = place.fetch(&format!("{}/a@{}", server.host, made.manifest)).unwrap_err();
        assert!(error.code().starts_with(code), "{what}: {error} {}", error.code());
        assert_eq!(place.left(), Vec::<String>::new(), "{what}");
        if matches!(code, "OCI-020" | "OCI-021") {
            assert!(matches!(error.exit(), Exit::Integrity), "{what}");
        }
    }
}

fn is_config(path: &str) -> bool {
    // Of the two blobs of these images the config is the first that is asked for.
    path.contains("/blobs/") && !FIRST.with(|first| first.replace(true))
}

thread_local! {
    static FIRST: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

fn is_layer(path: &str, answer: &Answer) -> bool {
    path.contains("/blobs/") && answer.body.starts_with(&[0x1f, 0x8b])
}

#[test]
fn a_manifest_without_end_is_not_read_to_its_end() {
    let place = Place::new();
    let server = Server::start(|_| Answer::ok(vec![b' '; 5 << 20]));
    let error = place.fetch(&format!("{}/a@{}", server.host, sha256(b"x"))).unwrap_err();
    assert!(matches!(error, OciError::TooMuch { .. }), "{error}");
}

#[test]
fn a_registry_that_is_not_this_machine_is_never_asked_in_plain() {
    let place = Place::new();
    let reference = format!("registry.invalid:1/a@{}", sha256(b"x"));
    let error = place.fetch(&reference).unwrap_err();
    assert_eq!(error.code(), "OCI-011", "only HTTPS was tried, and nobody is there: {error}");
    // A registry of this machine that sends us away to somebody who would be asked in plain.
    let server = Server::start(|_| Answer::status(307).with("Location", "http://192.0.2.1/secret"));
    let error = place.fetch(&format!("{}/a@{}", server.host, sha256(b"x"))).unwrap_err();
    assert!(matches!(&error, OciError::PlainHttp { host, from: None } if host == "192.0.2.1"), "{error}");
    assert!(error.remedy().contains("plain_http"), "{}", error.remedy());
}

#[test]
fn being_sent_on_ends_and_shows_the_second_server_nothing() {
    let place = Place::new();
    let made = made(&place);
    let layout = made.layout.clone();
    let second = Server::start(move |question| honest(&layout, question));
    let (layout, to) = (made.layout.clone(), second.host.clone());
    let first = Server::start(move |question| match (question.path.contains("/blobs/"), &question.authorization) {
        (_, None) => Answer::status(401).with("WWW-Authenticate", "Basic realm=\"x\""),
        (true, _) => Answer::status(307).with("Location", format!("http://{to}{}", question.path)),
        (false, _) => honest(&layout, question),
    });
    let settings = |first: &Server| {
        let mut settings = Settings::default();
        let (user, password) = (Some("me".to_owned()), Some(Plaintext::new(b"open-sesame".to_vec())));
        let own = RegistrySettings { user, password, ..RegistrySettings::default() };
        settings.registries.insert(first.host.clone(), own);
        Arc::new(settings)
    };
    let name = format!("{}/a@{}", first.host, made.manifest);
    place.fetch_by(&name, &settings(&first)).unwrap();
    assert!(
        first.asked().iter().any(|question| question.authorization.as_deref() == Some("Basic bWU6b3Blbi1zZXNhbWU="))
    );
    assert!(!second.asked().is_empty());
    assert!(second.asked().iter().all(|question| question.authorization.is_none()), "{:?}", second.asked());

    // One that we are sent on to does not get them by naming itself for tokens either.
    let address = Arc::new(std::sync::Mutex::new(String::new()));
    let named = Arc::clone(&address);
    let greedy = Server::start(move |_| {
        let realm = format!("Bearer realm=\"http://{}/token\"", named.lock().unwrap());
        Answer::status(401).with("WWW-Authenticate", realm)
    });
    let to = greedy.host.clone();
    address.lock().unwrap().clone_from(&to);
    let first =
        Server::start(move |question| Answer::status(307).with("Location", format!("http://{to}{}", question.path)));
    let error = place.fetch_by(&format!("{}/a@{}", first.host, made.config), &settings(&first)).unwrap_err();
    assert_eq!((error.code(), greedy.asked().len()), ("OCI-013", 1), "{error} {:?}", greedy.asked());
    assert_eq!(greedy.asked()[0].authorization, None);

    let round = Server::start(|question| Answer::status(302).with("Location", question.path.clone()));
    let error = place.fetch(&format!("{}/a@{}", round.host, sha256(b"x"))).unwrap_err();
    assert!(error.to_string().contains("on and on"), "{error}");
    assert_eq!(round.asked().len(), 6);
}

#[test]
fn a_token_is_fetched_for_reading_this_repository_only() {
    let place = Place::new();
    let made = made(&place);
    let layout = made.layout.clone();
    let server = Server::start(move |question| match &question.authorization {
        _ if question.path.starts_with("/token") => Answer::ok("{\"token\":\"t0ken\"}"),
        Some(value) if value == "Bearer t0ken" => honest(&layout, question),
        _ => {
            let realm =
                "Bearer realm=\"http://HOST/token\",service=\"the registry\",scope=\"repository:*:push,delete\"";
            let host = question_host();
            Answer::status(401).with("WWW-Authenticate", realm.replace("HOST", &host))
        }
    });
    HOST.lock().unwrap().clone_from(&server.host);
    place.fetch(&format!("{}/team/a@{}", server.host, made.manifest)).unwrap();
    let asked = server.asked();
    let token = asked.iter().find(|question| question.path.starts_with("/token")).unwrap();
    assert_eq!(token.path, "/token?scope=repository%3Ateam%2Fa%3Apull&service=the%20registry");
    assert_eq!(asked.iter().filter(|question| question.path.starts_with("/token")).count(), 1, "{asked:?}");
}

static HOST: std::sync::Mutex<String> = std::sync::Mutex::new(String::new());

fn question_host() -> String {
    HOST.lock().unwrap().clone()
}

#[test]
fn a_refusal_says_what_to_set_and_never_the_password() {
    let place = Place::new();
    let server = Server::start(|_| Answer::status(401).with("WWW-Authenticate", "Basic realm=\"x\""));
    let name = format!("{}/a@{}", server.host, sha256(b"x"));
    let error = place.fetch(&name).unwrap_err();
    assert_eq!(error.code(), "OCI-012", "{error}");
    assert!(error.remedy().contains("password_file"), "{}", error.remedy());

    let mut settings = Settings::default();
    let (user, password) = (Some("me".to_owned()), Some(Plaintext::new(b"open-sesame".to_vec())));
    settings.registries.insert(server.host.clone(), RegistrySettings { user, password, ..RegistrySettings::default() });
    let error = place.fetch_by(&name, &Arc::new(settings)).unwrap_err();
    let told = format!("{error} {error:?} {}", error.remedy());
    assert_eq!(error.code(), "OCI-012", "{told}");
    assert!(!told.contains("open-sesame") && !told.contains("bWU6b3Blbi1zZXNhbWU"), "{told}");
}
