//! Real logs, replayed one act after the other: in each, one log for every
//! region, by people of all regions who do not wait for each other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use folkmoot_node::demo::regions;
use folkmoot_node::demo::replay::{Log, Observers, Pace, Replay};

use super::field::Field;
use super::lab::REGIONS;
use super::listeners::Listeners;
use crate::sim::draw::Draw;

/// What was replayed is with everybody within this time.
const SEEN: Duration = Duration::from_secs(120);

/// The logs that there are.
pub struct Library {
    files: Vec<PathBuf>,
    draw: Draw,
    acts: usize,
}

impl Library {
    /// The text files of a folder, or one file.
    ///
    /// # Errors
    /// When there are none.
    pub fn open(at: &Path, seed: u64) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        if at.is_file() {
            files.push(at.to_owned());
        } else {
            for entry in std::fs::read_dir(at).with_context(|| at.display().to_string())? {
                files.push(entry?.path());
            }
            files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
            files.sort();
        }
        if files.is_empty() {
            bail!("{} holds no logs (*.txt)", at.display());
        }
        Ok(Self {
            files,
            draw: Draw::of(seed, "logs"),
            acts: 0,
        })
    }

    fn next(&mut self) -> anyhow::Result<Vec<Log>> {
        self.acts += 1;
        let mut logs = Vec::new();
        for region in regions::NAMES.iter().take(REGIONS) {
            let file = self.draw.pick(&self.files).context("no logs")?;
            let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
            let stem = file.file_stem().unwrap_or_default().to_string_lossy();
            let name = format!("{}-{region}-{stem}", self.acts);
            logs.push(Log::of(name, &bytes));
        }
        Ok(logs)
    }
}

/// An act that is prepared.
pub struct Act {
    /// What is replayed.
    pub replay: Arc<Replay>,
    observers: Observers,
}

impl Act {
    /// Makes its groups and lets its observers in.
    ///
    /// # Errors
    /// When that fails.
    pub async fn prepare(
        field: &Field,
        library: &mut Library,
        listeners: &Arc<Listeners>,
    ) -> anyhow::Result<Self> {
        let cluster = Arc::new(field.cluster().await?);
        let mut replay = Replay::prepare(cluster, library.next()?).await?;
        let mut places = Vec::new();
        for region in regions::NAMES.iter().take(REGIONS) {
            let of_region: Vec<usize> = (replay.groups.iter())
                .map(|group| listeners.add(format!("the observer in {region}"), group.id))
                .collect();
            places.push(of_region);
        }
        let heard = Arc::clone(listeners);
        replay.listen = Some(Box::new(move |region, group, entry| {
            heard.heard(places[region][group], entry);
        }));
        let replay = Arc::new(replay);
        let observers = Observers::start(&replay).await?;
        Ok(Self { replay, observers })
    }

    /// Plays it to its end; gives what was wrong.
    ///
    /// # Errors
    /// When it does not come to its end.
    pub async fn play(&self) -> anyhow::Result<Vec<String>> {
        self.replay.run(&self.observers, Pace::Pipelined).await?;
        let mut wrong = self.replay.refused.lock().clone();
        if wrong.is_empty()
            && let Err(error) = self.observers.all_seen(&self.replay, SEEN).await
        {
            wrong.push(format!("{error:#}"));
        }
        Ok(wrong)
    }

    /// Its observers go.
    pub async fn end(self) -> Arc<Replay> {
        self.observers.close().await;
        self.replay
    }
}
