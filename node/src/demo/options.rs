//! The flags of `folkmoot demo`.

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use folkmoot_wire::limits;

use super::replay::Log;
use super::{crowd, irc, orchestra, regions};

/// Nodes of one region at most.
const PER_REGION_MAX: u64 = 8;

/// The command, for the command line.
#[must_use]
pub fn command() -> Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    let value = |name: &'static str, of: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(of).help(help)
    };
    Command::new("demo")
        .about("Start regions with wide-area delays on this machine, replay a channel in them, show a page")
        .long_about(
            "Starts several regions as real processes on this machine, with wide-area delays \
             between them, and replays logs of a real channel: each log becomes a group, each \
             speaker a user at one region, half of them over QUIC and half over WebSocket. Prints \
             the address of a page with one pane for each region. A node that is killed is started \
             again. Ctrl-C stops everything and leaves nothing behind.",
        )
        .arg(flag("headless", "No page"))
        .arg(
            value("regions", "N", "How many regions")
                .default_value("3")
                .value_parser(value_parser!(u64).range(1..=regions::NAMES.len() as u64)),
        )
        .arg(
            value("nodes-per-region", "M", "How many nodes in each")
                .default_value("1")
                .value_parser(value_parser!(u64).range(1..=PER_REGION_MAX)),
        )
        .arg(
            value("replay", "FILE", "Logs to replay, each as a group [default: one that is built in]")
                .num_args(1..)
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            value("export", "DIR", "With --exit: write DIR/<region>/<group>.jsonl, read from the stopped nodes' folders, and DIR/report.json")
                .requires("exit")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(flag("exit", "After the replay stop, check every region's log, and exit with 0 only if all are whole and the same"))
        .arg(flag("pipelined", "Speakers do not wait for each other, only for themselves"))
        .arg(
            value("wan", "SCALE", "Delays are so many times as long; 0: none")
                .default_value("1")
                .value_parser(value_parser!(f64)),
        )
        .arg(
            value("data", "DIR", "Keep the nodes' folders and logs here [default: a temporary folder]")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            value("port", "PORT", "Port of the page; 0: any")
                .default_value("0")
                .value_parser(value_parser!(u16)),
        )
        .arg(
            value("shards", "N", "Shards of each region")
                .default_value("4")
                .value_parser(value_parser!(u32).range(1..=64)),
        )
        .arg(
            value("members", "N", "A large group besides, that so many people come into; some of them talk and read [default: none]")
                .value_parser(value_parser!(u32).range(1..=i64::from(limits::MEMBER_CAP_MAX - crowd::ROOM))),
        )
        .arg(
            value("as-node", "PID", "Internal: become a node of the demo with this process id")
                .hide(true)
                .value_parser(value_parser!(u32)),
        )
        .arg(Arg::new("node").last(true).num_args(0..).hide(true))
}

/// When this process is to be a node of a demo: it becomes one, or fails.
pub(super) fn as_node(args: &ArgMatches) -> Option<anyhow::Error> {
    let demo = *args.get_one::<u32>("as-node")?;
    let node: Vec<String> = args.get_many("node").unwrap_or_default().cloned().collect();
    Some(orchestra::become_node(demo, &node))
}

/// What was asked for.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) headless: bool,
    pub(super) regions: usize,
    pub(super) per_region: usize,
    pub(super) files: Vec<PathBuf>,
    pub(super) export: Option<PathBuf>,
    pub(super) exit: bool,
    pub(super) pipelined: bool,
    pub(super) wan: f64,
    pub(super) data: Option<PathBuf>,
    pub(super) port: u16,
    pub(super) shards: u32,
    pub(super) members: Option<u32>,
}

impl Options {
    pub(super) fn of(args: &ArgMatches) -> anyhow::Result<Self> {
        let count = |name: &str| args.get_one::<u64>(name).map_or(1, |n| *n as usize);
        let path = |name: &str| args.get_one::<PathBuf>(name).cloned();
        let wan = args.get_one::<f64>("wan").copied().unwrap_or(1.0);
        if !(0.0..=20.0).contains(&wan) {
            bail!("--wan is a number from 0 to 20");
        }
        Ok(Self {
            headless: args.get_flag("headless"),
            regions: count("regions"),
            per_region: count("nodes-per-region"),
            files: args
                .get_many("replay")
                .unwrap_or_default()
                .cloned()
                .collect(),
            export: path("export"),
            exit: args.get_flag("exit"),
            pipelined: args.get_flag("pipelined"),
            wan,
            data: path("data"),
            port: args.get_one::<u16>("port").copied().unwrap_or(0),
            shards: args.get_one::<u32>("shards").copied().unwrap_or(4),
            members: args.get_one::<u32>("members").copied(),
        })
    }

    /// What people say in the large group: what they said in the log that is
    /// built in.
    pub(super) fn lines() -> Vec<String> {
        let said = irc::events(irc::BUILT_IN).filter_map(|event| match event {
            irc::Event::Message { text, .. } if !text.is_empty() => Some(text),
            _ => None,
        });
        said.collect()
    }

    /// The logs to replay, as scripts.
    pub(super) fn logs(&self) -> anyhow::Result<Vec<Log>> {
        if self.files.is_empty() {
            return Ok(vec![Log::of(irc::BUILT_IN_NAME.to_owned(), irc::BUILT_IN)]);
        }
        let mut names = HashSet::new();
        let mut logs = Vec::new();
        for file in &self.files {
            let bytes =
                std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
            let stem = file.file_stem().unwrap_or(file.as_os_str());
            let stem = stem.to_string_lossy().into_owned();
            let mut name = stem.clone();
            for number in 2.. {
                if names.insert(name.clone()) {
                    break;
                }
                name = format!("{stem}-{number}");
            }
            logs.push(Log::of(name, &bytes));
        }
        Ok(logs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> anyhow::Result<Options> {
        let args = std::iter::once("demo").chain(args.iter().copied());
        Options::of(&command().try_get_matches_from(args)?)
    }

    #[test]
    fn defaults_replay_the_log_that_is_built_in() {
        let options = options(&[]).expect("defaults");
        assert_eq!(
            (options.regions, options.per_region, options.wan),
            (3, 1, 1.0)
        );
        let logs = options.logs().expect("a log");
        assert_eq!((logs.len(), logs[0].name.as_str()), (1, "2010-03-08"));
        assert!(logs[0].lines > 1_000 && logs[0].script.steps.len() > 1_000);
        assert!(options.members.is_none() && Options::lines().len() > 500);
    }

    #[test]
    fn files_of_one_name_become_groups_of_different_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let (a, b) = (folder.path().join("x.txt"), folder.path().join("x.log"));
        for path in [&a, &b] {
            std::fs::write(path, "[11:11] <a> b\n").expect("written");
        }
        let (a, b) = (a.display().to_string(), b.display().to_string());
        let options = options(&["--headless", "--replay", &a, &b, "--exit"]).expect("options");
        let names: Vec<String> = options
            .logs()
            .expect("logs")
            .into_iter()
            .map(|log| log.name)
            .collect();
        assert_eq!(names, ["x", "x-2"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for args in [
            &["--regions", "0"][..],
            &["--regions", "9"],
            &["--wan", "-1"],
            &["--wan", "NaN"],
            &["--export", "x"],
            &["--replay"],
            &["--members", "0"],
            &["--members", "1000000"],
        ] {
            assert!(options(args).is_err(), "{args:?}");
        }
    }

    #[test]
    fn a_nodes_own_flags_are_passed_on_untouched() {
        let args = [
            "demo",
            "--as-node",
            "7",
            "--",
            "start",
            "--data=x",
            "--regions=y",
        ];
        let matches = command().try_get_matches_from(args).expect("flags");
        let node: Vec<&String> = matches.get_many("node").expect("a node").collect();
        assert_eq!(node, ["start", "--data=x", "--regions=y"]);
    }
}
