use super::{PAYLOAD, Payloads, tag_of};

#[test]
fn a_payload_has_its_length_and_names_its_message() {
    let mut payloads = Payloads::new();
    for tag in [0, 1, 77, u64::MAX] {
        let text = payloads.of(tag);
        assert_eq!(text.len(), PAYLOAD);
        assert_eq!(tag_of(text.as_bytes()), Some(tag));
    }
}

#[test]
fn payloads_differ_behind_the_number_too() {
    let mut payloads = Payloads::new();
    let first = payloads.of(1).to_owned();
    assert_ne!(first[16..], payloads.of(2)[16..]);
}

#[test]
fn what_is_no_payload_has_no_number() {
    assert_eq!(tag_of(b"short"), None);
    assert_eq!(tag_of(&[0xff; 32]), None);
    assert_eq!(tag_of(b"zzzzzzzzzzzzzzzzzz"), None);
}
