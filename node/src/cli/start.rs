//! `start` and `init`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::ArgMatches;
use clap::parser::ValueSource;
use tokio::signal::unix::{SignalKind, signal};

use crate::admin::{self, Admin};
use crate::boot::{self, Kind};
use crate::config::{Config, KEYS, Layers};
use crate::http;

/// Puts the configuration together from a command's flags.
pub(super) fn config(args: &ArgMatches) -> anyhow::Result<Config> {
    let flags = KEYS
        .iter()
        .filter(|key| args.value_source(key.name) == Some(ValueSource::CommandLine))
        .filter_map(|key| {
            let text = args.get_one::<String>(key.name)?;
            Some((key.name, text.clone()))
        })
        .collect();
    let environment = std::env::vars()
        .filter(|(name, _)| !matches!(name.as_str(), "FOLKMOOT_CONFIG" | "FOLKMOOT_AT_ADMIN"))
        .collect();
    Ok(Config::load(Layers {
        file: args.get_one::<String>("config").map(PathBuf::from),
        environment,
        flags,
    })?)
}

fn trace(config: &Config) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(config.text("log")).context("log")?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if config.text("log_format") == "json" {
        builder.json().init();
    } else {
        builder.init();
    }
    Ok(())
}

pub(super) fn init(args: &ArgMatches) -> anyhow::Result<()> {
    let config = config(args)?;
    let identity = boot::init(&config, Kind::Cluster)?;
    println!(
        "cluster {} made, with region {} and this node in {}\nstart it with: folkmoot start --data {}",
        identity.cluster,
        identity.region,
        config.text("data"),
        config.text("data"),
    );
    Ok(())
}

pub(super) async fn start(args: &ArgMatches) -> anyhow::Result<()> {
    let config = config(args)?;
    trace(&config)?;
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder()?;
    crate::metrics::describe();
    let (running, http) = boot::start(&config).await?;
    let running = Arc::new(running);
    let https = http::serve(http.https, &running.certificate, Arc::clone(&running.node))?;
    let shared = Admin {
        running: Arc::clone(&running),
        metrics: Some(recorder),
    };
    let admin_task = admin::serve(http.admin, Arc::new(shared))?;
    let file = running.file()?;
    tracing::info!(
        node = running.identity.node,
        region = running.identity.region,
        listen = %running.at.listen,
        gossip = %running.at.gossip,
        admin = %running.at.admin,
        "node started"
    );
    if running.identity.kind == Kind::Development {
        tracing::warn!(
            "this is a development cluster of one node on loopback; it takes no other nodes. \
             For a real one: folkmoot init"
        );
        development_token(&running);
    }
    let outcome = tokio::select! {
        outcome = until_end(&running) => outcome,
        () = running.keep_certificate(config) => Ok(()),
    };
    drop(file);
    https.stop().await;
    admin_task.abort();
    let closed = running.node.shutdown(outcome.is_ok()).await;
    // Why it stopped comes first: with a failed disk closing fails too.
    outcome?;
    Ok(closed?)
}

/// Waits for a signal to stop, or for what the node cannot go on after.
async fn until_end(running: &boot::Running) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        biased;
        reason = running.failed() => {
            tracing::error!(reason, "the node stops: it cannot keep what it would acknowledge");
            anyhow::bail!("the node stopped: {reason}")
        }
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    Ok(())
}

fn development_token(running: &boot::Running) {
    use crate::edge::{Grant, SigningKey, issue};
    use crate::ports::{Clock, SystemClock};
    let Some(secret) = &running.jwt_secret else {
        return;
    };
    let grant = Grant {
        subject: "developer",
        issuer: &running.issuer,
        audience: &running.audience,
        expires_ms: SystemClock.wall_ms() + 24 * 3_600_000,
        ..Grant::default()
    };
    let key = SigningKey::Hs256(secret.as_bytes().to_vec());
    if let Ok(token) = issue(&key, boot::CLUSTER_KEY, &grant) {
        eprintln!(
            "\nWARNING: a development token, good for a day, for user `developer`:\n{token}\n"
        );
    }
}
