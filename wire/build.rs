//! Compiles the Protobuf schema with protox, so that no `protoc` is needed.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

const FILES: [&str; 7] = [
    "folkmoot/v1/entry.proto",
    "folkmoot/v1/command.proto",
    "folkmoot/v1/client.proto",
    "folkmoot/v1/node.proto",
    "folkmoot/v1/meta.proto",
    "folkmoot/v1/presence.proto",
    "folkmoot/v1/stored.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let set = protox::compile(FILES, ["proto"])?;

    // A list of every message, so that tests of hostile bytes miss none.
    let messages: Vec<&str> = set
        .file
        .iter()
        .flat_map(|file| &file.message_type)
        .map(|message| message.name())
        .collect();
    let list = format!("every_message!({});\n", messages.join(", "));
    fs::write(
        PathBuf::from(env::var("OUT_DIR")?).join("every_message.rs"),
        list,
    )?;

    prost_build::Config::new()
        // Bodies and sealed bytes are shared by reference count, never copied.
        .bytes(["."])
        .compile_fds(set)?;
    Ok(())
}
