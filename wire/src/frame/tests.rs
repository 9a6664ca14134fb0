use bytes::{BufMut, BytesMut};
use proptest::prelude::{any, prop_assert_eq, proptest};

use super::{PREFIX, TooLarge, put, take};

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut(
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8),
        cuts in proptest::collection::vec(1usize..20, 1..10),
    ) {
        let mut stream = BytesMut::new();
        for frame in &frames {
            put(frame, &mut stream);
        }
        let (mut input, mut out) = (BytesMut::new(), Vec::new());
        let mut cuts = cuts.iter().cycle();
        while !stream.is_empty() {
            let piece = stream.split_to((*cuts.next().unwrap()).min(stream.len()));
            input.extend_from_slice(&piece);
            while let Some(frame) = take(&mut input, 40).unwrap() {
                out.push(frame.to_vec());
            }
        }
        prop_assert_eq!(out, frames);
        prop_assert_eq!(input.len(), 0);
    }

    #[test]
    fn oversize_is_refused_by_its_prefix_alone(max in 0usize..1000, over in 1usize..1000) {
        let mut input = BytesMut::new();
        input.put_u32((max + over) as u32);
        prop_assert_eq!(take(&mut input, max), Err(TooLarge { len: max + over, max }));
        // Again and again: such a stream is over.
        prop_assert_eq!(take(&mut input, max), Err(TooLarge { len: max + over, max }));
    }
}

#[test]
fn a_frame_of_exactly_the_limit_is_taken_and_nothing_is_reserved_for_a_prefix() {
    let mut input = BytesMut::new();
    put(&[1; 10], &mut input);
    assert_eq!(take(&mut input, 10).unwrap().unwrap(), [1; 10].as_slice());
    let mut input = BytesMut::from(&(1u32 << 30).to_be_bytes()[..]);
    assert_eq!(take(&mut input, usize::MAX), Ok(None));
    assert!(input.capacity() < 1024, "a prefix alone takes no memory");
    assert_eq!(input.len(), PREFIX);
}
