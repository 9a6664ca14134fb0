//! Disks that lie: what is read is not what was written, and no checksum of
//! the store says so. The chain does.

use std::fmt;

use bytes::Bytes;
use folkmoot_client::GroupId;
use folkmoot_replication::placement::Placement;
use folkmoot_storage::keys::guests;
use folkmoot_storage::{Place, Read, Table, keys, log, value};
use folkmoot_wire::NodeId;
use folkmoot_wire::proto::{Head, SealedEntry};

use super::disk::Disk;
use super::draw::Draw;
use super::quiet;
use super::world::World;

/// One value that a disk changed.
#[derive(Debug)]
pub struct Lie {
    machine: usize,
    group: GroupId,
    what: &'static str,
    table: Table,
    key: Bytes,
    /// What is there instead of what was written.
    false_value: Bytes,
}

impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (machine, what, group) = (self.machine, self.what, self.group);
        write!(
            f,
            "machine {machine} still has {what} of {group} as its disk changed it"
        )
    }
}

impl Lie {
    /// Changes something of a log that the machine follows and does not vote
    /// on, if there is one.
    #[must_use]
    pub fn tell(
        disk: &Disk,
        placement: &Placement,
        (machine, id): (usize, NodeId),
        seed: u64,
    ) -> Option<Self> {
        let mut draw = Draw::of(seed, "lie");
        let mut copies: Vec<(Place, Head)> = Vec::new();
        for shard in placement.shards().filter(|s| !s.replicas.contains(&id)) {
            let copied = quiet::held(disk, shard).into_iter();
            let copied = copied.map(|(group, head)| (shard.place(group), head));
            copies.extend(copied.filter(|(_, head)| head.seq > 0));
        }
        let (place, head) = draw.pick(&copies)?.clone();
        let (group, seat) = (place.group, place.seat(disk));
        let at = |key: Bytes| Bytes::from(guests::seated(place.region, &key).into_owned());
        let seq = 1 + draw.below(head.seq as usize) as u64;
        let sealed = log::read_entry(&seat, &group, seq).ok()??;
        let of_entry = |what, sealed: &SealedEntry| {
            let key = at(keys::log::key(&group, seq));
            (what, Table::Log, key, value::encode_value(sealed))
        };
        let (what, table, key, false_value) = match draw.below(5) {
            0 => of_entry("a header", &changed(&mut draw, sealed, |s| &mut s.header)?),
            1 => of_entry("a chain", &changed(&mut draw, sealed, |s| &mut s.chain)?),
            2 => of_entry("a salt", &changed(&mut draw, sealed, |s| &mut s.salt)?),
            3 => of_entry("a body", &changed(&mut draw, sealed, |s| &mut s.body)?),
            _ => {
                let head = changed(&mut draw, head, |head| &mut head.chain)?;
                let key = at(keys::heads::key(&group));
                ("a head", Table::Heads, key, value::encode_value(&head))
            }
        };
        disk.change(table, &key, &false_value).ok()?;
        Some(Self {
            machine,
            group,
            what,
            table,
            key,
            false_value,
        })
    }

    /// Whether it is still there.
    #[must_use]
    pub fn stands(&self, world: &World) -> bool {
        let now = world.machines[self.machine].disk.get(self.table, &self.key);
        now.is_ok_and(|now| now.as_ref() == Some(&self.false_value))
    }
}

/// The same with one bit of one of its fields flipped; `None`: the field is
/// empty.
fn changed<T>(draw: &mut Draw, mut of: T, field: impl Fn(&mut T) -> &mut Bytes) -> Option<T> {
    let mut bytes = field(&mut of).to_vec();
    if bytes.is_empty() {
        return None;
    }
    let at = draw.below(bytes.len());
    bytes[at] ^= 1 << draw.below(8);
    *field(&mut of) = Bytes::from(bytes);
    Some(of)
}
