use bytes::BytesMut;
use proptest::prelude::*;

use super::{Said, publish, take};

const TALK: &[u8] = b"INFO {\"a\":1}\r\n+OK\r\nPING\r\nPONG\r\n\
MSG _INBOX.1.7 1 2\r\nhi\r\n\
MSG a 1 reply 0\r\n\r\n\
HMSG b 2 r 12 15\r\nNATS/1.0\r\n\r\nabc\r\n\
HMSG c 2 16 16\r\nNATS/1.0 503\r\n\r\n\r\n\
-ERR 'Slow Consumer'\r\n";

fn all(mut input: BytesMut) -> Vec<Said> {
    let mut said = Vec::new();
    while let Some(one) = take(&mut input).expect("well formed") {
        said.push(one);
    }
    assert!(input.is_empty());
    said
}

fn message(subject: &str, payload: &'static str, nobody: bool) -> Said {
    Said::Message {
        subject: subject.to_owned(),
        payload: payload.into(),
        nobody,
    }
}

#[test]
fn what_a_server_says() {
    let said = all(BytesMut::from(TALK));
    assert_eq!(said[..4], [Said::Info, Said::Ok, Said::Ping, Said::Pong]);
    assert_eq!(said[4], message("_INBOX.1.7", "hi", false));
    assert_eq!(said[5], message("a", "", false));
    assert_eq!(said[6], message("b", "abc", false));
    assert_eq!(said[7], message("c", "", true));
    assert_eq!(said[8], Said::Error("Slow Consumer".to_owned()));
}

#[test]
fn it_may_come_in_pieces() {
    for cut in 0..TALK.len() {
        let mut input = BytesMut::from(&TALK[..cut]);
        let mut count = 0;
        while take(&mut input).expect("a beginning").is_some() {
            count += 1;
        }
        input.extend_from_slice(&TALK[cut..]);
        assert_eq!(count + all(input).len(), 9, "cut at {cut}");
    }
}

#[test]
fn a_message_with_an_id_and_one_without() {
    let mut output = BytesMut::new();
    publish(&mut output, "s", "r", Some("77"), b"abc");
    publish(&mut output, "s", "r", None, b"abc");
    let text = String::from_utf8_lossy(&output);
    assert_eq!(
        text,
        "HPUB s r 28 31\r\nNATS/1.0\r\nNats-Msg-Id:77\r\n\r\nabc\r\nPUB s r 3\r\nabc\r\n"
    );
}

#[test]
fn what_no_server_says_is_an_error() {
    for bytes in [
        &b"HELLO\r\n"[..],
        b"PING\n",
        b"MSG a 1\r\n",
        b"MSG a 1 r 2 3 4\r\n",
        b"MSG a 1 x\r\n",
        b"MSG a 1 99999999999\r\n",
        b"HMSG a 1 5 4\r\nabcd\r\n",
        b"MSG a 1 2\r\nabcd",
        b"\xff\xfe\r\n",
        &[b'x'; 70_000],
    ] {
        assert!(take(&mut BytesMut::from(bytes)).is_err(), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut input = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = take(&mut input) {}
    }

    #[test]
    fn changed_talk_never_panics(at in 0..TALK.len(), byte: u8) {
        let mut bytes = TALK.to_vec();
        bytes[at] = byte;
        let mut input = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = take(&mut input) {}
    }
}
