//! What was asked for.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;

use super::faults::{KINDS, Kind};

/// Breaks a cluster of nine real nodes in every way, under real clients, and
/// says whether anything was lost, doubled or turned round.
#[derive(Debug, Clone, Parser)]
#[command(name = "folkmoot-chaos")]
pub struct Options {
    /// How long faults are injected
    #[arg(long, default_value_t = 600)]
    pub seconds: u64,
    /// What is drawn, is drawn from it [default: another one each time]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// Keep the report, the nodes' logs and the groups' here
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Only these faults
    #[arg(long, value_delimiter = ',', value_name = "KINDS")]
    pub faults: Vec<Kind>,
    /// The node to try [default: the one built beside this]
    #[arg(long, value_name = "PATH")]
    pub node: Option<PathBuf>,
    /// Another build of it, for rolling restarts [default: a copy that is
    /// made to report another version]
    #[arg(long, value_name = "PATH")]
    pub next: Option<PathBuf>,
    /// Logs to replay: a file, or a folder of *.txt
    #[arg(long, value_name = "PATH")]
    pub logs: Option<PathBuf>,
    /// Delays between regions are so many times those of the real world
    #[arg(long, default_value_t = 0.2)]
    pub wan: f64,
}

impl Options {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn check(&self) -> anyhow::Result<()> {
        if !(0.0..=20.0).contains(&self.wan) {
            bail!("--wan is a number from 0 to 20");
        }
        if !(1..=86_400).contains(&self.seconds) {
            bail!("--seconds is between 1 and 86400");
        }
        Ok(())
    }

    /// How long faults are injected.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// The command that runs it once more with this seed.
    #[must_use]
    pub fn again(&self, seed: u64) -> String {
        let mut words = format!(
            "--seed {seed} --seconds {} --wan {}",
            self.seconds, self.wan
        );
        if !self.faults.is_empty() {
            let names: Vec<String> = self.faults.iter().map(Kind::to_string).collect();
            words.push_str(&format!(" --faults {}", names.join(",")));
        }
        let paths = [
            ("--node", &self.node),
            ("--next", &self.next),
            ("--logs", &self.logs),
        ];
        for (flag, path) in paths {
            if let Some(path) = path {
                words.push_str(&format!(" {flag} {}", path.display()));
            }
        }
        format!("make chaos CHAOS='{words}'")
    }

    /// The kinds of faults.
    #[must_use]
    pub fn kinds(&self) -> Vec<Kind> {
        match self.faults.is_empty() {
            true => KINDS.iter().map(|(kind, _)| *kind).collect(),
            false => self.faults.clone(),
        }
    }

    /// The node's binary.
    ///
    /// # Errors
    /// When there is none.
    pub fn binary(&self) -> anyhow::Result<PathBuf> {
        let path = match &self.node {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("folkmoot-under-test"),
        };
        let path = std::path::absolute(&path)?;
        if !path.is_file() {
            bail!(
                "there is no node at {}: build it, or name one with --node",
                path.display()
            );
        }
        Ok(path)
    }

    /// Where the logs are.
    ///
    /// # Errors
    /// When they are not there.
    pub fn library(&self) -> anyhow::Result<PathBuf> {
        let bundled = concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/irc");
        let path = self.logs.clone().unwrap_or_else(|| PathBuf::from(bundled));
        std::fs::canonicalize(&path).with_context(|| path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_it_again_means_the_same_run() {
        let asked = Options::parse_from([
            "folkmoot-chaos",
            "--seconds=30",
            "--wan=1.5",
            "--faults=kill,deaf",
            "--logs=some/logs",
            "--next=other/folkmoot",
        ]);
        let again = asked.again(7);
        let words = again.strip_prefix("make chaos CHAOS='");
        let words = words.and_then(|words| words.strip_suffix('\''));
        let words = words.expect("a command of make").split(' ');
        let then = Options::parse_from(["folkmoot-chaos"].into_iter().chain(words));
        let expected = Options {
            seed: Some(7),
            ..asked
        };
        assert_eq!(format!("{then:?}"), format!("{expected:?}"));
    }
}
