use super::{Limit, Usage, core_ticks, process_ticks};

#[test]
fn user_and_system_time_of_a_process_with_a_strange_name() {
    let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 2 3 4 250 50 7 8 20 0 3 0 9 10 11";
    assert_eq!(process_ticks(stat), Some(300));
    assert_eq!(process_ticks("42 (cut"), None);
    assert_eq!(process_ticks("42 (short) S 1"), None);
}

#[test]
fn a_core_is_busy_when_it_is_neither_idle_nor_waiting() {
    let stat =
        "cpu  9 9 9 9 9 9 9 9 0 0\ncpu1 1 2 4 1000 500 8 16 32 64 128\ncpu10 1 1 1 1 1 1 1 1 0 0\n";
    assert_eq!(core_ticks(stat, 1), Some(63));
    assert_eq!(core_ticks(stat, 10), Some(6));
    assert_eq!(core_ticks(stat, 0), None);
    assert_eq!(core_ticks("cpu0 x", 0), None);
}

#[test]
fn a_core_is_full_from_nine_tenths_on() {
    let usage = |server, generator| Usage {
        server,
        generator,
        others: 0.0,
    };
    assert_eq!(Limit::of(&usage(89.0, 20.0)), Limit::None);
    assert_eq!(Limit::of(&usage(90.0, 20.0)), Limit::Server);
    assert_eq!(Limit::of(&usage(20.0, 99.0)), Limit::Generator);
    assert_eq!(Limit::of(&usage(99.0, 99.0)), Limit::Both);
}
