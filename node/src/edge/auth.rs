//! Who a client is: a JSON Web Token (RFC 7519) signed with HS256 (RFC 7518)
//! or EdDSA over Ed25519 (RFC 8037), checked with ring.
//!
//! The three parts are read here and not by a JWT library: two algorithms are
//! all we take, the key decides which one, and nothing in a token can ask for
//! another. The signature is checked before any claim is looked at.

mod issue;
#[cfg(test)]
mod tests;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use folkmoot_wire::{Code, Fault, limits};
use ring::{hmac, signature};
use serde_json::Value;

pub use issue::{Grant, SigningKey, issue};

/// How far the clocks of issuer and node may differ.
pub const LEEWAY: Duration = Duration::from_secs(30);
/// Longest token, in bytes. Longer: `token_malformed`.
pub const TOKEN_MAX: usize = 8 * 1024;
/// Longest `sub`, in bytes; the directory takes no longer one.
pub const SUBJECT_MAX: usize = 512;

/// What a key checks signatures with. The algorithm belongs to the key.
#[derive(Clone)]
pub enum Verifier {
    /// A shared secret.
    Hs256(Vec<u8>),
    /// A public key.
    Ed25519([u8; 32]),
}

impl Verifier {
    fn algorithm(&self) -> &'static str {
        match self {
            Self::Hs256(_) => "HS256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    fn verify(&self, signed: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hs256(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::verify(&key, signed, signature).is_ok()
            }
            Self::Ed25519(public) => signature::UnparsedPublicKey::new(&signature::ED25519, public)
                .verify(signed, signature)
                .is_ok(),
        }
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.algorithm())
    }
}

#[derive(Debug, Clone)]
struct Key {
    /// As in the token's header.
    kid: String,
    verifier: Verifier,
}

/// Which tokens are taken.
#[derive(Debug, Clone)]
pub struct Auth {
    keys: Vec<Key>,
    issuer: String,
    audience: String,
    leeway_ms: u64,
}

/// Who a token says its bearer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who vouches for the subject: the issuer.
    pub realm: String,
    /// The application's name for the user.
    pub subject: String,
    /// What the user would like to be called.
    pub nick: Option<String>,
    /// When the token ends, leeway included, in milliseconds since 1970.
    pub ends_ms: u64,
}

impl Auth {
    /// Takes tokens that `issuer` signed for `audience`, with keys that are
    /// still to be added; without one no token is good.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            keys: Vec::new(),
            issuer: issuer.into(),
            audience: audience.into(),
            leeway_ms: LEEWAY.as_millis() as u64,
        }
    }

    /// Adds a shared secret. One of less than 32 bytes (RFC 7518, 3.2) works,
    /// and whoever configures it should be warned.
    #[must_use]
    pub fn with_hs256(self, kid: &str, secret: &[u8]) -> Self {
        self.with_key(kid, Verifier::Hs256(secret.to_vec()))
    }

    /// Adds an Ed25519 public key.
    ///
    /// # Errors
    /// When it is not 32 bytes.
    pub fn with_ed25519(self, kid: &str, public: &[u8]) -> Result<Self, Fault> {
        let public = public.try_into().map_err(|_| {
            let detail = format!("an Ed25519 public key is 32 bytes, got {}", public.len());
            Fault::new(Code::Invalid, detail)
        })?;
        Ok(self.with_key(kid, Verifier::Ed25519(public)))
    }

    /// Adds a key; one with the same id goes.
    #[must_use]
    pub fn with_key(mut self, kid: &str, verifier: Verifier) -> Self {
        self.keys.retain(|key| key.kid != kid);
        self.keys.push(Key {
            kid: kid.to_owned(),
            verifier,
        });
        self
    }

    /// Checks a token at `now_ms` (milliseconds since 1970).
    ///
    /// # Errors
    /// One code of the registry's 2xx for each way a token can be wrong.
    pub fn check(&self, token: &str, now_ms: u64) -> Result<Identity, Fault> {
        if token.is_empty() {
            return Err(Code::TokenMissing.into());
        }
        if token.len() > TOKEN_MAX {
            return malformed(format!("over {TOKEN_MAX} bytes"));
        }
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(sealed), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return malformed("a token has three parts");
        };
        let signed = &token.as_bytes()[..header.len() + 1 + claims.len()];
        let signature = decode(sealed, "signature")?;
        self.check_signature(&object(header, "header")?, signed, &signature)?;
        self.check_claims(&object(claims, "claims")?, now_ms)
    }

    fn check_signature(&self, header: &Value, signed: &[u8], seal: &[u8]) -> Result<(), Fault> {
        let refuse = |detail: String| Err(Fault::new(Code::TokenSignature, detail));
        if header.get("crit").is_some() {
            return refuse("critical header fields are not understood here".into());
        }
        let Some(algorithm) = header.get("alg").and_then(Value::as_str) else {
            return malformed("the header has no alg");
        };
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.as_str()),
            Some(_) => return malformed("kid is text"),
        };
        let mut fitting = self
            .keys
            .iter()
            .filter(|key| kid.is_none_or(|kid| kid == key.kid))
            .filter(|key| key.verifier.algorithm() == algorithm)
            .peekable();
        if fitting.peek().is_none() {
            return refuse(match kid {
                Some(kid) => format!("no key {kid:?} for {algorithm:?}"),
                None => format!("no key for {algorithm:?}"),
            });
        }
        if fitting.any(|key| key.verifier.verify(signed, seal)) {
            Ok(())
        } else {
            Err(Code::TokenSignature.into())
        }
    }

    fn check_claims(&self, claims: &Value, now_ms: u64) -> Result<Identity, Fault> {
        if claims.get("iss").and_then(Value::as_str) != Some(self.issuer.as_str()) {
            return Err(Code::TokenIssuer.into());
        }
        let for_us = match claims.get("aud") {
            Some(Value::String(audience)) => *audience == self.audience,
            Some(Value::Array(all)) => all
                .iter()
                .any(|a| a.as_str() == Some(self.audience.as_str())),
            _ => false,
        };
        if !for_us {
            return Err(Code::TokenAudience.into());
        }
        let Some(expires) = date_ms(claims, "exp")? else {
            return malformed("exp is missing");
        };
        let ends_ms = expires.saturating_add(self.leeway_ms);
        if ends_ms <= now_ms {
            return Err(Code::TokenExpired.into());
        }
        if date_ms(claims, "nbf")?.is_some_and(|from| from > now_ms + self.leeway_ms) {
            return Err(Code::TokenNotYetValid.into());
        }
        let subject = match claims.get("sub").and_then(Value::as_str) {
            Some(subject) if (1..=SUBJECT_MAX).contains(&subject.len()) => subject.to_owned(),
            _ => return malformed(format!("sub is text of 1 to {SUBJECT_MAX} bytes")),
        };
        let nick = match claims.get("nick") {
            None | Some(Value::Null) => None,
            Some(Value::String(nick)) if nick.len() <= limits::NICK_MAX => Some(nick.clone()),
            Some(_) => {
                return malformed(format!(
                    "nick is text of {} bytes at most",
                    limits::NICK_MAX
                ));
            }
        };
        Ok(Identity {
            realm: self.issuer.clone(),
            subject,
            nick,
            ends_ms,
        })
    }
}

fn malformed<T>(detail: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::new(Code::TokenMalformed, detail))
}

fn decode(part: &str, what: &str) -> Result<Vec<u8>, Fault> {
    URL_SAFE_NO_PAD
        .decode(part)
        .or_else(|_| malformed(format!("the {what} is not base64url")))
}

fn object(part: &str, what: &str) -> Result<Value, Fault> {
    match serde_json::from_slice(&decode(part, what)?) {
        Ok(value @ Value::Object(_)) => Ok(value),
        _ => malformed(format!("the {what} is not a JSON object")),
    }
}

/// A NumericDate (seconds, maybe with a fraction) in milliseconds.
fn date_ms(claims: &Value, name: &str) -> Result<Option<u64>, Fault> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            // `as` saturates: a date beyond all time is the end of time.
            Some(seconds) if seconds >= 0.0 => Ok(Some((seconds * 1000.0) as u64)),
            _ => malformed(format!("{name} is a number of seconds")),
        },
    }
}
