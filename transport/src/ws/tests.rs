use futures_util::SinkExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::close::{decode, encode};
use super::connection::Out;
use crate::error::TransportError;

fn round(code: u32, reason: &str) -> Option<TransportError> {
    let (close, text) = encode(code, reason);
    assert!((4000..5000).contains(&close));
    assert!(text.len() <= 123);
    decode(Some((close, &text)))
}

#[test]
fn codes_and_reasons_survive_a_close_frame() {
    for (code, reason) in [(0, ""), (106, "going away"), (999, "x"), (70_000, "large")] {
        let closed = TransportError::Closed {
            code,
            reason: reason.into(),
        };
        assert_eq!(round(code, reason), Some(closed));
    }
}

#[test]
fn a_long_reason_is_cut_at_a_character() {
    let Some(TransportError::Closed { code, reason }) = round(101, &"é".repeat(200)) else {
        panic!("not closed");
    };
    assert_eq!(code, 101);
    assert!(reason.chars().all(|c| c == 'é') && !reason.is_empty());
}

#[test]
fn foreign_close_frames_are_understood() {
    assert_eq!(decode(None), None);
    assert_eq!(decode(Some((1000, ""))), None);
    assert_eq!(decode(Some((1001, "tab closed"))), None);
    let closed = |code, reason: &str| {
        Some(TransportError::Closed {
            code,
            reason: reason.into(),
        })
    };
    assert_eq!(decode(Some((1009, "big"))), closed(101, "big"));
    assert_eq!(decode(Some((4106, "bye bye"))), closed(106, "bye bye"));
    assert!(matches!(
        decode(Some((1011, ""))),
        Some(TransportError::Lost { .. })
    ));
}

#[tokio::test]
async fn what_is_sent_behind_an_error_is_an_error_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (client, accepted) = tokio::join!(TcpStream::connect(addr), listener.accept());
    drop(accepted.unwrap());
    let plain = MaybeTlsStream::Plain(client.unwrap());
    let socket = WebSocketStream::from_raw_socket(plain, Role::Client, None).await;
    let (mut sink, _stream) = super::client::halves(socket);
    let frame = || Out::Frame(vec![0; 256 * 1024].into());
    let mut failed = sink.send(frame()).await.is_err();
    // The first may go into the socket's buffer.
    for _ in 0..100 {
        failed |= sink.send(frame()).await.is_err();
    }
    assert!(failed);
    let closed = sink.send(Out::Close(4_000, "goodbye".into())).await;
    assert!(closed.is_err());
}
