//! One session of the scripted edge.

use std::sync::Arc;

use folkmoot_client::proto::client_frame::Request;
use folkmoot_client::proto::server_frame::Body;
use folkmoot_client::proto::{ClientFrame, GroupCreated, Pong, ServerFrame};
use folkmoot_client::{ClientMsgId, Code};
use folkmoot_transport::{Connection, FrameSend};
use prost::Message;
use tokio::sync::mpsc;

use super::{Edge, group};

impl Edge {
    pub(super) async fn serve(self, connection: Arc<dyn Connection>) {
        let Ok(Some(stream)) = connection.accept().await else {
            return;
        };
        let (mut tx, mut rx) = (stream.tx, stream.rx);
        // Frames are read in a task of their own: `recv` beside `send`.
        let (frames, mut incoming) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Ok(Some(frame)) = rx.recv().await {
                if frames.send(frame).await.is_err() {
                    break;
                }
            }
        });
        let mut grown = self.grown.subscribe();
        let mut said = self.said.subscribe();
        let mut live = None;
        loop {
            tokio::select! {
                biased;
                frame = incoming.recv() => {
                    let Some(frame) = frame else { return };
                    let ClientFrame { id, request } = ClientFrame::decode(frame).expect("a frame");
                    let body = match request.expect("a known request") {
                        Request::Hello(hello) => Some(self.welcome(&hello, &mut live)),
                        Request::Ping(_) => Some(Body::Pong(Pong::default())),
                        Request::Activate(activate) => {
                            Some(Body::Activated(self.activate(&activate.groups[0], &mut live)))
                        }
                        Request::History(history) => Some(self.history(&history)),
                        Request::CreateGroup(create) => {
                            assert_eq!(create.client_msg_id.len(), ClientMsgId::LEN);
                            Some(Body::GroupCreated(GroupCreated {
                                group: group().to_bytes(),
                                seq: 1,
                            }))
                        }
                        Request::Send(send) => match self.message(&send) {
                            Some(Some((stall, answer))) => {
                                tokio::time::sleep(stall).await;
                                Some(answer)
                            }
                            Some(None) => None,
                            None => return connection.close(Code::Internal as u32, "cut"),
                        },
                        _ => None,
                    };
                    if let Some(body) = body {
                        write(&mut *tx, id, body).await;
                    }
                }
                _ = grown.changed() => {}
                _ = said.changed() => {
                    let frame = said.borrow_and_update().clone();
                    if let Some(body) = frame.and_then(|frame| frame.body) {
                        write(&mut *tx, 0, body).await;
                    }
                }
            }
            for body in self.pushes(&mut live) {
                write(&mut *tx, 0, body).await;
            }
        }
    }
}

async fn write(tx: &mut dyn FrameSend, id: u64, body: Body) {
    let frame = ServerFrame {
        id,
        body: Some(body),
    };
    // The client may have gone.
    let _ = tx.send(frame.encode_to_vec().into()).await;
}
