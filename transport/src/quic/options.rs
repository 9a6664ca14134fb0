//! What of QUIC is set, and why; quinn's defaults are not relied on.

use std::sync::Arc;
use std::time::Duration;

use folkmoot_wire::limits;
use quinn::{AckFrequencyConfig, EndpointConfig, IdleTimeout, TransportConfig, VarInt};
use quinn_proto::HashedConnectionIdGenerator;
use ring::hmac;

use crate::counters::Counters;
use crate::port::FrameLimits;

/// Bytes received and not yet read, over all streams of a client.
const CLIENT_WINDOW: u32 = 512 * 1024;
/// The same of a node: a fetch over 200 ms of round trip still gets 80 MB/s.
const NODE_WINDOW: u32 = 16 * 1024 * 1024;
/// The same of one stream; the connection's window bounds it further.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
/// Bytes sent and not yet acknowledged, to a client.
const CLIENT_SEND_WINDOW: u64 = 512 * 1024;
/// The same to a node.
const NODE_SEND_WINDOW: u64 = 16 * 1024 * 1024;
/// A peer may wait this long with its acknowledgements, within the round trip
/// (RFC draft-ietf-quic-ack-frequency): on a long way most then travel with
/// data. What is lost still shows at once: a gap is acknowledged undelayed.
const ACK_DELAY: Duration = Duration::from_millis(100);
/// Or until this many packets wait for one.
const ACK_PACKETS: u32 = 10;
/// Streams a client may have open at once.
const CLIENT_STREAMS: u32 = 16;
/// The same of a node.
const NODE_STREAMS: u32 = 1_024;

/// Settings of a QUIC endpoint.
#[derive(Debug, Clone)]
pub struct QuicOptions {
    /// Largest frames.
    pub frames: FrameLimits,
    /// Handshakes in progress at once. More: refused; from half of it on,
    /// addresses are validated first (QUIC Retry), so that forged ones cost
    /// nothing.
    pub handshakes: usize,
    /// Connections at once. More: refused.
    pub connections: usize,
    /// An incoming handshake must be done within this time.
    pub handshake_deadline: Duration,
    /// A dial must be done within this time.
    pub dial_deadline: Duration,
    /// Send many packets in one system call, where the system can. Off helps
    /// with broken network drivers.
    pub segmentation_offload: bool,
    /// Where connections are counted.
    pub counters: Arc<Counters>,
}

impl Default for QuicOptions {
    fn default() -> Self {
        Self {
            frames: FrameLimits::default(),
            handshakes: 512,
            connections: limits::SESSIONS_MAX + 10_000,
            handshake_deadline: Duration::from_secs(10),
            dial_deadline: Duration::from_secs(5),
            segmentation_offload: true,
            counters: Counters::new(),
        }
    }
}

/// At most one stateless reset in this time. After a restart each packet of a
/// connection of before is answered by one; a node has thousands of those.
const RESET_EVERY: Duration = Duration::from_millis(1);

/// What an endpoint shows without a connection. With a secret that outlives
/// the process, peers of the process before learn at their next packet that
/// it is gone (RFC 9000, section 10.3), and not by waiting.
pub(super) fn endpoint(secret: Option<&[u8; 32]>) -> EndpointConfig {
    let Some(secret) = secret else {
        return EndpointConfig::default();
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    // Packets to connections of before are known by their ids, which hold a
    // hash under a key that is therefore the same too.
    let tag = hmac::sign(&key, b"connection ids");
    let mut number = [0; 8];
    number.copy_from_slice(&tag.as_ref()[..8]);
    let ids = u64::from_le_bytes(number);
    let mut config = EndpointConfig::new(Arc::new(key));
    config
        .cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(ids)))
        .min_reset_interval(RESET_EVERY);
    config
}

fn idle(after: Duration) -> Option<IdleTimeout> {
    IdleTimeout::try_from(after).ok()
}

fn base(options: &QuicOptions) -> TransportConfig {
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(VarInt::from_u32(ACK_PACKETS))
        .max_ack_delay(Some(ACK_DELAY));
    let mut transport = TransportConfig::default();
    transport
        .ack_frequency_config(Some(acks))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CLIENT_WINDOW))
        .send_window(CLIENT_SEND_WINDOW)
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .keep_alive_interval(None)
        .enable_segmentation_offload(options.segmentation_offload);
    transport
}

/// Whoever connects is held to a client's limits until it is known to be a
/// node; see [`raise_to_node`].
pub(super) fn server(options: &QuicOptions) -> TransportConfig {
    let mut transport = base(options);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(CLIENT_STREAMS))
        .max_idle_timeout(idle(limits::CLIENT_IDLE));
    transport
}

/// A client, or a joiner. The one-way stream tells a joiner it is accepted.
pub(super) fn client_dial(options: &QuicOptions) -> TransportConfig {
    let mut transport = base(options);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(CLIENT_STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(1))
        .keep_alive_interval(Some(limits::CLIENT_KEEP_ALIVE))
        .max_idle_timeout(idle(limits::CLIENT_IDLE));
    transport
}

/// A node that connects to a node.
pub(super) fn node_dial(options: &QuicOptions) -> TransportConfig {
    let mut transport = base(options);
    transport
        .receive_window(VarInt::from_u32(NODE_WINDOW))
        .send_window(NODE_SEND_WINDOW)
        .max_concurrent_bidi_streams(VarInt::from_u32(NODE_STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(1))
        .keep_alive_interval(Some(limits::NODE_KEEP_ALIVE))
        .max_idle_timeout(idle(limits::NODE_IDLE));
    transport
}

/// The peer has proven to be a node.
pub(super) fn raise_to_node(connection: &quinn::Connection) {
    connection.set_receive_window(VarInt::from_u32(NODE_WINDOW));
    connection.set_send_window(NODE_SEND_WINDOW);
    connection.set_max_concurrent_bi_streams(VarInt::from_u32(NODE_STREAMS));
}
