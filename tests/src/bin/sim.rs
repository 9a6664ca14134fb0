//! `make sim SEEDS=n FROM=s`: the simulator over many seeds.

use std::process::ExitCode;

use clap::Parser;
use folkmoot_tests::sim::failure;
use folkmoot_tests::sim::plan::{Cut, Plan};
use folkmoot_tests::sim::report::{json, table};
use folkmoot_tests::sim::run::{Campaign, History, campaign, elapsed};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

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
    /// Of each plan's faults only those at these places; none: "-".
    #[arg(long)]
    faults: Option<String>,
    /// Steps of each person.
    #[arg(long)]
    steps: Option<usize>,
    /// Take the product's safeguards out, one at a time, these or all, and see
    /// whether it is noticed.
    #[cfg(folkmoot_mutants)]
    #[arg(long, num_args = 0..)]
    mutants: Option<Vec<String>>,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

impl Options {
    fn cut(&self) -> anyhow::Result<Cut> {
        let places = |list: &String| match list.as_str() {
            "-" => Ok(Vec::new()),
            list => list.split(',').map(str::parse).collect(),
        };
        Ok(Cut {
            faults: self.faults.as_ref().map(places).transpose()?,
            steps: self.steps,
        })
    }
}

/// Times of log lines as they are in the trace.
struct Virtual;

impl FormatTime for Virtual {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{:.3}s", elapsed().as_secs_f64())
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    // `RUST_LOG=debug` shows what the nodes say; otherwise nothing, for nodes
    // complain a lot while they are being killed.
    if std::env::var_os("RUST_LOG").is_some() {
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::from_default_env())
            .with_writer(std::io::stderr)
            .with_timer(Virtual)
            .init();
    }
    #[cfg(folkmoot_mutants)]
    if let Some(names) = &options.mutants {
        return mutants(names);
    }
    let asked = Campaign {
        from: options.from,
        count: options.seeds,
        cut: options.cut()?,
    };
    let summary = campaign(&asked, |history| show(history, &options));
    if options.json {
        println!("{}", json(&summary));
    } else {
        print!("{}", table(&summary));
    }
    Ok(ExitCode::from(u8::from(!summary.is_good())))
}

#[cfg(folkmoot_mutants)]
fn mutants(names: &[String]) -> anyhow::Result<ExitCode> {
    use folkmoot_tests::sim::mutants::{all, line};
    // A mutant may well panic: that is one way to be caught.
    std::panic::set_hook(Box::new(|_| {}));
    println!("{:<42}{:<12} where", "without", "invariant");
    let tried = all(names, |tried| println!("{}", line(tried)))?;
    let missed = tried.iter().filter(|one| one.caught.is_none()).count();
    println!("mutants {}, not caught {missed}", tried.len());
    Ok(ExitCode::from(u8::from(missed > 0)))
}

fn show(history: &History, options: &Options) {
    if !options.json {
        println!("{history}");
    }
    if options.plan && history.findings.is_empty() {
        println!("{}", Plan::cut_down(history.seed, &history.cut));
    }
    if !history.findings.is_empty() {
        eprint!("{}", failure::report(history));
    }
}
