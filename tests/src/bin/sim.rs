//! `make sim SEEDS=n FROM=s`: the simulator over many seeds.

use std::process::ExitCode;

use clap::Parser;
use folkmoot_tests::sim::plan::Plan;
use folkmoot_tests::sim::run::{History, again, campaign};
use tracing_subscriber::EnvFilter;

/// Runs histories of a simulated cluster, each twice, and says what was wrong.
#[derive(Parser)]
struct Options {
    /// How many seeds.
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// The first one.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Print each seed's plan: what happens, and when.
    #[arg(long)]
    plan: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    // `RUST_LOG=debug` shows what the nodes say; otherwise nothing, for nodes
    // complain a lot while they are being killed.
    if std::env::var_os("RUST_LOG").is_some() {
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::from_default_env())
            .with_writer(std::io::stderr)
            .without_time()
            .init();
    }
    let summary = campaign(options.from, options.seeds, |history| {
        show(history, options.plan);
    });
    println!("seeds {}, violations {}", summary.seeds, summary.violations);
    ExitCode::from(u8::from(summary.violations > 0))
}

fn show(history: &History, plan: bool) {
    println!(
        "seed {:>6}  {}  {:>6} events  {:>4} of {:>4} acknowledged  {:>4} s virtual  {}",
        history.seed,
        history.hash,
        history.events.len(),
        history.acked,
        history.acts,
        history.took.as_secs(),
        if history.findings.is_empty() {
            "ok"
        } else {
            "WRONG"
        },
    );
    if plan || !history.findings.is_empty() {
        let plan = Plan::of(history.seed);
        println!("    {:?}", plan.shape);
        for fault in &plan.faults {
            println!("    {fault}");
        }
    }
    for finding in &history.findings {
        println!("    ! {finding}");
    }
    if !history.findings.is_empty() {
        println!("    again: {}", again(history.seed));
    }
}
