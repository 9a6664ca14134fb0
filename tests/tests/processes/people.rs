//! People of a test: clients of the Rust SDK.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use folkmoot_client::{Carrier, Client, ClientBuilder, Group, GroupId, UserId};

use super::node::{Node, Running};

/// Looks at something that is to come, and the time between them. How many
/// it takes is never judged.
const LOOKS: usize = 1_200;
const PAUSE: Duration = Duration::from_millis(100);

pub fn runtime() -> tokio::runtime::Runtime {
    // Fails only when a provider is set already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Runtime::new().expect("a runtime")
}

fn edge(builder: ClientBuilder, at: &Running, carrier: Carrier) -> ClientBuilder {
    let status = at.get("/v1/status").expect("a status");
    let builder = builder
        .edge(at.listen.clone())
        .trust_fingerprint(status["certificate"].as_str().expect("a certificate"));
    match carrier {
        Carrier::WebSocket => builder.only_websocket(),
        _ => builder.only_quic(),
    }
}

/// Connects `subject` to a node.
pub async fn connect(node: &Node, subject: &str, carrier: Carrier) -> Client {
    let builder = edge(Client::builder(), &node.at, carrier);
    let client = builder.token(node.at.token(subject)).connect().await;
    client.expect("a session")
}

/// Makes a group of Ann's at home in `region`; its id in text too.
pub fn make_group(node: &Node, name: &str, region: &str) -> (GroupId, String) {
    let group = super::node::until("a home for the group", || {
        let owner = ["--owner", "ann", "--nick", "Ann"];
        let made = [&["group", "create", name, "--region", region], &owner[..]].concat();
        let made = node.ask(&made);
        made.status.success().then(|| super::node::json(&made))
    });
    let text = group["group"].as_str().expect("an id").to_owned();
    (text.parse().expect("an id"), text)
}

/// Says one line after the other until told to stop; gives them.
pub async fn talk(
    client: Client,
    group: GroupId,
    name: String,
    stop: Arc<AtomicBool>,
) -> Vec<String> {
    let mut said = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let text = format!("{name} {}", said.len());
        let sent = client.group(group).send(text.clone()).await;
        sent.expect("said");
        said.push(text);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    said
}

/// The cursor of a user as another's edge knows it; waits until it is there.
pub async fn cursor_of(group: &Group, user: UserId, seq: u64) {
    for _ in 0..LOOKS {
        let seen = group.cursors(&[user]).await.expect("an answer");
        if seen
            .cursors
            .iter()
            .any(|held| held.cursor.is_some_and(|cursor| cursor.seq >= seq))
        {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("the cursor of {user} does not reach {seq}");
}
