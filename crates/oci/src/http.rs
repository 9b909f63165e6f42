//! HTTP, as much of it as a registry needs: a GET that follows redirects by our own rules.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::{Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use crate::auth::Authorization;
use crate::blob::read_bounded;
use crate::{OciError, Settings};

/// Asks servers. Nothing of it comes from the environment: no proxy, no trust.
pub(crate) struct Client {
    settings: Arc<Settings>,
    /// By the file of certificates that vouches: the system's, or one registry's own.
    agents: RefCell<BTreeMap<Option<PathBuf>, Agent>>,
}

/// Redirects of one question; registries use one or two.
const MAX_REDIRECTS: usize = 5;
/// Most bytes of a file of certificates.
const MAX_CERTIFICATES_BYTES: u64 = 16 << 20;
/// Most bytes of an answer's header.
const MAX_HEADER_BYTES: usize = 64 << 10;
/// How long a server may take to be found, and to be connected.
const CONNECT: Duration = Duration::from_secs(20);
/// How long it may take to begin an answer, and to go on with one.
const ANSWER: Duration = Duration::from_secs(60);

impl Client {
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self { settings, agents: RefCell::default() }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// `https://HOST`, or `http://HOST` where that may be and nobody vouches for it.
    pub(crate) fn base(&self, host: &str) -> String {
        let is_vouched_for = self.settings.registries.get(host).is_some_and(|registry| registry.certificate.is_some());
        let scheme = if self.settings.may_be_plain(host) && !is_vouched_for { "http" } else { "https" };
        format!("{scheme}://{host}")
    }

    /// Asks for something. `authorization` is shown to the first server only; `from` is whoever named the address.
    pub(crate) fn get(
        &self,
        url: &str,
        from: Option<&Uri>,
        accept: &str,
        authorization: Option<&Authorization>,
    ) -> Result<Response<Body>, OciError> {
        let mut uri = self.checked(url, from)?;
        for turn in 0..=MAX_REDIRECTS {
            let host = host_of(&uri);
            let mut request = self.agent(&host)?.get(&uri).header("Accept", accept);
            if let Some(value) = authorization.filter(|_| turn == 0) {
                request = request.header("Authorization", value.expose_bytes());
            }
            let response = request.call().map_err(|error| unreachable(&host, &error))?;
            if turn > 0 && response.status().as_u16() == 401 {
                // What it asks for would be the business of the first; nor may it say who gives out tokens.
                return Err(wrong(&host, "wants to be shown a password or token, though we were only sent on to it"));
            }
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let location = response.headers().get("location").and_then(|value| value.to_str().ok());
            let location = location.ok_or_else(|| wrong(&host, "sends us on to nowhere"))?;
            uri = match location.starts_with('/') && !location.starts_with("//") {
                true => {
                    self.checked(&format!("{}://{host}{location}", uri.scheme_str().unwrap_or("https")), Some(&uri))?
                }
                false => self.checked(location, Some(&uri))?,
            };
        }
        Err(wrong(&host_of(&uri), "sends us on and on"))
    }

    /// An address that may be asked: encrypted, or where plain text may be; never plain on behalf of an encrypted one.
    pub(crate) fn checked(&self, url: &str, from: Option<&Uri>) -> Result<Uri, OciError> {
        let none = || wrong(&from.map(host_of).unwrap_or_default(), "names an address that is none");
        let uri: Uri = url.parse().map_err(|_| none())?;
        let host = host_of(&uri);
        if host.is_empty() || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(none());
        }
        let encrypted = from.filter(|from| from.scheme_str() == Some("https"));
        match (uri.scheme_str(), encrypted) {
            (Some("https"), _) => Ok(uri),
            (Some("http"), None) if self.settings.may_be_plain(&host) => Ok(uri),
            (Some("http"), from) => Err(OciError::PlainHttp { host, from: from.map(host_of) }),
            _ => Err(none()),
        }
    }

    fn agent(&self, host: &str) -> Result<Agent, OciError> {
        let own = self.settings.registries.get(host).and_then(|registry| registry.certificate.clone());
        if let Some(agent) = self.agents.borrow().get(&own) {
            return Ok(agent.clone());
        }
        let builder = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("hotcell/", env!("CARGO_PKG_VERSION")))
            .max_response_header_size(MAX_HEADER_BYTES)
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_send_request(Some(ANSWER))
            .timeout_recv_response(Some(ANSWER))
            .timeout_per_read(Some(ANSWER));
        let roots = self.roots(own.as_ref())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider).build();
        let agent = Agent::new_with_config(builder.tls_config(tls).build());
        self.agents.borrow_mut().insert(own, agent.clone());
        Ok(agent)
    }

    /// The certificates that vouch: a registry's own file, or the first of the system's that is there. Without any,
    /// no encrypted connection comes about.
    fn roots(&self, own: Option<&PathBuf>) -> Result<RootCerts, OciError> {
        let path = match own {
            Some(path) => Some(path),
            None => self.settings.certificates.iter().find(|path| path.is_file()),
        };
        let Some(path) = path else { return Ok(RootCerts::Specific(Arc::default())) };
        let mut file = File::open(path).map_err(OciError::file("read the certificates", path))?;
        let pem = read_bounded(&mut file, MAX_CERTIFICATES_BYTES, "the size of a file of certificates")
            .map_err(|error| OciError::out_of(error, OciError::file("read the certificates", path)))?;
        let certificates = parse_pem(&pem).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        });
        Ok(RootCerts::Specific(Arc::new(certificates.collect::<Vec<Certificate<'static>>>())))
    }
}

/// Host and port, in small letters.
pub(crate) fn host_of(uri: &Uri) -> String {
    uri.authority().map(|authority| authority.as_str().to_ascii_lowercase()).unwrap_or_default()
}

fn wrong(host: &str, why: &str) -> OciError {
    OciError::Registry { host: host.to_owned(), why: why.to_owned() }
}

pub(crate) fn unreachable(host: &str, error: &dyn std::error::Error) -> OciError {
    let mut why = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let text = next.to_string();
        if !why.contains(&text) {
            why = format!("{why}: {text}");
        }
        cause = next.source();
    }
    OciError::Unreachable { host: host.to_owned(), why }
}
