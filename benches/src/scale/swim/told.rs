//! A cluster that is there already. Forming one of a thousand nodes takes far
//! longer than all that is asked of it: here each node is told of all others by
//! feeds, as who announces itself is, and has passed that on as often as it
//! would.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::{BufMut, Bytes, BytesMut};
use foca::{Codec, Header, Member, Message, PostcardCodec};
use folkmoot_gossip::Identity;
use folkmoot_gossip::membership::{Action, Event, Timer};
use folkmoot_wire::NodeId;
use rand::Rng;

use super::net::{Due, Net, identity, seal};
use crate::scale::topology::Topology;

/// Members of one feed: they fit a datagram.
const FEED: usize = 20;
/// Rounds of gossip in which everything was passed on often enough.
const ROUNDS: usize = 2_000;

/// All nodes know all, and nothing is news.
pub(super) fn form(net: &mut Net, mut says: impl FnMut(&Net)) -> anyhow::Result<()> {
    let nodes: Vec<NodeId> = net.topology.ids().collect();
    let all = nodes.iter().map(|node| identity(net.topology, *node));
    let all: Vec<Identity> = all.collect();
    for node in nodes {
        net.make(node);
        tell(net, node, &all)?;
        let phase = Duration::from_micros(net.rng.random_range(0..1_000_000));
        net.push(phase, node, Due::Tick);
        says(net);
    }
    Ok(())
}

fn tell(net: &mut Net, node: NodeId, all: &[Identity]) -> anyhow::Result<()> {
    let me = identity(net.topology, node);
    let others: Vec<&Identity> = all.iter().filter(|one| **one != me).collect();
    let mut gossip = None;
    for some in others.chunks(FEED) {
        let from = Topology::addr(some[0].node());
        let bytes = feed(net, some, &me)?;
        for action in handle(net, node, Event::Packet { from, bytes })? {
            keep(net, node, action, &mut gossip);
        }
    }
    // Nobody hears what is passed on: all know it.
    for _ in 0..ROUNDS {
        let Some(timer) = gossip.take() else {
            bail!("node {node} passes nothing on");
        };
        let actions = handle(net, node, Event::Timer(timer))?;
        let news = actions.iter().any(|a| matches!(a, Action::Send { .. }));
        for action in actions {
            keep(net, node, action, &mut gossip);
        }
        if !news {
            let timer = gossip.context("gossip goes on")?;
            let phase = Duration::from_micros(net.rng.random_range(0..200_000));
            net.push(phase, node, Due::Timer(timer));
            return Ok(());
        }
    }
    bail!("node {node} has news without end")
}

fn handle(net: &mut Net, node: NodeId, event: Event) -> anyhow::Result<Vec<Action>> {
    let machine = net.nodes.get_mut(&node).context("the node is there")?;
    Ok(machine.handle(event, Duration::ZERO))
}

/// Timers begin, that of gossip is kept; what is sent is not heard.
fn keep(net: &mut Net, node: NodeId, action: Action, gossip: &mut Option<Timer>) {
    let Action::Schedule { after, timer } = action else {
        return;
    };
    // Which timer it is only its name tells.
    if format!("{timer:?}").contains("PeriodicGossip") {
        *gossip = Some(timer);
        return;
    }
    // Nodes do not probe in step.
    let phase = Duration::from_micros(net.rng.random_range(0..1_000_000));
    net.push(after + phase, node, Due::Timer(timer));
}

/// What the first of these would answer to an announce.
fn feed(net: &mut Net, members: &[&Identity], to: &Identity) -> anyhow::Result<Bytes> {
    let mut plain = BytesMut::new();
    let header = Header {
        src: members[0].clone(),
        src_incarnation: 0,
        dst: to.clone(),
        message: Message::Feed,
    };
    PostcardCodec.encode_header(&header, &mut plain)?;
    plain.put_u16(members.len() as u16);
    for member in members {
        PostcardCodec.encode_member(&Member::alive((*member).clone()), &mut plain)?;
    }
    let sealed = seal().seal(&plain, &mut net.rng).context("it is sealed")?;
    Ok(sealed.into())
}
