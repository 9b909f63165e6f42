//! The user's settings for images: `hotcell/images.toml` in the configuration folder.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotcell_crypto::Plaintext;
use hotcell_oci::{MAX_SETTINGS_BYTES, Settings};

use crate::failure::Failure;

/// Where systems keep the certificates that vouch for servers.
const CERTIFICATES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// The settings of the machine, which count where the user has none.
const OF_THE_MACHINE: &str = "/etc/hotcell/images.toml";
/// Most bytes of a password.
const MAX_PASSWORD_BYTES: u64 = 64 << 10;

/// Reads the settings, with the passwords that they name.
pub(crate) fn read() -> Result<Arc<Settings>, Failure> {
    let mut settings = match file() {
        Some(path) => of_file(&path)?,
        None => Settings::default(),
    };
    settings.certificates = CERTIFICATES.iter().map(PathBuf::from).collect();
    Ok(Arc::new(settings))
}

/// The user's file, else the machine's, where one is there.
fn file() -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let own = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    let own = own.map(|folder| folder.join("hotcell/images.toml"));
    own.into_iter().chain([PathBuf::from(OF_THE_MACHINE)]).find(|path| fs::symlink_metadata(path).is_ok())
}

fn of_file(path: &Path) -> Result<Settings, Failure> {
    let unreadable = |source| Failure::file("read the settings for images", path, source);
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_SETTINGS_BYTES as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
    let mut settings = Settings::parse(&text, &path.display().to_string())?;
    // Paths are relative to the file that names them.
    let folder = path.parent().unwrap_or(path);
    for registry in settings.registries.values_mut() {
        registry.certificate = registry.certificate.take().map(|path| folder.join(path));
        if let Some(path) = registry.password_file.take().map(|path| folder.join(path)) {
            let password = password(&path).map_err(|source| Failure::file("read the password", &path, source))?;
            registry.password = Some(password);
        }
    }
    Ok(settings)
}

/// The first line of a file.
fn password(path: &Path) -> io::Result<Plaintext<Vec<u8>>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len().min(MAX_PASSWORD_BYTES);
    // One byte more than the file has, so that it never grows.
    let mut bytes = Plaintext::new(Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 1));
    file.take(length).read_to_end(bytes.expose_secret_mut())?;
    let end = bytes.expose_bytes().iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    bytes.expose_secret_mut().truncate(end.unwrap_or(usize::MAX));
    Ok(bytes)
}
