//! The keys of the configuration.

/// A key: its name, what it means, and its default in text ("" for none).
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// In TOML and flags (flags with `-` for `_`); in the environment
    /// `FOLKMOOT_` and capitals.
    pub name: &'static str,
    /// For `--help` and the reference.
    pub help: &'static str,
    /// In text.
    pub default: &'static str,
    /// May also be given as `<name>_file`: the path of a file with the value.
    pub secret: bool,
}

const fn key(name: &'static str, default: &'static str, help: &'static str) -> Key {
    Key {
        name,
        help,
        default,
        secret: false,
    }
}

const fn secret(name: &'static str, help: &'static str) -> Key {
    Key {
        name,
        help,
        default: "",
        secret: true,
    }
}

/// Every key.
pub const KEYS: &[Key] = &[
    key("data", "folkmoot-data", "folder of this node's data"),
    key(
        "name",
        "",
        "name of this node, for people; default: region and number",
    ),
    key("region", "local", "region this node stands in"),
    key(
        "listen",
        "127.0.0.1:7443",
        "address of QUIC (UDP) and HTTPS (TCP), for clients and nodes",
    ),
    key("gossip", "127.0.0.1:7444", "address of gossip (UDP)"),
    key(
        "admin",
        "127.0.0.1:7445",
        "address of the admin API and metrics (HTTP); keep it on loopback",
    ),
    key(
        "advertise",
        "",
        "host and port at which others reach `listen`; default: the same",
    ),
    key(
        "advertise_gossip",
        "",
        "host and port at which others reach `gossip`; default: the same",
    ),
    key(
        "join",
        "",
        "hosts and ports of nodes of the cluster to join, separated by commas",
    ),
    secret("token", "join token, from `folkmoot token create`"),
    key(
        "follow",
        "active",
        "which groups this node keeps in full: `active` (those its clients use) or `full`",
    ),
    key(
        "shards",
        "16",
        "shards of a region, when this node is its first",
    ),
    key(
        "survival_goal",
        "",
        "what the region's shards survive, when this node is its first: `node`, `region`, or \
         `topology`, which is `node` once the region has three nodes, else `region` once the \
         cluster has three regions; default: `topology`, or `node` where `voters` is given",
    ),
    key(
        "voters",
        "",
        "voters of each shard in the region, 1 or 3, when this node is its first; default: 3 once \
         the region has three nodes",
    ),
    key(
        "replace_after",
        "300",
        "seconds after which a voter that is gone is replaced, where there is a node for it",
    ),
    key(
        "authority_lease",
        "86400",
        "seconds after which a node that hears nothing from a group's home serves it no more",
    ),
    key(
        "follow_people",
        "off",
        "`on`: a group led here moves to the region where most of those sit who spoke in the last day",
    ),
    key(
        "issuer",
        "folkmoot",
        "issuer that clients' tokens must name",
    ),
    key(
        "audience",
        "folkmoot",
        "audience that clients' tokens must name",
    ),
    secret(
        "jwt_secret",
        "HS256 secret of clients' tokens; default: the cluster's own",
    ),
    key(
        "jwt_public_key",
        "",
        "Ed25519 public key of clients' tokens, base64url, instead of a secret",
    ),
    key(
        "certificate",
        "",
        "PEM file of the certificate shown to clients; default: self-signed",
    ),
    key("certificate_key", "", "PEM file of its key"),
    key(
        "log",
        "info,openraft=warn",
        "log filter, as `info` or `folkmoot_node=debug,info`",
    ),
    key("log_format", "text", "`text` or `json`"),
    key("swim", "wan", "gossip timing: `wan` or `lan`"),
    key(
        "sends_per_second",
        "2000",
        "messages a session may send per second, on average",
    ),
    key("sends_burst", "4000", "messages a session may send at once"),
    key(
        "window_ms",
        "50",
        "what is new in a group waits so long at most for more, in milliseconds; 0: nothing waits",
    ),
    key("window_entries", "10", "and for so many entries at most"),
    key("window_bytes", "4096", "and for so many bytes of them"),
];
