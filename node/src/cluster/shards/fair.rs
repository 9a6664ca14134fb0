//! A bounded queue that is fair: whoever puts more into it than others has the
//! longer wait, and is the first who is refused.
//!
//! Flows take turns by deficit round robin (Shreedhar and Varghese, "Efficient
//! Fair Queuing using Deficit Round Robin", 1995). When the queue is full, the
//! last of the longest flow gives way (Suter et al., "Design considerations for
//! supporting TCP with per-flow queueing", 1998): a full queue of one who sends
//! without end has room for everybody else.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;

/// The bounds of a queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Commands that may wait.
    pub(super) count: usize,
    /// And their bytes.
    pub(super) bytes: usize,
    /// What a flow may take in one turn, by cost. What costs more waits for as
    /// many turns as it takes.
    pub(super) quantum: usize,
}

/// What something takes of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) count: usize,
    pub(super) bytes: usize,
    /// Of its flow's turn.
    pub(super) cost: usize,
}

/// The queue.
pub(super) struct FairQueue<K, T> {
    bounds: Bounds,
    count: usize,
    bytes: usize,
    flows: HashMap<K, Flow<T>>,
    /// Whose turn it is, then whose it is next.
    turns: VecDeque<K>,
    /// The flows by what waits in them.
    longest: BTreeSet<(usize, K)>,
}

struct Flow<T> {
    waiting: VecDeque<(Size, T)>,
    cost: usize,
    /// What it may still take.
    deficit: usize,
}

impl<K: Copy + Eq + Hash + Ord, T> FairQueue<K, T> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            count: 0,
            bytes: 0,
            flows: HashMap::new(),
            turns: VecDeque::new(),
            longest: BTreeSet::new(),
        }
    }

    /// Puts something behind what waits of its flow. Gives back what has no room
    /// now: this, or the last of longer flows.
    pub(super) fn push(&mut self, key: K, size: Size, what: T) -> Vec<T> {
        let mine = self.flows.get(&key).map_or(0, |flow| flow.cost);
        let mut gave_way = Vec::new();
        while !self.has_room(size) {
            let longer = self.longest.last().copied();
            let longer = longer.filter(|(cost, other)| *other != key && *cost > mine + size.cost);
            let dropped = longer.and_then(|(_, longest)| {
                let (size, what) = self.drop_last(longest)?;
                Some((longest, size, what))
            });
            let Some(dropped) = dropped else {
                // Nobody gives way for what has no room all the same.
                for (key, size, what) in gave_way.into_iter().rev() {
                    self.put(key, size, what);
                }
                return vec![what];
            };
            gave_way.push(dropped);
        }
        self.put(key, size, what);
        gave_way.into_iter().map(|(_, _, what)| what).collect()
    }

    fn put(&mut self, key: K, size: Size, what: T) {
        let flow = self.flows.entry(key).or_insert_with(|| {
            self.turns.push_back(key);
            Flow {
                waiting: VecDeque::new(),
                cost: 0,
                deficit: self.bounds.quantum,
            }
        });
        flow.waiting.push_back((size, what));
        self.resize(key, |cost| cost + size.cost);
        self.count += size.count;
        self.bytes += size.bytes;
    }

    /// Takes what is next.
    pub(super) fn pop(&mut self) -> Option<T> {
        loop {
            let key = *self.turns.front()?;
            let flow = self.flows.get_mut(&key)?;
            let (size, _) = flow.waiting.front()?;
            let size = *size;
            if size.cost > flow.deficit {
                flow.deficit += self.bounds.quantum;
                self.turns.rotate_left(1);
                continue;
            }
            flow.deficit -= size.cost;
            let (_, what) = flow.waiting.pop_front()?;
            self.took(key, size);
            return Some(what);
        }
    }

    fn has_room(&self, size: Size) -> bool {
        // Something larger than all there may be passes when nothing waits.
        self.turns.is_empty()
            || (self.count + size.count <= self.bounds.count
                && self.bytes + size.bytes <= self.bounds.bytes)
    }

    fn drop_last(&mut self, key: K) -> Option<(Size, T)> {
        let (size, what) = self.flows.get_mut(&key)?.waiting.pop_back()?;
        self.took(key, size);
        Some((size, what))
    }

    /// Something of a flow waits no more.
    fn took(&mut self, key: K, size: Size) {
        self.count -= size.count;
        self.bytes -= size.bytes;
        self.resize(key, |cost| cost - size.cost);
        if self.flows.get(&key).is_some_and(|f| f.waiting.is_empty()) {
            // Who comes again begins with one turn's worth, not with a saved one.
            self.flows.remove(&key);
            self.longest.remove(&(0, key));
            match self.turns.front() {
                Some(front) if *front == key => drop(self.turns.pop_front()),
                _ => self.turns.retain(|turn| *turn != key),
            }
        }
    }

    fn resize(&mut self, key: K, change: impl Fn(usize) -> usize) {
        if let Some(flow) = self.flows.get_mut(&key) {
            self.longest.remove(&(flow.cost, key));
            flow.cost = change(flow.cost);
            self.longest.insert((flow.cost, key));
        }
    }
}
