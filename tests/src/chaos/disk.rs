//! A node's disk: a small file system of its own, which can be filled, made
//! read-only, and damaged.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::shell;
use crate::sim::draw::Draw;

/// Size of a disk, in bytes.
const SIZE: u64 = 512 * 1024 * 1024;
/// What fills it.
const BALLAST: &str = "ballast";
const BLOCK: usize = 64 * 1024;

/// A disk.
#[derive(Debug)]
pub struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Makes and mounts one.
    ///
    /// # Errors
    /// What `mount` said.
    pub fn make(at: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&at)?;
        let size = format!("size={SIZE}");
        shell::run(
            "mount",
            &["-t", "tmpfs", "-o", &size, "none", &at.to_string_lossy()],
        )?;
        Ok(Self { at })
    }

    /// The node's data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.at.join("data")
    }

    /// Leaves no byte free.
    ///
    /// # Errors
    /// When writing fails in another way.
    pub fn fill(&self) -> anyhow::Result<()> {
        let mut file = File::create(self.at.join(BALLAST))?;
        let block = [0; BLOCK];
        let mut len = BLOCK;
        loop {
            match file.write(&block[..len]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull && len == 1 => return Ok(()),
                Err(error) if error.kind() == ErrorKind::StorageFull => len /= 2,
                Err(error) => return Err(error).context("filling a disk"),
            }
        }
    }

    /// Gives the room back.
    ///
    /// # Errors
    /// When it cannot.
    pub fn empty(&self) -> anyhow::Result<()> {
        fs::remove_file(self.at.join(BALLAST)).context("the ballast")
    }

    /// Nothing that is opened from now on can be written to; what is open can.
    ///
    /// # Errors
    /// What `mount` said.
    pub fn freeze(&self) -> anyhow::Result<()> {
        let at = self.at.to_string_lossy();
        shell::run("mount", &["--bind", &at, &at])?;
        shell::run("mount", &["-o", "remount,bind,ro", &at])?;
        Ok(())
    }

    /// Undoes [`freeze`](Self::freeze).
    ///
    /// # Errors
    /// What `umount` said.
    pub fn thaw(&self) -> anyhow::Result<()> {
        shell::run("umount", &["--lazy", &self.at.to_string_lossy()]).map(drop)
    }

    /// Flips bytes in one of the files of a store that does not run, and gives
    /// its name.
    ///
    /// # Errors
    /// When there is nothing to flip.
    pub fn flip(&self, draw: &mut Draw, times: usize) -> anyhow::Result<String> {
        let files = store_files(&self.data().join("db"))?;
        let path = draw.pick(&files).context("an empty store")?;
        for _ in 0..times {
            flip_in(path, draw)?;
        }
        let name = path.file_name().unwrap_or_default();
        Ok(name.to_string_lossy().into_owned())
    }

    /// Removes the node's data, as an operator does who joins it anew.
    ///
    /// # Errors
    /// When it cannot.
    pub fn wipe(&self) -> anyhow::Result<()> {
        fs::remove_dir_all(self.data()).context("the data folder")
    }
}

/// What holds records: tables, the log, and the list of both.
fn store_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(store_files(&path)?);
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let kinds = [".sst", ".log"];
        let records = kinds.iter().any(|kind| name.ends_with(kind)) || name.starts_with("MANIFEST");
        if records && path.metadata()?.len() > 0 {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// One byte, in the first half: what stands at the end may be a write that was
/// never acknowledged, which a store may drop.
fn flip_in(path: &Path, draw: &mut Draw) -> anyhow::Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let len = file.metadata()?.len();
    if len == 0 {
        bail!("{} is empty", path.display());
    }
    let at = draw.number() % len.div_ceil(2);
    let mut byte = [0];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut byte)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&[!byte[0]])?;
    Ok(())
}
