//! People who come: the owner adds them, from several devices, each with many
//! under way.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use folkmoot_client::{Carrier, Client, SendOptions};
use folkmoot_wire::proto::{JoinBody, Kind};
use futures_util::stream::{FuturesUnordered, StreamExt};
use prost::Message;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{BRIDGE_SUBJECT, Crowd, HOME, nick, user};

/// Devices of the owner.
const DEVICES: u32 = 8;
/// Joins under way of each.
const UNDER_WAY: usize = 256;
/// A new cluster raises its rules within a few seconds.
const PAUSE: Duration = Duration::from_millis(250);
/// As many people come one by one before it is clear that it has not.
const ONE_BY_ONE: u32 = 100;

impl Crowd {
    pub(super) async fn come_all(self: Arc<Self>) -> anyhow::Result<()> {
        let first = self.slowly().await?;
        let mut devices = JoinSet::new();
        for device in 0..DEVICES {
            let client = self.owner().await?;
            let numbers = (first..self.members).filter(move |n| n % DEVICES == device);
            devices.spawn(Arc::clone(&self).come_through(client, numbers));
        }
        while let Some(ended) = devices.join_next().await {
            ended.context("a device of the owner ended early")??;
        }
        Ok(())
    }

    async fn owner(&self) -> anyhow::Result<Client> {
        let edge = self.cluster.of_region(HOME).last();
        let edge = edge.context("a region has nodes")?;
        let token = self.cluster.token(edge, BRIDGE_SUBJECT).await?;
        let client = self
            .dialers
            .builder(Carrier::Quic)
            .edge(edge.place.listen.to_string())
            .token(token)
            .pipeline(UNDER_WAY)
            .connect();
        client.await.context("the owner of the large group")
    }

    /// A join makes an entry until the shard goes by the rules of this version:
    /// a million of them are not wanted. Gives who is next.
    async fn slowly(&self) -> anyhow::Result<u32> {
        let client = self.owner().await?;
        let group = client.group(self.group);
        let most = self.members.min(ONE_BY_ONE);
        for number in 0..most {
            let sent = group.send_with(join(self.group, number)).await?;
            self.come.fetch_add(1, Ordering::Relaxed);
            if sent.seq == 0 {
                client.close().await;
                return Ok(number + 1);
            }
            sleep(PAUSE).await;
        }
        client.close().await;
        Ok(most)
    }

    async fn come_through(
        self: Arc<Self>,
        client: Client,
        numbers: impl Iterator<Item = u32>,
    ) -> anyhow::Result<()> {
        let group = client.group(self.group);
        let mut under_way = FuturesUnordered::new();
        for number in numbers {
            under_way.push(group.submit(join(self.group, number)).await?);
            if under_way.len() >= UNDER_WAY {
                self.came(under_way.next().await)?;
            }
        }
        while let Some(done) = under_way.next().await {
            self.came(Some(done))?;
        }
        client.close().await;
        Ok(())
    }

    fn came(
        &self,
        done: Option<folkmoot_client::Result<folkmoot_client::Sent>>,
    ) -> anyhow::Result<()> {
        if let Some(done) = done {
            done.context("somebody cannot come into the large group")?;
            self.come.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn join(group: folkmoot_client::GroupId, number: u32) -> SendOptions {
    let body = JoinBody {
        nick: nick(number),
        role: 0,
    };
    SendOptions {
        subject: Some(user(group, number)),
        ..SendOptions::of(Kind::Join, body.encode_to_vec())
    }
}
