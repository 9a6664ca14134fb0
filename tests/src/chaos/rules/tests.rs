use super::*;

#[test]
fn nothing_dropped_is_no_table() {
    let text = Rules::default().text();
    assert_eq!(text, "table inet chaos\ndelete table inet chaos\n");
}

#[test]
fn each_way_is_a_chain_of_its_own_and_leaves_loopback_alone() {
    let rules = Rules {
        deaf_to: vec!["10.77.1.0/24".into()],
        lossy: Some((vec!["10.77.2.0/24".into()], 30)),
        ..Rules::default()
    };
    let text = rules.text();
    let (input, output) = text.split_once("chain out").expect("two chains");
    assert!(input.contains("iifname \"eth0\" ip saddr 10.77.1.0/24 drop"));
    assert!(!output.contains("10.77.1.0/24"));
    assert!(output.contains("ip daddr 10.77.2.0/24 numgen random mod 100 < 30 drop"));
    let rules = text.lines().filter(|line| line.ends_with("drop"));
    assert!(rules.clone().count() == 3 && rules.clone().all(|line| line.contains("\"eth0\"")));
}
