//! The `folkmoot-bench` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    folkmoot_bench::cli::main()
}
