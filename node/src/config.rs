//! Configuration in layers: defaults < TOML file < `FOLKMOOT_` environment <
//! flags. Every key has one name in all of them. An unknown key is an error
//! that names the nearest known one.

mod error;
mod keys;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use folkmoot_wire::proto::SurvivalGoal;

use crate::edge::WindowOptions;
use crate::survival;

pub use error::ConfigError;
pub use keys::{KEYS, Key};

/// What is new in a group waits no longer for more, in milliseconds.
const WINDOW_MS_MAX: u32 = 1_000;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Value {
    text: String,
    origin: String,
}

/// A complete configuration.
#[derive(Clone)]
pub struct Config {
    values: BTreeMap<&'static str, Value>,
}

impl fmt::Debug for Config {
    /// Secrets are never shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for key in KEYS {
            if let Some(value) = self.values.get(key.name) {
                let shown = if key.secret { "(secret)" } else { &value.text };
                map.entry(&key.name, &shown);
            }
        }
        map.finish()
    }
}

/// The layers to put together, lowest first.
#[derive(Debug, Default)]
pub struct Layers {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// Flags, by key.
    pub flags: Vec<(&'static str, String)>,
}

impl Config {
    /// Puts the layers together.
    ///
    /// # Errors
    /// On unknown keys, files that cannot be read, and values that do not fit.
    pub fn load(layers: Layers) -> Result<Self, ConfigError> {
        let mut config = Self {
            values: BTreeMap::new(),
        };
        for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
            config.set(key, key.default.to_owned(), "default".to_owned());
        }
        if let Some(path) = &layers.file {
            config.file(path)?;
        }
        for (name, text) in layers.environment {
            if let Some(name) = name.strip_prefix("FOLKMOOT_") {
                config.entry(&name.to_lowercase(), text, format!("FOLKMOOT_{name}"))?;
            }
        }
        for (name, text) in layers.flags {
            config.entry(name, text, format!("--{}", name.replace('_', "-")))?;
        }
        config.check()?;
        Ok(config)
    }

    fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let origin = path.display().to_string();
        let text = read(path)?;
        let table: toml::Table =
            text.parse()
                .map_err(|error: toml::de::Error| ConfigError::File {
                    path: origin.clone(),
                    reason: error.to_string(),
                })?;
        for (name, value) in table {
            let text = match value {
                toml::Value::String(text) => text,
                toml::Value::Array(items) => items
                    .iter()
                    .map(|item| {
                        item.as_str()
                            .map_or_else(|| item.to_string(), str::to_owned)
                    })
                    .collect::<Vec<_>>()
                    .join(","),
                other => other.to_string(),
            };
            self.entry(&name, text, origin.clone())?;
        }
        Ok(())
    }

    fn entry(&mut self, name: &str, text: String, origin: String) -> Result<(), ConfigError> {
        if let Some(key) = KEYS.iter().find(|key| key.name == name) {
            self.set(key, text, origin);
            return Ok(());
        }
        let by_file = name
            .strip_suffix("_file")
            .and_then(|name| KEYS.iter().find(|key| key.secret && key.name == name));
        if let Some(key) = by_file {
            let value = read(Path::new(&text))?.trim().to_owned();
            self.set(key, value, origin);
            return Ok(());
        }
        Err(ConfigError::Unknown {
            origin,
            key: name.to_owned(),
            nearest: nearest(name),
        })
    }

    fn set(&mut self, key: &'static Key, text: String, origin: String) {
        self.values.insert(key.name, Value { text, origin });
    }

    fn check(&self) -> Result<(), ConfigError> {
        for name in ["listen", "gossip", "admin"] {
            self.addr(name)?;
        }
        for name in ["advertise", "advertise_gossip"] {
            if !self.optional(name).is_none_or(is_host_port) {
                return Err(self.wrong(name, "a host and a port, as chat.example.org:7443"));
            }
        }
        self.joins()?;
        self.one_of("follow", &["active", "full"], "`active` or `full`")?;
        self.one_of("log_format", &["text", "json"], "`text` or `json`")?;
        self.one_of("swim", &["wan", "lan"], "`wan` or `lan`")?;
        self.survive()?;
        self.number("shards")?;
        self.number("replace_after")?;
        self.number("authority_lease")?;
        self.one_of("follow_people", &["on", "off"], "`on` or `off`")?;
        self.sends()?;
        self.window()?;
        Ok(())
    }

    /// The text of a key; empty when it was not given.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.values.get(name).map_or("", |value| &value.text)
    }

    /// The text of a key, when it is not empty.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// Whether a key was given, and not by its default.
    #[must_use]
    pub fn is_given(&self, name: &str) -> bool {
        self.values
            .get(name)
            .is_some_and(|value| value.origin != "default")
    }

    /// A socket address.
    ///
    /// # Errors
    /// When it is none.
    pub fn addr(&self, name: &'static str) -> Result<SocketAddr, ConfigError> {
        self.text(name)
            .parse()
            .map_err(|_| self.wrong(name, "an address and a port, as 127.0.0.1:7443"))
    }

    /// The nodes to join through, each as `host:port`.
    ///
    /// # Errors
    /// When one of them is not of that form.
    pub fn joins(&self) -> Result<Vec<String>, ConfigError> {
        self.text("join")
            .split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(|text| {
                is_host_port(text)
                    .then(|| text.to_owned())
                    .ok_or_else(|| self.wrong("join", "a list of hosts with ports"))
            })
            .collect()
    }

    /// A whole number.
    ///
    /// # Errors
    /// When it is none.
    pub fn number(&self, name: &'static str) -> Result<u32, ConfigError> {
        self.text(name)
            .parse()
            .map_err(|_| self.wrong(name, "a whole number"))
    }

    /// What the region's shards are to survive, and how many voters each of them
    /// gets in the region; 0: as many as it has nodes for.
    ///
    /// # Errors
    /// When either is none of what it may be.
    pub fn survive(&self) -> Result<(SurvivalGoal, u32), ConfigError> {
        let voters = match self.text("voters") {
            "" => 0,
            "1" => 1,
            "3" => 3,
            _ => return Err(self.wrong("voters", "1 or 3")),
        };
        let goal = match self.text("survival_goal") {
            "" if voters > 0 => SurvivalGoal::Node,
            "" => SurvivalGoal::Topology,
            name => survival::named(name)
                .ok_or_else(|| self.wrong("survival_goal", survival::EXPECTED))?,
        };
        Ok((goal, voters))
    }

    /// Messages a session may send per second and at once.
    ///
    /// # Errors
    /// When one of them is no number above 0.
    pub fn sends(&self) -> Result<(u32, u32), ConfigError> {
        Ok((
            self.above_zero("sends_per_second")?,
            self.above_zero("sends_burst")?,
        ))
    }

    /// How what is new in a group is gathered before it is delivered.
    ///
    /// # Errors
    /// When the time is more than a second, or nothing fits in.
    pub fn window(&self) -> Result<WindowOptions, ConfigError> {
        let time = self.number("window_ms")?;
        if time > WINDOW_MS_MAX {
            return Err(self.wrong("window_ms", "a whole number of at most 1000"));
        }
        Ok(WindowOptions {
            time: Duration::from_millis(time.into()),
            entries: self.above_zero("window_entries")? as usize,
            bytes: self.above_zero("window_bytes")? as usize,
        })
    }

    fn above_zero(&self, name: &'static str) -> Result<u32, ConfigError> {
        match self.number(name)? {
            0 => Err(self.wrong(name, "a whole number above 0")),
            number => Ok(number),
        }
    }

    fn one_of(
        &self,
        name: &'static str,
        allowed: &[&str],
        expected: &'static str,
    ) -> Result<(), ConfigError> {
        if allowed.contains(&self.text(name)) {
            Ok(())
        } else {
            Err(self.wrong(name, expected))
        }
    }

    fn wrong(&self, name: &'static str, expected: &'static str) -> ConfigError {
        let value = self.values.get(name);
        ConfigError::Value {
            origin: value.map_or_else(String::new, |value| value.origin.clone()),
            key: name,
            value: value.map_or_else(String::new, |value| value.text.clone()),
            expected,
        }
    }
}

/// A name or an address, and a port; an IPv6 address in brackets.
fn is_host_port(text: &str) -> bool {
    text.parse::<SocketAddr>().is_ok()
        || text.rsplit_once(':').is_some_and(|(host, port)| {
            let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            !host.is_empty() && host.chars().all(letters) && port.parse::<u16>().is_ok()
        })
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| ConfigError::File {
        path: path.display().to_string(),
        reason: error.to_string(),
    })
}

/// The known key that is most like `name`, if one is like it at all.
fn nearest(name: &str) -> Option<&'static str> {
    KEYS.iter()
        .map(|key| (strsim::jaro_winkler(name, key.name), key.name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
