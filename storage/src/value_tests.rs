use super::{VERSION, decode_value, encode_value};
use crate::StoreError;
use bytes::Bytes;
use folkmoot_wire::proto::{Head, SealedEntry};
use proptest::prelude::*;

proptest! {
    #[test]
    fn round_trip(seq in any::<u64>(), hlc in any::<u64>(), chain in any::<[u8; 32]>()) {
        let head = Head { seq, hlc, chain: Bytes::copy_from_slice(&chain), ..Head::default() };
        let bytes = encode_value(&head);
        prop_assert_eq!(bytes[0], VERSION);
        prop_assert_eq!(decode_value::<Head>(bytes).unwrap(), head);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_value::<SealedEntry>(Bytes::from(bytes));
    }
}

#[test]
fn bytes_fields_are_shared_not_copied() {
    let body = Bytes::from(vec![7; 1000]);
    let stored = encode_value(&SealedEntry {
        body,
        ..SealedEntry::default()
    });
    let entry: SealedEntry = decode_value(stored.clone()).unwrap();
    let range = stored.as_ptr_range();
    assert!(range.contains(&entry.body.as_ptr()));
}

#[test]
fn what_is_wrong_is_said() {
    let error = decode_value::<Head>(Bytes::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a stored Head cannot be read: it is empty"
    );
    let error = decode_value::<Head>(Bytes::from_static(&[9, 1])).unwrap_err();
    assert_eq!(
        error,
        StoreError::ValueVersion {
            what: "Head",
            found: 9,
            supported: 1
        }
    );
    let error = decode_value::<Head>(Bytes::from_static(&[0])).unwrap_err();
    assert!(matches!(error, StoreError::Value { what: "Head", .. }));
    let error = decode_value::<Head>(Bytes::from_static(&[VERSION, 0xff])).unwrap_err();
    assert!(matches!(error, StoreError::Value { what: "Head", .. }));
}
