//! Which of two answers about one row counts.

use folkmoot_wire::proto::{MemberAuthority, MemberStatus, MemberValue, Row, row};
use folkmoot_wire::row::RowKey;
use folkmoot_wire::{Code, RegionId, Slot, UserId};

use super::later;

fn member(seq: u64, status: MemberStatus) -> Row {
    let user = UserId::new(RegionId(1), Slot(1), [1; 11]);
    let authority = MemberAuthority {
        seq,
        status: status as i32,
        ..MemberAuthority::default()
    };
    Row {
        key: RowKey::Member(user).to_bytes(),
        value: Some(row::Value::Member(MemberValue {
            authority: Some(authority),
            self_: None,
        })),
    }
}

fn seq_and_status(row: Option<Row>) -> (u64, MemberStatus) {
    let Some(row::Value::Member(value)) = row.unwrap().value else {
        panic!("no member");
    };
    let authority = value.authority.unwrap();
    (authority.seq, authority.status())
}

/// The simulator found it: a voter that lay behind answered in its leader's
/// place, and who had been put out was shown what came after it.
#[test]
fn an_answer_from_before_what_is_here_does_not_count() {
    let (was, left) = (
        member(3, MemberStatus::Member),
        member(7, MemberStatus::Left),
    );
    let back = member(9, MemberStatus::Member);
    let counts = |here: &Row, there: &Row| {
        let row = later(Some(here.clone()), Some(there.clone()));
        seq_and_status(row.unwrap())
    };
    assert_eq!(counts(&left, &was), (7, MemberStatus::Left));
    assert_eq!(counts(&left, &back), (9, MemberStatus::Member));
    let alone = |here, there| seq_and_status(later(here, there).unwrap());
    assert_eq!(alone(None, Some(was.clone())), (3, MemberStatus::Member));
    assert_eq!(alone(Some(left.clone()), None), (7, MemberStatus::Left));
    assert_eq!(later(None, None), Ok(None));
    let other = Row {
        key: RowKey::Group.to_bytes(),
        ..was
    };
    let mixed = later(Some(left), Some(other)).unwrap_err();
    assert_eq!(mixed.code, Code::Internal);
}
