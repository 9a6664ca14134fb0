//! A client without the SDK's manners: it sends what it is told to.

use bytes::Bytes;
use folkmoot_client::Carrier;
use folkmoot_transport::{
    Connection, Dial, FramedStream, QuicConfig, QuicEndpoint, TransportError, Trust, WsDialer,
    WsOptions,
};
use folkmoot_wire::proto::client_frame::Request;
use folkmoot_wire::proto::server_frame::Body;
use folkmoot_wire::proto::{ClientFrame, Content, Hello, Kind, Send, ServerFrame};
use folkmoot_wire::{ClientMsgId, GroupId};
use prost::Message;
use std::sync::Arc;

use super::node::Node;

pub struct Raw {
    pub connection: Arc<dyn Connection>,
    pub stream: FramedStream,
    /// Keeps the socket.
    _dial: Arc<dyn Dial>,
    next: u64,
}

impl Raw {
    /// A connection without a word.
    pub async fn connect(node: &Node, carrier: Carrier) -> Self {
        let status = node.at.get("/v1/status").expect("a status");
        let pin = status["certificate"].as_str().expect("a certificate");
        let trust = Trust::Pinned(pin.parse().expect("a fingerprint"));
        let dial: Arc<dyn Dial> = match carrier {
            Carrier::WebSocket => {
                Arc::new(WsDialer::new(&trust, WsOptions::default()).expect("a dialler"))
            }
            _ => {
                let any = "127.0.0.1:0".parse().expect("an address");
                QuicEndpoint::bind(QuicConfig::client(trust, any)).expect("a socket")
            }
        };
        let at = node.at.listen.parse().expect("an address");
        let connection = dial
            .dial_client(at, "localhost")
            .await
            .expect("a connection");
        let stream = connection.open().await.expect("a stream");
        Self {
            connection,
            stream,
            _dial: dial,
            next: 1,
        }
    }

    /// A session.
    pub async fn hello(node: &Node, subject: &str, carrier: Carrier) -> Self {
        let mut client = Self::connect(node, carrier).await;
        client
            .ask(Request::Hello(Hello {
                version_min: 1,
                version_max: 1,
                token: node.at.token(subject),
                device: 1,
                client: "raw".into(),
                ..Hello::default()
            }))
            .await
            .expect("written");
        match client.frame().await {
            Some(Body::Welcome(_)) => client,
            other => panic!("not welcome: {other:?}"),
        }
    }

    pub async fn ask(&mut self, request: Request) -> Result<u64, TransportError> {
        let id = self.next;
        self.next += 1;
        let frame = ClientFrame {
            id,
            request: Some(request),
        };
        self.stream.tx.send(frame.encode_to_vec().into()).await?;
        Ok(id)
    }

    /// The next frame's body; `None` when there is none any more.
    pub async fn frame(&mut self) -> Option<Body> {
        let frame = self.stream.rx.recv().await.ok()??;
        ServerFrame::decode(frame).expect("a frame").body
    }
}

/// A message, under the number `unique`.
pub fn message(group: GroupId, unique: u64, text: &str) -> Request {
    let content = Content { text: text.into() };
    let now = std::time::SystemTime::now();
    let now = now
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    let stamp = folkmoot_crdt::hlc::Hlc::from_parts(now.as_millis() as u64, 0);
    Request::Send(Send {
        group: group.to_bytes(),
        client_msg_id: ClientMsgId::new(stamp, unique).to_bytes(),
        kind: Kind::Message as i32,
        body: Bytes::from(content.encode_to_vec()),
        ..Send::default()
    })
}
