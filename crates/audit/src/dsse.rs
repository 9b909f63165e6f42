//! DSSE envelopes: a payload, its type, and signatures over both (secure-systems-lab/dsse, version 1.0).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hotcell_crypto::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

/// An envelope as the specification's JSON has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    /// The payload in base64.
    payload: String,
    /// The payload's type.
    payload_type: String,
    /// The signatures.
    signatures: Vec<Signed>,
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    /// A hint which key it is by.
    keyid: String,
    /// The signature in base64.
    sig: String,
}

impl Envelope {
    /// Signs a payload.
    pub fn sign(payload_type: &str, payload: &[u8], key: &SigningKey) -> Self {
        let signature = key.sign(&pre_authentication_encoding(payload_type, payload));
        Self {
            payload: BASE64.encode(payload),
            payload_type: payload_type.to_owned(),
            signatures: vec![Signed { keyid: key.verifying().key_id().to_string(), sig: BASE64.encode(signature.0) }],
        }
    }

    /// The payload, if this envelope is of that type and carries exactly one signature, by this key.
    pub fn open(&self, payload_type: &str, key: &VerifyingKey) -> Option<Vec<u8>> {
        let [signed] = self.signatures.as_slice() else { return None };
        let signature = <[u8; 64]>::try_from(BASE64.decode(&signed.sig).ok()?).ok()?;
        let payload = BASE64.decode(&self.payload).ok()?;
        if self.payload_type != payload_type || signed.keyid != key.key_id().to_string() {
            return None;
        }
        key.verify(&pre_authentication_encoding(payload_type, &payload), &signature).ok()?;
        Some(payload)
    }
}

/// What is signed: PAE(type, payload) of the specification.
fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_that_of_the_published_vector() {
        assert_eq!(
            pre_authentication_encoding("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
        assert_eq!(pre_authentication_encoding("", b""), b"DSSEv1 0  0 ");
    }

    #[test]
    fn an_envelope_opens_for_its_key_and_type_only() {
        let key = SigningKey::generate();
        let envelope = Envelope::sign("text/x", b"payload", &key);
        assert_eq!(envelope.open("text/x", &key.verifying()).unwrap(), b"payload");
        assert_eq!(envelope.open("text/y", &key.verifying()), None);
        assert_eq!(envelope.open("text/x", &SigningKey::generate().verifying()), None);
        let twice = Envelope {
            signatures: [envelope.signatures.clone(), envelope.signatures.clone()].concat(),
            ..envelope.clone()
        };
        assert_eq!(twice.open("text/x", &key.verifying()), None);
        let none = Envelope { signatures: vec![], ..envelope };
        assert_eq!(none.open("text/x", &key.verifying()), None);
    }
}
