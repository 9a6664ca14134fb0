//! The order of a log: dense seqs, rising HLCs, one chain.

use folkmoot_crdt::hlc::Hlc;
use folkmoot_storage::log;
use folkmoot_wire::entry;
use folkmoot_wire::proto::{Epoch, Kind};

use crate::testing::{CLUSTER, Got, Home, check_laws, command, group, user};

#[test]
fn hlcs_rise_when_the_leaders_clock_does_not() {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[]);
    let before = home.head(group(1)).hlc;
    home.ms -= 100_000;
    for _ in 0..3 {
        home.say(group(1), user(1));
    }
    let head = home.head(group(1));
    assert_eq!(head.hlc, before + 3);
    home.ms += 200_000;
    home.say(group(1), user(1));
    assert_eq!(Hlc::from_u64(home.head(group(1)).hlc).millis(), home.ms);
    check_laws(&*home.store);
}

#[test]
fn entries_carry_the_epoch_and_groups_have_orders_of_their_own() {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[]);
    home.open_group(group(2), user(1), &[]);
    let mixed: Vec<_> = (0..10)
        .map(|n| command(group(1 + n % 2), home.fresh(user(1), Kind::Message)))
        .collect();
    home.run(mixed);
    for n in [1, 2] {
        let head = home.head(group(n));
        assert_eq!(head.seq, 6);
        assert_eq!(
            head.epoch,
            Some(Epoch {
                generation: 1,
                term: 3
            })
        );
        assert_eq!(head.version, home.index);
    }
    check_laws(&*home.store);
}

#[test]
fn a_push_tells_all_that_happened_to_a_group() {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[user(2)]);
    let before = home.head(group(1));
    let commands: Vec<_> = (0..3)
        .map(|_| command(group(1), home.fresh(user(2), Kind::Message)))
        .collect();
    home.run(commands);
    let [push] = &home.pushes[..] else {
        panic!("one group, one push: {:?}", home.pushes);
    };
    assert_eq!(push.chain_before, before.chain);
    let covers = push.covers.expect("covers");
    assert_eq!((covers.from, covers.to), (3, 5));
    let mut chain = entry::chain_from(&push.chain_before).expect("a chain");
    for (n, sealed) in (3..).zip(&push.entries) {
        (_, chain) = sealed.verify(&chain, n).expect("verifies");
    }
    assert_eq!(push.head.as_ref(), Some(&home.head(group(1))));
    assert_eq!(&push.head.as_ref().expect("a head").chain[..], chain);
    // The sender's cursor follows from the entry, so it does not travel.
    assert!(push.rows.is_empty());
}

#[test]
fn nothing_done_nothing_pushed() {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[user(2)]);
    let before = home.head(group(1));
    assert_eq!(home.join(group(1), user(2)), Got::Done);
    assert!(home.pushes.is_empty());
    assert_eq!(home.head(group(1)), before);
}

#[test]
fn the_chain_begins_with_the_cluster_and_the_group() {
    let mut home = Home::new();
    home.open_group(group(1), user(1), &[]);
    let first = log::read_entry(&*home.store, &group(1), 1)
        .expect("reads")
        .expect("is there");
    assert!(
        first
            .verify(&entry::genesis(&CLUSTER, &group(1)), 1)
            .is_ok()
    );
    assert!(
        first
            .verify(&entry::genesis(&[0; 16], &group(1)), 1)
            .is_err()
    );
    assert!(
        first
            .verify(&entry::genesis(&CLUSTER, &group(2)), 1)
            .is_err()
    );
}

#[test]
fn a_payload_that_is_none_stops_the_replica() {
    let mut home = Home::new();
    let mut batch = folkmoot_storage::Batch::new();
    let result = home.apply.apply(
        crate::testing::at(1),
        &bytes::Bytes::from_static(&[0xff, 0xff]),
        &mut batch,
    );
    assert!(result.is_err());
    assert!(batch.is_empty());
}
