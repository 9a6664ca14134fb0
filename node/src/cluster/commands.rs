//! Commands on their way into a shard's log, encoded once.
//!
//! A payload of the log is a `CommandBatch`: the leader's stamp, then its
//! commands. Protobuf encodes a repeated field as its elements one behind the
//! other, so what several callers encoded is put together by copying.

use bytes::{BufMut, Bytes, BytesMut};
use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::MessageId;
use folkmoot_wire::proto::{Command, CommandBatch, command};
use prost::Message;

/// What a key and a fixed64 take.
const STAMP_LEN: usize = 9;

/// Commands of one caller.
#[derive(Debug, Clone)]
pub struct Commands {
    encoded: Bytes,
    count: usize,
    /// The latest wall time in the stamps of edges, in milliseconds.
    latest_ms: u64,
    flow: Flow,
}

/// Whose commands have their turns together: those of one sender; of what has
/// none, those of one group; first logins; and what concerns a shard as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow([u8; 16]);

/// No id: no class has this byte in its place.
const LOGINS: [u8; 16] = [0xff; 16];

impl Flow {
    fn of(commands: &[Command]) -> Self {
        let id = commands
            .first()
            .map_or(&[][..], |command| match &command.op {
                Some(command::Op::Append(append)) if !append.sender.is_empty() => {
                    &append.sender[..]
                }
                Some(command::Op::ResolveUser(_)) => &LOGINS,
                _ => &command.group[..],
            });
        Self(id.try_into().unwrap_or_default())
    }
}

impl Commands {
    /// Encodes commands.
    #[must_use]
    pub fn new(commands: Vec<Command>) -> Self {
        let count = commands.len();
        let latest_ms = commands.iter().filter_map(stamped_ms).max().unwrap_or(0);
        let flow = Flow::of(&commands);
        let batch = CommandBatch {
            proposed_hlc: 0,
            commands,
        };
        Self {
            encoded: batch.encode_to_vec().into(),
            count,
            latest_ms,
            flow,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes they take in a payload.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.encoded.len()
    }

    /// Whose they are.
    #[must_use]
    pub fn flow(&self) -> Flow {
        self.flow
    }

    /// How far an edge's stamp is ahead of `wall_ms`, in milliseconds.
    #[must_use]
    pub fn ahead_of(&self, wall_ms: u64) -> u64 {
        self.latest_ms.saturating_sub(wall_ms)
    }
}

fn stamped_ms(command: &Command) -> Option<u64> {
    let Some(command::Op::Append(append)) = &command.op else {
        return None;
    };
    let id = MessageId::from_slice(&append.id).ok()?;
    Some(id.hlc.millis())
}

/// The `CommandBatch` of these callers' commands, in order.
#[must_use]
pub fn payload<'a>(stamp: Hlc, commands: impl Iterator<Item = &'a Commands> + Clone) -> Bytes {
    let len: usize = commands.clone().map(Commands::len_bytes).sum();
    let mut payload = BytesMut::with_capacity(STAMP_LEN + len);
    prost::encoding::fixed64::encode(1, &stamp.as_u64(), &mut payload);
    for commands in commands {
        payload.put_slice(&commands.encoded);
    }
    payload.freeze()
}

#[cfg(test)]
mod tests;
