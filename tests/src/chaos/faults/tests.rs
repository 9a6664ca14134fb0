use std::collections::BTreeSet;

use super::*;

fn all() -> Vec<Kind> {
    KINDS.iter().map(|(kind, _)| *kind).collect()
}

#[test]
fn names_are_read_as_they_are_written() {
    for (kind, name) in KINDS {
        assert_eq!(kind.to_string(), name);
        assert_eq!(name.parse::<Kind>().expect("a name"), kind);
    }
    assert!("kil".parse::<Kind>().is_err());
}

#[test]
fn a_seed_is_one_plan_and_each_round_has_every_kind_once() {
    let plan = |seed| -> Vec<Fault> { Schedule::of(seed, all()).take(51).collect() };
    let text = |seed| format!("{:?}", plan(seed));
    assert_eq!(text(7), text(7));
    assert_ne!(text(7), text(8));
    for round in plan(7).chunks(KINDS.len()) {
        let kinds: BTreeSet<Kind> = round.iter().map(|fault| fault.kind).collect();
        assert_eq!(kinds.len(), KINDS.len());
    }
}

#[test]
fn the_founders_data_is_never_damaged_and_a_region_is_not_cut_from_itself() {
    for fault in (0..100).flat_map(|seed| Schedule::of(seed, all()).take(17)) {
        assert!(fault.kind != Kind::Flip || fault.machine != 0);
        assert_ne!(fault.region, fault.other);
        assert!(fault.machine < REGIONS * PER_REGION && fault.other < REGIONS);
    }
}
