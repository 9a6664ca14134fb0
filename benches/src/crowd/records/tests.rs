use super::*;
use crate::load::payload::Payloads;

fn form() -> Form {
    Form {
        before: b"MSG a 256 ".to_vec(),
        after: b"!",
        aside: |input| {
            Ok(match input {
                [b'P', ..] => Aside::Answer(1, b"Q"),
                [b'\n', ..] => Aside::Skip(1),
                _ => bail!("strange"),
            })
        },
    }
}

fn message(tag: Tag) -> Vec<u8> {
    let mut payloads = Payloads::new();
    [b"MSG a 256 ", payloads.of(tag).as_bytes(), b"!"].concat()
}

#[test]
fn messages_and_what_is_between_them() {
    let (form, one) = (form(), message(7));
    assert_eq!(form.find(&one).unwrap(), Found::Message(7));
    let two = [&one[..], &message(8)].concat();
    assert_eq!(form.find(&two).unwrap(), Found::Message(7));
    assert_eq!(form.find(&two[form.len()..]).unwrap(), Found::Message(8));
    for cut in 1..one.len() {
        let part = form.find(&one[..cut]).unwrap();
        assert_eq!(part, Found::Aside(Aside::Part), "{cut}");
    }
    let answered = form.find(b"P").unwrap();
    assert_eq!(answered, Found::Aside(Aside::Answer(1, b"Q")));
    assert_eq!(form.find(b"\nMSG").unwrap(), Found::Aside(Aside::Skip(1)));
}

#[test]
fn what_was_not_sent_is_not_taken_for_a_message() {
    let form = form();
    assert!(form.find(b"X").is_err());
    let mut cut = message(1);
    *cut.last_mut().unwrap() = b'?';
    assert!(form.find(&cut).is_err());
    let mut other = message(1);
    other[10] = b'z';
    assert!(form.find(&other).is_err());
}
