//! The command line.

mod chat;
mod groups;
mod leave;
pub mod log;
mod offline;
mod regions;
mod shards;
mod start;
mod table;
mod views;

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use folkmoot_wire::limits;
use serde_json::Value;

use crate::config::KEYS;

/// Runs the command of this process.
#[must_use]
pub fn main() -> ExitCode {
    // Fails only when a provider is set already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let matches = command().get_matches();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("folkmoot: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&matches)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("folkmoot: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command() -> Command {
    Command::new("folkmoot")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Group chat whose nodes stand in many regions")
        .long_about(
            "Folkmoot is a self-hosted backend for group chat. `folkmoot start` runs a complete \
             one-node cluster for development; `folkmoot init` makes a real one, and \
             `folkmoot start --join` adds nodes to it. The other commands ask a running node over \
             its admin address.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(
            Arg::new("at_admin")
                .long("at-admin")
                .global(true)
                .env("FOLKMOOT_AT_ADMIN")
                .default_value("127.0.0.1:7445")
                .help("Admin address of the node to ask"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .global(true)
                .action(ArgAction::SetTrue)
                .help("Print JSON instead of tables"),
        )
        .subcommand(configured(Command::new("start").about(
            "Start a node: the one in the data folder, one that joins, or a development cluster",
        )))
        .subcommand(configured(Command::new("init").about(
            "Make a new cluster: its CA, its first region and this node. Once",
        )))
        .subcommand(Command::new("status").about("What the node is and how it is"))
        .subcommand(offline::commands(leave::commands(listing(
            "node",
            "The nodes of the cluster",
        ))))
        .subcommand(regions::commands(listing(
            "region",
            "The regions of the cluster",
        )))
        .subcommand(shards::commands(listing(
            "shard",
            "The shards, as the asked node sees them",
        )))
        .subcommand(groups::command())
        .subcommand(
            Command::new("token")
                .about("Join tokens")
                .subcommand_required(true)
                .subcommand(
                    Command::new("create")
                        .about("Make a join token (single use) and print the command that uses it")
                        .arg(
                            Arg::new("seconds")
                                .long("seconds")
                                .value_parser(
                                    clap::value_parser!(u64)
                                        .range(1..=limits::JOIN_TOKEN_TTL.as_secs()),
                                )
                                .default_value("3600")
                                .help("How long it is good for, at most an hour"),
                        )
                        .arg(
                            Arg::new("region")
                                .long("region")
                                .default_value("")
                                .help("Only for this region"),
                        ),
                ),
        )
        .subcommand(log::command())
        .subcommand(chat::command())
        .subcommand(crate::demo::command())
}

fn configured(mut command: Command) -> Command {
    command = command.arg(
        Arg::new("config")
            .long("config")
            .value_name("FILE")
            .env("FOLKMOOT_CONFIG")
            .help("TOML file"),
    );
    for key in KEYS {
        let long: &'static str = Box::leak(key.name.replace('_', "-").into_boxed_str());
        let help = if key.default.is_empty() {
            key.help.to_owned()
        } else {
            format!("{} [default: {}]", key.help, key.default)
        };
        command = command.arg(Arg::new(key.name).long(long).help(help));
    }
    command
}

fn listing(name: &'static str, about: &'static str) -> Command {
    Command::new(name)
        .about(about)
        .subcommand_required(true)
        .subcommand(Command::new("ls").about("List them"))
}

async fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let api = Api::new(matches)?;
    match matches.subcommand() {
        Some(("start", args)) => start::start(args).await,
        Some(("init", args)) => start::init(args),
        Some(("status", _)) => views::status(&api).await,
        Some(("node", args)) => match offline::run(api.json, args) {
            Some(done) => done,
            None => leave::run(&api, args).await,
        },
        Some(("region", args)) => regions::run(&api, args).await,
        Some(("shard", args)) => shards::run(&api, args).await,
        Some(("group", args)) => groups::run(&api, args).await,
        Some(("token", args)) => views::token(&api, args).await,
        Some(("log", args)) => log::run(&api, args).await,
        Some(("chat", args)) => chat::run(&api, args).await,
        Some(("demo", args)) => crate::demo::run(args, api.json).await,
        _ => bail!("unknown command"),
    }
}

/// The admin API of a node, as the commands ask it.
pub struct Api {
    base: String,
    addr: SocketAddr,
    http: reqwest::Client,
    /// Print JSON.
    pub json: bool,
}

impl Api {
    fn new(matches: &ArgMatches) -> anyhow::Result<Self> {
        let addr: SocketAddr = matches
            .get_one::<String>("at_admin")
            .context("--at-admin")?
            .parse()
            .context("--at-admin is an address and a port, as 127.0.0.1:7445")?;
        Self::at(addr, matches.get_flag("json"))
    }

    /// The admin API at an address.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn at(addr: SocketAddr, json: bool) -> anyhow::Result<Self> {
        Ok(Self {
            base: format!("http://{addr}"),
            addr,
            http: reqwest::Client::builder().no_proxy().build()?,
            json,
        })
    }

    /// Asks.
    ///
    /// # Errors
    /// With what the node answered, or how to reach one.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.answer(self.http.get(format!("{}{path}", self.base)))
            .await
    }

    /// Asks for something to be done.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.answer(self.http.post(format!("{}{path}", self.base)).json(body))
            .await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let response = request.send().await.map_err(|error| {
            anyhow::anyhow!(
                "no node answers at {} ({error}); start one with `folkmoot start`, or name another with --at-admin",
                self.addr
            )
        })?;
        let failed = !response.status().is_success();
        let body: Value = response.json().await.context("the answer is no JSON")?;
        if failed {
            bail!(
                "{}",
                body["error"]["message"]
                    .as_str()
                    .unwrap_or("the node refused")
            );
        }
        Ok(body)
    }
}
