use std::collections::BTreeMap;

use bytes::Bytes;
use folkmoot_wire::proto::{Covers, Deliver, Head, ServerFrame, server_frame};
use folkmoot_wire::{Code, GroupId, RegionId, Slot};
use proptest::prelude::*;
use prost::Message;

use super::{Limits, Outbound, OutboundQueue, Pushed};

fn group(n: u8) -> GroupId {
    GroupId::new(RegionId(1), Slot(0), [n; 11])
}

fn head(seq: u64) -> Head {
    Head {
        seq,
        ..Head::default()
    }
}

fn deliver(n: u8, seq: u64, size: usize) -> Bytes {
    let frame = ServerFrame {
        id: 0,
        body: Some(server_frame::Body::Deliver(Deliver {
            group: group(n).to_bytes(),
            covers: Some(Covers { from: seq, to: seq }),
            entries: vec![folkmoot_wire::proto::SealedEntry {
                body: Bytes::from(vec![0; size]),
                ..Default::default()
            }],
        })),
    };
    Bytes::from(frame.encode_to_vec())
}

fn reply(id: u64, size: usize) -> Bytes {
    let frame = ServerFrame {
        id,
        body: Some(server_frame::Body::Profile(folkmoot_wire::proto::Profile {
            group: Bytes::new(),
            document: Bytes::from(vec![0; size]),
        })),
    };
    Bytes::from(frame.encode_to_vec())
}

/// What a client knows of each group, from the frames it got.
#[derive(Default)]
struct Client {
    known: BTreeMap<Bytes, u64>,
    lost: BTreeMap<Bytes, u32>,
    replies: Vec<u64>,
}

impl Client {
    fn read(&mut self, frames: Vec<Bytes>) {
        for frame in frames {
            let frame = ServerFrame::decode(frame).unwrap();
            match frame.body.unwrap() {
                server_frame::Body::Deliver(d) => {
                    let covers = d.covers.unwrap();
                    let known = self.known.entry(d.group.clone()).or_default();
                    assert_eq!(covers.from, *known + 1, "a hole that no Gap covers");
                    assert!(!self.lost.contains_key(&d.group), "after AccessLost");
                    *known = covers.to;
                }
                server_frame::Body::Gap(gap) => {
                    let known = self.known.entry(gap.group.clone()).or_default();
                    assert!(!self.lost.contains_key(&gap.group), "after AccessLost");
                    *known = gap.head.unwrap().seq;
                }
                server_frame::Body::AccessLost(lost) => {
                    self.lost.insert(lost.group, lost.code);
                }
                server_frame::Body::Profile(_) => self.replies.push(frame.id),
                other => panic!("unexpected {other:?}"),
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Push(u8, usize),
    Reply(usize),
    Pop(usize),
    Cork,
    Uncork,
    Lose(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..4u8, 0..300usize).prop_map(|(g, n)| Step::Push(g, n)),
        2 => (0..300usize).prop_map(Step::Reply),
        3 => (1..6usize).prop_map(Step::Pop),
        1 => Just(Step::Cork),
        1 => Just(Step::Uncork),
        1 => (3..4u8).prop_map(Step::Lose),
    ]
}

const LIMITS: Limits = Limits {
    frames: 16,
    bytes: 2_000,
};

proptest! {
    #[test]
    fn bounded_and_without_holes(steps in prop::collection::vec(step(), 1..200)) {
        let mut queue = OutboundQueue::new(LIMITS);
        let mut client = Client::default();
        let mut sent = BTreeMap::<u8, u64>::new();
        let mut lost = false;
        let mut replies = Vec::new();
        for step in steps {
            match step {
                Step::Push(g, _) if g == 3 && lost => {}
                Step::Push(g, size) => {
                    let seq = sent.entry(g).or_default();
                    *seq += 1;
                    queue.push(group(g), &head(*seq), deliver(g, *seq, size));
                }
                Step::Reply(size) => {
                    let frame = reply(replies.len() as u64 + 1, size);
                    if queue.reply_fits(frame.len()) {
                        queue.reply(frame);
                        replies.push(replies.len() as u64 + 1);
                    }
                }
                Step::Pop(n) => client.read(queue.pop(n, 1_000)),
                Step::Cork => queue.cork(),
                Step::Uncork => queue.uncork([]),
                Step::Lose(g) => {
                    lost = true;
                    queue.lose(group(g), Code::Banned);
                }
            }
            prop_assert!(queue.frames() <= LIMITS.frames);
            prop_assert!(queue.bytes() <= LIMITS.bytes);
            prop_assert!(queue.pending() <= 4);
        }
        queue.uncork([]);
        while queue.frames() > 0 {
            client.read(queue.pop(4, 500));
        }
        prop_assert_eq!(queue.bytes(), 0);
        prop_assert_eq!(queue.pending(), 0);
        prop_assert_eq!(&client.replies, &replies);
        for (g, seq) in sent {
            if g == 3 && lost {
                let code = client.lost.get(&group(g).to_bytes()).copied();
                prop_assert_eq!(code, Some(Code::Banned as u32));
            } else {
                prop_assert_eq!(client.known.get(&group(g).to_bytes()).copied(), Some(seq));
            }
        }
    }
}

#[test]
fn pushes_leave_room_for_replies() {
    let mut queue = OutboundQueue::new(LIMITS);
    let mut seq = 1;
    while queue.push(group(1), &head(seq), deliver(1, seq, 10)) == Pushed::Queued {
        seq += 1;
    }
    let frame = reply(1, 10);
    assert!(queue.reply_fits(frame.len()));
}

#[test]
fn a_reply_goes_before_what_was_pushed_under_its_cork() {
    let mut queue = OutboundQueue::new(LIMITS);
    queue.cork();
    queue.push(group(1), &head(1), deliver(1, 1, 0));
    assert!(queue.pop(9, 9_999).is_empty());
    queue.uncork([reply(7, 0)]);
    let frames = queue.pop(9, 9_999);
    assert_eq!(frames, [reply(7, 0), deliver(1, 1, 0)]);
}

#[tokio::test]
async fn replies_wait_for_room_and_nothing_is_lost() {
    let outbound = std::sync::Arc::new(Outbound::new(Limits {
        frames: 4,
        bytes: 10_000,
    }));
    let writer = std::sync::Arc::clone(&outbound);
    let replying = tokio::spawn(async move {
        for id in 1..=50 {
            writer.reply(reply(id, 10)).await;
        }
        writer.close();
    });
    let mut client = Client::default();
    while let Some(frames) = outbound.next().await {
        assert!(frames.len() <= 4);
        client.read(frames);
    }
    replying.await.unwrap();
    assert_eq!(client.replies, (1..=50).collect::<Vec<_>>());
}
