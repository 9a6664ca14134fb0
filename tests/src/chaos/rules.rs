//! What a node's packet filter drops, as nftables reads it.

use std::fmt::Write;

/// What is dropped. Loopback never is: the wide area stands in front of the
/// node in its own namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Networks from which nothing comes in.
    pub deaf_to: Vec<String>,
    /// Networks to which nothing goes out.
    pub mute_to: Vec<String>,
    /// Networks with which so many of a hundred packets are lost, each way.
    pub lossy: Option<(Vec<String>, u32)>,
    /// Clients' packets (those to and from the service port) are dropped.
    pub no_clients: Option<(String, u16)>,
}

impl Rules {
    /// The whole ruleset, in place of the one before.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::from("table inet chaos\ndelete table inet chaos\n");
        if *self == Self::default() {
            return text;
        }
        text.push_str("table inet chaos {\n");
        self.chain(&mut text, "in", "input", "iifname", "saddr", &self.deaf_to);
        self.chain(
            &mut text,
            "out",
            "output",
            "oifname",
            "daddr",
            &self.mute_to,
        );
        text.push_str("}\n");
        text
    }

    fn chain(
        &self,
        text: &mut String,
        name: &str,
        hook: &str,
        by: &str,
        side: &str,
        dropped: &[String],
    ) {
        // Writing to a string cannot fail.
        let mut line = |words: String| {
            let _ = writeln!(text, "{words}");
        };
        line(format!("chain {name} {{"));
        line(format!(
            "type filter hook {hook} priority 0; policy accept;"
        ));
        for net in dropped {
            line(format!("{by} \"eth0\" ip {side} {net} drop"));
        }
        if let Some((nets, percent)) = &self.lossy {
            for net in nets {
                line(format!(
                    "{by} \"eth0\" ip {side} {net} numgen random mod 100 < {percent} drop"
                ));
            }
        }
        if let Some((people, port)) = &self.no_clients {
            let end = if hook == "input" { "dport" } else { "sport" };
            for protocol in ["tcp", "udp"] {
                line(format!(
                    "{by} \"eth0\" ip {side} {people} {protocol} {end} {port} drop"
                ));
            }
        }
        line("}".to_owned());
    }
}

#[cfg(test)]
mod tests;
