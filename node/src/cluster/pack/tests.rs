//! Packing: the same frames come out, and hostile bytes gain nothing.

use bytes::Bytes;
use folkmoot_transport::TransportError;
use folkmoot_wire::limits;
use proptest::prelude::*;

use super::{Packer, STEP, Unpacker};

fn unpacker() -> Unpacker {
    Unpacker::new(limits::NODE_FRAME_MAX).expect("an unpacker")
}

fn all(unpacker: &mut Unpacker, packed: Bytes) -> Vec<Bytes> {
    unpacker.push(packed);
    let mut frames = Vec::new();
    while let Some(frame) = unpacker.next().expect("frames") {
        frames.push(frame);
    }
    frames
}

fn sends() -> impl Strategy<Value = Vec<Vec<Bytes>>> {
    let byte = prop_oneof![3 => 0..4u8, 1 => any::<u8>()];
    let frame = proptest::collection::vec(byte, 0..3_000).prop_map(Bytes::from);
    proptest::collection::vec(proptest::collection::vec(frame, 0..5), 0..8)
}

proptest! {
    #[test]
    fn what_is_packed_comes_out_as_it_was_however_it_is_cut(
        sends in sends(),
        cut in 1..2_000usize,
    ) {
        let mut packer = Packer::new().expect("a packer");
        let mut unpacker = unpacker();
        for frames in sends {
            let packed = packer.pack(&frames).expect("packs");
            let mut got = Vec::new();
            for piece in packed.chunks(cut) {
                got.extend(all(&mut unpacker, Bytes::copy_from_slice(piece)));
            }
            // Every send is whole at its end.
            prop_assert_eq!(got, frames);
            prop_assert!(unpacker.between_frames());
        }
    }

    #[test]
    fn bytes_of_any_kind_neither_panic_nor_grow(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..6),
        honest in any::<bool>(),
    ) {
        let mut unpacker = unpacker();
        if honest {
            // Behind a good beginning, so that more than the magic is reached.
            let mut packer = Packer::new().expect("a packer");
            let start = packer.pack(&[Bytes::from_static(b"hello")]).expect("packs");
            prop_assert_eq!(all(&mut unpacker, start), [Bytes::from_static(b"hello")]);
        }
        'stream: for piece in pieces {
            unpacker.push(piece.into());
            loop {
                match unpacker.next() {
                    Ok(Some(frame)) => prop_assert!(frame.len() <= limits::NODE_FRAME_MAX),
                    Ok(None) => break,
                    Err(_) => break 'stream,
                }
            }
        }
    }
}

#[test]
fn what_repeats_costs_little() {
    let mut packer = Packer::new().expect("a packer");
    let frame: Bytes = (0..200u8).map(|n| n.wrapping_mul(167) ^ 0x5a).collect();
    let first = packer.pack(std::slice::from_ref(&frame)).expect("packs");
    let again = packer.pack(std::slice::from_ref(&frame)).expect("packs");
    assert!(first.len() >= 200, "{}", first.len());
    assert!(again.len() < 20, "{}", again.len());
}

/// A few bytes that say gigabytes: one frame is made at a time, and of one that
/// is too long nothing but its length.
#[test]
fn a_bomb_is_unpacked_no_further_than_it_is_asked_for() {
    let mut packer = Packer::new().expect("a packer");
    let zeros = Bytes::from(vec![0; 1024 * 1024]);
    let bomb = packer.pack(&vec![zeros; 64]).expect("packs");
    assert!(bomb.len() < 64 * 1024, "{}", bomb.len());
    let mut unpacker = unpacker();
    unpacker.push(bomb);
    for _ in 0..64 {
        let frame = unpacker.next().expect("unpacks").expect("a frame");
        assert_eq!(frame.len(), 1024 * 1024);
        assert!(unpacker.plain.len() <= STEP);
    }
    assert_eq!(unpacker.next(), Ok(None));

    let mut packer = Packer::new().expect("a packer");
    let long = Bytes::from(vec![0; 64 * 1024]);
    let packed = packer.pack(&[long]).expect("packs");
    let mut small = Unpacker::new(1_000).expect("an unpacker");
    small.push(packed);
    assert_eq!(
        small.next(),
        Err(TransportError::FrameTooLarge {
            len: 64 * 1024,
            max: 1_000
        })
    );
    assert!(small.plain.len() <= STEP);
}

#[test]
fn a_window_larger_than_agreed_is_refused() {
    let mut context = zstd_safe::CCtx::create();
    context
        .set_parameter(zstd_safe::CParameter::WindowLog(
            limits::PACK_WINDOW_LOG + 3,
        ))
        .expect("sets");
    let plain = vec![7; 4 << limits::PACK_WINDOW_LOG];
    let mut packed = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
    let mut input = zstd_safe::InBuffer::around(&plain);
    let mut output = zstd_safe::OutBuffer::around(&mut packed);
    let flush = zstd_safe::zstd_sys::ZSTD_EndDirective::ZSTD_e_flush;
    context
        .compress_stream2(&mut output, &mut input, flush)
        .expect("packs");
    let mut unpacker = unpacker();
    unpacker.push(packed.into());
    assert!(matches!(
        unpacker.next(),
        Err(TransportError::Protocol { .. })
    ));
}
