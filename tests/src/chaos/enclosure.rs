//! Namespaces of its own, in which all of it happens: networks, mounts and
//! processes go with them when the run ends, is killed or crashes.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::shell;

/// Set inside.
const INSIDE: &str = "FOLKMOOT_CHAOS_INSIDE";
/// Names another libfaketime.
const FAKETIME: &str = "FOLKMOOT_LIBFAKETIME";
/// Programs that are needed, and Debian's packages with them.
const PROGRAMS: [(&str, &str); 6] = [
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
    ("umount", "mount"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
];

/// Makes sure that this process runs inside; outside it becomes one that does.
///
/// # Errors
/// With what is missing, and what to do.
pub fn enter() -> anyhow::Result<()> {
    if std::env::var_os(INSIDE).is_some() {
        return furnish();
    }
    check_programs()?;
    faketime()?;
    let flags = flags();
    shell::run("unshare", &[&flags[..], &["true"]].concat()).map_err(refused)?;
    let this = std::env::current_exe().context("the path of this program")?;
    let error = Command::new("unshare")
        .args(&flags)
        .arg(this)
        .args(std::env::args_os().skip(1))
        .env("PATH", std::env::join_paths(folders())?)
        .env(INSIDE, "1")
        .exec();
    Err(error).context("running unshare")
}

/// Without root a user namespace comes first, in which this is root.
fn flags() -> Vec<&'static str> {
    let mut flags = vec![
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ];
    if !rustix::process::geteuid().is_root() {
        flags.insert(0, "--map-root-user");
    }
    flags
}

fn refused(error: anyhow::Error) -> anyhow::Error {
    error.context(
        "chaos needs namespaces of networks, mounts and processes, and may not make them here. \
         Run it as root, or let users make namespaces (sysctl kernel.unprivileged_userns_clone=1, \
         and on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0), or give the container \
         CAP_SYS_ADMIN and CAP_NET_ADMIN (--privileged)",
    )
}

/// Where programs are looked for: users often lack the system's folders.
fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).collect()
}

fn check_programs() -> anyhow::Result<()> {
    let folders = folders();
    for (program, package) in PROGRAMS {
        if !folders.iter().any(|folder| folder.join(program).is_file()) {
            bail!("chaos needs `{program}`, which is not in PATH: apt-get install {package}");
        }
    }
    Ok(())
}

/// The library through which a node's clock is set.
///
/// # Errors
/// When there is none.
pub fn faketime() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os(FAKETIME) {
        return Ok(PathBuf::from(path));
    }
    let name = "faketime/libfaketimeMT.so.1";
    let roots = [Path::new("/usr/lib"), Path::new("/usr/local/lib")];
    for root in roots {
        let below = std::fs::read_dir(root).into_iter().flatten().flatten();
        let folders = below.map(|entry| entry.path()).chain([root.to_owned()]);
        if let Some(found) = folders.map(|f| f.join(name)).find(|path| path.is_file()) {
            return Ok(found);
        }
    }
    bail!(
        "chaos needs libfaketime to set the nodes' clocks: apt-get install faketime, or name its \
         libfaketimeMT.so.1 with {FAKETIME}"
    )
}

/// Mounts that would otherwise be shared with everybody: `ip netns` keeps its
/// namespaces in `/run`, and libfaketime what it shares in `/dev/shm`, under
/// process numbers that mean something else outside.
fn furnish() -> anyhow::Result<()> {
    for at in ["/run", "/dev/shm"] {
        shell::run("mount", &["-t", "tmpfs", "none", at])?;
    }
    Ok(())
}
