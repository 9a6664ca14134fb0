//! Redis pub/sub: nothing is kept, nothing is in order but what one connection
//! says, and who is slow is cut off.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use folkmoot_node::demo::ports::Ports;

use super::plain::{Language, Plain, known};
use super::records::Form;
use super::tls::Certificate;
use super::{Host, Product, Room, Setup, carrier, over};
use crate::peer::redis_version;
use crate::process::Server;

const SUBSCRIBE: &[u8] = b"*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nroom\r\n";
/// What is said to a subscription.
const SUBSCRIBED: &[u8] = b"*3\r\n$9\r\nsubscribe\r\n$4\r\nroom\r\n:1\r\n";

/// The host.
pub(crate) struct Redis {
    program: PathBuf,
    tls: bool,
}

impl Redis {
    pub(crate) fn new(program: Option<PathBuf>, tls: bool) -> Self {
        Self {
            program: program.unwrap_or_else(|| PathBuf::from("redis-server")),
            tls,
        }
    }

    /// Where it listens, over what.
    fn port(&self, port: u16, folder: &Path) -> anyhow::Result<Vec<(&'static str, String)>> {
        let port = port.to_string();
        if !self.tls {
            return Ok(vec![("--port", port)]);
        }
        let Certificate { chain, key } = Certificate::make(folder)?;
        let chain = chain.display().to_string();
        Ok(vec![
            ("--port", "0".to_owned()),
            ("--tls-port", port),
            ("--tls-cert-file", chain.clone()),
            ("--tls-ca-cert-file", chain),
            ("--tls-key-file", key.display().to_string()),
            ("--tls-auth-clients", "no".to_owned()),
        ])
    }
}

#[async_trait]
impl Product for Redis {
    fn name(&self) -> String {
        over("redis pub/sub", self.tls)
    }

    fn notes(&self) -> String {
        format!(
            "{}; appendonly no, no save, client-output-buffer-limit pubsub 0 0 0; no history, no receipts, no accounts; no limit on what waits for a client",
            carrier(self.tls)
        )
    }

    async fn prepare(&mut self) -> anyhow::Result<String> {
        redis_version(&self.program).await
    }
}

#[async_trait]
impl Host for Redis {
    async fn open(&self, setup: &Setup) -> anyhow::Result<Box<dyn Room>> {
        let addr = Ports::new(std::process::id()).free()?;
        let mut args = self.port(addr.port(), &setup.folder)?;
        args.extend([
            ("--bind", "127.0.0.1".to_owned()),
            ("--dir", setup.folder.display().to_string()),
            ("--appendonly", "no".to_owned()),
            ("--save", String::new()),
            ("--daemonize", "no".to_owned()),
            ("--maxclients", (setup.listeners + 100).to_string()),
            ("--client-output-buffer-limit", "pubsub 0 0 0".to_owned()),
        ]);
        let args: Vec<String> = args
            .into_iter()
            .flat_map(|(flag, value)| [flag.to_owned(), value])
            .collect();
        let server = Server::start("redis", &self.program, &args, &setup.folder, setup.core)?;
        let trust = self.tls.then(|| Certificate::trust(&setup.folder));
        Plain::room(server, addr, trust.transpose()?, setup, &LANGUAGE).await
    }
}

const LANGUAGE: Language = Language {
    login: |_| Vec::new(),
    listen: |_| SUBSCRIBE.to_vec(),
    idle: |_, rooms| {
        let mut greeting = format!("*{}\r\n$9\r\nSUBSCRIBE\r\n", rooms + 1);
        for room in 0..rooms {
            let name = format!("room.{room}");
            greeting.push_str(&format!("${}\r\n{name}\r\n", name.len()));
        }
        greeting.into_bytes()
    },
    form: || Form {
        before: b"*3\r\n$7\r\nmessage\r\n$4\r\nroom\r\n$256\r\n".to_vec(),
        after: b"\r\n",
        aside: |input| known(input, &[(SUBSCRIBED, b"")]),
    },
    greet: Vec::new,
    before: || b"*3\r\n$7\r\nPUBLISH\r\n$4\r\nroom\r\n$256\r\n".to_vec(),
    after: b"\r\n",
};
