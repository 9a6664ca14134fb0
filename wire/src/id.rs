//! Ids (design decision D18): each names where it was born, sorts by that
//! place, and has one short text form.
//!
//! A user or group id is 16 bytes: region (2), slot (2), class (1), unique
//! (11), big endian, so that ids of one slot are neighbours in a store. Its
//! text is the class letter and 24 base-32 characters of the other 15 bytes.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::id_text;

mod message;

pub use message::{ClientMsgId, MessageId};

/// Why bytes or text are not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The wrong number of bytes.
    #[error("{what} is {expected} bytes, got {got}")]
    Length {
        what: &'static str,
        expected: usize,
        got: usize,
    },
    /// The class byte or letter is not one of this kind of id.
    #[error("not a {what}: unknown class {class:?}")]
    Class { what: &'static str, class: String },
    /// The text is not in the base-32 alphabet, or of the wrong length.
    #[error("not a {what}: {text:?} ({hint})")]
    Text {
        what: &'static str,
        text: String,
        hint: &'static str,
    },
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $repr:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $repr);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

number_id!(
    /// A node, numbered by the meta shard when it joins. 0 is no node.
    NodeId, u32);
number_id!(
    /// A region, numbered by the meta shard. 0 is no region.
    RegionId, u16);
number_id!(
    /// A shard: a range of slots of one region. 0 is the meta shard.
    ShardId, u32);
number_id!(
    /// A slot of a region's key space.
    Slot, u16);
number_id!(
    /// A device, chosen at random by the device itself, once.
    DeviceId, u64);

impl ShardId {
    /// The meta shard.
    pub const META: Self = Self(0);
}

/// What an id names. The byte is stored; the letter begins the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// An ordinary group.
    Group = 1,
    /// A direct group, derived from its two users.
    Direct = 2,
    /// A user's private self group, derived from the user.
    SelfGroup = 3,
    /// A user.
    User = 4,
}

impl Class {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Group,
            2 => Self::Direct,
            3 => Self::SelfGroup,
            4 => Self::User,
            _ => return None,
        })
    }

    fn letter(self) -> char {
        match self {
            Self::Group => 'g',
            Self::Direct => 'd',
            Self::SelfGroup => 's',
            Self::User => 'u',
        }
    }

    fn from_letter(letter: char) -> Option<Self> {
        Some(match letter {
            'g' => Self::Group,
            'd' => Self::Direct,
            's' => Self::SelfGroup,
            'u' => Self::User,
            _ => return None,
        })
    }
}

const CLASS_AT: usize = 4;
const PLACED_LEN: usize = 16;

fn placed(region: RegionId, slot: Slot, class: Class, unique: [u8; 11]) -> [u8; PLACED_LEN] {
    let mut id = [0; PLACED_LEN];
    id[0..2].copy_from_slice(&region.0.to_be_bytes());
    id[2..4].copy_from_slice(&slot.0.to_be_bytes());
    id[CLASS_AT] = class as u8;
    id[5..16].copy_from_slice(&unique);
    id
}

macro_rules! placed_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $($class:pat_param)|+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; PLACED_LEN]);

        impl $name {
            /// Length of the binary form, in bytes.
            pub const LEN: usize = PLACED_LEN;

            /// Reads the binary form.
            ///
            /// # Errors
            /// When the length or the class is not that of this kind of id.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
                let id: [u8; PLACED_LEN] = bytes.try_into().map_err(|_| IdError::Length {
                    what: $what,
                    expected: PLACED_LEN,
                    got: bytes.len(),
                })?;
                match Class::from_byte(id[CLASS_AT]) {
                    Some($($class)|+) => Ok(Self(id)),
                    _ => Err(IdError::Class { what: $what, class: id[CLASS_AT].to_string() }),
                }
            }

            /// The binary form.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; PLACED_LEN] {
                &self.0
            }

            /// The binary form, as a field of the wire.
            #[must_use]
            pub fn to_bytes(&self) -> Bytes {
                Bytes::copy_from_slice(&self.0)
            }

            /// The region it was born in.
            #[must_use]
            pub fn region(&self) -> RegionId {
                RegionId(u16::from_be_bytes([self.0[0], self.0[1]]))
            }

            /// The slot of that region that it lies in.
            #[must_use]
            pub fn slot(&self) -> Slot {
                Slot(u16::from_be_bytes([self.0[2], self.0[3]]))
            }

            /// What it names.
            #[must_use]
            pub fn class(&self) -> Class {
                Class::from_byte(self.0[CLASS_AT]).unwrap_or(Class::Group)
            }

            fn unique(&self) -> [u8; 11] {
                let mut unique = [0; 11];
                unique.copy_from_slice(&self.0[5..]);
                unique
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut rest = [0; 15];
                rest[..4].copy_from_slice(&self.0[..4]);
                rest[4..].copy_from_slice(&self.0[5..]);
                write!(f, "{}{}", self.class().letter(), id_text::encode(&rest))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let bad = |hint| IdError::Text { what: $what, text: text.into(), hint };
                let mut chars = text.chars();
                let class = match chars.next().and_then(Class::from_letter) {
                    Some(class) if matches!(class, $($class)|+) => class,
                    _ => return Err(bad("the first letter tells what an id names")),
                };
                let rest: [u8; 15] = id_text::decode(chars.as_str())
                    .ok_or_else(|| bad("a letter and 24 characters of 0-9 a-z without i l o u"))?;
                let mut id = [0; PLACED_LEN];
                id[..4].copy_from_slice(&rest[..4]);
                id[CLASS_AT] = class as u8;
                id[5..].copy_from_slice(&rest[4..]);
                Ok(Self(id))
            }
        }
    };
}

placed_id!(
    /// A user.
    UserId, "user id", Class::User);
placed_id!(
    /// A conversation: an ordinary, direct or self group.
    GroupId, "group id", Class::Group | Class::Direct | Class::SelfGroup);

impl UserId {
    /// Makes the id of a user born in `region`; `unique` is random.
    #[must_use]
    pub fn new(region: RegionId, slot: Slot, unique: [u8; 11]) -> Self {
        Self(placed(region, slot, Class::User, unique))
    }

    /// The user's private self group, in the user's own slot.
    #[must_use]
    pub fn self_group(&self) -> GroupId {
        GroupId(placed(
            self.region(),
            self.slot(),
            Class::SelfGroup,
            self.unique(),
        ))
    }
}

impl GroupId {
    /// Makes the id of an ordinary group born in `region`; `unique` is random.
    #[must_use]
    pub fn new(region: RegionId, slot: Slot, unique: [u8; 11]) -> Self {
        Self(placed(region, slot, Class::Group, unique))
    }

    /// The direct group of two users: the same whoever asks. It lives in the
    /// slot of the lesser id.
    #[must_use]
    pub fn direct(one: &UserId, other: &UserId) -> Self {
        let (a, b) = if one <= other {
            (one, other)
        } else {
            (other, one)
        };
        let mut hasher = blake3::Hasher::new_derive_key("folkmoot v1 direct group");
        hasher.update(a.as_bytes());
        hasher.update(b.as_bytes());
        let mut unique = [0; 11];
        unique.copy_from_slice(&hasher.finalize().as_bytes()[..11]);
        Self(placed(a.region(), a.slot(), Class::Direct, unique))
    }

    /// The user whose self group this is.
    #[must_use]
    pub fn self_user(&self) -> Option<UserId> {
        (self.class() == Class::SelfGroup)
            .then(|| UserId::new(self.region(), self.slot(), self.unique()))
    }
}

#[cfg(test)]
mod tests;
