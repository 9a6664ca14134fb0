//! A rolling restart with a changed binary.
//!
//! Without a second build the changed one is a copy in whose data the version
//! is another one of the same length; `--version` has to say so. Where the
//! compiler put the version into instructions, as in a node's status, it is
//! the old one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::field::{Field, PATIENCE};

/// The version of this build.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Restarts all nodes, one after the other, each when the one before it
/// serves again.
///
/// # Errors
/// When a node does not stop as it should, or not start.
pub async fn roll(field: &Field) -> anyhow::Result<String> {
    let now = field.binary();
    let next = field.change_binary();
    for machine in &field.machines {
        let status = machine.stop().await?;
        if !status.success() {
            bail!(
                "{} ended with {status}: {}",
                machine.name(),
                machine.last_words()
            );
        }
        machine.start(&next, &[])?;
        machine.becomes_ready(PATIENCE).await?;
        let runs = machine.runs()?;
        if runs != next {
            bail!("{} runs {}", machine.name(), runs.display());
        }
    }
    Ok(format!("{} to {}", version(&now)?, version(&next)?))
}

/// What a binary says that it is.
///
/// # Errors
/// When it does not run.
pub fn version(binary: &Path) -> anyhow::Result<String> {
    let output = Command::new(binary).arg("--version").output();
    let output = output.with_context(|| binary.display().to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_whitespace().last().context("no version")?;
    Ok(version.to_owned())
}

/// Makes a copy that reports another version.
///
/// # Errors
/// When the copy does not.
pub fn changed_copy(binary: &Path, to: PathBuf) -> anyhow::Result<PathBuf> {
    let other = another(VERSION)?;
    let mut bytes = fs::read(binary).with_context(|| binary.display().to_string())?;
    replace(&mut bytes, VERSION.as_bytes(), other.as_bytes());
    fs::write(&to, bytes)?;
    fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
    let says = version(&to)?;
    if says != other {
        bail!("the changed copy says that it is {says}: name a second build with --next");
    }
    Ok(to)
}

/// A version of the same length.
fn another(version: &str) -> anyhow::Result<String> {
    let (rest, last) = version.split_at(version.len() - 1);
    let digit: u32 = last.parse().context("a version that ends in no digit")?;
    Ok(format!("{rest}{}", (digit + 1) % 10))
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let part_of_another = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_digit() || *byte == b'.' || *byte == b'-')
    };
    let mut at = 0;
    while at + from.len() <= bytes.len() {
        let end = at + from.len();
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        if bytes[at..end] == *from && !part_of_another(before) && !part_of_another(bytes.get(end)) {
            bytes[at..end].copy_from_slice(to);
            at = end;
        } else {
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_version_is_replaced() {
        let mut bytes = *b"x0.1.0y 10.1.0 0.1.0.2 0.1.0";
        replace(&mut bytes, b"0.1.0", b"0.1.1");
        assert_eq!(&bytes, b"x0.1.1y 10.1.0 0.1.0.2 0.1.1");
    }

    #[test]
    fn another_version_is_as_long() {
        assert_eq!(another("0.1.0").expect("a version"), "0.1.1");
        assert_eq!(another("0.1.9").expect("a version"), "0.1.0");
        assert!(another("0.1.x").is_err());
    }
}
