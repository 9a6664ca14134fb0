//! How far many groups are, and one user in them: one question to each shard
//! that is not kept here.

use std::collections::BTreeMap;

use folkmoot_replication::placement::Shard;
use folkmoot_wire::proto::{self, FetchStandings, node_reply, node_request};
use folkmoot_wire::{Code, Fault, GroupId, UserId, limits};
use futures_util::stream::{self, StreamExt};

use super::NodeBackend;
use crate::backend::{Backend, Standing};

/// Questions asked at once.
const AT_ONCE: usize = 32;

/// Groups, by their place in the question.
type Asked = Vec<(usize, GroupId)>;
/// What is known of them.
type Known = Vec<(usize, Standing)>;

impl NodeBackend {
    pub(super) async fn standings_of(
        &self,
        user: UserId,
        groups: &[GroupId],
    ) -> Vec<Option<Standing>> {
        let mut shards: BTreeMap<u32, (Shard, Asked)> = BTreeMap::new();
        for (at, group) in groups.iter().enumerate() {
            if let Some(shard) = self.view.home_of(group) {
                let of_shard = shards.entry(shard.id.0);
                let (_, asked) = of_shard.or_insert_with(|| (shard, Asked::new()));
                asked.push((at, *group));
            }
        }
        let parts = shards.values().flat_map(|(shard, asked)| {
            let parts = asked.chunks(limits::STANDINGS);
            parts.map(move |asked| self.of_shard(shard, user, asked))
        });
        let parts: Vec<_> = parts.collect();
        let mut known = vec![None; groups.len()];
        let mut answers = stream::iter(parts).buffer_unordered(AT_ONCE);
        while let Some((found, moved)) = answers.next().await {
            for (at, standing) in found {
                known[at] = Some(standing);
            }
            let one = |(at, group)| async move { (at, self.one(user, group).await.ok()) };
            let mut ones = stream::iter(moved.into_iter().map(one)).buffer_unordered(AT_ONCE);
            while let Some((at, standing)) = ones.next().await {
                known[at] = standing;
            }
        }
        known
    }

    /// What is known of groups of one shard, and those that are not at home
    /// there.
    async fn of_shard(
        &self,
        shard: &Shard,
        user: UserId,
        asked: &[(usize, GroupId)],
    ) -> (Known, Asked) {
        let (mut known, mut moved) = (Known::new(), Asked::new());
        let (here, elsewhere) = Self::parted(asked, &mut moved, |group| {
            self.copies.good_here(shard, group)
        });
        self.read(shard, user, here, (&mut known, &mut moved));
        if elsewhere.is_empty() {
            return (known, moved);
        }
        match self.there(shard, user, &elsewhere).await {
            Ok(standings) => {
                for ((at, group), standing) in elsewhere.into_iter().zip(standings) {
                    match standing.moved {
                        true => moved.push((at, group)),
                        false => known.push((
                            at,
                            Standing {
                                head: standing.head,
                                cursor: standing.cursor,
                                mentions: standing.mentions,
                            },
                        )),
                    }
                }
            }
            Err(_) => {
                // While the home is out of reach an old copy is better than none.
                let (held, _) = Self::parted(&elsewhere, &mut moved, |group| {
                    self.copies.held_here(shard, group)
                });
                self.read(shard, user, held, (&mut known, &mut moved));
            }
        }
        (known, moved)
    }

    /// Those that are so, and those that are not.
    fn parted(
        asked: &[(usize, GroupId)],
        moved: &mut Asked,
        is: impl Fn(&GroupId) -> Result<bool, Fault>,
    ) -> (Asked, Asked) {
        let (mut those, mut others) = (Asked::new(), Asked::new());
        for (at, group) in asked {
            match is(group) {
                Ok(true) => those.push((*at, *group)),
                Ok(false) => others.push((*at, *group)),
                Err(fault) if fault.code == Code::Moved => moved.push((*at, *group)),
                Err(_) => {}
            }
        }
        (those, others)
    }

    /// Reads the copies here.
    fn read(
        &self,
        shard: &Shard,
        user: UserId,
        asked: Asked,
        (known, moved): (&mut Known, &mut Asked),
    ) {
        let copies = &self.copies;
        let groups: Vec<GroupId> = asked.iter().map(|(_, group)| *group).collect();
        let standings = copies.reads.standings(shard, &user, &groups);
        for ((at, group), standing) in asked.into_iter().zip(standings) {
            match copies.here(shard, &group, |_| standing) {
                Ok(standing) => known.push((at, standing)),
                Err(fault) if fault.code == Code::Moved => moved.push((at, group)),
                Err(_) => {}
            }
        }
    }

    async fn there(
        &self,
        shard: &Shard,
        user: UserId,
        groups: &[(usize, GroupId)],
    ) -> Result<Vec<proto::Standing>, Fault> {
        let request = node_request::Request::FetchStandings(FetchStandings {
            shard: shard.id.0,
            as_voter: true,
            user: user.to_bytes(),
            groups: groups.iter().map(|(_, group)| group.to_bytes()).collect(),
        });
        match self.copies.ask_shard(shard, request).await? {
            node_reply::Reply::Standings(answer) if answer.standings.len() == groups.len() => {
                Ok(answer.standings)
            }
            _ => Err(Code::Internal.into()),
        }
    }

    /// One group by itself, wherever it is.
    async fn one(&self, user: UserId, group: GroupId) -> Result<Standing, Fault> {
        // Whoever is asked for one group tells where it went.
        self.head(group).await?;
        let shard = self.view.home_of(&group).ok_or(Code::NotFound)?;
        let (known, _) = self.of_shard(&shard, user, &[(0, group)]).await;
        let (_, standing) = known.into_iter().next().ok_or(Code::Unavailable)?;
        Ok(standing)
    }
}
