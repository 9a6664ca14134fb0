//! The driver: gives the machine of [`crate::membership`] a socket and a
//! clock, and ties node states to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use folkmoot_wire::NodeId;
use parking_lot::Mutex;
use rand::RngCore;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::identity::Identity;
use crate::membership::{Action, Event, Member, Membership, Timer};
use crate::port::{Datagrams, StateLink};
use crate::seal::{Keyring, Seal};
use crate::state::{ChitchatState, MemoryState, NodeState, StateError};
use crate::stats::GossipStats;
use crate::swim::{SwimConfig, SwimConfigError};

/// Commands waiting for the driver. Full: the caller waits.
const COMMANDS_MAX: usize = 16;
/// Goodbyes of a leaver, against loss, and the time between them.
const GOODBYES: u32 = 3;
const GOODBYE_EVERY: Duration = Duration::from_millis(200);
/// A socket that fails is tried again after this time.
const RECV_RETRY: Duration = Duration::from_millis(100);

/// Which exchange of node states runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKind {
    /// chitchat, for real clusters.
    Chitchat,
    /// The deterministic one, for the simulator.
    Memory,
}

/// What a node's gossip needs to know.
#[derive(Debug)]
pub struct GossipConfig {
    /// The cluster's id; others' packets are refused.
    pub cluster: String,
    /// This node, with an incarnation higher than at every earlier start.
    pub me: Identity,
    /// The cluster's gossip keys.
    pub keyring: Keyring,
    /// Gossip addresses of other nodes, from as many regions as possible.
    pub seeds: Vec<SocketAddr>,
    /// Timings, the same on every node.
    pub swim: SwimConfig,
    /// Which exchange of node states runs.
    pub state: StateKind,
}

/// What gossip takes from its surroundings besides the network. Its clock is
/// tokio's.
pub struct Ports {
    /// Randomness, good enough for nonces: a CSPRNG outside the simulator.
    pub rng: Box<dyn RngCore + Send>,
}

/// Why gossip did not start, or does not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GossipError {
    /// The timings do not work together.
    #[error("gossip timings: {0}")]
    Config(#[from] SwimConfigError),
    /// Node states did not start.
    #[error(transparent)]
    State(#[from] StateError),
    /// It was stopped.
    #[error("gossip was stopped")]
    Stopped,
}

enum Command {
    Event(Event),
    Leave(oneshot::Sender<()>),
    Stop,
}

/// A running gossip. Dropping it ends it without a goodbye.
pub struct Gossip {
    me: NodeId,
    commands: mpsc::Sender<Command>,
    members: watch::Receiver<Arc<Vec<Member>>>,
    stats: Arc<Mutex<GossipStats>>,
    state: Arc<dyn NodeState>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Gossip {
    /// Starts, on the current tokio runtime.
    ///
    /// # Errors
    /// When the timings do not work together, or chitchat does not start.
    pub async fn start(
        config: GossipConfig,
        datagrams: Arc<dyn Datagrams>,
        link: Arc<dyn StateLink>,
        ports: Ports,
    ) -> Result<Self, GossipError> {
        let (me, incarnation) = (config.me.node(), config.me.incarnation());
        let seal = Seal::new(config.cluster.clone(), config.keyring);
        let machine = Membership::new(config.me, config.swim, seal, ports.rng)?;
        let state: Arc<dyn NodeState> = match config.state {
            StateKind::Chitchat => {
                Arc::new(ChitchatState::start(&config.cluster, me, incarnation, link).await?)
            }
            StateKind::Memory => {
                Arc::new(MemoryState::start(&config.cluster, me, incarnation, link))
            }
        };
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (publish, members) = watch::channel(Arc::new(machine.members().cloned().collect()));
        let stats = Arc::default();
        let driver = Driver {
            machine,
            datagrams,
            state: state.clone(),
            publish,
            stats: Arc::clone(&stats),
            socket_errors: 0,
            timers: BTreeMap::new(),
            next_timer: 0,
            started: Instant::now(),
        };
        let task = tokio::spawn(driver.run(inbox, config.seeds));
        Ok(Self {
            me,
            commands,
            members,
            stats,
            state,
            task: Mutex::new(Some(task)),
        })
    }

    /// This node.
    #[must_use]
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// Everyone known, this node included, by node id; the dead and the gone
    /// stay listed for a while.
    #[must_use]
    pub fn members(&self) -> Arc<Vec<Member>> {
        self.members.borrow().clone()
    }

    /// The members, as they change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Vec<Member>>> {
        self.members.clone()
    }

    /// Tells `key = value` of this node to all. An empty value takes it back.
    ///
    /// # Errors
    /// When a limit of [`crate::state`] is passed.
    pub fn set(&self, key: &str, value: &str) -> Result<(), StateError> {
        self.state.set(key, value)
    }

    /// What a node tells of itself.
    #[must_use]
    pub fn state_of(&self, node: NodeId) -> BTreeMap<String, String> {
        self.state.get(node)
    }

    /// What all nodes tell of themselves, this one included.
    #[must_use]
    pub fn states(&self) -> BTreeMap<NodeId, BTreeMap<String, String>> {
        self.state.all()
    }

    /// A number that rises when a node tells something new.
    #[must_use]
    pub fn watch_states(&self) -> watch::Receiver<u64> {
        self.state.changes()
    }

    /// Asks all for no new work ([`crate::MemberState::Draining`]).
    ///
    /// # Errors
    /// When gossip was stopped.
    pub async fn drain(&self) -> Result<(), GossipError> {
        self.event(Event::Drain(true)).await
    }

    /// Takes [`Self::drain`] back.
    ///
    /// # Errors
    /// When gossip was stopped.
    pub async fn undrain(&self) -> Result<(), GossipError> {
        self.event(Event::Drain(false)).await
    }

    /// Replaces the seeds, and tries them now.
    ///
    /// # Errors
    /// When gossip was stopped.
    pub async fn announce(&self, seeds: Vec<SocketAddr>) -> Result<(), GossipError> {
        self.event(Event::Announce(seeds)).await
    }

    /// Replaces the gossip keys.
    ///
    /// # Errors
    /// When gossip was stopped.
    pub async fn set_keyring(&self, keyring: Keyring) -> Result<(), GossipError> {
        self.event(Event::Keys(keyring)).await
    }

    /// Says goodbye, for good: the others see [`crate::MemberState::Left`].
    /// Returns when it has been said; then [`Self::stop`].
    ///
    /// # Errors
    /// When gossip was stopped.
    pub async fn leave(&self) -> Result<(), GossipError> {
        let (said, done) = oneshot::channel();
        self.command(Command::Leave(said)).await?;
        done.await.map_err(|_| GossipError::Stopped)
    }

    /// Ends everything, without a goodbye.
    pub async fn stop(&self) {
        // Fails only when it has ended already.
        let _ = self.commands.send(Command::Stop).await;
        let task = self.task.lock().take();
        if let Some(task) = task {
            let _ = task.await;
        }
        self.state.stop().await;
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> GossipStats {
        let mut stats = self.stats.lock().clone();
        let traffic = self.state.traffic();
        stats.state_out = traffic.sent;
        stats.state_in = traffic.received;
        stats.state_dropped = traffic.dropped;
        stats.state_refused = traffic.refused;
        stats
    }

    async fn event(&self, event: Event) -> Result<(), GossipError> {
        self.command(Command::Event(event)).await
    }

    async fn command(&self, command: Command) -> Result<(), GossipError> {
        let sent = self.commands.send(command).await;
        sent.map_err(|_| GossipError::Stopped)
    }
}

struct Driver {
    machine: Membership,
    datagrams: Arc<dyn Datagrams>,
    state: Arc<dyn NodeState>,
    publish: watch::Sender<Arc<Vec<Member>>>,
    stats: Arc<Mutex<GossipStats>>,
    socket_errors: u64,
    /// By when they are due; the number keeps those of one moment in order.
    timers: BTreeMap<(Instant, u64), Timer>,
    next_timer: u64,
    started: Instant,
}

impl Driver {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, seeds: Vec<SocketAddr>) {
        let datagrams = self.datagrams.clone();
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut recv_from = Instant::now();
        self.handle(Event::Announce(seeds)).await;
        loop {
            let due = self.timers.keys().next().map(|&(at, _)| at);
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(Command::Event(event)) => self.handle(event).await,
                    Some(Command::Leave(said)) => {
                        for _ in 0..GOODBYES {
                            self.handle(Event::Leave).await;
                            tokio::time::sleep(GOODBYE_EVERY).await;
                        }
                        self.timers.clear();
                        let _ = said.send(());
                    }
                    Some(Command::Stop) | None => return,
                },
                () = at(due) => {
                    if let Some((_, timer)) = self.timers.pop_first() {
                        self.handle(Event::Timer(timer)).await;
                    }
                }
                _ = ticks.tick() => self.handle(Event::Tick).await,
                received = async {
                    tokio::time::sleep_until(recv_from).await;
                    datagrams.recv().await
                } => match received {
                    Ok((from, bytes)) => self.handle(Event::Packet { from, bytes }).await,
                    Err(error) => {
                        self.socket_error("receive", &error);
                        recv_from = Instant::now() + RECV_RETRY;
                    }
                },
            }
        }
    }

    async fn handle(&mut self, event: Event) {
        let actions = self.machine.handle(event, self.started.elapsed());
        for action in actions {
            match action {
                Action::Send { to, packet } => {
                    if let Err(error) = self.datagrams.send(to, &packet).await {
                        self.socket_error("send", &error);
                    }
                }
                Action::Schedule { after, timer } => {
                    self.next_timer += 1;
                    let at = Instant::now() + after;
                    self.timers.insert((at, self.next_timer), timer);
                }
                Action::Changed => self.changed(),
                Action::Warn { from, reason } => {
                    tracing::warn!(%from, "gossip packets refused: {reason}");
                }
            }
        }
        let mut stats = self.machine.stats().clone();
        stats.socket_errors = self.socket_errors;
        *self.stats.lock() = stats;
    }

    fn changed(&self) {
        let members: Vec<Member> = self.machine.members().cloned().collect();
        let me = self.machine.me().node();
        let active: Vec<NodeId> = members
            .iter()
            .filter(|member| member.node != me && member.state.is_active())
            .map(|member| member.node)
            .collect();
        self.state.peers(&active);
        self.publish.send_replace(Arc::new(members));
    }

    /// Counts, and logs the first: a broken socket fails many times a second.
    fn socket_error(&mut self, what: &str, error: &std::io::Error) {
        if self.socket_errors == 0 {
            let local = self.datagrams.local();
            tracing::warn!(%error, %local, "gossip socket cannot {what}; further errors are only counted");
        }
        self.socket_errors += 1;
    }
}

/// At this moment, or never.
async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
