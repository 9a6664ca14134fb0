//! What foca is given: its timings, its codec and its randomness.

use std::convert::Infallible;
use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use bytes::{Buf, BufMut};
use foca::{Codec, Config, Header, Member, Message, PeriodicParams, PostcardCodec};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

use crate::identity::Identity;
use crate::port::DATAGRAM_MAX;
use crate::seal::OVERHEAD;

/// Times an update is passed on before it is held for known. SWIM asks for a
/// few times log(n); this is enough for a thousand nodes with some loss.
const TRANSMISSIONS: NonZeroU8 = NonZeroU8::new(12).unwrap();
/// Peers that get the news in each round.
const FANOUT: NonZeroUsize = NonZeroUsize::new(3).unwrap();

/// The timings of membership. They must be the same on every node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwimConfig {
    /// One member is probed this often.
    pub probe_period: Duration,
    /// A probe unanswered this long goes the indirect way. Above the largest
    /// round trip between regions, below `probe_period`.
    pub probe_rtt: Duration,
    /// Members asked to probe in this node's stead.
    pub indirect_probes: NonZeroUsize,
    /// A suspect that does not answer for this long is dead.
    pub suspect_for: Duration,
    /// A dead member is forgotten after this time.
    pub forget_after: Duration,
    /// News travel this often, while there are any.
    pub gossip_every: Duration,
    /// A node that sees nobody announces itself this often.
    pub announce_alone_every: Duration,
    /// And one that sees somebody, to one seed or lost member at a time, so
    /// that halves of a cluster that forgot each other meet again.
    pub announce_every: Duration,
}

impl Default for SwimConfig {
    /// For regions up to 250 ms apart.
    fn default() -> Self {
        Self {
            probe_period: Duration::from_secs(1),
            probe_rtt: Duration::from_millis(500),
            indirect_probes: FANOUT,
            suspect_for: Duration::from_secs(5),
            forget_after: Duration::from_secs(300),
            gossip_every: Duration::from_millis(200),
            announce_alone_every: Duration::from_secs(2),
            announce_every: Duration::from_secs(5),
        }
    }
}

/// Timings with which SWIM does not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SwimConfigError {
    /// The indirect probe would come after the verdict.
    #[error("probe_rtt ({rtt:?}) must be above 0 and below probe_period ({period:?})")]
    Probe {
        /// The round trip allowed.
        rtt: Duration,
        /// The period.
        period: Duration,
    },
    /// A suspect could not defend itself.
    #[error("suspect_for ({0:?}) must be at least two probe periods")]
    Suspect(Duration),
    /// A period of nothing.
    #[error("{0} must be above 0")]
    Zero(&'static str),
}

impl SwimConfig {
    /// Checks the timings against each other.
    ///
    /// # Errors
    /// When SWIM would not work with them.
    pub fn validate(&self) -> Result<(), SwimConfigError> {
        if self.probe_rtt.is_zero() || self.probe_rtt >= self.probe_period {
            return Err(SwimConfigError::Probe {
                rtt: self.probe_rtt,
                period: self.probe_period,
            });
        }
        if self.suspect_for < self.probe_period * 2 {
            return Err(SwimConfigError::Suspect(self.suspect_for));
        }
        for (name, period) in [
            ("gossip_every", self.gossip_every),
            ("announce_alone_every", self.announce_alone_every),
            ("announce_every", self.announce_every),
            ("forget_after", self.forget_after),
        ] {
            if period.is_zero() {
                return Err(SwimConfigError::Zero(name));
            }
        }
        Ok(())
    }

    pub(crate) fn foca(&self) -> Config {
        Config {
            probe_period: self.probe_period,
            probe_rtt: self.probe_rtt,
            num_indirect_probes: self.indirect_probes,
            max_transmissions: TRANSMISSIONS,
            suspect_to_down_after: self.suspect_for,
            remove_down_after: Some(self.forget_after),
            max_packet_size: const { NonZeroUsize::new(DATAGRAM_MAX - OVERHEAD).unwrap() },
            // A node that is wrongly held for dead must hear of it to return.
            notify_down_members: true,
            periodic_announce: Some(PeriodicParams {
                frequency: Duration::from_secs(30),
                num_members: NonZeroUsize::MIN,
            }),
            // Ours covers forgotten members and seeds too.
            periodic_announce_to_down_members: None,
            periodic_gossip: Some(PeriodicParams {
                frequency: self.gossip_every,
                num_members: FANOUT,
            }),
        }
    }
}

/// foca's randomness, seeded from the port: the same seed gives the same run.
pub(crate) struct SwimRng(StdRng);

impl SwimRng {
    pub(crate) fn from_port(rng: &mut dyn RngCore) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        Self(StdRng::from_seed(seed))
    }
}

impl rand_core::TryRng for SwimRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill_bytes(dst);
        Ok(())
    }
}

/// Why bytes under a valid seal are still no message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    #[error("not a membership message: {0}")]
    Postcard(#[from] postcard::Error),
    #[error("a message from or about node 0, which is no node")]
    NoNode,
}

/// postcard, with what foca cannot know: an announce to "whoever is at this
/// address" is for us, and nobody else is nameless.
pub(crate) struct SwimCodec {
    pub(crate) me: Identity,
}

fn named(identity: &Identity) -> Result<(), CodecError> {
    if identity.is_seed() {
        Err(CodecError::NoNode)
    } else {
        Ok(())
    }
}

impl Codec<Identity> for SwimCodec {
    type Error = CodecError;

    fn encode_header(
        &mut self,
        header: &Header<Identity>,
        buf: impl BufMut,
    ) -> Result<(), CodecError> {
        Ok(PostcardCodec.encode_header(header, buf)?)
    }

    fn decode_header(&mut self, buf: impl Buf) -> Result<Header<Identity>, CodecError> {
        let mut header: Header<Identity> = PostcardCodec.decode_header(buf)?;
        named(&header.src)?;
        if header.dst.is_seed() && header.message == Message::Announce {
            header.dst = self.me.clone();
        }
        named(&header.dst)?;
        match &header.message {
            Message::PingReq { target: other, .. }
            | Message::IndirectPing { origin: other, .. }
            | Message::IndirectAck { target: other, .. }
            | Message::ForwardedAck { origin: other, .. } => named(other)?,
            Message::Ping(_)
            | Message::Ack(_)
            | Message::Announce
            | Message::Feed
            | Message::Gossip
            | Message::Broadcast
            | Message::TurnUndead => {}
        }
        Ok(header)
    }

    fn encode_member(
        &mut self,
        member: &Member<Identity>,
        buf: impl BufMut,
    ) -> Result<(), CodecError> {
        Ok(PostcardCodec.encode_member(member, buf)?)
    }

    fn decode_member(&mut self, buf: impl Buf) -> Result<Member<Identity>, CodecError> {
        let member: Member<Identity> = PostcardCodec.decode_member(buf)?;
        named(member.id())?;
        Ok(member)
    }
}
