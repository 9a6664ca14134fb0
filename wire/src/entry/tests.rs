use bytes::Bytes;
use proptest::prelude::{any, prop_assert, prop_assert_eq, prop_assert_ne, proptest};
use proptest::strategy::Strategy;
use prost::Message;

use super::{Chain, EntryError, chain_from, genesis, seal};
use crate::proto::{EntryHeader, Epoch, SealedEntry};
use crate::{GroupId, RegionId, Slot};

fn start() -> Chain {
    genesis(&[1; 16], &GroupId::new(RegionId(1), Slot(2), [3; 11]))
}

fn header() -> impl Strategy<Value = EntryHeader> {
    (
        any::<(u64, u64, u64, bool)>(),
        "[a-zé]{0,8}",
        proptest::collection::vec(any::<u8>(), 0..20),
    )
        .prop_map(|((seq, hlc, term, countable), nick, id)| EntryHeader {
            seq,
            hlc,
            epoch: Some(Epoch {
                generation: 1,
                term,
            }),
            id: Bytes::from(id),
            kind: 1,
            nick,
            countable,
            ..Default::default()
        })
}

fn blob(max: usize) -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..max).prop_map(Bytes::from)
}

proptest! {
    #[test]
    fn what_is_sealed_verifies_also_when_erased_or_sent(
        header in header(), salt in blob(20), body in blob(60),
    ) {
        let sealed = seal(&start(), &header, salt, body);
        let sealed = SealedEntry::decode(&sealed.encode_to_vec()[..]).unwrap();
        let (read, chain) = sealed.verify(&start(), header.seq).unwrap();
        prop_assert_eq!(&read, &header);
        let erased = sealed.erased();
        prop_assert!(erased.is_erased() && erased.salt.is_empty() && erased.body.is_empty());
        prop_assert_eq!(erased.verify(&start(), header.seq), Ok((read, chain)));
        prop_assert_eq!(erased.erased(), erased);
    }

    #[test]
    fn any_flipped_bit_is_detected(
        header in header(), salt in blob(20), body in blob(60),
        erase in any::<bool>(), field in 0usize..5,
        at in any::<proptest::sample::Index>(), bit in 0u8..8,
    ) {
        let mut sealed = seal(&start(), &header, salt, body);
        if erase {
            sealed = sealed.erased();
        }
        let fields = [
            &mut sealed.header, &mut sealed.salt, &mut sealed.body,
            &mut sealed.body_hash, &mut sealed.chain,
        ];
        let [target] = fields.into_iter().skip(field).take(1).collect::<Vec<_>>().try_into().unwrap();
        if !target.is_empty() {
            let mut bytes = target.to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            *target = Bytes::from(bytes);
            prop_assert!(sealed.verify(&start(), header.seq).is_err());
        }
    }

    #[test]
    fn bytes_cannot_move_between_fields(
        header in header(), salt in blob(600), body in blob(600),
        at in any::<proptest::sample::Index>(),
    ) {
        let sealed = seal(&start(), &header, salt.clone(), body.clone());
        let all = Bytes::from([&salt[..], &body[..]].concat());
        let at = at.index(all.len() + 1);
        let moved = SealedEntry { salt: all.slice(..at), body: all.slice(at..), ..sealed };
        prop_assert_eq!(moved.verify(&start(), header.seq).is_ok(), at == salt.len());
        // A multiple of 256 bytes moved would pass a length of one byte.
        if all.len() >= 256 {
            let at = (salt.len() + 256) % (all.len() + 1);
            let moved = SealedEntry { salt: all.slice(..at), body: all.slice(at..), ..moved };
            prop_assert_eq!(moved.verify(&start(), header.seq).is_ok(), at == salt.len());
        }
    }

    #[test]
    fn a_chain_commits_to_all_before_it(
        headers in proptest::collection::vec(header(), 2..6),
        at in any::<proptest::sample::Index>(),
    ) {
        let log = |headers: &[EntryHeader]| {
            let mut chain = start();
            for header in headers {
                let sealed = seal(&chain, header, Bytes::new(), Bytes::new());
                chain = chain_from(&sealed.chain).unwrap();
            }
            chain
        };
        let mut other = headers.clone();
        let at = at.index(other.len());
        other[at].hlc ^= 1;
        prop_assert_ne!(log(&headers), log(&other));
        prop_assert_ne!(log(&headers), log(&headers[1..]));
    }
}

fn one() -> (EntryHeader, SealedEntry) {
    let header = EntryHeader {
        seq: 1,
        ..Default::default()
    };
    let sealed = seal(&start(), &header, vec![9; 16].into(), "hello".into());
    (header, sealed)
}

#[test]
fn an_erased_entry_cannot_be_given_another_body() {
    let (_, sealed) = one();
    for forged in [
        SealedEntry {
            body: "forged".into(),
            ..sealed.erased()
        },
        SealedEntry {
            salt: "forged".into(),
            ..sealed.erased()
        },
        SealedEntry {
            body_hash: sealed.erased().body_hash,
            ..sealed.clone()
        },
    ] {
        assert_eq!(
            forged.verify(&start(), 1),
            Err(EntryError::Erased { seq: 1 })
        );
    }
}

#[test]
fn errors_tell_what_is_wrong() {
    let (_, sealed) = one();
    assert_eq!(
        sealed.verify(&start(), 2),
        Err(EntryError::Seq {
            expected: 2,
            got: 1
        })
    );
    assert_eq!(
        sealed.verify(&[0; 32], 1),
        Err(EntryError::Chain { seq: 1 })
    );
    let short = SealedEntry {
        chain: sealed.chain.slice(1..),
        ..sealed.clone()
    };
    assert_eq!(short.verify(&start(), 1), Err(EntryError::ChainLength(31)));
    let garbage = SealedEntry {
        header: "\u{ff}".into(),
        ..sealed
    };
    assert!(matches!(
        garbage.verify(&start(), 1),
        Err(EntryError::Header(_))
    ));
}

#[test]
fn a_chain_begins_with_the_cluster_and_the_group() {
    let group = |unique| GroupId::new(RegionId(1), Slot(2), [unique; 11]);
    assert_ne!(genesis(&[1; 16], &group(1)), genesis(&[2; 16], &group(1)));
    assert_ne!(genesis(&[1; 16], &group(1)), genesis(&[1; 16], &group(2)));
}
