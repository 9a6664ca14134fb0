//! The servers' folder.

use std::path::Path;

/// A folder that goes when the run ends.
pub(crate) struct Clean<'a>(pub(crate) &'a Path);

impl Drop for Clean<'_> {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(self.0) {
            eprintln!("{} could not be removed: {error}", self.0.display());
        }
    }
}
