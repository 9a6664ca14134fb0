//! Where the demo keeps its nodes.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A folder that goes when the demo ends, unless it was asked for by name.
#[derive(Debug)]
pub(super) struct DemoFolder {
    path: PathBuf,
    kept: bool,
}

impl DemoFolder {
    /// The folder `named`, which must be new or empty, or a temporary one.
    pub(super) fn make(named: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = named {
            fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
            if fs::read_dir(path)?.next().is_some() {
                bail!(
                    "{} is not empty: the demo needs a folder of its own",
                    path.display()
                );
            }
            return Ok(Self {
                path: path.canonicalize()?,
                kept: true,
            });
        }
        let base = std::env::temp_dir();
        for _ in 0..16 {
            let path = base.join(format!("folkmoot-demo-{:08x}", rand::random::<u32>()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path, kept: false }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("making {}", path.display()));
                }
            }
        }
        bail!("no new folder can be made in {}", base.display())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            eprintln!("{} could not be removed: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_folder_goes_and_a_named_one_stays() {
        let temporary = DemoFolder::make(None).expect("a folder");
        let path = temporary.path().to_owned();
        fs::write(path.join("x"), "x").expect("written");
        drop(temporary);
        assert!(!path.exists());
        let outer = tempfile::tempdir().expect("a folder");
        let named = outer.path().join("a/b");
        drop(DemoFolder::make(Some(&named)).expect("a folder"));
        assert!(named.exists());
        fs::write(named.join("x"), "x").expect("written");
        assert!(DemoFolder::make(Some(&named)).is_err());
    }
}
