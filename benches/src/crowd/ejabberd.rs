//! ejabberd: XMPP's rooms (XEP-0045), by anonymous users.

use std::path::{Path, PathBuf};

use anyhow::Context;
use async_trait::async_trait;
use folkmoot_node::demo::ports::Ports;

use super::plain::{Language, Plain};
use super::records::{Aside, Form};
use super::{Host, Product, Room, Setup, carrier};
use crate::process::Server;

const WHERE: &str = "no ejabberd: `apt-get install ejabberd`, or leave it out with --only";

/// The host.
#[derive(Default)]
pub(crate) struct Ejabberd {
    /// Where Debian has its code and Erlang's libraries.
    libraries: Option<PathBuf>,
}

/// A folder of libraries that has it, and its version.
fn find() -> anyhow::Result<Option<(PathBuf, String)>> {
    for folder in std::fs::read_dir("/usr/lib")? {
        let folder = folder?.path();
        if !folder.to_string_lossy().ends_with("-linux-gnu") {
            continue;
        }
        for entry in std::fs::read_dir(&folder)? {
            let name = entry?.file_name();
            let version = name
                .to_str()
                .and_then(|name| name.strip_prefix("ejabberd-"));
            if let Some(version) = version.filter(|version| !version.contains('-')) {
                return Ok(Some((folder, version.to_owned())));
            }
        }
    }
    Ok(None)
}

#[async_trait]
impl Product for Ejabberd {
    fn name(&self) -> String {
        "ejabberd MUC".to_owned()
    }

    fn notes(&self) -> String {
        format!(
            "{}; anonymous users, presence_broadcast none, history_size 0, no mod_mam, all shapers none; order in a room, no receipts",
            carrier(false)
        )
    }

    async fn prepare(&mut self) -> anyhow::Result<String> {
        let (libraries, version) = find()?.context(WHERE)?;
        self.libraries = Some(libraries);
        Ok(version)
    }
}

#[async_trait]
impl Host for Ejabberd {
    async fn open(&self, setup: &Setup) -> anyhow::Result<Box<dyn Room>> {
        let libraries = self.libraries.as_ref().context("not prepared")?;
        let addr = Ports::new(std::process::id()).free()?;
        let config = setup.folder.join("ejabberd.yml");
        std::fs::write(&config, configuration(addr.port(), setup.listeners + 100))?;
        // Its own script would become another user, who has another folder.
        let args = [
            environment(&config, &setup.folder, libraries),
            [
                "erl", "+K", "true", "+P", "250000", "-noinput", "-mnesia", "dir",
            ]
            .map(str::to_owned)
            .to_vec(),
            vec![format!("\"{}\"", setup.folder.join("spool").display())],
            ["-s", "ejabberd"].map(str::to_owned).to_vec(),
        ]
        .concat();
        let env = PathBuf::from("/usr/bin/env");
        let server = Server::start("ejabberd", &env, &args, &setup.folder, setup.core)?;
        Plain::room(server, addr, None, setup, &LANGUAGE).await
    }
}

/// The environment that it is told by where everything is.
fn environment(config: &Path, folder: &Path, libraries: &Path) -> Vec<String> {
    vec![
        format!("EJABBERD_CONFIG_PATH={}", config.display()),
        format!("EJABBERD_LOG_PATH={}", folder.join("e.log").display()),
        format!("ERL_CRASH_DUMP={}", folder.join("crash.dump").display()),
        format!("HOME={}", folder.display()),
        format!("ERL_LIBS={}", libraries.display()),
        "ERL_MAX_PORTS=65536".to_owned(),
    ]
}

fn configuration(port: u16, users: usize) -> String {
    format!(
        "hosts: [localhost]
loglevel: error
auth_method: [anonymous]
anonymous_protocol: sasl_anon
listen:
  - port: {port}
    ip: 127.0.0.1
    module: ejabberd_c2s
    access: all
    shaper: none
modules:
  mod_muc:
    host: {ROOMS}
    access: all
    access_create: all
    history_size: 0
    max_users: {users}
    max_user_conferences: 1000
    min_message_interval: 0
    min_presence_interval: 0
    room_shaper: none
    user_message_shaper: none
    user_presence_shaper: none
    default_room_options:
      presence_broadcast: []
      mam: false
      max_users: {users}
      logging: false
      persistent: false
"
    )
}

const ROOMS: &str = "conference.localhost";
const OPEN: &str = "<?xml version='1.0'?><stream:stream to='localhost' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
const FEATURES: &str = "</stream:features>";

fn login(who: &str) -> Vec<(String, &'static str)> {
    let anonymous =
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>".to_owned();
    let bind = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>".to_owned();
    vec![
        (OPEN.to_owned(), FEATURES),
        (anonymous, "<success"),
        (OPEN.to_owned(), FEATURES),
        (bind, "</iq>"),
        // The subject is the last that one is told who comes.
        (enter("room", who), "<subject"),
    ]
}

fn enter(room: &str, who: &str) -> String {
    format!(
        "<presence to='{room}@{ROOMS}/{who}'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>"
    )
}

const BODY: &[u8] = b"<body>";

/// All that is not a message's text: stanzas say to whom they are, so each
/// listener's are others.
fn aside(input: &[u8]) -> anyhow::Result<Aside> {
    let body = input.windows(BODY.len()).position(|window| window == BODY);
    let skipped = body.unwrap_or_else(|| {
        let begun = (1..BODY.len()).rfind(|len| input.ends_with(&BODY[..*len]));
        input.len() - begun.unwrap_or(0)
    });
    Ok(match skipped {
        0 => Aside::Part,
        len => Aside::Skip(len),
    })
}

const LANGUAGE: Language = Language {
    login,
    listen: |_| Vec::new(),
    idle: |number, rooms| {
        let who = format!("idler-{number}");
        let entered = (0..rooms).map(|room| enter(&format!("room-{room}"), &who));
        entered.collect::<String>().into_bytes()
    },
    form: || Form {
        before: BODY.to_vec(),
        after: b"</body></message>",
        aside,
    },
    greet: Vec::new,
    before: || format!("<message to='room@{ROOMS}' type='groupchat'><body>").into_bytes(),
    after: b"</body></message>",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_around_a_text_is_passed_over() {
        let stanza = b"<presence/><message to='a@b/r'><body>";
        assert_eq!(aside(stanza).unwrap(), Aside::Skip(31));
        assert_eq!(aside(b"<message to='a'><bo").unwrap(), Aside::Skip(16));
        assert_eq!(aside(b"<subject/></message>").unwrap(), Aside::Skip(20));
        assert_eq!(aside(b"<").unwrap(), Aside::Part);
    }
}
