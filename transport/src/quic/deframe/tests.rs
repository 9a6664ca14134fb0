use bytes::{Bytes, BytesMut};
use folkmoot_wire::frame;

use super::Deframer;
use crate::error::TransportError;

fn stream(frames: &[&[u8]]) -> Bytes {
    let mut out = BytesMut::new();
    for frame in frames {
        frame::put(frame, &mut out);
    }
    out.freeze()
}

#[test]
fn every_way_to_cut_the_stream_gives_the_same_frames() {
    let frames: [&[u8]; 5] = [b"", b"a", b"hello", b"", b"0123456789"];
    let bytes = stream(&frames);
    for size in 1..=bytes.len() {
        let mut deframer = Deframer::new(10);
        let mut got = Vec::new();
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            deframer.push(rest.split_to(size.min(rest.len())));
            while let Some(frame) = deframer.next().unwrap() {
                got.push(frame);
            }
        }
        assert_eq!(got, frames, "in chunks of {size}");
        assert!(deframer.between_frames());
    }
}

#[test]
fn a_frame_within_a_chunk_is_not_copied() {
    let bytes = stream(&[b"hello"]);
    let mut deframer = Deframer::new(10);
    deframer.push(bytes.clone());
    let frame = deframer.next().unwrap().unwrap();
    assert_eq!(frame.as_ptr(), bytes[frame::PREFIX..].as_ptr());
}

#[test]
fn too_large_is_known_from_the_length_alone_and_stays() {
    let mut deframer = Deframer::new(10);
    deframer.push(Bytes::from_static(&[0, 0, 0, 11]));
    let too_large = TransportError::FrameTooLarge { len: 11, max: 10 };
    assert_eq!(deframer.next(), Err(too_large.clone()));
    assert_eq!(deframer.next(), Err(too_large));
}

#[test]
fn the_announced_length_alone_reserves_little() {
    let mut deframer = Deframer::new(usize::MAX);
    deframer.push(Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 1]));
    assert_eq!(deframer.next(), Ok(None));
    assert!(deframer.body.capacity() <= super::FIRST_RESERVE);
    assert!(!deframer.between_frames());
}
