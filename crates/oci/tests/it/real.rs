//! Against real software: a registry, and images made by other tools.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hotcell_crypto::Plaintext;
use hotcell_oci::{RegistrySettings, Settings};
use hotcell_testkit::require_program;
use hotcell_types::Explain;

use crate::image::{Packed, Place};
use crate::layer::Layer;
use crate::server::{Answer, Server};

/// A registry of this machine, gone at the end.
struct Registry {
    process: Child,
    host: String,
}

impl Registry {
    /// Starts one in a folder; `more` is added to its configuration.
    fn start(place: &Place, http: &str, more: &str) -> Self {
        // A port that is free now; nobody else here takes one by its number.
        let host = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let folder = place.path("registry");
        fs::create_dir_all(&folder).unwrap();
        let config = folder.join("config.yml");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n{http}{more}",
            folder.join("data").display()
        );
        fs::write(&config, text).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let begin = Instant::now();
        while TcpStream::connect(&host).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(60), "the registry does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { process, host }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Pushes a layout's only image.
fn push(layout: &Path, to: &str, more: &[&str]) {
    let (from, to) = (format!("oci:{}", layout.display()), format!("docker://{to}"));
    run("skopeo", &[&["--insecure-policy", "copy", "--dest-tls-verify=false"], more, &[&from, &to]].concat());
}

fn image(place: &Place) -> PathBuf {
    let layers = [Layer::new().file("etc/motd", b"hello\n").done(), Layer::new().symlink("motd", "etc/motd").done()];
    place.layout(&layers, Packed::Gzip, "{\"Cmd\":[\"/bin/x\"],\"User\":\"7\"}").layout
}

/// A key and a certificate for this machine, beside the registry's files, and what its configuration says of them.
fn certified(place: &Place) -> String {
    fs::create_dir_all(place.path("registry")).unwrap();
    let path = |name: &str| place.path("registry").join(name).to_string_lossy().into_owned();
    run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=registry",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=CA:FALSE",
            "-keyout",
            &path("key.pem"),
            "-out",
            &path("cert.pem"),
        ],
    );
    format!("  tls:\n    certificate: {}\n    key: {}\n", path("cert.pem"), path("key.pem"))
}

#[test]
fn an_image_goes_through_a_real_registry_by_digest_and_by_tag() {
    require_program!("docker-registry");
    require_program!("skopeo");
    let place = Place::new();
    let registry = Registry::start(&place, "", "");
    let layout = image(&place);
    let name = format!("{}/team/hello", registry.host);
    push(&layout, &format!("{name}:v1"), &[]);
    let fetched = place.fetch(&format!("{name}:v1")).unwrap();
    assert_eq!(fs::read_to_string(fetched.root().join("etc/motd")).unwrap(), "hello\n");
    let digest = fetched.digest();
    drop(fetched);
    place.store().remove(&digest.to_string()).unwrap();
    assert_eq!(place.fetch(&format!("{name}@{digest}")).unwrap().digest(), digest);

    let unknown = hotcell_crypto::sha256(b"unknown");
    for (reference, code) in [
        (format!("{name}@{unknown}"), "OCI-010"),
        (format!("{name}:v2"), "OCI-010"),
        (format!("{}/nobody/nothing:v1", registry.host), "OCI-010"),
    ] {
        let error = place.fetch(&reference).unwrap_err();
        assert_eq!(error.code(), code, "{reference}: {error}");
    }
    let listed = place.store().list().unwrap();
    assert_eq!(listed.len(), 1);
}

#[test]
fn an_image_for_several_machines_is_kept_as_the_one_for_this() {
    require_program!("docker-registry");
    require_program!("skopeo");
    let place = Place::new();
    let made = place.layout(&[Layer::new().file("a", b"a").done()], Packed::Gzip, "null");
    let size = fs::metadata(made.layout.join("blobs/sha256").join(made.manifest.hex())).unwrap().len();
    let list = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[\
         {{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"{0}\",\"size\":{1},\
         \"platform\":{{\"os\":\"linux\",\"architecture\":\"s390x\"}}}},\
         {{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"{0}\",\"size\":{1},\
         \"platform\":{{\"os\":\"linux\",\"architecture\":\"{2}\"}}}}]}}",
        made.manifest,
        size,
        crate::image::architecture()
    );
    let index = crate::image::put(&made.layout, list.as_bytes());
    let name = format!("{}@{index}", made.layout.display());
    assert_eq!(place.fetch(&name).unwrap().digest(), made.manifest);
    fs::remove_dir_all(&made.layout).unwrap();
    assert_eq!(place.fetch(&name).unwrap().digest(), made.manifest, "the index is remembered");
    place.store().remove(&made.manifest.to_string()).unwrap();
    assert_eq!(place.fetch(&name).unwrap_err().code(), "OCI-010");
}

#[test]
fn a_registry_with_a_password_and_a_certificate_of_its_own_is_spoken_to_encrypted() {
    require_program!("docker-registry");
    require_program!("skopeo");
    require_program!("openssl");
    let place = Place::new();
    let path = |name: &str| place.path("registry").join(name).to_string_lossy().into_owned();
    let http = certified(&place);
    // `me`, `open-sesame`, by bcrypt.
    fs::write(path("passwords"), "me:$2b$05$gbhOcyT7rlk0x/I0Nb3v7eHk0KujdwmXxfl11tH/woyAEr52shg3W\n").unwrap();
    let auth = format!("auth:\n  htpasswd:\n    realm: hotcell\n    path: {}\n", path("passwords"));
    let registry = Registry::start(&place, &http, &auth);
    let name = format!("{}/hello", registry.host);
    push(&image(&place), &format!("{name}:v1"), &["--dest-creds", "me:open-sesame"]);

    let settings = |certificate: Option<&str>, password: &str| {
        let mut settings = Settings::default();
        settings.registries.insert(
            registry.host.clone(),
            RegistrySettings {
                certificate: certificate.map(|name| path(name).into()),
                user: Some("me".into()),
                password: Some(Plaintext::new(password.as_bytes().to_vec())),
                ..RegistrySettings::default()
            },
        );
        Arc::new(settings)
    };
    let reference = format!("{name}:v1");
    let fetched = place.fetch_by(&reference, &settings(Some("cert.pem"), "open-sesame")).unwrap();
    assert_eq!(fs::read_to_string(fetched.root().join("motd")).unwrap(), "hello\n");
    let wrong = place.fetch_by(&reference, &settings(Some("cert.pem"), "guess")).unwrap_err();
    assert_eq!(wrong.code(), "OCI-012", "{wrong}");
    // Somebody else's certificate does not vouch for it; without one it is asked in plain, being of this machine.
    fs::write(path("empty.pem"), b"").unwrap();
    let unvouched = place.fetch_by(&reference, &settings(Some("empty.pem"), "open-sesame")).unwrap_err();
    assert_eq!(unvouched.code(), "OCI-011", "{unvouched}");
    let plain = place.fetch_by(&reference, &settings(None, "open-sesame")).unwrap_err();
    assert_eq!(plain.code(), "OCI-013", "{plain}");
}

/// The same registry names the same server for tokens, once encrypted and once in plain.
#[test]
fn an_encrypted_registry_sends_nobody_to_a_plain_server_for_a_token() {
    require_program!("docker-registry");
    require_program!("openssl");
    let place = Place::new();
    let http = certified(&place);
    let certificate = place.path("registry").join("cert.pem");
    for is_encrypted in [true, false] {
        let tokens = Server::start(|_| Answer::ok("{\"token\":\"t0ken\"}"));
        let auth = format!(
            "auth:\n  token:\n    realm: http://{}/token\n    service: s\n    issuer: i\n    rootcertbundle: {}\n",
            tokens.host,
            certificate.display()
        );
        let registry = Registry::start(&place, if is_encrypted { &http } else { "" }, &auth);
        let own = RegistrySettings {
            certificate: is_encrypted.then(|| certificate.clone()),
            user: Some("me".into()),
            password: Some(Plaintext::new(b"open-sesame".to_vec())),
            ..RegistrySettings::default()
        };
        let mut settings = Settings::default();
        settings.registries.insert(registry.host.clone(), own);
        let error = place.fetch_by(&format!("{}/hello:v1", registry.host), &Arc::new(settings)).unwrap_err();
        let asked = tokens.asked();
        if is_encrypted {
            assert_eq!((error.code(), asked.as_slice()), ("OCI-014", [].as_slice()), "{error}");
            assert!(error.remedy().contains(&registry.host), "no setting helps: {}", error.remedy());
        } else {
            assert_eq!((error.code(), asked.len()), ("OCI-012", 1), "its token is none, but it was asked: {error}");
            assert_eq!(asked[0].authorization.as_deref(), Some("Basic bWU6b3Blbi1zZXNhbWU="));
        }
    }
}

#[test]
fn an_image_by_umoci_has_its_files_and_says_what_it_runs() {
    require_program!("umoci");
    let place = Place::new();
    let layout = place.path("umoci").to_string_lossy().into_owned();
    let named = format!("{layout}:v1");
    run("umoci", &["init", "--layout", &layout]);
    run("umoci", &["new", "--image", &named]);
    fs::create_dir(place.path("files")).unwrap();
    fs::write(place.path("files/tool"), b"tool").unwrap();
    let files = place.path("files").to_string_lossy().into_owned();
    run("umoci", &["insert", "--rootless", "--image", &named, &files, "/opt"]);
    run("umoci", &["insert", "--rootless", "--image", &named, "--whiteout", "/opt/tool"]);
    run("umoci", &["insert", "--rootless", "--image", &named, &files, "/srv"]);
    run("umoci", &["config", "--image", &named, "--config.user", "10001", "--config.entrypoint", "/srv/tool"]);
    let image = place.fetch(&layout).unwrap();
    assert_eq!(image.config().default_command().unwrap(), ["/srv/tool"]);
    assert_eq!(image.config().user, "10001");
    assert!(!image.user().unwrap().is_root);
    assert!(image.root().join("srv/tool").is_file());
    assert!(!image.root().join("opt/tool").exists());
}
