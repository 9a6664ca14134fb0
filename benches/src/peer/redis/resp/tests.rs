use bytes::BytesMut;
use proptest::prelude::*;

use super::{Value, command, entries, take};

fn all(mut input: BytesMut) -> Vec<Value> {
    let mut values = Vec::new();
    while let Some(value) = take(&mut input).expect("well formed") {
        values.push(value);
    }
    assert!(input.is_empty());
    values
}

const XREAD: &[u8] = b"*1\r\n*2\r\n$7\r\nbench.0\r\n*2\r\n\
*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nm\r\n$2\r\nhi\r\n\
*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nm\r\n$0\r\n\r\n";

#[test]
fn a_command_is_an_array_of_strings() {
    let mut output = BytesMut::new();
    command(&mut output, &[b"XADD", b"s"]);
    assert_eq!(&output[..], b"*2\r\n$4\r\nXADD\r\n$1\r\ns\r\n");
}

#[test]
fn answers_of_every_kind() {
    let values = all(BytesMut::from(
        &b"+OK\r\n-ERR no\r\n:-7\r\n$2\r\nab\r\n$-1\r\n*2\r\n:1\r\n$0\r\n\r\n*-1\r\n"[..],
    ));
    assert_eq!(values.len(), 7);
    assert_eq!(values[0], Value::Simple("OK".into()));
    assert_eq!(values[1], Value::Error("ERR no".into()));
    assert_eq!(values[2], Value::Integer(-7));
    assert_eq!(values[3], Value::Bulk("ab".into()));
    let inner = vec![Value::Integer(1), Value::Bulk("".into())];
    assert_eq!(values[5], Value::Array(inner));
}

#[test]
fn entries_of_a_stream() {
    let answer = take(&mut BytesMut::from(XREAD)).expect("well formed");
    let found = entries(&answer.expect("whole")).expect("entries");
    assert_eq!(found.len(), 2);
    assert_eq!(
        (&found[0].id[..], &found[0].payload[..]),
        ("1-0", &b"hi"[..])
    );
    assert_eq!(found[1].id, "1-1");
    assert_eq!(entries(&Value::Array(Vec::new())), None);
}

#[test]
fn an_answer_in_pieces_is_taken_when_it_is_whole() {
    for cut in 0..XREAD.len() {
        let mut input = BytesMut::from(&XREAD[..cut]);
        assert_eq!(take(&mut input).expect("a beginning"), None);
        assert_eq!(input.len(), cut);
        input.extend_from_slice(&XREAD[cut..]);
        assert_eq!(all(input).len(), 1);
    }
}

#[test]
fn what_no_server_says_is_an_error() {
    let deep = b"*1\r\n".repeat(9);
    for bytes in [
        &b"?\r\n"[..],
        b"\r\n",
        b"+OK\n",
        b":x\r\n",
        b"$-2\r\n",
        b"$99999999999\r\n",
        b"$2\r\nabcd",
        b"*99999999999\r\n",
        b"+\xff\r\n",
        &deep,
        &[b'+'; 70_000],
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
    fn changed_answers_never_panic(at in 0..XREAD.len(), byte: u8) {
        let mut bytes = XREAD.to_vec();
        bytes[at] = byte;
        if let Ok(Some(value)) = take(&mut BytesMut::from(&bytes[..])) {
            let _ = entries(&value);
        }
    }
}
