//! Edges and homes against what is true, with messages lost and leaders that
//! change.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Edges, the leaders of the shards, and what the sessions were told.
struct World {
    now: Duration,
    edges: BTreeMap<NodeId, Table>,
    homes: BTreeMap<ShardId, (NodeId, Home)>,
    /// Where each session is, and whose it is.
    sessions: BTreeMap<u64, (NodeId, UserId)>,
    watching: BTreeMap<u64, BTreeSet<UserId>>,
    told: BTreeMap<(u64, UserId), bool>,
}

#[derive(Debug, Clone)]
enum Op {
    Come {
        session: u64,
        edge: u32,
        user: u8,
    },
    Go {
        session: u64,
    },
    Watch {
        session: u64,
        users: BTreeSet<u8>,
    },
    /// A leader is followed by another one.
    Fail {
        shard: u32,
        node: u32,
    },
    /// An edge dies without a word.
    Die {
        edge: u32,
    },
    /// Time passes; whether calls, answers and pushes arrive.
    Pass {
        millis: u64,
        arrives: [bool; 3],
    },
}

impl World {
    fn new() -> Self {
        let now = secs(1);
        let edges = [1, 2, 3].map(|n| (NodeId(n), Table::new(BOUNDS, now)));
        let homes =
            (1..=SHARDS).map(|n| (ShardId(n), (NodeId(n), Home::new(ShardId(n), 1, BOUNDS))));
        Self {
            now,
            edges: edges.into(),
            homes: homes.collect(),
            sessions: BTreeMap::new(),
            watching: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    fn take(&mut self, told: Vec<Told>) {
        for told in told {
            self.told.insert((told.session, told.user), told.online);
        }
    }

    fn edge(&mut self, id: NodeId) -> &mut Table {
        self.edges.get_mut(&id).expect("an edge")
    }

    fn go(&mut self, session: u64) {
        if let Some((edge, user)) = self.sessions.remove(&session) {
            self.edge(edge).went(session, user);
            self.watching.remove(&session);
            self.told.retain(|(of, _), _| *of != session);
        }
    }

    fn step(&mut self, op: &Op) {
        match op {
            Op::Come {
                session,
                edge,
                user: n,
            } => {
                self.go(*session);
                self.sessions.insert(*session, (NodeId(*edge), user(*n)));
                self.edge(NodeId(*edge)).came(*session, user(*n));
            }
            Op::Go { session } => self.go(*session),
            Op::Watch { session, users } => {
                let Some((edge, _)) = self.sessions.get(session).copied() else {
                    return;
                };
                let users: BTreeSet<UserId> = users.iter().copied().map(user).collect();
                self.told
                    .retain(|(of, watched), _| of != session || users.contains(watched));
                let known = self.edge(edge).watch(*session, group(1), users.clone());
                self.take(known.expect("few"));
                self.watching.insert(*session, users);
            }
            Op::Fail { shard, node } => {
                let at = self.homes.get_mut(&ShardId(*shard)).expect("a home");
                let term = at.1.term() + 1;
                *at = (NodeId(*node), Home::new(ShardId(*shard), term, BOUNDS));
            }
            Op::Die { edge } => {
                let edge = NodeId(*edge);
                let of_edge = |(_, (at, _)): &(&u64, &(NodeId, UserId))| *at == edge;
                let gone: Vec<u64> = self
                    .sessions
                    .iter()
                    .filter(of_edge)
                    .map(|(s, _)| *s)
                    .collect();
                for session in gone {
                    self.go(session);
                }
                *self.edge(edge) = Table::new(BOUNDS, self.now);
            }
            Op::Pass { millis, arrives } => {
                self.now += Duration::from_millis(*millis);
                self.speak(*arrives);
            }
        }
    }

    fn speak(&mut self, [call, answer, push]: [bool; 3]) {
        let now = self.now;
        for id in self.edges.keys().copied().collect::<Vec<_>>() {
            for (shard, news) in self.edge(id).due(now, home) {
                let (leader, at) = self.homes.get_mut(&shard).expect("a home");
                let leader = *leader;
                let said = call.then(|| at.hear(id, &news, now));
                match said.filter(|_| answer) {
                    Some(said) => {
                        let told = self.edge(id).answered(leader, &news, &said, home);
                        self.take(told);
                    }
                    None => self.edge(id).failed(shard, now),
                }
            }
        }
        let pushes: Vec<Push> = self
            .homes
            .values_mut()
            .flat_map(|(_, at)| at.due(now))
            .collect();
        for pushed in pushes.into_iter().filter(|_| push) {
            let told = self.edge(pushed.to).heard(&pushed.states, home);
            self.take(told);
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let there: BTreeSet<UserId> = self.sessions.values().map(|(_, user)| *user).collect();
        for (session, users) in &self.watching {
            for user in users {
                let told = self
                    .told
                    .get(&(*session, *user))
                    .copied()
                    .unwrap_or_default();
                prop_assert_eq!(told, there.contains(user), "{} of {}", session, user);
            }
        }
        Ok(())
    }
}

fn op() -> impl Strategy<Value = Op> {
    let session = 0..6_u64;
    let come = (session.clone(), 1..4_u32, 0..5_u8);
    let watch = (session.clone(), prop::collection::btree_set(0..5_u8, 0..4));
    let pass = (
        0..40_000_u64,
        prop::array::uniform3(prop::bool::weighted(0.8)),
    );
    prop_oneof![
        4 => come.prop_map(|(session, edge, user)| Op::Come { session, edge, user }),
        2 => session.prop_map(|session| Op::Go { session }),
        4 => watch.prop_map(|(session, users)| Op::Watch { session, users }),
        1 => (1..=SHARDS, 1..4_u32).prop_map(|(shard, node)| Op::Fail { shard, node }),
        1 => (1..4_u32).prop_map(|edge| Op::Die { edge }),
        8 => pass.prop_map(|(millis, arrives)| Op::Pass { millis, arrives }),
    ]
}

proptest! {
    #[test]
    fn in_the_end_all_know_who_is_there(ops in prop::collection::vec(op(), 0..60)) {
        let mut world = World::new();
        for op in &ops {
            world.step(op);
        }
        // A lease that was lost without a word, a home that is new, and renewals.
        for _ in 0..200 {
            world.step(&Op::Pass { millis: 1_000, arrives: [true; 3] });
        }
        world.check()?;
    }
}
