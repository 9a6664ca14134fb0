//! The network: a bridge, and one namespace for each node, joined by a pair of
//! virtual interfaces. The people stand at the bridge.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use super::rules::Rules;
use super::shell;

const BRIDGE: &str = "moot";
/// Where the people are.
const PEOPLE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Regions.
pub const REGIONS: usize = 3;
/// Nodes of each.
pub const PER_REGION: usize = 3;

/// A node's place in the network.
#[derive(Debug, Clone)]
pub struct Space {
    /// Name of the namespace: that of the node.
    pub name: String,
    /// Its region.
    pub region: usize,
    /// Its address.
    pub ip: Ipv4Addr,
}

/// The network of a region.
#[must_use]
pub fn net_of(region: usize) -> String {
    format!("10.77.{}.0/24", region + 1)
}

/// Makes what all stand at.
///
/// # Errors
/// What `ip` said.
pub fn build() -> anyhow::Result<()> {
    ip(&format!("link add {BRIDGE} type bridge"))?;
    ip("link set lo up")?;
    ip(&format!("link set {BRIDGE} up"))?;
    ip(&format!("addr add {PEOPLE}/16 dev {BRIDGE}"))
}

fn ip(words: &str) -> anyhow::Result<()> {
    let words: Vec<&str> = words.split(' ').collect();
    shell::run("ip", &words).map(drop)
}

impl Space {
    /// Makes the namespace of a region's node and joins it to the bridge.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn make(name: &str, region: usize, number: usize) -> anyhow::Result<Self> {
        let host = u8::try_from(number)?;
        let space = Self {
            name: name.to_owned(),
            region,
            ip: Ipv4Addr::new(10, 77, u8::try_from(region + 1)?, host),
        };
        let outer = format!("v-{name}");
        ip(&format!("netns add {name}"))?;
        ip(&format!(
            "link add {outer} type veth peer name eth0 netns {name}"
        ))?;
        ip(&format!("link set {outer} master {BRIDGE} up"))?;
        space.ip(&format!("addr add {}/32 dev eth0", space.ip))?;
        space.ip("link set lo up")?;
        space.ip("link set eth0 up")?;
        space.ip("route add 10.77.0.0/24 dev eth0")?;
        (0..REGIONS).try_for_each(|to| space.set_route(to, true))?;
        Ok(space)
    }

    fn ip(&self, words: &str) -> anyhow::Result<()> {
        ip(&format!("-n {} {words}", self.name))
    }

    /// Gives it the route to a region, or takes it away.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn set_route(&self, to: usize, there: bool) -> anyhow::Result<()> {
        let what = if there { "replace" } else { "del" };
        self.ip(&format!("route {what} {} dev eth0", net_of(to)))
    }

    /// The file that stands for the namespace.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// Sets what its packet filter drops.
    ///
    /// # Errors
    /// What `nft` said.
    pub fn filter(&self, rules: &Rules) -> anyhow::Result<()> {
        shell::feed_inside(&self.file(), "nft", &["-f", "-"], &rules.text())
    }
}
