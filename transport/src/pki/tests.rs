use std::time::Duration;

use folkmoot_wire::NodeId;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{ClusterCa, ClusterId, Fingerprint, NodeIdentity, NodeKey, NodeName, PkiError};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Some day of 2026.
const NOW: Duration = Duration::from_secs(1_780_000_000);
const CLUSTER: ClusterId = ClusterId([0xab; 16]);

fn ca() -> ClusterCa {
    ClusterCa::generate(CLUSTER, NOW).unwrap()
}

fn issue(ca: &ClusterCa, key: &NodeKey) -> CertificateDer<'static> {
    let request = key.request().unwrap();
    ca.issue(&request, NodeId(7), "west", NOW, DAY).unwrap()
}

fn at(time: Duration) -> UnixTime {
    UnixTime::since_unix_epoch(time)
}

#[test]
fn a_certificate_names_cluster_node_and_region() {
    let (ca, key) = (ca(), NodeKey::generate().unwrap());
    let certificate = issue(&ca, &key);
    let name = NodeName::of(&certificate).unwrap();
    let text = format!("folkmoot://{CLUSTER}/node/7/region/west");
    assert_eq!(name.to_string(), text);
    let identity = NodeIdentity::new(&key, certificate, ca.certificate().clone(), at(NOW)).unwrap();
    assert_eq!(identity.name(), &name);
    assert_eq!(identity.cluster(), CLUSTER);
}

#[test]
fn keys_and_ca_survive_their_files() {
    let ca = ca();
    let loaded = ClusterCa::from_pem(ca.certificate_pem(), &ca.key_pem()).unwrap();
    assert_eq!(loaded.cluster(), CLUSTER);
    assert_eq!(loaded.fingerprint(), ca.fingerprint());
    let key = NodeKey::from_pem(&NodeKey::generate().unwrap().to_pem()).unwrap();
    // What the loaded CA signs is signed by the first one.
    let certificate = issue(&loaded, &key);
    NodeIdentity::new(&key, certificate, ca.certificate().clone(), at(NOW)).unwrap();

    let other = ClusterCa::generate(CLUSTER, NOW).unwrap();
    let mixed = ClusterCa::from_pem(ca.certificate_pem(), &other.key_pem());
    assert_eq!(mixed.unwrap_err(), PkiError::KeyMismatch);
    let nonsense = ClusterCa::from_pem("nonsense", &ca.key_pem());
    assert!(matches!(nonsense.unwrap_err(), PkiError::Pem { .. }));
}

#[test]
fn an_identity_is_checked_when_it_is_made() {
    let (ours, key) = (ca(), NodeKey::generate().unwrap());
    let certificate = issue(&ours, &key);
    let make = |key: &NodeKey, ca: &ClusterCa, now| {
        NodeIdentity::new(key, certificate.clone(), ca.certificate().clone(), now).map(|_| ())
    };
    assert_eq!(make(&key, &ours, at(NOW)), Ok(()));
    let another = NodeKey::generate().unwrap();
    assert_eq!(make(&another, &ours, at(NOW)), Err(PkiError::KeyMismatch));
    for refused in [
        make(&key, &ca(), at(NOW)),
        make(&key, &ours, at(NOW + 2 * DAY)),
        make(&key, &ours, at(NOW - 2 * DAY)),
    ] {
        assert!(matches!(refused, Err(PkiError::Untrusted(_))));
    }
}

#[test]
fn a_request_chooses_nothing_but_its_key() {
    let ca = ca();
    let key = KeyPair::generate().unwrap();
    let mut wish = CertificateParams::default();
    wish.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let uri = format!("folkmoot://{CLUSTER}/node/1/region/home");
    wish.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    let request = wish.serialize_request(&key).unwrap();
    let certificate = ca
        .issue(request.der(), NodeId(7), "west", NOW, DAY)
        .unwrap();
    assert_eq!(NodeName::of(&certificate).unwrap().node, NodeId(7));
    let (_, parsed) = X509Certificate::from_der(&certificate).unwrap();
    assert!(!parsed.is_ca());
}

#[test]
fn hostile_requests_are_refused() {
    let (ca, key) = (ca(), NodeKey::generate().unwrap());
    let good = key.request().unwrap();
    let issue = |request: &[u8], node, region: &str| {
        ca.issue(request, NodeId(node), region, NOW, DAY)
            .map(|_| ())
    };
    assert_eq!(issue(&good, 7, "west"), Ok(()));
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    for bad in [&[][..], &good[..good.len() - 1], &forged, &[0x30; 9_000]] {
        assert!(matches!(issue(bad, 7, "west"), Err(PkiError::Request(_))));
    }
    for (node, region) in [
        (0, "west"),
        (7, ""),
        (7, "a/b"),
        (7, "é"),
        (7, &"x".repeat(65)),
    ] {
        assert!(matches!(issue(&good, node, region), Err(PkiError::Name(_))));
    }
}

#[test]
fn a_name_is_read_in_one_spelling_only() {
    let certificate = |uris: &[String]| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = uris
            .iter()
            .map(|uri| SanType::URI(uri.as_str().try_into().unwrap()))
            .collect();
        params.self_signed(&key).unwrap().der().clone()
    };
    let good = format!("folkmoot://{CLUSTER}/node/7/region/west");
    assert!(NodeName::of(&certificate(std::slice::from_ref(&good))).is_ok());
    for bad in [
        format!("folkmoot://{CLUSTER}/node/07/region/west"),
        format!("folkmoot://{CLUSTER}/node/+7/region/west"),
        format!("folkmoot://{CLUSTER}/node/7/region/west/"),
        format!("folkmoot://{CLUSTER}/node/7"),
        "folkmoot://abab/node/7/region/west".to_owned(),
        good.to_uppercase().replace("FOLKMOOT", "folkmoot"),
    ] {
        assert!(
            NodeName::of(&certificate(std::slice::from_ref(&bad))).is_err(),
            "{bad}"
        );
    }
    assert!(NodeName::of(&certificate(&[])).is_err());
    assert!(NodeName::of(&certificate(&[good.clone(), good])).is_err());
    assert!(NodeName::of(&CertificateDer::from(vec![1, 2, 3])).is_err());
}

#[test]
fn fingerprints_are_read_with_and_without_colons() {
    let fingerprint = ca().fingerprint();
    let plain = fingerprint.to_string();
    let pairs: Vec<&str> = (0..64).step_by(2).map(|at| &plain[at..at + 2]).collect();
    assert_eq!(plain.parse(), Ok(fingerprint));
    assert_eq!(pairs.join(":").to_uppercase().parse(), Ok(fingerprint));
    assert!(plain[1..].parse::<Fingerprint>().is_err());
    assert!("zz".repeat(32).parse::<Fingerprint>().is_err());
}

#[test]
fn nothing_secret_is_printed() {
    let (ca, key) = (ca(), NodeKey::generate().unwrap());
    let certificate = issue(&ca, &key);
    let identity = NodeIdentity::new(&key, certificate, ca.certificate().clone(), at(NOW)).unwrap();
    let printed = format!("{ca:?} {key:?} {identity:?}");
    assert!(
        !printed.contains("PRIVATE") && !printed.contains("serialized"),
        "{printed}"
    );
}
