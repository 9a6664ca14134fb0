//! The history as one hash: every delivery of the network and every write to
//! a store, with its virtual time.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use folkmoot_storage::{Batch, Op};
use folkmoot_transport::sim::{Delivered, Delivery};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Where an event took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On the way between two addresses.
    Network(Delivered, SocketAddr, SocketAddr),
    /// At a machine's store.
    Store(usize),
}

/// One event, short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Since the start.
    pub at: Duration,
    pub place: Place,
    /// Bytes of the frame, packet or batch.
    pub len: usize,
    /// The first bytes of their hash.
    pub digest: u64,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match self.place {
            Place::Network(what, from, to) => write!(f, "{at:?} {what:?} {from} -> {to}")?,
            Place::Store(machine) => write!(f, "{at:?} write at machine {machine}")?,
        }
        write!(f, ", {} bytes, {:016x}", self.len, self.digest)
    }
}

/// Takes a history down.
pub struct Trace {
    start: Instant,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    hasher: blake3::Hasher,
    events: Vec<Event>,
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

impl Trace {
    /// Begins now, on a tokio runtime.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            taken: Mutex::default(),
        }
    }

    /// Takes a delivery down.
    pub fn delivery(&self, delivery: &Delivery<'_>) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(delivery.bytes);
        let place = Place::Network(delivery.what, delivery.from, delivery.to);
        self.add(place, delivery.bytes.len(), &hasher);
    }

    /// Takes a write down.
    pub fn write(&self, machine: usize, batch: &Batch) {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        };
        for op in batch {
            match op {
                Op::Put { table, key, value } => {
                    part(table.name().as_bytes());
                    part(key);
                    part(value);
                }
                Op::Delete { table, key } => {
                    part(table.name().as_bytes());
                    part(key);
                }
                Op::DeleteRange { table, from, to } => {
                    part(table.name().as_bytes());
                    part(from);
                    part(to);
                    part(b"range");
                }
            }
        }
        self.add(Place::Store(machine), batch.len_bytes(), &hasher);
    }

    fn add(&self, place: Place, len: usize, content: &blake3::Hasher) {
        let at = self.start.elapsed();
        let content = content.finalize();
        let mut taken = self.taken.lock();
        let hasher = &mut taken.hasher;
        hasher.update(&at.as_nanos().to_be_bytes());
        match place {
            Place::Network(what, from, to) => {
                hasher.update(&[what as u8]);
                address(hasher, from);
                address(hasher, to);
            }
            Place::Store(machine) => {
                hasher.update(&[0xff, machine as u8]);
            }
        }
        hasher.update(content.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&content.as_bytes()[..8]);
        taken.events.push(Event {
            at,
            place,
            len,
            digest: u64::from_be_bytes(first),
        });
    }

    /// The hash so far, and the events it is over.
    #[must_use]
    pub fn finish(&self) -> (String, Vec<Event>) {
        let mut taken = self.taken.lock();
        let hash = hex::encode(&taken.hasher.finalize().as_bytes()[..16]);
        (hash, std::mem::take(&mut taken.events))
    }
}

fn address(hasher: &mut blake3::Hasher, addr: SocketAddr) {
    match addr.ip() {
        IpAddr::V4(ip) => hasher.update(&ip.octets()),
        IpAddr::V6(ip) => hasher.update(&ip.octets()),
    };
    hasher.update(&addr.port().to_be_bytes());
}

/// Where two histories part: their first difference, in words.
#[must_use]
pub fn difference(one: &[Event], other: &[Event]) -> Option<String> {
    let at = one.iter().zip(other).position(|(a, b)| a != b);
    match at {
        Some(at) => Some(format!(
            "event {at} of {}: {} | {}",
            one.len(),
            one[at],
            other[at]
        )),
        None if one.len() != other.len() => {
            let more = if one.len() > other.len() { one } else { other };
            let at = one.len().min(other.len());
            Some(format!("event {at}: {} and nothing more", more[at]))
        }
        None => None,
    }
}
