//! Replicas that apply the same commands hold the same bytes, however they
//! group their writes and wherever they crash.

use std::sync::Arc;

use bytes::Bytes;
use folkmoot_crdt::hlc::Hlc;
use folkmoot_storage::{Batch, MemStore, Store};
use folkmoot_wire::proto::{
    Append, Command, CreateBody, CursorBatch, CursorChange, Kind, MemberSelf, MuteBody, OutboxAck,
    Outcome, RenameBody, ResolveUser, RoleBody, SelfRowChange, SelfRows, SetApplyVersion, SplitOff,
    command,
};
use folkmoot_wire::{GroupId, UserId, version};
use proptest::prelude::*;
use prost::Message;

use crate::apply::{ShardApply, encode_outcomes};
use crate::testing::{
    START_MS, append, at, check_laws, config, dump, group, open_body, payload, user,
};

fn who() -> impl Strategy<Value = UserId> {
    (1..6u8).prop_map(user)
}

fn place() -> impl Strategy<Value = GroupId> {
    prop_oneof![4 => (1..4u8).prop_map(group), 1 => who().prop_map(|u| u.self_group())]
}

fn body(kind: Kind, number: u64) -> Bytes {
    let bytes = match kind {
        Kind::Create => CreateBody {
            open: !number.is_multiple_of(3),
            member_cap: if number.is_multiple_of(2) { 3 } else { 3_000 },
            ..open_body()
        }
        .encode_to_vec(),
        Kind::Role => RoleBody {
            role: (number % 6) as u32,
        }
        .encode_to_vec(),
        Kind::Mute => MuteBody {
            until_ms: START_MS + number * 50,
        }
        .encode_to_vec(),
        Kind::Rename => RenameBody {
            from: String::new(),
            to: format!("n{number}"),
        }
        .encode_to_vec(),
        Kind::Message => format!("text {number}").into_bytes(),
        _ => Vec::new(),
    };
    Bytes::from(bytes)
}

fn any_append() -> impl Strategy<Value = Command> {
    let kinds = prop_oneof![
        6 => Just(Kind::Message),
        3 => Just(Kind::Create),
        4 => Just(Kind::Join),
        1 => (0..17i32).prop_map(|k| Kind::try_from(k).expect("a kind")),
    ];
    (
        place(),
        kinds,
        who(),
        proptest::option::of(who()),
        0..40u64,
        0..6u64,
    )
        .prop_map(|(group, kind, sender, subject, number, target)| {
            let made = Append {
                subject: subject
                    .filter(|_| kind != Kind::Message)
                    .map(|s| s.to_bytes())
                    .unwrap_or_default(),
                target,
                body: body(kind, number),
                ..append(sender, kind, START_MS + number, number)
            };
            crate::testing::command(group, made)
        })
}

fn any_command() -> impl Strategy<Value = Command> {
    let cursors = (place(), who(), 0..9u64).prop_map(|(group, user, seq)| Command {
        group: group.to_bytes(),
        op: Some(command::Op::Cursors(CursorBatch {
            changes: vec![CursorChange {
                user: user.to_bytes(),
                seq,
            }],
        })),
    });
    let rows =
        (place(), who(), 0..99u64, any::<bool>()).prop_map(|(group, user, ms, muted)| Command {
            group: group.to_bytes(),
            op: Some(command::Op::SelfRows(SelfRows {
                changes: vec![SelfRowChange {
                    user: user.to_bytes(),
                    self_: Some(MemberSelf {
                        hlc: Hlc::from_parts(START_MS + ms, 0).as_u64(),
                        muted,
                        ..MemberSelf::default()
                    }),
                }],
            })),
        });
    let wide = prop_oneof![
        (0..4u8, who()).prop_map(|(n, user)| command::Op::ResolveUser(ResolveUser {
            realm: "app".into(),
            subject: format!("s{n}"),
            candidate: user.to_bytes(),
        })),
        (0..9u64).prop_map(|up_to| command::Op::OutboxAck(OutboxAck { up_to })),
        Just(command::Op::SetApplyVersion(SetApplyVersion {
            version: version::APPLY
        })),
        (1..5u32, 2..6u32).prop_map(|(n, shard)| command::Op::SplitOff(SplitOff {
            from: 1_000 + n,
            shard,
        })),
    ]
    .prop_map(|op| Command {
        group: Bytes::new(),
        op: Some(op),
    });
    prop_oneof![8 => any_append(), 2 => cursors, 1 => rows, 1 => wide]
}

fn payloads() -> impl Strategy<Value = Vec<Bytes>> {
    proptest::collection::vec(
        (proptest::collection::vec(any_command(), 0..6), 0..60u64),
        1..25,
    )
    .prop_map(|all| {
        all.into_iter()
            .map(|(commands, ms)| payload(START_MS + ms, commands))
            .collect()
    })
}

/// A replica that writes after `every` payloads.
struct Replica {
    store: Arc<MemStore>,
    apply: ShardApply,
    staged: Batch,
    outcomes: Vec<Vec<Outcome>>,
}

impl Replica {
    fn on(store: Arc<MemStore>) -> Self {
        Self {
            apply: ShardApply::open(config(), store.clone()).expect("opens"),
            store,
            staged: Batch::new(),
            outcomes: Vec::new(),
        }
    }

    fn apply(&mut self, index: u64, payload: &Bytes) {
        let mut batch = Batch::new();
        let (outcomes, _) = self
            .apply
            .apply(at(index), payload, &mut batch)
            .expect("applies");
        self.staged.extend(batch);
        self.outcomes.push(outcomes);
    }

    fn settle(&mut self) {
        self.store
            .write(std::mem::take(&mut self.staged))
            .expect("writes");
        self.apply.settled();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_same_commands_make_the_same_bytes(
        payloads in payloads(),
        every in 1..9usize,
        crash in 0..25usize,
    ) {
        let mut one = Replica::on(Arc::new(MemStore::new()));
        let mut other = Replica::on(Arc::new(MemStore::new()));
        for (n, payload) in payloads.iter().enumerate() {
            one.apply(n as u64 + 1, payload);
            one.settle();
            check_laws(&*one.store);
            other.apply(n as u64 + 1, payload);
            if n % every == 0 {
                other.settle();
            }
            if n == crash {
                // What was staged is lost; the log has it.
                let outcomes = std::mem::take(&mut other.outcomes);
                other = Replica::on(other.store);
                let from = usize::try_from(other.apply.applied_index()).expect("small");
                other.outcomes = outcomes[..from].to_vec();
                for (m, payload) in payloads.iter().enumerate().take(n + 1).skip(from) {
                    other.apply(m as u64 + 1, payload);
                }
            }
        }
        other.settle();
        prop_assert_eq!(dump(&*one.store), dump(&*other.store));
        prop_assert_eq!(
            one.outcomes.into_iter().map(encode_outcomes).collect::<Vec<_>>(),
            other.outcomes.into_iter().map(encode_outcomes).collect::<Vec<_>>()
        );
    }
}
