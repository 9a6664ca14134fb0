//! How a client is set up.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use folkmoot_transport::{Dial, Fingerprint, Trust, WsDialer, WsOptions};
use folkmoot_wire::{DeviceId, UserId};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::client::Client;
use crate::core::backoff::Backoff;
use crate::core::outbox::OutboxOptions;
use crate::driver::Driver;
use crate::driver::dial::{Dialers, QuicDialer, host};
use crate::engine::{Command, Engine, EngineOptions};
use crate::error::{ClientError, Result};
use crate::event::EVENT_QUEUE;
use crate::feed::Wakers;
use crate::store::{LocalStore, MemoryStore};
use crate::token::{StaticToken, TokenFn, TokenProvider};

/// Commands that wait for the client's task. Full: callers wait.
const COMMAND_QUEUE: usize = 256;
/// What QUIC has before WebSocket is tried beside it.
const HEAD_START: Duration = Duration::from_millis(400);
const DIAL_DEADLINE: Duration = Duration::from_secs(6);
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
const CALL_DEADLINE: Duration = Duration::from_secs(30);
const CONNECT_DEADLINE: Duration = Duration::from_secs(30);

/// The dialer that comes first, and the one tried beside it.
type Pair = (Arc<dyn Dial>, Option<Arc<dyn Dial>>);

/// Which carriers are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Carriers {
    #[default]
    QuicThenWebSocket,
    Quic,
    WebSocket,
}

/// Sets up a [`Client`].
pub struct ClientBuilder {
    edges: Vec<String>,
    token: Option<Arc<dyn TokenProvider>>,
    device: Option<DeviceId>,
    trust: Result<Trust>,
    plain: bool,
    carriers: Carriers,
    dialer: Option<Arc<dyn Dial>>,
    second: Option<Arc<dyn Dial>>,
    head_start: Duration,
    rng: Option<Box<dyn RngCore + Send>>,
    store: Box<dyn LocalStore>,
    backoff: Backoff,
    window: usize,
    room: usize,
    name: String,
    connect_deadline: Duration,
    request_deadline: Duration,
    call_deadline: Duration,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            edges: Vec::new(),
            token: None,
            device: None,
            trust: Ok(Trust::Public),
            plain: false,
            carriers: Carriers::default(),
            dialer: None,
            second: None,
            head_start: HEAD_START,
            rng: None,
            store: Box::new(MemoryStore::default()),
            backoff: Backoff::default(),
            window: 1,
            room: 256,
            name: concat!("folkmoot-client/", env!("CARGO_PKG_VERSION")).into(),
            connect_deadline: CONNECT_DEADLINE,
            request_deadline: REQUEST_DEADLINE,
            call_deadline: CALL_DEADLINE,
        }
    }
}

impl ClientBuilder {
    /// An edge, as `host:port`. With several, the next one is tried when one
    /// fails or goes away.
    #[must_use]
    pub fn edge(mut self, edge: impl Into<String>) -> Self {
        self.edges.push(edge.into());
        self
    }

    /// Several edges.
    #[must_use]
    pub fn edges<S: Into<String>>(mut self, edges: impl IntoIterator<Item = S>) -> Self {
        self.edges.extend(edges.into_iter().map(Into::into));
        self
    }

    /// The same token for every session.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Arc::new(StaticToken(token.into())));
        self
    }

    /// A function that gets a token for each session.
    #[must_use]
    pub fn token_with<F, R>(mut self, provide: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = std::result::Result<String, String>> + Send,
    {
        self.token = Some(Arc::new(TokenFn(provide)));
        self
    }

    /// The device's number. Without it, the local store's, or a random one.
    /// The same number has to go with the same outbox: it is part of what
    /// keeps a retry from being a second message.
    #[must_use]
    pub fn device(mut self, device: DeviceId) -> Self {
        self.device = Some(device);
        self
    }

    /// Whom to trust; without it, public authorities.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = Ok(trust);
        self
    }

    /// Trusts edges whose certificates these authorities signed (PEM).
    #[must_use]
    pub fn trust_ca_pem(mut self, pem: &str) -> Self {
        self.trust =
            Trust::ca_pem(pem).map_err(|error| ClientError::Config(format!("trusted CA: {error}")));
        self
    }

    /// Trusts exactly the certificate with this SHA-256 fingerprint, in hex.
    #[must_use]
    pub fn trust_fingerprint(mut self, hex: &str) -> Self {
        self.trust = hex
            .parse::<Fingerprint>()
            .map(Trust::Pinned)
            .map_err(|error| ClientError::Config(format!("trusted certificate: {error}")));
        self
    }

    /// QUIC and nothing else.
    #[must_use]
    pub fn only_quic(mut self) -> Self {
        self.carriers = Carriers::Quic;
        self
    }

    /// WebSocket and nothing else.
    #[must_use]
    pub fn only_websocket(mut self) -> Self {
        self.carriers = Carriers::WebSocket;
        self
    }

    /// WebSocket without TLS; only for tests and behind something that does
    /// the TLS. Implies [`ClientBuilder::only_websocket`].
    #[must_use]
    pub fn plain_websocket(mut self) -> Self {
        self.plain = true;
        self.only_websocket()
    }

    /// Dials with this instead: a simulated network, or an endpoint that many
    /// clients share.
    #[must_use]
    pub fn dialer(mut self, dialer: Arc<dyn Dial>) -> Self {
        self.dialer = Some(dialer);
        self
    }

    /// Beside [`ClientBuilder::dialer`]: what is tried when that one fails or
    /// is not there within `head_start`.
    #[must_use]
    pub fn fallback(mut self, dialer: Arc<dyn Dial>, head_start: Duration) -> Self {
        self.second = Some(dialer);
        self.head_start = head_start;
        self
    }

    /// Where ids and backoff get their randomness. Without it, from the
    /// system.
    #[must_use]
    pub fn rng(mut self, rng: Box<dyn RngCore + Send>) -> Self {
        self.rng = Some(rng);
        self
    }

    /// What keeps the outbox and how far groups were read. Without it, memory.
    #[must_use]
    pub fn store(mut self, store: impl LocalStore + 'static) -> Self {
        self.store = Box::new(store);
        self
    }

    /// Between attempts to connect, to send and to ask.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Lets so many messages of one group be in flight at once. Above 1 the
    /// order of a group's log may differ from the order of the calls around
    /// temporary failures; see [`crate::core::outbox`].
    #[must_use]
    pub fn pipeline(mut self, window: usize) -> Self {
        self.window = window.max(1);
        self
    }

    /// Entries that wait for a reader of a group at most.
    #[must_use]
    pub fn room(mut self, entries: usize) -> Self {
        self.room = entries.max(1);
        self
    }

    /// Name and version of the application, for the edge's log.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How long [`ClientBuilder::connect`] waits for the first session.
    #[must_use]
    pub fn connect_deadline(mut self, deadline: Duration) -> Self {
        self.connect_deadline = deadline;
        self
    }

    /// How long one request may take in one session, before it counts as
    /// lost and is repeated.
    #[must_use]
    pub fn request_deadline(mut self, deadline: Duration) -> Self {
        self.request_deadline = deadline;
        self
    }

    /// How long a call that is not a message may take, with all retries.
    #[must_use]
    pub fn call_deadline(mut self, deadline: Duration) -> Self {
        self.call_deadline = deadline;
        self
    }

    /// Starts the client and waits for its first session. When the local store
    /// knows whose it is, the client is given also without a session: what is
    /// sent then waits in the outbox.
    ///
    /// # Errors
    /// When the settings cannot work, the store cannot be used, the token is
    /// refused, or no edge is reached in time.
    pub async fn connect(mut self) -> Result<Client> {
        let dialers = self.dialers()?;
        let token = self
            .token
            .ok_or_else(|| ClientError::Config("no token: call `token` or `token_with`".into()))?;
        let saved = self.store.load().await?;
        let mut rng = self.rng.unwrap_or_else(|| Box::new(StdRng::from_os_rng()));
        let device = self
            .device
            .or(saved.device)
            .unwrap_or_else(|| DeviceId(rng.next_u64()));
        let (events, _) = broadcast::channel(EVENT_QUEUE);
        let (tx, commands) = mpsc::channel::<Command>(COMMAND_QUEUE);
        let wakers = Arc::new(Wakers::default());
        let options = EngineOptions {
            client: self.name,
            outbox: OutboxOptions {
                window: self.window,
                backoff: self.backoff,
                ..OutboxOptions::default()
            },
            backoff: self.backoff,
            request_deadline: self.request_deadline,
            call_deadline: self.call_deadline,
        };
        let mut failures = events.subscribe();
        let weak_events = events.downgrade();
        let engine = Engine::new(options, device, saved, rng, events, wakers.clone());
        let known: Option<UserId> = engine.identity().map(|identity| identity.user);
        let (ready, readiness) = oneshot::channel();
        let driver = Driver {
            engine,
            store: self.store,
            dialers: Arc::new(dialers),
            token,
            commands,
            wakers: wakers.clone(),
            backoff: self.backoff,
            ready: Some(ready),
        };
        tokio::spawn(driver.run());
        let user = match tokio::time::timeout(self.connect_deadline, readiness).await {
            Ok(answer) => answer.unwrap_or(Err(ClientError::Closed))?,
            Err(_) => match known {
                Some(user) => user,
                None => return Err(last_failure(&mut failures)),
            },
        };
        Ok(Client::new(
            tx,
            weak_events,
            wakers,
            user,
            device,
            self.room,
        ))
    }

    fn dialers(&mut self) -> Result<Dialers> {
        if self.edges.is_empty() {
            return Err(ClientError::Config(
                "no edge: call `edge(\"host:port\")`".into(),
            ));
        }
        for edge in &self.edges {
            if host(edge).is_none() {
                let what = format!("{edge:?} is not an edge: write host:port");
                return Err(ClientError::Config(what));
            }
        }
        let (first, second) = match self.dialer.take() {
            Some(dialer) => (dialer, self.second.take()),
            None => self.own_dialers()?,
        };
        Ok(Dialers {
            edges: std::mem::take(&mut self.edges),
            first,
            second,
            head_start: self.head_start,
            deadline: DIAL_DEADLINE,
        })
    }

    fn own_dialers(&self) -> Result<Pair> {
        let trust = self.trust.clone()?;
        let quic = || Arc::new(QuicDialer::new(trust.clone())) as Arc<dyn Dial>;
        let ws = || -> Result<Arc<dyn Dial>> {
            let options = WsOptions::default();
            Ok(Arc::new(match self.plain {
                true => WsDialer::plain(options),
                false => WsDialer::new(&trust, options)?,
            }))
        };
        Ok(match self.carriers {
            Carriers::QuicThenWebSocket => (quic(), Some(ws()?)),
            Carriers::Quic => (quic(), None),
            Carriers::WebSocket => (ws()?, None),
        })
    }
}

/// Why there was no session so far.
fn last_failure(events: &mut broadcast::Receiver<crate::event::Event>) -> ClientError {
    let mut last = ClientError::Fault(folkmoot_wire::Code::Deadline.into());
    while let Ok(event) = events.try_recv() {
        if let crate::event::Event::Disconnected { reason, .. } = event {
            last = reason;
        }
    }
    last
}
