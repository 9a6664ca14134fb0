//! All listeners: how they come in, and what becomes of them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use folkmoot_client::{GroupId, UserId};
use folkmoot_node::demo::cluster::Cluster;
use folkmoot_node::demo::verify;
use folkmoot_transport::{Dial, Trust};
use folkmoot_wire::entry::chain_from;
use futures_util::stream::{self, StreamExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::listener::{Hall, Listener};
use super::order::Order;
use super::place::Place;
use super::{AGREE, LOOK};
use crate::crowd::{AT_ONCE, Dialer, ON_ONE_SOCKET, Over, Session};

/// Shards learn by and by what their voters know.
const LEARN: Duration = Duration::from_secs(60);

/// Listeners with their regions, all members, all listening.
pub(super) struct People {
    pub(super) users: Vec<UserId>,
    /// How many of each region.
    pub(super) of_region: Vec<usize>,
    /// The seq behind which they listen.
    pub(super) base: u64,
    pub(super) hall: Arc<Hall>,
    pub(super) listening: Listening,
}

/// Their tasks, which end when this is dropped.
pub(super) struct Listening(JoinSet<anyhow::Result<Infallible>>);

impl Listening {
    /// Waits until one fails.
    pub(super) async fn next_failure(&mut self) -> anyhow::Error {
        match self.0.join_next().await {
            Some(Ok(Err(error))) => error.context("a listener"),
            Some(Err(error)) => anyhow::Error::new(error).context("a listener"),
            Some(Ok(Ok(never))) => match never {},
            None => std::future::pending().await,
        }
    }
}

/// The ways in: to each region's edge over QUIC and over WebSocket.
struct Ways<'a> {
    cluster: &'a Cluster,
    sockets: Vec<Vec<Arc<dyn Dial>>>,
}

impl<'a> Ways<'a> {
    fn of(cluster: &'a Cluster, listeners: usize) -> anyhow::Result<Self> {
        let mut sockets = Vec::new();
        for region in 0..cluster.regions {
            let edge = cluster.of_region(region).first();
            let edge = edge.context("a region has nodes")?;
            for over in [Over::Quic, Over::WebSocket] {
                let trust = Trust::Pinned(edge.fingerprint);
                let here = listeners.div_ceil(2 * cluster.regions);
                sockets.push(Dialer { over, trust }.sockets(here)?);
            }
        }
        Ok(Self { cluster, sockets })
    }

    fn region_of(&self, number: usize) -> usize {
        number % self.sockets.len() / 2
    }

    async fn connect(&self, number: usize) -> anyhow::Result<Session> {
        let (way, turn) = (number % self.sockets.len(), number / self.sockets.len());
        let edge = &self.cluster.of_region(self.region_of(number))[0];
        let subject = subject(number);
        let token = self.cluster.token(edge, &subject).await?;
        let dial = &*self.sockets[way][turn / ON_ONE_SOCKET];
        let session = Session::hello(dial, edge.place.listen, token, 1).await;
        session.with_context(|| format!("{subject} at {}", edge.place.name))
    }
}

fn subject(number: usize) -> String {
    format!("listener-{number}")
}

impl People {
    /// Has so many connect, join and listen.
    pub(super) async fn come(
        cluster: &Cluster,
        group: GroupId,
        listeners: usize,
    ) -> anyhow::Result<Self> {
        let ways = Ways::of(cluster, listeners)?;
        let mut first = ways.connect(0).await?;
        until_quiet(&mut first, group).await?;
        let base = verify::agree_on(cluster, group, 1, AGREE).await?;
        let told = first.activate(group).await?;
        let head = told.head.as_ref().context("a group without a head")?;
        if head.seq != base {
            bail!("the group is at {}, and all nodes were at {base}", head.seq);
        }
        let order = Order::new(base, chain_from(&head.chain)?);
        let hall = Arc::new(Hall::new(order, cluster.regions, listeners)?);
        let mut people = Self {
            users: Vec::with_capacity(listeners),
            of_region: vec![0; cluster.regions],
            base,
            hall,
            listening: Listening(JoinSet::new()),
        };
        people.listens((0, first, told.live_from), &ways, group);
        let ways = &ways;
        let one = |number| async move {
            let mut session = ways.connect(number).await?;
            let name = subject(number);
            let joined = session.join(group, &name).await;
            joined.with_context(|| format!("{name} joins"))?;
            let told = session.activate(group).await?;
            anyhow::Ok((number, session, told.live_from))
        };
        let mut coming = stream::iter(1..listeners).map(one).buffered(AT_ONCE);
        while let Some(one) = coming.next().await {
            people.listens(one?, ways, group);
        }
        Ok(people)
    }

    fn listens(
        &mut self,
        (number, session, live_from): (usize, Session, u64),
        ways: &Ways<'_>,
        group: GroupId,
    ) {
        let mut place = Place::at(self.base);
        place.gap(live_from);
        let region = ways.region_of(number);
        self.users.push(session.user);
        self.of_region[region] += 1;
        let listener = Listener {
            session,
            number,
            region,
            group,
            place,
        };
        let hall = Arc::clone(&self.hall);
        self.listening.0.spawn(listener.listen(hall));
    }
}

/// Joins, once that makes no entry: the group is large, and its shard has to
/// know what that means.
async fn until_quiet(session: &mut Session, group: GroupId) -> anyhow::Result<()> {
    let deadline = Instant::now() + LEARN;
    while session.join(group, &subject(0)).await? > 0 {
        if Instant::now() > deadline {
            bail!("joins still make entries after {LEARN:?}");
        }
        session.leave(group).await?;
        sleep(LOOK).await;
    }
    Ok(())
}
