//! Registries: the few questions of the distribution specification that a pull needs.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::sync::Arc;

use hotcell_crypto::sha256;
use hotcell_types::Digest;
use ureq::Body;
use ureq::http::Response;

use crate::auth::{self, Authorization, Challenge};
use crate::blob::{Blob, check_digest, read_bounded};
use crate::http::{Client, unreachable};
use crate::manifest::{ACCEPTED, Descriptor};
use crate::reference::RegistryName;
use crate::{OciError, Settings};

/// One repository of a registry.
pub(crate) struct Registry {
    name: RegistryName,
    client: Client,
    /// What it was shown last, and took.
    authorization: RefCell<Option<Authorization>>,
}

/// Most bytes of an answer with a token.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

impl Registry {
    pub(crate) fn new(name: RegistryName, settings: Arc<Settings>) -> Self {
        Self { name, client: Client::new(settings), authorization: RefCell::new(None) }
    }

    /// A manifest or index by digest, held against it, or by a tag.
    pub(crate) fn document(&self, digest: Option<Digest>, tag: Option<&str>) -> Result<(Digest, Vec<u8>), OciError> {
        let limit = self.client.settings().bounds.manifest_bytes;
        let reference = digest.map(|digest| digest.to_string()).unwrap_or_else(|| tag.unwrap_or("latest").to_owned());
        let bytes = self.read(&format!("manifests/{reference}"), ACCEPTED, limit, "the size of the manifest")?;
        match digest {
            Some(digest) => {
                check_digest(&bytes, digest, &format!("the manifest that `{}` gave", self.name.host))?;
                Ok((digest, bytes))
            }
            None => Ok((sha256(&bytes), bytes)),
        }
    }

    /// A small blob.
    pub(crate) fn small_blob(&self, descriptor: &Descriptor, what: &'static str) -> Result<Vec<u8>, OciError> {
        let limit = self.client.settings().bounds.config_bytes;
        let bytes = self.read(&format!("blobs/{}", descriptor.digest), ANY, limit, what)?;
        let (expected, found) = (descriptor.size, bytes.len() as u64);
        if expected != found {
            let what = format!("the config that `{}` gave", self.name.host);
            return Err(OciError::WrongSize { what, expected, found });
        }
        check_digest(&bytes, descriptor.digest, &format!("the config that `{}` gave", self.name.host))?;
        Ok(bytes)
    }

    /// A blob, spooled into a file without a name.
    pub(crate) fn blob(
        &self,
        descriptor: &Descriptor,
        what: &str,
        spool: File,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Blob, OciError> {
        let response = self.get(&format!("blobs/{}", descriptor.digest), ANY)?;
        let mut body = response.into_body().into_reader();
        let what = format!("{what} that `{}` gave", self.name.host);
        Blob::spooled(&mut body, spool, descriptor, &what, progress)
            .map_err(|error| OciError::out_of(error, |error| self.broken(error, descriptor, &what)))
    }

    /// A connection that ends too early gives too few bytes.
    fn broken(&self, error: io::Error, descriptor: &Descriptor, what: &str) -> OciError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                OciError::malformed(what, format!("the connection ended before all {} bytes had come", descriptor.size))
            }
            _ => unreachable(&self.name.host, &error),
        }
    }

    fn read(&self, path: &str, accept: &str, limit: u64, what: &'static str) -> Result<Vec<u8>, OciError> {
        let response = self.get(path, accept)?;
        let read = read_bounded(&mut response.into_body().into_reader(), limit, what);
        read.map_err(|error| OciError::out_of(error, |error| unreachable(&self.name.host, &error)))
    }

    /// Asks, and once more with what the registry wants to be shown.
    fn get(&self, path: &str, accept: &str) -> Result<Response<Body>, OciError> {
        let RegistryName { host, repository } = &self.name;
        let url = format!("{}/v2/{repository}/{path}", self.client.base(host));
        let first = self.client.get(&url, None, accept, self.authorization.borrow().as_ref())?;
        let response = match first.status().as_u16() {
            401 => {
                let authorization = self.authorize(&first)?;
                let second = self.client.get(&url, None, accept, Some(&authorization))?;
                self.authorization.replace(Some(authorization));
                second
            }
            _ => first,
        };
        match response.status().as_u16() {
            200 => Ok(response),
            404 => Err(OciError::Unknown { what: format!("`{path}` of `{repository}` at `{host}`") }),
            status @ (401 | 403) => Err(self.denied(status)),
            status => Err(OciError::Registry { host: host.clone(), why: format!("answered with status {status}") }),
        }
    }

    fn denied(&self, status: u16) -> OciError {
        OciError::Denied { host: self.name.host.clone(), repository: self.name.repository.clone(), status }
    }

    /// What the registry wants to be shown.
    fn authorize(&self, refusal: &Response<Body>) -> Result<Authorization, OciError> {
        let known = auth::basic(self.client.settings().registries.get(&self.name.host));
        let headers = refusal.headers().get_all("www-authenticate").iter();
        let mut challenges = headers.filter_map(|value| Challenge::parse(value.to_str().ok()?));
        match challenges.next() {
            Some(Challenge::Basic) => known.ok_or_else(|| self.denied(401)),
            Some(Challenge::Bearer { realm, service }) => self.token(&realm, service.as_deref(), known.as_ref()),
            None => Err(self.denied(401)),
        }
    }

    /// A token to read this repository, and no more whatever the registry asked for.
    fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        known: Option<&Authorization>,
    ) -> Result<Authorization, OciError> {
        let scope = auth::in_query(&format!("repository:{}:pull", self.name.repository));
        let mut url = format!("{realm}{}scope={scope}", if realm.contains('?') { '&' } else { '?' });
        if let Some(service) = service {
            url.push_str(&format!("&service={}", auth::in_query(service)));
        }
        // An encrypted registry sends nobody to an address in plain, with or without a password.
        let registry = self.client.checked(&self.client.base(&self.name.host), None)?;
        let response = self.client.get(&url, Some(&registry), ANY, known)?;
        match response.status().as_u16() {
            200 => {}
            status @ (400 | 401 | 403) => return Err(self.denied(status)),
            status => return Err(self.without_token(&format!("gives no token (status {status})"))),
        }
        let answer = read_bounded(&mut response.into_body().into_reader(), MAX_ANSWER_BYTES, "the size of a token")
            .map_err(|error| OciError::out_of(error, |error| unreachable(&self.name.host, &error)))?;
        auth::bearer(&answer).ok_or_else(|| self.without_token("gives a token that is none"))
    }

    fn without_token(&self, why: &str) -> OciError {
        OciError::Registry { host: self.name.host.clone(), why: why.to_owned() }
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Registry({})", self.name)
    }
}

/// Blobs are bytes.
const ANY: &str = "application/octet-stream, */*";
