//! The one order that everybody has to see. An entry's chain covers all entries
//! before it: two who were shown the same chain at a seq were shown the same log
//! up to there.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::{Context, bail};
use folkmoot_crdt::hlc::Hlc;
use folkmoot_wire::entry::{Chain, chain_from};
use folkmoot_wire::proto::SealedEntry;

/// What was shown of a log behind a place in it, to whomever.
#[derive(Debug)]
pub(super) struct Order {
    base: u64,
    /// From the base's own on.
    chains: Vec<Option<Chain>>,
}

/// Entries that are as they have to be.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    /// The seq of the first.
    pub(super) from: u64,
    /// When each was put in its place: milliseconds since 1970, by its home.
    pub(super) sequenced: Arc<[u64]>,
}

impl Batch {
    /// The seq of the last.
    pub(super) fn to(&self) -> u64 {
        self.from + self.sequenced.len() as u64 - 1
    }
}

impl Order {
    /// The log behind the entry `base` with this chain.
    pub(super) fn new(base: u64, chain: Chain) -> Self {
        Self {
            base,
            chains: vec![Some(chain)],
        }
    }

    /// Takes entries that somebody was shown.
    ///
    /// # Errors
    /// When they do not follow from one another, or somebody was shown others.
    pub(super) fn take(&mut self, entries: &[SealedEntry]) -> anyhow::Result<Batch> {
        let mut batch: Option<(u64, Vec<u64>)> = None;
        for entry in entries {
            let header = entry.decode_header().context("a header")?;
            let (from, times) = batch.get_or_insert_with(|| (header.seq, Vec::new()));
            if header.seq != *from + times.len() as u64 {
                bail!("seq {} in a batch from {from}", header.seq);
            }
            times.push(Hlc::from_u64(header.hlc).millis());
            self.take_one(header.seq, entry)?;
        }
        let (from, times) = batch.context("nothing was delivered")?;
        Ok(Batch {
            from,
            sequenced: times.into(),
        })
    }

    fn take_one(&mut self, seq: u64, entry: &SealedEntry) -> anyhow::Result<()> {
        let place = seq.checked_sub(self.base).filter(|place| *place > 0);
        let place = place.with_context(|| format!("seq {seq} was there before"))? as usize;
        if self.chains.len() <= place {
            self.chains.resize(place + 1, None);
        }
        let chain = chain_from(&entry.chain)?;
        match &self.chains[place] {
            Some(known) if *known == chain => return Ok(()),
            Some(_) => bail!("two orders: somebody was shown another entry {seq}"),
            None => {}
        }
        if let Some(before) = &self.chains[place - 1] {
            entry.verify(before, seq)?;
        }
        self.chains[place] = Some(chain);
        Ok(())
    }

    /// The chain of an entry that was shown.
    pub(super) fn chain(&self, seq: u64) -> Option<&Chain> {
        let place = seq.checked_sub(self.base)?;
        self.chains.get(place as usize)?.as_ref()
    }
}
