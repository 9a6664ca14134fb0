//! In a file: an append-only log of records, written anew when most of it is
//! settled.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::record::{decode, encode};
use super::{LocalStore, Record, Saved, StoreError};

/// The file begins with this; the number is the format's version.
const MAGIC: &[u8] = b"folkmoot client store 1\n";
/// Below this size the file is not written anew.
const COMPACT_BYTES: u64 = 1024 * 1024;
/// It is written anew when it has so many bytes for one that is needed.
const COMPACT_FACTOR: u64 = 4;

/// Keeps records in a file. One client at a time can use it.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    inner: Option<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: File,
    saved: Saved,
    len: u64,
    compact_at: u64,
}

impl FileStore {
    /// The store in the file `path`, made when it is not there.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            inner: None,
        }
    }
}

#[async_trait]
impl LocalStore for FileStore {
    async fn load(&mut self) -> Result<Saved, StoreError> {
        let path = self.path.clone();
        // An earlier load is let go first: it holds the lock.
        self.inner = None;
        let inner = blocking(&self.path, move || Inner::open(path)).await?;
        let saved = inner.saved.clone();
        self.inner = Some(inner);
        Ok(saved)
    }

    async fn append(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        let Some(mut inner) = self.inner.take() else {
            return Err(StoreError::Failed {
                path: self.path.display().to_string(),
            });
        };
        // Fail-stop: after an error the store stays without its file.
        let inner = blocking(&self.path, move || {
            inner.append(records)?;
            Ok(inner)
        })
        .await?;
        self.inner = Some(inner);
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::Failed {
            path: path.display().to_string(),
        }),
    }
}

impl Inner {
    fn open(path: PathBuf) -> Result<Self, StoreError> {
        let fail = |what| failed(&path, what);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = private(&mut options).open(&path).map_err(fail("open it"))?;
        lock(&path, &file)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(fail("read it"))?;
        // A file that was made and not begun is an empty store.
        let is_begun = bytes.len() >= MAGIC.len();
        if !bytes.starts_with(&MAGIC[..bytes.len().min(MAGIC.len())]) {
            return Err(StoreError::Foreign {
                path: path.display().to_string(),
            });
        }
        let decoded = decode(Bytes::from(bytes.split_off(if is_begun {
            MAGIC.len()
        } else {
            bytes.len()
        })));
        if decoded.damaged {
            return Err(StoreError::Damaged {
                path: path.display().to_string(),
                at: (MAGIC.len() + decoded.whole) as u64,
            });
        }
        let mut saved = Saved::default();
        decoded
            .records
            .into_iter()
            .for_each(|record| saved.apply(record));
        let mut inner = Self {
            file,
            saved,
            len: 0,
            compact_at: 0,
            path,
        };
        // Also cuts off a torn end.
        inner.compact()?;
        Ok(inner)
    }

    fn append(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        let sync = records.iter().any(Record::needs_sync);
        let mut bytes = BytesMut::new();
        for record in records {
            encode(&record, &mut bytes);
            self.saved.apply(record);
        }
        let fail = |what| failed(&self.path, what);
        self.file.write_all(&bytes).map_err(fail("write to it"))?;
        if sync {
            self.file.sync_data().map_err(fail("sync it"))?;
        }
        self.len += bytes.len() as u64;
        if self.len >= self.compact_at {
            self.compact()?;
        }
        Ok(())
    }

    /// Writes what is needed to a new file, and puts it in the old one's place.
    fn compact(&mut self) -> Result<(), StoreError> {
        let mut bytes = BytesMut::from(MAGIC);
        for record in self.saved.records() {
            encode(&record, &mut bytes);
        }
        let mut next = self.path.clone().into_os_string();
        next.push(".new");
        let next = PathBuf::from(next);
        let fail = |what| failed(&next, what);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let mut file = private(&mut options).open(&next).map_err(fail("open it"))?;
        // Locked before it gets its name, so that nobody comes in between.
        lock(&next, &file)?;
        file.write_all(&bytes).map_err(fail("write to it"))?;
        file.sync_all().map_err(fail("sync it"))?;
        std::fs::rename(&next, &self.path).map_err(fail("rename it"))?;
        sync_folder(&self.path).map_err(fail("sync its folder"))?;
        file.seek(SeekFrom::End(0)).map_err(fail("seek in it"))?;
        self.file = file;
        self.len = bytes.len() as u64;
        self.compact_at = (self.len * COMPACT_FACTOR).max(COMPACT_BYTES);
        Ok(())
    }
}

fn failed(path: &Path, what: &'static str) -> impl Fn(io::Error) -> StoreError {
    move |error| StoreError::Io {
        path: path.display().to_string(),
        what,
        reason: error.to_string(),
    }
}

fn lock(path: &Path, file: &File) -> Result<(), StoreError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            path: path.display().to_string(),
        }),
        Err(TryLockError::Error(error)) => Err(failed(path, "lock it")(error)),
    }
}

/// Messages are private: only the owner may read the file.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
