//! Certificates: an authority of the sandbox's own for the inside, and those of the world for the outside.

use std::collections::HashMap;
use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

use hotcell_types::HostName;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, NameConstraints,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};

use crate::http;

/// The only protocol that is spoken over opened TLS.
const ALPN: &[u8] = b"http/1.1";

/// The authority of one sandbox. Its key lives in the gateway's memory and ends with it; its certificate is good for the
/// names of the rules alone.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    /// One for each host that was asked for: no more than there are rules.
    servers: Mutex<HashMap<HostName, Arc<ServerConfig>>>,
}

impl Authority {
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>) -> io::Result<Self> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Hotcell sandbox");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: names.map(|name| GeneralSubtree::DnsName(name.to_owned())).collect(),
            excluded_subtrees: Vec::new(),
        });
        let certificate = params.self_signed(&key).map_err(io::Error::other)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate, servers: Mutex::default() })
    }

    /// The certificate, as text.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// What speaks for this host to the inside. It is made once, whoever asks meanwhile.
    pub(crate) fn server_of(&self, host: &HostName) -> Option<Arc<ServerConfig>> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = servers.get(host) {
            return Some(Arc::clone(server));
        }
        let server = Arc::new(self.make_server(host).ok()?);
        servers.insert(host.clone(), Arc::clone(&server));
        Some(server)
    }

    fn make_server(&self, host: &HostName) -> io::Result<ServerConfig> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let mut params = CertificateParams::new([host.as_str().to_owned()]).map_err(io::Error::other)?;
        params.distinguished_name.push(DnType::CommonName, "Hotcell gateway");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(config)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// What knows hosts outside, by these certificates of authorities (PEM). One that cannot be read vouches for nobody.
pub(crate) fn outside(roots: &[u8]) -> io::Result<Arc<ClientConfig>> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(roots).flatten() {
        let _ = store.add(certificate);
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// TLS over a connection to a host outside, which proved to be it.
pub(crate) fn connect(
    config: Arc<ClientConfig>,
    host: &HostName,
    mut connection: TcpStream,
) -> Result<Box<dyn http::Stream>, String> {
    let name = ServerName::try_from(host.as_str().to_owned()).map_err(|error| error.to_string())?;
    let mut tls = ClientConnection::new(config, name).map_err(|error| error.to_string())?;
    while tls.is_handshaking() {
        tls.complete_io(&mut connection).map_err(|error| format!("its TLS was refused: {error}"))?;
    }
    Ok(Box::new(StreamOwned::new(tls, connection)))
}
