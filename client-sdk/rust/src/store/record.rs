//! Records as bytes: a length (4, big endian), the first 8 bytes of the
//! BLAKE3 hash of what follows, and a Protobuf message.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use folkmoot_wire::entry::chain_from;
use folkmoot_wire::proto::Send;
use folkmoot_wire::{ClientMsgId, DeviceId, GroupId, UserId};
use prost::Message;

use super::{Identity, Record};
use crate::core::timeline::Point;

/// Bytes before each message.
const PREFIX: usize = 12;
/// Largest record, in bytes; a frame of the client protocol is smaller.
const RECORD_MAX: usize = 1024 * 1024;

const DEVICE: u32 = 1;
const IDENTITY: u32 = 2;
const QUEUED: u32 = 3;
const ASSIGNED: u32 = 4;
const SETTLED: u32 = 5;
const READ: u32 = 6;
const REFUSED: u32 = 7;

#[derive(Clone, PartialEq, Message)]
struct Stored {
    #[prost(uint32, tag = "1")]
    kind: u32,
    /// `local`, `seq` or `device`.
    #[prost(uint64, tag = "2")]
    number: u64,
    /// `group` or `user`.
    #[prost(bytes = "bytes", tag = "3")]
    place: Bytes,
    /// `id`, `chain` or `cluster`.
    #[prost(bytes = "bytes", tag = "4")]
    value: Bytes,
    #[prost(message, optional, tag = "5")]
    send: Option<Send>,
}

fn to_stored(record: &Record) -> Stored {
    let stored = |kind, number, place, value| Stored {
        kind,
        number,
        place,
        value,
        send: None,
    };
    let none = Bytes::new;
    match record {
        Record::Device(device) => stored(DEVICE, device.0, none(), none()),
        Record::Identity(identity) => stored(
            IDENTITY,
            0,
            identity.user.to_bytes(),
            Bytes::copy_from_slice(&identity.cluster),
        ),
        Record::Queued { local, group, send } => Stored {
            send: Some((**send).clone()),
            ..stored(QUEUED, *local, group.to_bytes(), none())
        },
        Record::Assigned { local, id } => stored(ASSIGNED, *local, none(), id.to_bytes()),
        Record::Settled { local } => stored(SETTLED, *local, none(), none()),
        Record::Refused { local } => stored(REFUSED, *local, none(), none()),
        Record::Read { group, point } => {
            let chain = point
                .chain
                .map_or_else(none, |c| Bytes::copy_from_slice(&c));
            stored(READ, point.seq, group.to_bytes(), chain)
        }
    }
}

fn from_stored(stored: Stored) -> Option<Record> {
    let local = stored.number;
    Some(match stored.kind {
        DEVICE => Record::Device(DeviceId(stored.number)),
        IDENTITY => Record::Identity(Identity {
            cluster: stored.value[..].try_into().ok()?,
            user: UserId::from_slice(&stored.place).ok()?,
        }),
        QUEUED => Record::Queued {
            local,
            group: GroupId::from_slice(&stored.place).ok()?,
            send: Box::new(stored.send?),
        },
        ASSIGNED => Record::Assigned {
            local,
            id: ClientMsgId::from_slice(&stored.value).ok()?,
        },
        SETTLED => Record::Settled { local },
        REFUSED => Record::Refused { local },
        READ => Record::Read {
            group: GroupId::from_slice(&stored.place).ok()?,
            point: Point {
                seq: stored.number,
                chain: match stored.value.is_empty() {
                    true => None,
                    false => Some(chain_from(&stored.value).ok()?),
                },
            },
        },
        _ => return None,
    })
}

fn checksum(message: &[u8]) -> [u8; 8] {
    let mut sum = [0; 8];
    sum.copy_from_slice(&blake3::hash(message).as_bytes()[..8]);
    sum
}

pub(super) fn encode(record: &Record, out: &mut BytesMut) {
    let message = to_stored(record).encode_to_vec();
    out.put_u32(message.len() as u32);
    out.put_slice(&checksum(&message));
    out.put_slice(&message);
}

/// What a file of records holds.
pub(super) struct Decoded {
    pub(super) records: Vec<Record>,
    /// Bytes of whole records; what is behind was cut off by a crash.
    pub(super) whole: usize,
    /// The record at `whole` is there in full and is wrong.
    pub(super) damaged: bool,
}

pub(super) fn decode(bytes: Bytes) -> Decoded {
    let len = bytes.len();
    let mut rest = bytes;
    let mut decoded = Decoded {
        records: Vec::new(),
        whole: 0,
        damaged: false,
    };
    while rest.len() >= PREFIX {
        let size = rest.get_u32() as usize;
        let sum: [u8; 8] = std::array::from_fn(|_| rest.get_u8());
        if size > rest.len() {
            // A length that no writer writes is damage, not a cut.
            decoded.damaged = size > RECORD_MAX;
            break;
        }
        let message = rest.split_to(size);
        let record = (checksum(&message) == sum)
            .then(|| Stored::decode(message).ok().and_then(from_stored))
            .flatten();
        let Some(record) = record else {
            // The last one may have been torn by a crash of the machine.
            decoded.damaged = !rest.is_empty();
            break;
        };
        decoded.records.push(record);
        decoded.whole = len - rest.len();
    }
    decoded
}
