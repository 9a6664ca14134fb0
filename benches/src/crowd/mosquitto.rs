//! Mosquitto: MQTT 3.1.1 with QoS 0.

use std::path::PathBuf;

use anyhow::Context;
use async_trait::async_trait;
use folkmoot_node::demo::ports::Ports;

use super::plain::{Language, Plain, known};
use super::records::Form;
use super::tls::Certificate;
use super::{Host, Product, Room, Setup, carrier, over};
use crate::load::payload::PAYLOAD;
use crate::process::Server;

const TOPIC: &[u8] = b"room";
/// CONNACK: accepted. SUBACK of packet 1 with QoS 0.
const CONNECTED: &[u8] = &[0x20, 2, 0, 0];
const SUBSCRIBED: &[u8] = &[0x90, 3, 0, 1, 0];

/// The host.
pub(crate) struct Mosquitto {
    program: PathBuf,
    tls: bool,
}

impl Mosquitto {
    pub(crate) fn new(program: Option<PathBuf>, tls: bool) -> Self {
        // Debian keeps it where only root looks.
        let usual = PathBuf::from("/usr/sbin/mosquitto");
        let fallback = match usual.exists() {
            true => usual,
            false => PathBuf::from("mosquitto"),
        };
        Self {
            program: program.unwrap_or(fallback),
            tls,
        }
    }
}

#[async_trait]
impl Product for Mosquitto {
    fn name(&self) -> String {
        over("mosquitto", self.tls)
    }

    fn notes(&self) -> String {
        format!(
            "{}; QoS 0, set_tcp_nodelay, max_queued_messages 0; no history, no receipts; who is slow loses messages",
            carrier(self.tls)
        )
    }

    async fn prepare(&mut self) -> anyhow::Result<String> {
        // It says its version with its usage, and calls that a failure.
        let shown = tokio::process::Command::new(&self.program)
            .arg("-h")
            .output()
            .await
            .context("no mosquitto: `apt-get install mosquitto`, or --mosquitto PATH, or leave it out with --only")?;
        let said = String::from_utf8_lossy(&shown.stdout).into_owned();
        let mut words = said
            .split_whitespace()
            .skip_while(|word| *word != "version");
        Ok(words.nth(1).unwrap_or("unknown").to_owned())
    }
}

#[async_trait]
impl Host for Mosquitto {
    async fn open(&self, setup: &Setup) -> anyhow::Result<Box<dyn Room>> {
        let addr = Ports::new(std::process::id()).free()?;
        let config = setup.folder.join("mosquitto.conf");
        // Started by root, it would become somebody who may not read the folder.
        let mut text = format!(
            "user root\nset_tcp_nodelay true\npersistence false\nmax_queued_messages 0\n\
             listener {} 127.0.0.1\nallow_anonymous true\nmax_connections -1\n",
            addr.port()
        );
        if self.tls {
            let Certificate { chain, key } = Certificate::make(&setup.folder)?;
            text.push_str(&format!(
                "certfile {}\nkeyfile {}\n",
                chain.display(),
                key.display()
            ));
        }
        std::fs::write(&config, text)?;
        let args = ["-c".to_owned(), config.display().to_string()];
        let server = Server::start("mosquitto", &self.program, &args, &setup.folder, setup.core)?;
        let trust = self.tls.then(|| Certificate::trust(&setup.folder));
        Plain::room(server, addr, trust.transpose()?, setup, &LANGUAGE).await
    }
}

/// CONNECT with a clean session and no keep-alive.
fn connect(client: &str) -> Vec<u8> {
    let head = [0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0];
    let len = head.len() + 2 + client.len();
    let mut packet = vec![0x10, len as u8];
    packet.extend(head);
    packet.extend((client.len() as u16).to_be_bytes());
    packet.extend(client.as_bytes());
    packet
}

fn subscribe(topic: &[u8]) -> Vec<u8> {
    let len = 2 + 2 + topic.len() + 1;
    let mut packet = vec![0x82, len as u8, 0, 1];
    packet.extend((topic.len() as u16).to_be_bytes());
    packet.extend(topic);
    packet.push(0);
    packet
}

/// All of a PUBLISH but the payload.
fn publish() -> Vec<u8> {
    let len = 2 + TOPIC.len() + PAYLOAD;
    // Seven bits a byte, the least first.
    let mut packet = vec![0x30, (len % 128) as u8 | 0x80, (len / 128) as u8];
    packet.extend((TOPIC.len() as u16).to_be_bytes());
    packet.extend(TOPIC);
    packet
}

const LANGUAGE: Language = Language {
    login: |_| Vec::new(),
    listen: |number| [connect(&format!("listener-{number}")), subscribe(TOPIC)].concat(),
    idle: |number, rooms| {
        let mut greeting = connect(&format!("idler-{number}"));
        for room in 0..rooms {
            greeting.extend(subscribe(format!("room.{room}").as_bytes()));
        }
        greeting
    },
    form: || Form {
        before: publish(),
        after: b"",
        aside: |input| known(input, &[(CONNECTED, b""), (SUBSCRIBED, b"")]),
    },
    greet: || connect("speaker"),
    before: publish,
    after: b"",
};
