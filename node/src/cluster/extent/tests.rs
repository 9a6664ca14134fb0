use std::sync::Arc;

use folkmoot_wire::Slot;
use folkmoot_wire::proto::MetaState;

use super::{Extent, overlap};
use crate::cluster::view::ClusterView;

#[test]
fn who_waits_for_slots_is_told_once_that_they_are_free() {
    let view = Arc::new(ClusterView::new(MetaState::default()));
    let extent = Extent::new((Slot(0), Slot(u16::MAX)), false, Arc::clone(&view));
    let mut watch = view.watch();
    watch.mark_unchanged();
    assert!(!extent.set((Slot(0), Slot(u16::MAX))));
    assert!(!watch.has_changed().unwrap());
    assert!(extent.set((Slot(0), Slot(0x7fff))));
    assert!(watch.has_changed().unwrap());
    assert_eq!(extent.slots(), (Slot(0), Slot(0x7fff)));
    assert!(!extent.is_whole());
    extent.is_filled();
    assert!(extent.is_whole());
    extent.is_emptied();
    assert!(!extent.is_whole());
    assert!(extent.kept().moves, "until it is known that there are none");
    extent.may_move(false);
    assert!(!extent.kept().moves);
}

#[test]
fn slots_overlap_where_one_is_in_both() {
    let slots = |from, to| (Slot(from), Slot(to));
    assert!(overlap(slots(0, 9), slots(9, 20)));
    assert!(overlap(slots(5, 6), slots(0, 20)));
    assert!(!overlap(slots(0, 9), slots(10, 20)));
    assert!(!overlap(slots(10, 20), slots(0, 9)));
}
