//! The `folkmoot-bench` command, built for the tests of this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    folkmoot_bench::cli::main()
}
