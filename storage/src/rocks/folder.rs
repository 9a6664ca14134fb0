//! The folder of a store: whose it is, which format, and who has it open.
//!
//! `FORMAT` says what the folder is and is written before anything else,
//! `LOCK` is locked as long as a process has the store open, `data/` is
//! RocksDB's.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::StoreError;

/// The store format that this build writes. It reads all before it:
/// 1: until groups could move; 2: shards may keep guests ([`crate::keys::guests`]);
/// 3: a shard may have fewer slots than it was made with; 4: members' rows have
/// an index; 5: rows may be of changes without entries, which a build before
/// would take for earlier than they are; 6: members' rows may say where a cursor
/// began, which a build before would leave out when it writes them anew.
pub const FORMAT_VERSION: u32 = 6;

const FORMAT: &str = "FORMAT";
const FORMAT_NEW: &str = "FORMAT.new";
const LOCK: &str = "LOCK";
const DATA: &str = "data";
const MAGIC: &str = "folkmoot store ";

/// A folder that is ours and locked until this is dropped.
pub(super) struct Folder {
    path: PathBuf,
    _lock: Option<File>,
}

impl Folder {
    /// Takes the folder for writing; makes it a store when it is empty or not
    /// there.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(path)
            .map_err(|e| StoreError::io(format!("create the folder {}", path.display()), &e))?;
        match read_format(path)? {
            Some(text) => drop(check_format(path, &text)?),
            None => check_empty(path)?,
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(LOCK))
            .map_err(|e| StoreError::io(format!("open {}", path.join(LOCK).display()), &e))?;
        locked(path, file.try_lock())?;
        // Between the look and the lock another process may have made it a
        // store; then its format stands, unless it is an older one.
        let version = match read_format(path)? {
            Some(text) => check_format(path, &text)?,
            None => 0,
        };
        if version < FORMAT_VERSION {
            write_format(path)
                .map_err(|e| StoreError::io(format!("write in {}", path.display()), &e))?;
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: Some(file),
        })
    }

    /// Takes the folder for reading; writes nothing, not even a lock file.
    pub(super) fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        let missing = || StoreError::Missing {
            path: path.to_owned(),
        };
        if !path.is_dir() {
            return Err(missing());
        }
        let Some(text) = read_format(path)? else {
            check_empty(path)?;
            return Err(missing());
        };
        check_format(path, &text)?;
        let lock = match File::open(path.join(LOCK)) {
            Ok(file) => {
                locked(path, file.try_lock_shared())?;
                Some(file)
            }
            // A copy of a folder, say: nothing to lock.
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                return Err(StoreError::io(
                    format!("open {}", path.join(LOCK).display()),
                    &error,
                ));
            }
        };
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// RocksDB's part of it.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join(DATA)
    }
}

fn locked(path: &Path, result: Result<(), TryLockError>) -> Result<(), StoreError> {
    match result {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(StoreError::io(
            format!("lock {}", path.join(LOCK).display()),
            &error,
        )),
    }
}

fn read_format(path: &Path) -> Result<Option<String>, StoreError> {
    match fs::read(path.join(FORMAT)) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io(
            format!("read {}", path.join(FORMAT).display()),
            &error,
        )),
    }
}

/// The version of a format that this build reads.
fn check_format(path: &Path, text: &str) -> Result<u32, StoreError> {
    let Some(version) = text.trim_end().strip_prefix(MAGIC) else {
        return Err(StoreError::Foreign {
            path: path.to_owned(),
            found: FORMAT.into(),
        });
    };
    match version.parse::<u32>() {
        Ok(version @ 1..=FORMAT_VERSION) => Ok(version),
        Ok(0) | Err(_) => Err(StoreError::Corrupt {
            detail: format!("{} says {text:?}", path.join(FORMAT).display()),
        }),
        Ok(_) => Err(StoreError::NewerFormat {
            path: path.to_owned(),
            found: version.to_owned(),
            supported: FORMAT_VERSION,
        }),
    }
}

/// Refuses a folder that holds what is not ours. What a first start that was
/// cut short leaves is ours, and so is what file systems put into their roots.
fn check_empty(path: &Path) -> Result<(), StoreError> {
    let read = |e: std::io::Error| StoreError::io(format!("read {}", path.display()), &e);
    for item in fs::read_dir(path).map_err(read)? {
        let name = item.map_err(read)?.file_name();
        if ![LOCK, FORMAT_NEW, "lost+found"]
            .iter()
            .any(|ours| name == *ours)
        {
            return Err(StoreError::Foreign {
                path: path.to_owned(),
                found: name.to_string_lossy().into_owned(),
            });
        }
    }
    Ok(())
}

/// Writes the format so that it is there whole or not at all.
fn write_format(path: &Path) -> std::io::Result<()> {
    let new = path.join(FORMAT_NEW);
    let mut file = File::create(&new)?;
    writeln!(file, "{MAGIC}{FORMAT_VERSION}")?;
    file.sync_all()?;
    fs::rename(&new, path.join(FORMAT))?;
    File::open(path)?.sync_all()?;
    match path.parent() {
        // The folder's own name must last as well.
        Some(parent) if parent.is_dir() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}
