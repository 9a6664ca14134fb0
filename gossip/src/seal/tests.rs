use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use rand::SeedableRng;
use rand::rngs::StdRng;
use zeroize::Zeroizing;

use super::{DATAGRAM_MAX, KEYS_MAX, Keyring, KeyringError, OVERHEAD, Refused, Seal};

fn key(byte: u8) -> Zeroizing<[u8; 32]> {
    Zeroizing::new([byte; 32])
}

fn seal(cluster: &str, current: u8, keys: &[(u8, u8)]) -> Seal {
    let keys = keys.iter().map(|&(id, byte)| (id, key(byte)));
    Seal::new(cluster, Keyring::new(current, keys).unwrap())
}

#[test]
fn opens_what_it_sealed_and_hides_it() {
    let seal = seal("moot", 1, &[(1, 1)]);
    let mut rng = StdRng::seed_from_u64(1);
    let plain = b"a message that must not be readable";
    let packet = seal.seal(plain, &mut rng).unwrap();
    assert_eq!(packet.len(), plain.len() + OVERHEAD);
    assert!(!packet.windows(8).any(|part| part == &plain[..8]));
    assert_eq!(seal.open(&packet).unwrap(), plain);
    assert_ne!(packet, seal.seal(plain, &mut rng).unwrap(), "fresh nonces");
}

#[test]
fn tells_apart_why_it_refuses() {
    let ours = seal("moot", 1, &[(1, 1)]);
    let mut rng = StdRng::seed_from_u64(2);
    let mut from = |seal: &Seal| seal.seal(b"hello", &mut rng).unwrap();

    assert_eq!(
        ours.open(&from(&seal("other", 1, &[(1, 1)]))),
        Err(Refused::Cluster)
    );
    assert_eq!(
        ours.open(&from(&seal("moot", 2, &[(2, 2)]))),
        Err(Refused::Key)
    );
    assert_eq!(
        ours.open(&from(&seal("moot", 1, &[(1, 9)]))),
        Err(Refused::Forged)
    );
    assert_eq!(ours.open(b"GET / HTTP/1.1"), Err(Refused::Short));
    assert_eq!(ours.open(&[1; DATAGRAM_MAX + 1]), Err(Refused::Long));
    let mut newer = from(&ours);
    newer[0] += 1;
    assert_eq!(ours.open(&newer), Err(Refused::Version));
}

#[test]
fn a_cluster_id_is_authenticated_beyond_its_tag() {
    let ours = seal("moot", 1, &[(1, 1)]);
    let mut theirs = seal("other", 1, &[(1, 1)]);
    theirs.cluster_tag = ours.cluster_tag;
    let packet = theirs
        .seal(b"hello", &mut StdRng::seed_from_u64(3))
        .unwrap();
    assert_eq!(ours.open(&packet), Err(Refused::Forged));
}

#[test]
fn keys_rotate_without_a_moment_of_silence() {
    let mut rng = StdRng::seed_from_u64(4);
    let old = seal("moot", 1, &[(1, 1)]);
    let both = seal("moot", 1, &[(1, 1), (2, 2)]);
    let switched = seal("moot", 2, &[(1, 1), (2, 2)]);
    let mut new = seal("moot", 1, &[(1, 1)]);
    new.set_keyring(Keyring::new(2, [(2, key(2))]).unwrap());
    for (from, to) in [
        (&old, &both),
        (&both, &old),
        (&both, &switched),
        (&switched, &both),
        (&switched, &new),
        (&new, &switched),
    ] {
        let packet = from.seal(b"hello", &mut rng).unwrap();
        assert_eq!(to.open(&packet).unwrap(), b"hello");
    }
}

#[test]
fn refuses_a_ring_that_cannot_seal_and_shows_no_key() {
    assert_eq!(
        Keyring::new(1, [(2, key(2))]).unwrap_err(),
        KeyringError::NoCurrent(1)
    );
    let many = (0..=KEYS_MAX as u8).map(|id| (id, key(id)));
    assert_eq!(
        Keyring::new(0, many).unwrap_err(),
        KeyringError::TooMany(KEYS_MAX + 1)
    );
    assert!(!format!("{:?}", seal("moot", 1, &[(1, 171)])).contains("171"));
}

proptest! {
    #[test]
    fn garbage_is_refused_without_a_panic(packet in proptest::collection::vec(any::<u8>(), 0..1500)) {
        prop_assert!(seal("moot", 1, &[(1, 1)]).open(&packet).is_err());
    }

    #[test]
    fn any_changed_byte_is_noticed(at in 0usize..(OVERHEAD + 5), flip in 1u8..) {
        let seal = seal("moot", 1, &[(1, 1)]);
        let mut packet = seal.seal(b"hello", &mut StdRng::seed_from_u64(5)).unwrap();
        prop_assert_eq!(packet.len(), OVERHEAD + 5);
        packet[at] ^= flip;
        prop_assert!(seal.open(&packet).is_err());
    }
}
