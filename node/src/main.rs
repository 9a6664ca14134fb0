//! The `folkmoot` command.

use std::process::ExitCode;

/// A node makes and drops millions of small buffers a second.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    folkmoot_node::cli::main()
}
