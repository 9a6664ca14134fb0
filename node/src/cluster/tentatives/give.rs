//! Giving other nodes of the region what is kept here.

use std::time::Duration;

use folkmoot_replication::relay::rendezvous;
use folkmoot_replication::tentative::Tentative;
use folkmoot_wire::proto::{TentativeNews, node_reply, node_request};
use folkmoot_wire::{Code, Fault, GroupId, NodeId, limits};
use futures_util::future::join_all;

use super::{Keeper, PAGE, command_of};
use crate::cluster::peers::Class;

/// A second keeper, or a neighbour that is told, has to answer within this
/// time.
const KEEP_DEADLINE: Duration = Duration::from_secs(1);

impl Keeper {
    /// One more node of the region keeps it too. Those that gossip holds for
    /// living are asked in turn; when none of them answers, the message is not
    /// accepted, and stays here all the same: it is handed over, and the
    /// client's retry is harmless.
    pub(super) async fn second_copy(
        &self,
        group: GroupId,
        said: &[Tentative],
    ) -> Result<(), Fault> {
        let placement = self.parts.copies.view.placement();
        let born = placement.birth_shard(&group).ok_or(Code::NotFound)?.id;
        let mut others = self.neighbours();
        let mut last = None;
        while let Some(node) = rendezvous(&self.region(), born, others.iter().copied()) {
            others.remove(&node);
            match self.give_up_to(node, group, said).await {
                Ok(()) => return Ok(()),
                Err(fault) => last = Some(fault),
            }
        }
        last.map_or(Ok(()), |fault| {
            Err(Fault::new(Code::Unavailable, fault.to_string()).retry_after(limits::BUSY_RETRY_MS))
        })
    }

    /// Gives what was said, and first whatever waits before it and `node` has
    /// not got: it may hand over before this node comes to tell it the rest.
    async fn give_up_to(
        &self,
        node: NodeId,
        group: GroupId,
        said: &[Tentative],
    ) -> Result<(), Fault> {
        loop {
            let owed = {
                let known = self.known.lock();
                let ids = said.iter().filter_map(|t| known.get(group, t.attempt()));
                match ids.map(Tentative::id).max() {
                    Some(last) => known.owed(&group, node, last, PAGE),
                    // The home has answered all of it meanwhile.
                    None => return Ok(()),
                }
            };
            if owed.is_empty() {
                return Ok(());
            }
            self.give(node, &owed, KEEP_DEADLINE).await?;
        }
    }

    async fn give(&self, to: NodeId, said: &[Tentative], within: Duration) -> Result<(), Fault> {
        let news = TentativeNews {
            held: said.iter().map(command_of).collect(),
            keep: true,
            settled: Vec::new(),
        };
        self.tell(to, news, within).await?;
        self.known.lock().given(to, said);
        Ok(())
    }

    async fn tell(&self, to: NodeId, news: TentativeNews, within: Duration) -> Result<(), Fault> {
        let request = node_request::Request::Tentative(news);
        let peers = &self.parts.copies.peers;
        match peers.call_living(to, Class::Live, request, within).await? {
            node_reply::Reply::Held(_) => Ok(()),
            _ => Err(Code::Internal.into()),
        }
    }

    /// Gives the relay what it will hand over. It may have done so before and
    /// told of it in vain: then it learns it again.
    pub(super) async fn give_all(&self, relay: NodeId, groups: &[GroupId]) {
        let kept = self.next(groups);
        if let Err(fault) = self.give(relay, &kept, limits::RPC_DEADLINE).await {
            tracing::debug!(relay = relay.0, %fault, "the relay was not given what is kept");
        }
    }

    /// Tells the neighbours. What does not arrive is told again.
    pub(super) async fn tell_all(&self, news: &TentativeNews) {
        let tell = |node| self.tell(node, news.clone(), KEEP_DEADLINE);
        join_all(self.neighbours().into_iter().map(tell)).await;
    }
}
