use proptest::prelude::{prop_assert_eq, proptest};

use super::{CLIENT, FEATURES, Range, common_features};

proptest! {
    #[test]
    fn negotiation_finds_the_greatest_common_version(
        a in (0u32..8, 0u32..8), b in (0u32..8, 0u32..8),
    ) {
        let [a, b] = [a, b].map(|(min, max)| Range { min, max });
        let both = (0..8).rev().find(|v| {
            (a.min..=a.max).contains(v) && (b.min..=b.max).contains(v)
        });
        prop_assert_eq!(a.negotiate(b), both);
        prop_assert_eq!(a.negotiate(b), b.negotiate(a));
    }
}

#[test]
fn this_build_speaks_with_itself_and_not_with_nobody() {
    assert_eq!(CLIENT.negotiate(CLIENT), Some(CLIENT.max));
    let later = Range {
        min: CLIENT.max + 1,
        max: u32::MAX,
    };
    assert_eq!(CLIENT.negotiate(later), None);
    let upside_down = Range { min: 2, max: 1 };
    assert_eq!(upside_down.negotiate(upside_down), None);
}

#[test]
fn common_features_are_ours_in_our_order() {
    let mut theirs: Vec<String> = FEATURES.iter().rev().map(|f| (*f).to_owned()).collect();
    theirs.push("unheard-of".to_owned());
    theirs.extend(theirs.clone());
    assert_eq!(common_features(&theirs), FEATURES);
    assert!(common_features(&["unheard-of".to_owned()]).is_empty());
}
