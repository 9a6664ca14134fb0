//! A cluster of three regions with the distances between them, and people in
//! it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use folkmoot_client::{Carrier, Client, Entries, Group, GroupId};
use folkmoot_node::demo::ports::Ports;
use folkmoot_node::demo::wan::{Carried, Proxy, Wan};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::node::{Cluster, Node, Running};
use super::people::connect;

pub const REGIONS: [&str; 3] = ["eu", "us", "ap"];
pub const EU: usize = 0;
pub const US: usize = 1;
pub const AP: usize = 2;
/// How many were made.
static CLUSTERS: AtomicU32 = AtomicU32::new(0);
/// What is to be heard is waited for this long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Addresses of a node, and what stands before them.
pub struct Site {
    at: Running,
    proxies: [Proxy; 2],
}

async fn site(wan: &Arc<Wan>, region: usize, ports: &mut Ports) -> Site {
    let mut free = || ports.free().expect("a port");
    let (listen, gossip, admin) = (free(), free(), free());
    wan.place(listen, region);
    wan.place(gossip, region);
    let quic = wan.proxy(Carried::Quic, region, listen).await;
    let packets = wan.proxy(Carried::Gossip, region, gossip).await;
    Site {
        at: Running {
            pid: 0,
            listen: listen.to_string(),
            gossip: gossip.to_string(),
            admin: admin.to_string(),
        },
        proxies: [quic.expect("a socket"), packets.expect("a socket")],
    }
}

/// Somebody at a node, who has the group open.
pub struct Person {
    pub client: Client,
    pub group: Group,
    entries: Entries,
}

impl Person {
    pub async fn new(node: &Node, nick: &str, id: GroupId) -> Self {
        let client = connect(node, nick, Carrier::Quic).await;
        let group = client.group(id);
        group.join(nick).await.expect("joined");
        let entries = group.entries().await.expect("active");
        Self {
            client,
            group,
            entries,
        }
    }

    /// Waits until it is committed.
    pub async fn say(&self, text: &str) {
        let said = timeout(PATIENCE, self.group.send(text)).await;
        said.expect("in time").expect("committed");
    }

    pub async fn hears(&mut self, text: &str) {
        loop {
            let entry = timeout(PATIENCE, self.entries.next()).await;
            let entry = entry.unwrap_or_else(|_| panic!("{text:?} is not heard"));
            if entry.expect("an entry").text().as_deref() == Some(text) {
                return;
            }
        }
    }
}

/// One node in each region, and what stands before them as long as it is kept.
pub fn cluster(runtime: &Runtime, wan: &Arc<Wan>, flags: &[&str]) -> (Cluster, Vec<Site>) {
    let sites: Vec<Site> = runtime.block_on(async {
        // Tests in one process take theirs from different places.
        let place = CLUSTERS.fetch_add(1, Ordering::Relaxed);
        let mut ports = Ports::new(std::process::id().wrapping_add(place));
        let mut sites = Vec::new();
        for region in 0..REGIONS.len() {
            sites.push(site(wan, region, &mut ports).await);
        }
        sites
    });
    let cluster = Cluster::start_at(&REGIONS, |place| {
        let Site { at, proxies } = &sites[place];
        let mut flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        flags.push(format!("--advertise={}", proxies[0].addr()));
        flags.push(format!("--advertise-gossip={}", proxies[1].addr()));
        (at.clone(), flags)
    });
    (cluster, sites)
}
