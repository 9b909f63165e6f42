//! Signatures over a model: bare ones over its manifest, and bundles of OpenSSF Model Signing (version 1) by key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hotcell_crypto::{ForeignKey, KeyId, Signature, SigningKey, VerifyingKey, sha256};
use hotcell_types::{Digest, Exit, Explain};
use serde_json::Value;

use crate::manifest::Manifest;

/// A key that whoever asks trusts.
#[derive(Debug, Clone)]
pub enum TrustedKey {
    /// One of ours.
    Own(VerifyingKey),
    /// One of another program's.
    Foreign(ForeignKey),
}

/// A signature that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignedModelError {
    /// Neither form.
    #[error("the signature is of no form that is known: {why}")]
    Form {
        /// What is wrong.
        why: String,
    },
    /// By no trusted key, or of other bytes.
    #[error("the signature is not one of a key that you named as trusted over this model")]
    Key,
    /// A valid signature over another model.
    #[error("the signature is over another model: {why}")]
    Other {
        /// What differs.
        why: String,
    },
}

impl Explain for SignedModelError {
    fn code(&self) -> &'static str {
        match self {
            Self::Form { .. } => "MDL-080",
            Self::Key => "MDL-081",
            Self::Other { .. } => "MDL-082",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Form { .. } => {
                "give a signature of `hotcell model sign` or a bundle of `model_signing sign key`".to_owned()
            }
            Self::Key => "compare the signer's key by another channel, then name it: --trust KEY".to_owned(),
            Self::Other { .. } => "get model and signature again from the author; do not use this one".to_owned(),
        }
    }

    fn exit(&self) -> Exit {
        Exit::Integrity
    }
}

/// A bare signature: base64 of Ed25519 over a label and the manifest.
pub fn sign_manifest(manifest: &Manifest, key: &SigningKey) -> String {
    format!("{BARE} {} {}\n", key.verifying().key_id(), BASE64.encode(key.sign(&labelled(manifest)).0))
}

/// Holds a signature against a model; gives who signed it.
///
/// # Errors
/// [`SignedModelError`].
pub fn verify_model(text: &str, manifest: &Manifest, trust: &[TrustedKey]) -> Result<String, SignedModelError> {
    match text.strip_prefix(BARE) {
        Some(rest) => bare(rest, manifest, trust),
        None => bundle(text, manifest, trust),
    }
}

fn bare(rest: &str, manifest: &Manifest, trust: &[TrustedKey]) -> Result<String, SignedModelError> {
    let form = |why: &str| SignedModelError::Form { why: why.to_owned() };
    let (_, signature) = rest.trim().split_once(' ').ok_or_else(|| form("it lacks a part"))?;
    let signature = BASE64.decode(signature).ok().and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
    let signature = Signature(signature.ok_or_else(|| form("it is no Ed25519 signature"))?);
    let message = labelled(manifest);
    let by = trust.iter().find_map(|key| match key {
        TrustedKey::Own(key) => key.verify(&message, &signature.0).is_ok().then(|| named(key.key_id())),
        TrustedKey::Foreign(_) => None,
    });
    by.ok_or(SignedModelError::Key)
}

fn named(key: KeyId) -> String {
    format!("hotcell:{key}")
}

/// A sigstore bundle whose envelope says the digest of every file.
fn bundle(text: &str, manifest: &Manifest, trust: &[TrustedKey]) -> Result<String, SignedModelError> {
    let form = |why: &str| SignedModelError::Form { why: why.to_owned() };
    let other = |why: String| SignedModelError::Other { why };
    let bundle: Value = serde_json::from_str(text).map_err(|_| form("it is neither a bare signature nor JSON"))?;
    let media = bundle.get("mediaType").and_then(Value::as_str).unwrap_or_default();
    if !media.starts_with("application/vnd.dev.sigstore.bundle") {
        return Err(form("it is no sigstore bundle"));
    }
    let envelope = bundle.get("dsseEnvelope").ok_or_else(|| form("it has no envelope"))?;
    let part = |name: &str| envelope.get(name).and_then(Value::as_str).ok_or_else(|| form("its envelope lacks a part"));
    let decoded = |text: &str| BASE64.decode(text).map_err(|_| form("its envelope is not base64"));
    let (kind, payload) = (part("payloadType")?, decoded(part("payload")?)?);
    let signatures = envelope.get("signatures").and_then(Value::as_array).map(Vec::as_slice);
    let Some([signature]) = signatures else { return Err(form("it has not exactly one signature")) };
    let signature =
        decoded(signature.get("sig").and_then(Value::as_str).ok_or_else(|| form("its signature is empty"))?)?;
    let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    message.extend_from_slice(&payload);
    // Nothing of the payload is believed before this.
    let by = trust.iter().find_map(|key| match key {
        TrustedKey::Foreign(key) => key.verifies(&message, &signature).then(|| format!("key:{}", key.digest())),
        TrustedKey::Own(key) => {
            let signature = <[u8; 64]>::try_from(signature.as_slice()).ok()?;
            key.verify(&message, &signature).is_ok().then(|| named(key.key_id()))
        }
    });
    let by = by.ok_or(SignedModelError::Key)?;
    if kind != "application/vnd.in-toto+json" {
        return Err(form("its payload is no statement"));
    }
    let statement: Value = serde_json::from_slice(&payload).map_err(|_| form("its statement is not JSON"))?;
    if statement.get("predicateType").and_then(Value::as_str) != Some("https://model_signing/signature/v1.0") {
        return Err(form("its statement is none about a model"));
    }
    let serialization =
        statement.pointer("/predicate/serialization").ok_or_else(|| form("it says no serialization"))?;
    let said = |name: &str| serialization.get(name).and_then(Value::as_str);
    if said("method") != Some("files") || said("hash_type") != Some("sha256") {
        return Err(form("its files are not named by SHA-256 each"));
    }
    let resources = statement.pointer("/predicate/resources").and_then(Value::as_array);
    let resources = resources.ok_or_else(|| form("it names no files"))?;
    let mut signed = Vec::new();
    let mut all = Vec::new();
    for resource in resources {
        let text = |name: &str| resource.get(name).and_then(Value::as_str);
        let (Some(name), Some(digest), Some("sha256")) = (text("name"), text("digest"), text("algorithm")) else {
            return Err(form("it names a file without its digest"));
        };
        let digest: Digest = format!("sha256:{digest}").parse().map_err(|_| form("a digest is none"))?;
        all.extend_from_slice(&digest.0);
        signed.push((name.to_owned(), digest));
    }
    let subject = statement.pointer("/subject/0/digest/sha256").and_then(Value::as_str);
    if subject != Some(sha256(&all).hex().as_str()) {
        return Err(other("its files do not make what it names as its subject".to_owned()));
    }
    signed.sort();
    let single = matches!(signed.as_slice(), [(name, _)] if name == ".") && manifest.files.len() == 1;
    let there: Vec<_> = manifest
        .files
        .iter()
        .map(|file| (if single { ".".to_owned() } else { file.name.clone() }, file.sha256))
        .collect();
    if let Some((name, _)) = there.iter().find(|file| !signed.contains(file)) {
        return Err(other(format!("`{}` is not the file that was signed, or was not signed", name.escape_debug())));
    }
    match signed.iter().find(|file| !there.contains(file)) {
        Some((name, _)) => Err(other(format!("`{}` was signed and is not there", name.escape_debug()))),
        None => Ok(by),
    }
}

fn labelled(manifest: &Manifest) -> Vec<u8> {
    let mut message = b"hotcell model manifest v1\0".to_vec();
    message.extend_from_slice(&manifest.bytes());
    message
}

const BARE: &str = "hotcell-model-signature-v1";
