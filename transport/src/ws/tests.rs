use super::close::{decode, encode};
use crate::error::TransportError;

fn round(code: u32, reason: &str) -> Option<TransportError> {
    let (close, text) = encode(code, reason);
    assert!((4000..5000).contains(&close));
    assert!(text.len() <= 123);
    decode(Some((close, &text)))
}

#[test]
fn codes_and_reasons_survive_a_close_frame() {
    for (code, reason) in [(0, ""), (106, "going away"), (999, "x"), (70_000, "large")] {
        let closed = TransportError::Closed {
            code,
            reason: reason.into(),
        };
        assert_eq!(round(code, reason), Some(closed));
    }
}

#[test]
fn a_long_reason_is_cut_at_a_character() {
    let Some(TransportError::Closed { code, reason }) = round(101, &"é".repeat(200)) else {
        panic!("not closed");
    };
    assert_eq!(code, 101);
    assert!(reason.chars().all(|c| c == 'é') && !reason.is_empty());
}

#[test]
fn foreign_close_frames_are_understood() {
    assert_eq!(decode(None), None);
    assert_eq!(decode(Some((1000, ""))), None);
    assert_eq!(decode(Some((1001, "tab closed"))), None);
    let closed = |code, reason: &str| {
        Some(TransportError::Closed {
            code,
            reason: reason.into(),
        })
    };
    assert_eq!(decode(Some((1009, "big"))), closed(101, "big"));
    assert_eq!(decode(Some((4106, "bye bye"))), closed(106, "bye bye"));
    assert!(matches!(
        decode(Some((1011, ""))),
        Some(TransportError::Lost { .. })
    ));
}
