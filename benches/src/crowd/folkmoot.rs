//! Folkmoot: the real command, and clients that speak its protocol with as
//! little work as they can. Each is a user of its own, a member of the group,
//! and has it active.

mod client;
mod joins;
mod known;
mod marks;
mod pages;
mod shelf;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use folkmoot_client::{Client, GroupId, NewGroup};
use folkmoot_transport::{Dial, Fingerprint, QuicConfig, QuicEndpoint, Trust, WsDialer, WsOptions};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{AT_ONCE, Floor, Host, Kind, Listener, ON_ONE_SOCKET, Product, Room, Setup, Speaker};
use crate::peer::{self, Cluster, Peer};
pub(crate) use client::Session;
use client::{Ear, Mouth};
pub(crate) use joins::{Adder, Joins};
pub(crate) use known::Known;
pub(crate) use marks::{Answers, Marker, Marks, Said};

/// What carries the clients' connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Quic,
    WebSocket,
}

/// The host.
pub(crate) struct Folkmoot {
    program: Option<PathBuf>,
    over: Over,
    /// Whether entries are gathered before they are delivered.
    gathers: bool,
}

impl Folkmoot {
    pub(crate) fn new(program: Option<PathBuf>, over: Over, gathers: bool) -> Self {
        Self {
            program,
            over,
            gathers,
        }
    }

    fn flags(&self) -> Vec<String> {
        match self.gathers {
            true => Vec::new(),
            false => vec!["--window-ms=0".to_owned()],
        }
    }
}

#[async_trait]
impl Product for Folkmoot {
    fn name(&self) -> String {
        let over = match self.over {
            Over::Quic => "quic",
            Over::WebSocket => "websocket",
        };
        match self.gathers {
            true => format!("folkmoot {over}"),
            false => format!("folkmoot {over}, window 0"),
        }
    }

    fn kind(&self) -> Kind {
        Kind::Ours
    }

    fn floor(&self) -> Option<Floor> {
        Some(match self.over {
            Over::Quic => Floor::Quic,
            Over::WebSocket => Floor::Tls,
        })
    }

    fn notes(&self) -> String {
        let carrier = match self.over {
            Over::Quic => "QUIC (TLS 1.3)",
            Over::WebSocket => "WebSocket over TLS 1.3",
        };
        let window = match self.gathers {
            true => "windows of 50 ms at most",
            false => "no windows",
        };
        format!(
            "{carrier}; {window}; one voter, fsync before anything is delivered; every listener an authenticated member; order, history, exactly once"
        )
    }

    async fn prepare(&mut self) -> anyhow::Result<String> {
        let mut peer = peer::Folkmoot::new(self.program.clone())?;
        let version = peer.prepare().await?;
        self.program = Some(peer.program().to_owned());
        Ok(version)
    }
}

#[async_trait]
impl Host for Folkmoot {
    async fn open(&self, setup: &Setup) -> anyhow::Result<Box<dyn Room>> {
        Ok(Box::new(self.run(setup).await?))
    }
}

impl Folkmoot {
    /// Starts a node with one group.
    async fn run(&self, setup: &Setup) -> anyhow::Result<Running> {
        let program = self.program.as_ref().context("not prepared")?;
        let servers = peer::Setup::of_one(setup);
        let cluster = Cluster::start_with(program, &servers, self.flags()).await?;
        let founder = peer::publisher(&[&cluster.nodes[0]], 0).await?;
        let group = make(&founder).await?;
        let fingerprint: Fingerprint = cluster.nodes[0].fingerprint.parse()?;
        Ok(Running {
            cluster,
            founder,
            group,
            dial: Dialer {
                over: self.over,
                trust: Trust::Pinned(fingerprint),
            },
            listeners: setup.listeners,
        })
    }
}

async fn make(founder: &Client) -> anyhow::Result<GroupId> {
    let group = NewGroup {
        name: "bench".to_owned(),
        nick: "founder".to_owned(),
        open: true,
        member_cap: folkmoot_wire::limits::MEMBER_CAP_MAX,
        ..NewGroup::default()
    };
    Ok(founder.create_group(group).await?.id())
}

/// How clients connect.
pub(crate) struct Dialer {
    pub(crate) over: Over,
    pub(crate) trust: Trust,
}

impl Dialer {
    /// For a few connections.
    fn socket(&self) -> anyhow::Result<Arc<dyn Dial>> {
        Ok(match self.over {
            Over::Quic => {
                let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                QuicEndpoint::bind(QuicConfig::client(self.trust.clone(), any))?
            }
            Over::WebSocket => Arc::new(WsDialer::new(&self.trust, WsOptions::default())?),
        })
    }

    /// For so many, of which [`ON_ONE_SOCKET`] come one after the other.
    pub(crate) fn sockets(&self, connections: usize) -> anyhow::Result<Vec<Arc<dyn Dial>>> {
        let count = connections.div_ceil(ON_ONE_SOCKET);
        (0..count).map(|_| self.socket()).collect()
    }
}

fn idler(number: usize) -> String {
    format!("idler-{number}")
}

struct Running {
    cluster: Cluster,
    founder: Client,
    group: GroupId,
    dial: Dialer,
    listeners: usize,
}

impl Running {
    async fn session(&self, dial: &dyn Dial, subject: &str) -> anyhow::Result<Session> {
        self.session_on(dial, subject, 1).await
    }

    async fn session_on(
        &self,
        dial: &dyn Dial,
        subject: &str,
        device: u64,
    ) -> anyhow::Result<Session> {
        let node = &self.cluster.nodes[0];
        let token = node.user(subject).await?;
        Session::hello(dial, node.listen, token, device)
            .await
            .with_context(|| format!("{subject} at {}", node.listen))
    }

    async fn member(&self, dial: &dyn Dial, number: usize) -> anyhow::Result<Session> {
        let mut session = self.session(dial, &format!("listener-{number}")).await?;
        session.join(self.group, &format!("l{number}")).await?;
        Ok(session)
    }

    /// One who joins all groups, and goes.
    async fn enter_all(
        &self,
        dial: &dyn Dial,
        number: usize,
        groups: &[GroupId],
    ) -> anyhow::Result<()> {
        let subject = idler(number);
        let mut session = self.session(dial, &subject).await?;
        for group in groups {
            session.join(*group, &subject).await?;
        }
        Ok(())
    }

    async fn idle(&self, dial: &dyn Dial, number: usize) -> anyhow::Result<Box<dyn Listener>> {
        let session = self.session(dial, &idler(number)).await?;
        Ok(Box::new(Ear::of(session)))
    }

    /// All listeners, each a member.
    async fn members(&self) -> anyhow::Result<Vec<Session>> {
        let sockets = self.dial.sockets(self.listeners)?;
        let sockets = &sockets;
        stream::iter(0..self.listeners)
            .map(|number| self.member(&*sockets[number / ON_ONE_SOCKET], number))
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Has members make the group active, once all are in: nobody hears of the
    /// others' joining.
    async fn activate(&self, members: Vec<Session>) -> anyhow::Result<Vec<Session>> {
        let activate = |mut session: Session| async move {
            session.activate(self.group).await?;
            anyhow::Ok(session)
        };
        let all = stream::iter(members).map(activate);
        all.buffered(AT_ONCE).try_collect().await
    }
}

#[async_trait]
impl Room for Running {
    fn pids(&self) -> Vec<u32> {
        self.cluster.pids()
    }

    async fn listeners(&mut self) -> anyhow::Result<Vec<Box<dyn Listener>>> {
        let active = self.activate(self.members().await?).await?;
        let ear = |session| Box::new(Ear::of(session)) as Box<dyn Listener>;
        Ok(active.into_iter().map(ear).collect())
    }

    async fn enter(&mut self, rooms: usize) -> anyhow::Result<()> {
        let mut groups = Vec::new();
        for _ in 0..rooms {
            groups.push(make(&self.founder).await?);
        }
        let sockets = self.dial.sockets(self.listeners)?;
        let (this, groups, sockets) = (&*self, &groups, &sockets);
        stream::iter(0..this.listeners)
            .map(|number| this.enter_all(&*sockets[number / ON_ONE_SOCKET], number, groups))
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn idlers(&mut self, _rooms: usize) -> anyhow::Result<Vec<Box<dyn Listener>>> {
        let sockets = self.dial.sockets(self.listeners)?;
        let (this, sockets) = (&*self, &sockets);
        stream::iter(0..this.listeners)
            .map(|number| this.idle(&*sockets[number / ON_ONE_SOCKET], number))
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn speaker(&mut self) -> anyhow::Result<Box<dyn Speaker>> {
        let mut session = self.session(&*self.dial.socket()?, "speaker").await?;
        session.join(self.group, "speaker").await?;
        Ok(Box::new(Mouth::of(session, self.group)))
    }

    fn must_run(&mut self) -> anyhow::Result<()> {
        self.cluster.must_run()
    }

    async fn stop(self: Box<Self>) -> anyhow::Result<()> {
        self.founder.close().await;
        self.cluster.stop().await
    }
}
