//! `running.json` in the data folder: the process and the addresses of a
//! node that runs, for whoever looks after it.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::{Addresses, Folder};

const NAME: &str = "running.json";

/// The file; it goes when this is dropped. A node that was killed leaves it
/// behind, with the number of a process that is no more.
#[derive(Debug)]
pub struct RunningFile(PathBuf);

impl RunningFile {
    /// Written when the node takes clients.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(folder: &Folder, at: &Addresses) -> anyhow::Result<Self> {
        let text = json!({
            "pid": std::process::id(),
            "listen": at.listen.to_string(),
            "gossip": at.gossip.to_string(),
            "admin": at.admin.to_string(),
        });
        // Moved into place, so that nobody reads half of it.
        let new = format!("{NAME}.new");
        folder.write(&new, &serde_json::to_vec_pretty(&text)?)?;
        let path = folder.path().join(NAME);
        fs::rename(folder.path().join(new), &path)?;
        Ok(Self(path))
    }
}

impl Drop for RunningFile {
    fn drop(&mut self) {
        // Nothing depends on its being gone.
        let _ = fs::remove_file(&self.0);
    }
}
