//! NATS core: nothing is kept.

use std::path::PathBuf;

use anyhow::Context;
use async_trait::async_trait;
use folkmoot_node::demo::ports::Ports;

use super::plain::{Language, Plain, known};
use super::records::{Aside, Form};
use super::tls::Certificate;
use super::{Host, Product, Room, Setup, carrier, over};
use crate::peer::prepare_nats;
use crate::process::Server;

const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"rust\",\"version\":\"0\",\"protocol\":1}\r\n";

/// The host.
pub(crate) struct Nats {
    program: Option<PathBuf>,
    tls: bool,
}

impl Nats {
    pub(crate) fn new(program: Option<PathBuf>, tls: bool) -> Self {
        Self { program, tls }
    }
}

#[async_trait]
impl Product for Nats {
    fn name(&self) -> String {
        over("nats core", self.tls)
    }

    fn notes(&self) -> String {
        format!(
            "{}; no history, no order between publishers, no receipts, no accounts",
            carrier(self.tls)
        )
    }

    async fn prepare(&mut self) -> anyhow::Result<String> {
        let (program, version) = prepare_nats(self.program.take()).await?;
        self.program = Some(program);
        Ok(version)
    }
}

#[async_trait]
impl Host for Nats {
    async fn open(&self, setup: &Setup) -> anyhow::Result<Box<dyn Room>> {
        let program = self.program.as_ref().context("not prepared")?;
        let addr = Ports::new(std::process::id()).free()?;
        let config = setup.folder.join("nats.conf");
        let mut text = format!(
            "listen: \"{addr}\"\nmax_connections: {}\n",
            setup.listeners + 100
        );
        if self.tls {
            let Certificate { chain, key } = Certificate::make(&setup.folder)?;
            text.push_str(&format!(
                "tls {{ cert_file: \"{}\", key_file: \"{}\", handshake_first: true, timeout: 30 }}\n",
                chain.display(),
                key.display()
            ));
        }
        std::fs::write(&config, text)?;
        let args = ["--config".to_owned(), config.display().to_string()];
        let server = Server::start("nats", program, &args, &setup.folder, setup.core)?;
        let trust = self.tls.then(|| Certificate::trust(&setup.folder));
        Plain::room(server, addr, trust.transpose()?, setup, &LANGUAGE).await
    }
}

const LANGUAGE: Language = Language {
    login: |_| Vec::new(),
    listen: |_| format!("{CONNECT}SUB room 1\r\n").into_bytes(),
    idle: |_, rooms| {
        let subscribe = |room| format!("SUB room.{room} {room}\r\n");
        let all: String = (1..=rooms).map(subscribe).collect();
        format!("{CONNECT}{all}").into_bytes()
    },
    form: || Form {
        before: b"MSG room 1 256\r\n".to_vec(),
        after: b"\r\n",
        aside,
    },
    greet: || CONNECT.as_bytes().to_vec(),
    before: || b"PUB room 256\r\n".to_vec(),
    after: b"\r\n",
};

fn aside(input: &[u8]) -> anyhow::Result<Aside> {
    if input.starts_with(b"INFO ") {
        let end = input.iter().position(|byte| *byte == b'\n');
        return Ok(end.map_or(Aside::Part, |end| Aside::Skip(end + 1)));
    }
    known(input, &[(b"PING\r\n", b"PONG\r\n"), (b"INFO ", b"")])
}
