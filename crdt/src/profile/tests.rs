use proptest::prelude::{any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::{Just, Strategy};

use super::{Profile, ProfileError};

const MAX: usize = 64 * 1024;

#[derive(Debug, Clone)]
enum Write {
    Name(String),
    Topic(String),
    Announcement(String),
    Pin(u64),
    Unpin(u64),
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        "[a-c]{0,4}".prop_map(Write::Name),
        "[a-c]{0,4}".prop_map(Write::Topic),
        "[a-cé]{0,12}".prop_map(Write::Announcement),
        (0u64..4).prop_map(Write::Pin),
        (0u64..4).prop_map(Write::Unpin),
    ]
}

fn edit(profile: &mut Profile, actor: &[u8], write: &Write) -> Vec<Vec<u8>> {
    profile
        .edit(actor, |editor| match write {
            Write::Name(name) => editor.set_name(name),
            Write::Topic(topic) => editor.set_topic(topic),
            Write::Announcement(text) => editor.set_announcement(text),
            Write::Pin(seq) => editor.pin(*seq),
            Write::Unpin(seq) => editor.unpin(*seq),
        })
        .unwrap()
}

/// Writes on several sides of a cut, which now and then meet; all changes made.
fn history(writes: &[(usize, Write, bool)]) -> (Vec<Profile>, Vec<Vec<u8>>) {
    let mut sides = vec![Profile::new(); 3];
    let mut changes = Vec::new();
    for (at, (side, write, meet)) in writes.iter().enumerate() {
        let actor = (at as u32).to_be_bytes();
        changes.extend(edit(&mut sides[*side], &actor, write));
        if *meet {
            let other = sides[(side + 1) % 3].clone();
            sides[*side].merge(&other).unwrap();
        }
    }
    (sides, changes)
}

fn seen(profile: &Profile) -> (String, String, String, Vec<u64>) {
    (
        profile.name(),
        profile.topic(),
        profile.announcement(),
        profile.pins(),
    )
}

fn writes() -> impl Strategy<Value = Vec<(usize, Write, bool)>> {
    proptest::collection::vec((0usize..3, write(), any::<bool>()), 1..12)
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 64, ..Default::default() })]

    #[test]
    fn the_same_changes_in_any_order_make_equal_profiles(
        (writes, order) in writes().prop_flat_map(|writes| {
            let order: Vec<usize> = (0..writes.len()).collect();
            (Just(writes), Just(order).prop_shuffle())
        }),
    ) {
        let (sides, changes) = history(&writes);
        let mut in_order = Profile::new();
        for change in &changes {
            in_order.apply(&[change], MAX).unwrap();
        }
        let shuffled: Vec<_> = order.iter().filter_map(|&i| changes.get(i)).collect();
        let mut at_once = Profile::new();
        prop_assert_eq!(at_once.apply(&shuffled, MAX).unwrap(), !changes.is_empty());
        let mut merged = Profile::new();
        for side in sides.iter().rev() {
            merged.merge(side).unwrap();
        }
        for other in [&at_once, &merged] {
            prop_assert_eq!(other.fingerprint_input(), in_order.fingerprint_input());
            prop_assert_eq!(seen(other), seen(&in_order));
            prop_assert_eq!(other.size(), in_order.size());
        }
        // Idempotent: the same again changes nothing.
        prop_assert!(!at_once.apply(&shuffled, MAX).unwrap());
        prop_assert!(!at_once.merge(&merged).unwrap());
        // Saved and loaded it is the same.
        let loaded = Profile::load(&at_once.save(), MAX).unwrap();
        prop_assert_eq!(loaded.fingerprint_input(), at_once.fingerprint_input());
        prop_assert_eq!(seen(&loaded), seen(&at_once));
    }

    #[test]
    fn merge_is_commutative_associative_idempotent(writes in writes()) {
        let (sides, _) = history(&writes);
        let join = |parts: &[&Profile]| {
            let mut all = parts[0].clone();
            for part in &parts[1..] {
                all.merge(part).unwrap();
            }
            all
        };
        let [a, b, c] = [&sides[0], &sides[1], &sides[2]];
        let print = |p: Profile| p.fingerprint_input();
        prop_assert_eq!(print(join(&[a, b])), print(join(&[b, a])));
        prop_assert_eq!(print(join(&[&join(&[a, b]), c])), print(join(&[a, &join(&[b, c])])));
        prop_assert_eq!(print(join(&[a, a])), a.fingerprint_input());
    }

    #[test]
    fn different_sets_of_changes_have_different_fingerprints(writes in writes()) {
        let (_, changes) = history(&writes);
        let mut profile = Profile::new();
        let mut prints = std::collections::BTreeSet::from([profile.fingerprint_input()]);
        for change in &changes {
            prop_assert!(profile.apply(&[change], MAX).unwrap());
            prop_assert!(prints.insert(profile.fingerprint_input()));
        }
    }

    #[test]
    fn hostile_bytes_are_errors(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Profile::load(&bytes, MAX).is_err());
        let mut profile = Profile::new();
        prop_assert!(profile.apply(&[&bytes], MAX).is_err());
        prop_assert_eq!(profile.fingerprint_input(), Profile::new().fingerprint_input());
    }

    #[test]
    fn damaged_changes_and_documents_are_errors_or_harmless(
        writes in writes(),
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), 1u8..), 1..4),
        mend in any::<bool>(),
    ) {
        let (sides, changes) = history(&writes);
        let damage = |bytes: &[u8], kind: u8| {
            let mut bytes = bytes.to_vec();
            for (at, flip) in &flips {
                let at = at.index(bytes.len());
                bytes[at] ^= flip;
            }
            if mend {
                // With a right checksum the bytes get deeper into the parser.
                bytes = chunk(kind, &bytes[content_at(&bytes).min(bytes.len())..]);
            }
            bytes
        };
        let before = Profile::new();
        for change in &changes {
            let mut profile = before.clone();
            if profile.apply(&[damage(change, 1)], MAX).is_ok() {
                prop_assert!(Profile::load(&profile.save(), MAX).is_ok());
                let _ = seen(&profile);
            } else {
                prop_assert_eq!(profile.fingerprint_input(), before.fingerprint_input());
            }
        }
        if let Ok(loaded) = Profile::load(&damage(&sides[0].save(), 0), MAX) {
            let _ = seen(&loaded);
        }
    }
}

fn content_at(bytes: &[u8]) -> usize {
    let mut at = 9;
    while bytes.get(at).is_some_and(|b| b & 0x80 != 0) {
        at += 1;
    }
    at + 1
}

fn leb(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A chunk around `content` with a right length and a right checksum.
fn chunk(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut hashed = vec![kind];
    leb(content.len() as u64, &mut hashed);
    hashed.extend_from_slice(content);
    let mut bytes = vec![0x85, 0x6f, 0x4a, 0x83];
    bytes.extend_from_slice(&sha256(&hashed)[..4]);
    bytes.extend_from_slice(&hashed);
    bytes
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().try_into().unwrap()
}

/// A change by a fresh actor with the given first op and columns.
fn crafted(first_op: u64, columns: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut content = vec![0]; // no dependencies
    content.extend_from_slice(&[2, 0xaa, 0xbb]); // actor
    content.push(1); // seq
    leb(first_op, &mut content);
    content.extend_from_slice(&[0, 0, 0]); // time, message, other actors
    content.push(columns.len() as u8);
    for (spec, data) in columns {
        leb(u64::from(*spec), &mut content);
        leb(data.len() as u64, &mut content);
    }
    for (_, data) in columns {
        content.extend_from_slice(data);
    }
    chunk(1, &content)
}

/// Columns of `count` ops that delete the root's key "a".
fn deletions(count: u64) -> Vec<(u8, Vec<u8>)> {
    let run = |value: &[u8]| {
        let mut data = Vec::new();
        // Signed: one more group keeps the sign bit clear.
        leb(count, &mut data);
        if data.last().is_some_and(|b| b & 0x40 != 0) {
            let last = data.len() - 1;
            data[last] |= 0x80;
            data.push(0);
        }
        data.extend_from_slice(value);
        data
    };
    vec![
        (0x15, run(&[1, b'a'])), // key string
        (0x34, {
            let mut data = Vec::new();
            leb(count, &mut data);
            data
        }), // insert: false
        (0x42, run(&[3])),       // action: delete
        (0x56, run(&[0])),       // value metadata
        (0x70, run(&[0])),       // predecessors
    ]
}

#[test]
fn a_run_that_stands_for_billions_of_ops_is_refused_at_once() {
    let mut profile = Profile::new();
    for count in [1 << 20, 1 << 40, 1 << 61] {
        let bomb = crafted(1, &deletions(count));
        assert!(bomb.len() < 100);
        let refused = profile.apply(&[bomb], MAX);
        assert!(
            matches!(&refused, Err(ProfileError::Malformed { why, .. }) if why.contains("stands for")),
            "{refused:?}"
        );
    }
}

#[test]
fn an_op_counter_far_ahead_is_refused() {
    let mut profile = Profile::new();
    let put = |first_op| {
        crafted(
            first_op,
            &[
                (0x15, vec![0x7f, 1, b'a']), // key string: one literal
                (0x34, vec![1]),             // insert: one false
                (0x42, vec![0x7f, 1]),       // action: set
                (0x56, vec![0x7f, 0]),       // value: null
                (0x70, vec![0x7f, 0]),       // no predecessors
            ],
        )
    };
    for far in [1000, u64::from(u32::MAX), 1 << 40] {
        let refused = profile.apply(&[put(far)], MAX);
        assert!(refused.is_err(), "{far}: {refused:?}");
    }
    // The same change with an honest counter is taken: the test sees the counter.
    assert_eq!(profile.apply(&[put(1)], MAX), Ok(true));
}

#[test]
fn every_profile_starts_from_the_same_change() {
    // The bytes are stored and sent: a library that makes other ones would
    // split every group's profile.
    let hash: String = Profile::new()
        .fingerprint_input()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(
        hash,
        "c09b2ed8bdf812760b7201e77cade1f19e930e96ede97afab338c25920229754"
    );
    assert_eq!(
        seen(&Profile::new()),
        (String::new(), String::new(), String::new(), vec![])
    );
}

#[test]
fn too_large_is_refused_and_leaves_nothing_behind() {
    let mut writer = Profile::new();
    let small = edit(&mut writer, b"1", &Write::Name("small".into()));
    let large = edit(&mut writer, b"2", &Write::Announcement("x".repeat(3000)));
    let mut profile = Profile::new();
    assert_eq!(profile.apply(&small, 2000), Ok(true));
    let before = profile.fingerprint_input();
    assert!(matches!(
        profile.apply(&large, 2000),
        Err(ProfileError::TooLarge { max: 2000, .. })
    ));
    assert_eq!(profile.fingerprint_input(), before);
    assert_eq!(profile.announcement(), "");
    // Exactly its size is enough, one byte less is not.
    let size = writer.size();
    assert!(matches!(
        profile.apply(&large, size - 1),
        Err(ProfileError::TooLarge { got, .. }) if got == size
    ));
    assert_eq!(profile.apply(&large, size), Ok(true));
    assert!(Profile::load(&profile.save(), size).is_ok());
    assert!(matches!(
        Profile::load(&profile.save(), size - 1),
        Err(ProfileError::TooLarge { .. })
    ));
}

#[test]
fn a_change_before_what_it_builds_on_is_refused_and_may_come_again() {
    let mut writer = Profile::new();
    let first = edit(&mut writer, b"1", &Write::Name("a".into()));
    let second = edit(&mut writer, b"2", &Write::Name("b".into()));
    let mut profile = Profile::new();
    assert_eq!(
        profile.apply(&second, MAX),
        Err(ProfileError::MissingDependencies)
    );
    assert_eq!(profile.apply(&first, MAX), Ok(true));
    assert_eq!(profile.apply(&second, MAX), Ok(true));
    assert_eq!(profile.name(), "b");
}

#[test]
fn two_changes_under_one_number_are_a_conflict() {
    let (mut one, mut other) = (Profile::new(), Profile::new());
    edit(&mut one, b"same", &Write::Name("a".into()));
    let contrary = edit(&mut other, b"same", &Write::Name("b".into()));
    assert!(matches!(
        one.apply(&contrary, MAX),
        Err(ProfileError::Conflict(_))
    ));
    assert!(matches!(one.merge(&other), Err(ProfileError::Conflict(_))));
    assert_eq!(one.name(), "a");
}

#[test]
fn a_document_of_another_origin_is_refused() {
    let mut foreign = automerge::Automerge::new().with_actor(automerge::ActorId::from(b"x"));
    foreign
        .transact(|tx| automerge::transaction::Transactable::put(tx, automerge::ROOT, "name", "x"))
        .unwrap();
    assert_eq!(
        Profile::load(&foreign.save_nocompress(), MAX).err(),
        Some(ProfileError::Foreign)
    );
    assert!(Profile::load(&[], MAX).is_err());
}

#[test]
fn what_changes_nothing_writes_nothing_and_a_bad_author_is_refused() {
    let mut profile = Profile::new();
    assert_eq!(edit(&mut profile, b"1", &Write::Name("a".into())).len(), 1);
    assert!(edit(&mut profile, b"2", &Write::Name("a".into())).is_empty());
    assert!(edit(&mut profile, b"3", &Write::Unpin(9)).is_empty());
    assert_eq!(profile.edit(b"", |e| e.pin(1)), Err(ProfileError::Actor(0)));
}

#[test]
fn a_pin_outlives_its_removal_on_the_other_side() {
    let mut home = Profile::new();
    edit(&mut home, b"1", &Write::Pin(7));
    let mut cut = home.clone();
    edit(&mut home, b"2", &Write::Unpin(7));
    edit(&mut cut, b"3", &Write::Unpin(7));
    edit(&mut cut, b"4", &Write::Pin(7));
    home.merge(&cut).unwrap();
    assert_eq!(home.pins(), [7]);
}
