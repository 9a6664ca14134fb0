//! Making tokens: for development, the demo and tests. In production the
//! application's server signs them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use folkmoot_wire::{Code, Fault};
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Map, Value, json};

use super::Verifier;

/// What a token is signed with.
pub enum SigningKey {
    /// A shared secret.
    Hs256(Vec<u8>),
    /// The seed of an Ed25519 key pair.
    Ed25519([u8; 32]),
}

impl SigningKey {
    fn pair(seed: &[u8; 32]) -> Result<Ed25519KeyPair, Fault> {
        Ed25519KeyPair::from_seed_unchecked(seed)
            .map_err(|error| Fault::new(Code::Invalid, format!("Ed25519 seed: {error}")))
    }

    /// What checks this key's signatures.
    ///
    /// # Errors
    /// When the seed is not one.
    pub fn verifier(&self) -> Result<Verifier, Fault> {
        Ok(match self {
            Self::Hs256(secret) => Verifier::Hs256(secret.clone()),
            Self::Ed25519(seed) => {
                let mut public = [0; 32];
                public.copy_from_slice(Self::pair(seed)?.public_key().as_ref());
                Verifier::Ed25519(public)
            }
        })
    }

    fn sign(&self, input: &[u8]) -> Result<Vec<u8>, Fault> {
        Ok(match self {
            Self::Hs256(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, input).as_ref().to_vec()
            }
            Self::Ed25519(seed) => Self::pair(seed)?.sign(input).as_ref().to_vec(),
        })
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Hs256(_) => "HS256",
            Self::Ed25519(_) => "EdDSA",
        }
    }
}

/// What a token says.
#[derive(Debug, Clone, Default)]
pub struct Grant<'a> {
    /// The application's name for the user.
    pub subject: &'a str,
    /// Who vouches.
    pub issuer: &'a str,
    /// For whom.
    pub audience: &'a str,
    /// Milliseconds since 1970.
    pub expires_ms: u64,
    /// Milliseconds since 1970; `None`: at once.
    pub not_before_ms: Option<u64>,
    /// What the user would like to be called.
    pub nick: Option<&'a str>,
}

/// Makes a token.
///
/// # Errors
/// When the key cannot sign.
pub fn issue(key: &SigningKey, kid: &str, grant: &Grant<'_>) -> Result<String, Fault> {
    let mut claims = Map::new();
    claims.insert("sub".into(), grant.subject.into());
    claims.insert("iss".into(), grant.issuer.into());
    claims.insert("aud".into(), grant.audience.into());
    claims.insert("exp".into(), (grant.expires_ms / 1000).into());
    if let Some(from) = grant.not_before_ms {
        claims.insert("nbf".into(), (from / 1000).into());
    }
    if let Some(nick) = grant.nick {
        claims.insert("nick".into(), nick.into());
    }
    let header = json!({ "alg": key.algorithm(), "typ": "JWT", "kid": kid });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", part(&header), part(&Value::Object(claims)));
    let seal = URL_SAFE_NO_PAD.encode(key.sign(input.as_bytes())?);
    Ok(format!("{input}.{seal}"))
}
