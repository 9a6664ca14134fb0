use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use folkmoot_wire::Code;

use super::{Auth, Grant, SigningKey, issue};

const NOW: u64 = 1_700_000_000_000;

fn secret() -> SigningKey {
    SigningKey::Hs256(vec![7; 32])
}

fn pair() -> SigningKey {
    SigningKey::Ed25519([9; 32])
}

fn auth() -> Auth {
    Auth::new("app", "folkmoot")
        .with_key("hs", secret().verifier().unwrap())
        .with_key("ed", pair().verifier().unwrap())
}

fn grant() -> Grant<'static> {
    Grant {
        subject: "ann",
        issuer: "app",
        audience: "folkmoot",
        expires_ms: NOW + 60_000,
        not_before_ms: None,
        nick: Some("Ann"),
    }
}

fn refused(token: &str) -> Code {
    auth().check(token, NOW).unwrap_err().code
}

#[test]
fn both_algorithms_are_taken() {
    for (kid, key) in [("hs", secret()), ("ed", pair())] {
        let token = issue(&key, kid, &grant()).unwrap();
        let who = auth().check(&token, NOW).unwrap();
        assert_eq!(who.subject, "ann");
        assert_eq!(who.realm, "app");
        assert_eq!(who.nick.as_deref(), Some("Ann"));
    }
}

#[test]
fn each_way_to_be_wrong_has_its_code() {
    let with = |change: &dyn Fn(&mut Grant<'static>)| {
        let mut grant = grant();
        change(&mut grant);
        issue(&secret(), "hs", &grant).unwrap()
    };
    assert_eq!(refused(""), Code::TokenMissing);
    assert_eq!(refused("a.b"), Code::TokenMalformed);
    assert_eq!(refused("!.!.!"), Code::TokenMalformed);
    assert_eq!(refused(&"x".repeat(9_000)), Code::TokenMalformed);
    assert_eq!(
        refused(&with(&|g| g.expires_ms = NOW - 31_000)),
        Code::TokenExpired
    );
    assert_eq!(
        refused(&with(&|g| g.audience = "other")),
        Code::TokenAudience
    );
    assert_eq!(refused(&with(&|g| g.issuer = "other")), Code::TokenIssuer);
    assert_eq!(refused(&with(&|g| g.subject = "")), Code::TokenMalformed);
    assert_eq!(
        refused(&with(&|g| g.not_before_ms = Some(NOW + 31_000))),
        Code::TokenNotYetValid
    );
}

#[test]
fn clocks_may_differ_by_the_leeway() {
    let mut late = grant();
    late.expires_ms = NOW - 29_000;
    late.not_before_ms = Some(NOW + 29_000);
    let token = issue(&secret(), "hs", &late).unwrap();
    assert!(auth().check(&token, NOW).is_ok());
}

#[test]
fn a_token_cannot_choose_its_algorithm() {
    let forge = |header: &str| {
        let claims = issue(&secret(), "hs", &grant()).unwrap();
        let claims = claims.split('.').nth(1).unwrap().to_owned();
        format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(header))
    };
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"none","kid":"hs"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":"RS256","kid":"hs"}"#,
        r#"{"alg":"HS256","kid":"ed"}"#,
        r#"{"alg":"HS256","kid":"hs","crit":["exp"]}"#,
    ] {
        assert_eq!(refused(&forge(header)), Code::TokenSignature, "{header}");
    }
    // The public key as an HMAC secret: the classic confusion.
    let super::Verifier::Ed25519(public) = pair().verifier().unwrap() else {
        unreachable!("an Ed25519 key")
    };
    let confused = issue(&SigningKey::Hs256(public.to_vec()), "ed", &grant()).unwrap();
    assert_eq!(refused(&confused), Code::TokenSignature);
}

#[test]
fn a_changed_token_is_refused() {
    let token = issue(&secret(), "hs", &grant()).unwrap();
    let mut other = grant();
    other.subject = "bob";
    let claims = issue(&secret(), "hs", &other).unwrap();
    let mut parts: Vec<&str> = token.split('.').collect();
    parts[1] = claims.split('.').nth(1).unwrap();
    assert_eq!(refused(&parts.join(".")), Code::TokenSignature);
    let stranger = issue(&SigningKey::Hs256(vec![8; 32]), "hs", &grant()).unwrap();
    assert_eq!(refused(&stranger), Code::TokenSignature);
    let unknown = issue(&secret(), "gone", &grant()).unwrap();
    assert_eq!(refused(&unknown), Code::TokenSignature);
}

#[test]
fn without_a_key_no_token_is_good() {
    let token = issue(&secret(), "hs", &grant()).unwrap();
    let nobody = Auth::new("app", "folkmoot");
    assert_eq!(
        nobody.check(&token, NOW).unwrap_err().code,
        Code::TokenSignature
    );
    assert!(nobody.with_ed25519("k", &[1; 31]).is_err());
}

#[test]
fn a_key_is_replaced_by_its_id() {
    let token = issue(&secret(), "hs", &grant()).unwrap();
    let rotated = auth().with_hs256("hs", &[8; 32]);
    assert_eq!(
        rotated.check(&token, NOW).unwrap_err().code,
        Code::TokenSignature
    );
}
