use foca::Identity as _;
use folkmoot_wire::NodeId;

use super::{Identity, IdentityError, REGION_MAX};

fn me(incarnation: u64) -> Identity {
    let addr = "10.0.0.1:7001".parse().unwrap();
    let quic = "10.0.0.1:7000".parse().unwrap();
    Identity::new(NodeId(1), "north", addr, quic, incarnation).unwrap()
}

#[test]
fn a_later_start_wins_and_exactly_one_side_wins() {
    let (first, second) = (me(1), me(2));
    assert!(second.win_addr_conflict(&first));
    assert!(!first.win_addr_conflict(&second));
    let renewed = first.renew().unwrap();
    assert!(renewed.win_addr_conflict(&first));
    assert!(
        second.win_addr_conflict(&renewed),
        "a start outranks any renewal"
    );
}

#[test]
fn renewal_keeps_draining_and_never_revives_a_leaver() {
    let draining = me(1).with_draining(true);
    assert!(draining.renew().unwrap().draining());
    assert!(!draining.with_draining(false).draining());
    assert_eq!(draining.with_leaving().renew(), None);
}

#[test]
fn refuses_what_is_no_identity() {
    let addr = "10.0.0.1:7001".parse().unwrap();
    assert_eq!(
        Identity::new(NodeId(0), "north", addr, addr, 1),
        Err(IdentityError::NoNode)
    );
    assert_eq!(
        Identity::new(NodeId(1), "", addr, addr, 1),
        Err(IdentityError::Region(0))
    );
    let long = "x".repeat(REGION_MAX + 1);
    assert_eq!(
        Identity::new(NodeId(1), long, addr, addr, 1),
        Err(IdentityError::Region(REGION_MAX + 1))
    );
}

#[test]
fn travels_unchanged_and_a_long_region_is_refused_on_arrival() {
    let identity = me(7).with_draining(true);
    let bytes = postcard::to_stdvec(&identity).unwrap();
    assert_eq!(postcard::from_bytes::<Identity>(&bytes).unwrap(), identity);

    let mut hostile = identity;
    hostile.region = "x".repeat(REGION_MAX + 1);
    let bytes = postcard::to_stdvec(&hostile).unwrap();
    assert!(postcard::from_bytes::<Identity>(&bytes).is_err());
}
