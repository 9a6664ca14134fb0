use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::proto::{
    Content, Covers, Deliver, EntryHeader, Epoch, Kind, SealedEntry, ServerFrame, server_frame,
};
use folkmoot_wire::{ClientMsgId, GroupId, MessageId, NodeId, RegionId, Slot, UserId};
use prost::Message;

use super::RECORD;
use crate::load::payload::Payloads;

/// An entry as those that the speaker says, in the middle of a run.
fn entry(seq: u64) -> SealedEntry {
    let hlc = Hlc::from_u64(0x0198_1234_5678_9abc);
    let header = EntryHeader {
        seq,
        hlc: hlc.as_u64(),
        epoch: Some(Epoch {
            generation: 1,
            term: 1,
        }),
        id: MessageId {
            hlc,
            node: NodeId(1),
        }
        .to_bytes(),
        kind: Kind::Message as i32,
        sender: UserId::new(RegionId(1), Slot(9), [7; 11]).to_bytes(),
        nick: "speaker".to_owned(),
        device: 1,
        client_msg_id: ClientMsgId::new(hlc, 1).to_bytes(),
        countable: true,
        count: seq,
        ..EntryHeader::default()
    };
    let text = Payloads::new().of(seq).to_owned();
    SealedEntry {
        header: header.encode_to_vec().into(),
        salt: Bytes::from_static(&[3; 16]),
        body: Content { text }.encode_to_vec().into(),
        chain: Bytes::from_static(&[5; 32]),
        ..SealedEntry::default()
    }
}

#[test]
fn a_record_is_as_long_as_an_entry_in_a_frame_of_ten() {
    let deliver = Deliver {
        group: GroupId::new(RegionId(1), Slot(9), [8; 11]).to_bytes(),
        covers: Some(Covers {
            from: 5_000,
            to: 5_009,
        }),
        entries: (5_000..5_010).map(entry).collect(),
    };
    let frame = ServerFrame {
        id: 0,
        body: Some(server_frame::Body::Deliver(deliver)),
    };
    assert_eq!(frame.encoded_len().div_ceil(10), RECORD);
}
