//! Everything that can be measured where many are connected.

use anyhow::bail;
use clap::ValueEnum;

use super::ejabberd::Ejabberd;
use super::mosquitto::Mosquitto;
use super::nats::Nats;
use super::redis::Redis;
use super::{Archive, Floor, Folkmoot, Host, Over};
use crate::flags::{Common, MosquittoAt, NatsAt, RedisAt};
use crate::peer;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    Websocket,
    WebsocketNoWindow,
    Quic,
    Redis,
    RedisTls,
    RedisStreams,
    Nats,
    NatsTls,
    Jetstream,
    Mosquitto,
    MosquittoTls,
    Ejabberd,
    FloorTcp,
    FloorTls,
    FloorQuic,
}

/// Flags: what is measured, and where it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Hosts {
    /// Only these
    #[arg(long, value_delimiter = ',', value_name = "HOSTS")]
    only: Vec<Which>,
    #[command(flatten)]
    nats: NatsAt,
    #[command(flatten)]
    redis: RedisAt,
    #[command(flatten)]
    mosquitto: MosquittoAt,
}

impl Hosts {
    /// What is wanted of `all` that a measurement knows.
    fn wanted(&self, all: &[Which]) -> anyhow::Result<Vec<Which>> {
        if let Some(other) = self.only.iter().find(|which| !all.contains(which)) {
            let name = |which: &Which| {
                let value = which.to_possible_value();
                value.map_or_else(String::new, |value| value.get_name().to_owned())
            };
            let names: Vec<String> = all.iter().map(name).collect();
            bail!(
                "--only {} is not measured here, but {}",
                name(other),
                names.join(", ")
            );
        }
        let wanted = |which: &&Which| self.only.is_empty() || self.only.contains(which);
        Ok(all.iter().filter(wanted).copied().collect())
    }

    /// Those of `all` that fan out.
    pub(crate) fn hosts(
        &self,
        common: &Common,
        all: &[Which],
    ) -> anyhow::Result<Vec<Box<dyn Host>>> {
        let wanted = self.wanted(all)?;
        wanted.into_iter().map(|it| self.host(common, it)).collect()
    }

    fn host(&self, common: &Common, which: Which) -> anyhow::Result<Box<dyn Host>> {
        let program = || common.folkmoot.clone();
        Ok(match which {
            Which::Websocket => Box::new(Folkmoot::new(program(), Over::WebSocket, true)),
            Which::WebsocketNoWindow => Box::new(Folkmoot::new(program(), Over::WebSocket, false)),
            Which::Quic => Box::new(Folkmoot::new(program(), Over::Quic, true)),
            Which::Redis | Which::RedisTls => {
                let program = self.redis.redis_server.clone();
                Box::new(Redis::new(program, which == Which::RedisTls))
            }
            Which::Nats | Which::NatsTls => {
                let program = self.nats.nats_server.clone();
                Box::new(Nats::new(program, which == Which::NatsTls))
            }
            Which::Mosquitto | Which::MosquittoTls => {
                let program = self.mosquitto.mosquitto.clone();
                Box::new(Mosquitto::new(program, which == Which::MosquittoTls))
            }
            Which::Ejabberd => Box::new(Ejabberd::default()),
            Which::FloorTcp => Box::new(Floor::Tcp),
            Which::FloorTls => Box::new(Floor::Tls),
            Which::FloorQuic => Box::new(Floor::Quic),
            Which::RedisStreams | Which::Jetstream => bail!("{which:?} does not fan out"),
        })
    }

    /// Those of `all` that keep what was said.
    pub(crate) fn archives(
        &self,
        common: &Common,
        all: &[Which],
    ) -> anyhow::Result<Vec<Box<dyn Archive>>> {
        let wanted = self.wanted(all)?;
        let archive = |which| self.archive(common, which);
        wanted.into_iter().map(archive).collect()
    }

    fn archive(&self, common: &Common, which: Which) -> anyhow::Result<Box<dyn Archive>> {
        let program = || common.folkmoot.clone();
        Ok(match which {
            Which::Websocket => Box::new(Folkmoot::new(program(), Over::WebSocket, true)),
            Which::Quic => Box::new(Folkmoot::new(program(), Over::Quic, true)),
            Which::RedisStreams => Box::new(peer::RedisShelf::new(self.redis.redis_server.clone())),
            Which::Jetstream => Box::new(peer::JetStreamShelf::new(self.nats.nats_server.clone())),
            Which::FloorTcp => Box::new(Floor::Tcp),
            Which::FloorTls => Box::new(Floor::Tls),
            Which::FloorQuic => Box::new(Floor::Quic),
            Which::WebsocketNoWindow
            | Which::Redis
            | Which::RedisTls
            | Which::Nats
            | Which::NatsTls
            | Which::Mosquitto
            | Which::MosquittoTls
            | Which::Ejabberd => bail!("{which:?} keeps nothing"),
        })
    }
}
