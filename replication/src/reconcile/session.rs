//! The side that asks: what is yet to be compared, and what an answer means.

use std::collections::VecDeque;

use bytes::Bytes;
use folkmoot_wire::limits;
use folkmoot_wire::proto::{ListedRows, ReconcileRows, Row, RowDiff, RowList};

use super::span::{Span, rising};
use super::sums::Sums;
use super::{Range, Shape, print_word, sum_word};
use crate::apply::ApplyError;

/// A range that is to be compared, or is known to differ.
#[derive(Debug, Clone)]
struct Due {
    range: Range,
    /// Our rows in it, when it was looked at.
    count: u64,
    /// It was compared: it is to be split. Else it is to be asked as it is.
    differs: bool,
}

/// A list that was sent.
#[derive(Debug, Clone)]
struct Listed {
    range: Range,
    /// Of our rows, in the order of their prints.
    keys: Vec<Bytes>,
}

#[derive(Debug, Clone, Default)]
struct Asked {
    ranges: Vec<Due>,
    lists: Vec<Listed>,
}

/// What an answer showed.
#[derive(Debug, Default)]
pub struct Found {
    /// Rows that the other side has and we do not have so.
    pub theirs: Vec<Row>,
    /// Keys of rows of ours that the other side does not have so.
    pub ours: Vec<Bytes>,
    /// Nothing was answered: asking again at once would bring no more.
    pub stalled: bool,
}

/// One reconciliation with another holder of the group's rows.
#[derive(Debug, Clone)]
pub struct Session {
    shape: Shape,
    word: u32,
    due: VecDeque<Due>,
    asked: Asked,
    begun: bool,
    dropped: bool,
}

impl Session {
    /// Compares by the `word`-th 32 bits of digests: two sessions in a row take
    /// different ones, so that what one misses the next one finds.
    #[must_use]
    pub fn new(shape: Shape, word: u32) -> Self {
        Self {
            shape,
            word,
            due: VecDeque::new(),
            asked: Asked::default(),
            begun: false,
            dropped: false,
        }
    }

    /// Whether nothing is left to ask.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.begun && self.due.is_empty() && self.asked.is_empty()
    }

    /// Whether ranges were left out, since too many differ: another session
    /// has to follow.
    #[must_use]
    pub fn dropped(&self) -> bool {
        self.dropped
    }

    /// The next message, or the same again if there was no answer; `None` when
    /// nothing is left to ask. `sums` are fresh.
    ///
    /// # Errors
    /// When the store fails or holds what it should not.
    pub fn ask(&mut self, sums: &mut Sums) -> Result<Option<ReconcileRows>, ApplyError> {
        self.again();
        let first = !std::mem::replace(&mut self.begun, true);
        if first {
            let count = sums.total().count;
            let range = Range::default();
            self.due.push_back(Due {
                range,
                count,
                differs: true,
            });
        }
        let parts = if first {
            self.shape.first
        } else {
            self.shape.parts
        };
        let mut message = ReconcileRows {
            group: sums.group.to_bytes(),
            word: self.word,
            ..ReconcileRows::default()
        };
        let mut prints = 0;
        while self.asked.ranges.len() + self.asked.lists.len() < limits::RECONCILE_RANGES
            && prints < limits::RECONCILE_PRINTS
            && let Some(due) = self.due.pop_front()
        {
            if !due.differs {
                self.compare(due, sums, &mut message)?;
            } else if due.count <= self.shape.leaf as u64 {
                prints += self.list(due, sums, &mut message)?;
            } else {
                prints += self.split(due, parts, sums, &mut message)?;
            }
        }
        let asks = !self.asked.is_empty();
        Ok(asks.then_some(message))
    }

    /// What was asked and not answered is due again.
    fn again(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        for list in asked.lists.into_iter().rev() {
            let count = list.keys.len() as u64;
            let range = list.range;
            self.due.push_front(Due {
                range,
                count,
                differs: true,
            });
        }
        for due in asked.ranges.into_iter().rev() {
            self.due.push_front(due);
        }
    }

    /// Asks a range again as it is, with those that follow it.
    fn compare(
        &mut self,
        due: Due,
        sums: &mut Sums,
        message: &mut ReconcileRows,
    ) -> Result<(), ApplyError> {
        let mut span = Span::new(&due.range.from);
        let mut next = Some(due);
        while let Some(due) = next.take() {
            let sum = sums.sum(&due.range)?;
            span.push(&due.range.to, sum_word(&sum, self.word));
            let end = due.range.to.clone();
            self.asked.ranges.push(due);
            let full = self.asked.ranges.len() >= limits::RECONCILE_RANGES;
            next = self
                .due
                .pop_front_if(|due| !full && !due.differs && due.range.from == end);
        }
        message.spans.push(span.done());
        Ok(())
    }

    fn split(
        &mut self,
        due: Due,
        parts: usize,
        sums: &mut Sums,
        message: &mut ReconcileRows,
    ) -> Result<usize, ApplyError> {
        let split = sums.split(&due.range, parts)?;
        if split.len() == 1 {
            return self.list(due, sums, message); // its rows went meanwhile
        }
        let mut from = due.range.from;
        let mut span = Span::new(&from);
        for part in split {
            span.push(&part.end, sum_word(&part.digest, self.word));
            let range = Range {
                from,
                to: part.end.clone(),
            };
            let count = part.digest.count;
            self.asked.ranges.push(Due {
                range,
                count,
                differs: false,
            });
            from = part.end;
        }
        message.spans.push(span.done());
        Ok(0)
    }

    fn list(
        &mut self,
        due: Due,
        sums: &mut Sums,
        message: &mut ReconcileRows,
    ) -> Result<usize, ApplyError> {
        let mut range = due.range;
        let limit = limits::RECONCILE_PRINTS;
        let mut rows = sums.read(&range, limit + 1)?;
        if rows.len() > limit {
            // Many came meanwhile: the rest is another list.
            let next = rows.split_off(limit).remove(0).row.key;
            let from = next.clone();
            let to = std::mem::replace(&mut range.to, next);
            let range = Range { from, to };
            let count = self.shape.leaf as u64;
            self.due.push_front(Due {
                range,
                count,
                differs: true,
            });
        }
        let word = |held| print_word(held, self.word);
        message.lists.push(RowList {
            from: range.from.clone(),
            to: range.to.clone(),
            prints: rows.iter().map(|held| word(&held.print)).collect(),
        });
        let listed = rows.len();
        let keys = rows.into_iter().map(|held| held.row.key).collect();
        self.asked.lists.push(Listed { range, keys });
        Ok(listed)
    }

    /// Takes an answer. Of one that does not fit what was asked nothing is
    /// taken that lies outside it.
    ///
    /// # Errors
    /// When the store fails or holds what it should not.
    pub fn answered(&mut self, sums: &mut Sums, diff: RowDiff) -> Result<Found, ApplyError> {
        let Asked { mut ranges, lists } = std::mem::take(&mut self.asked);
        let mut found = Found {
            stalled: diff.compared == 0 && diff.listed.is_empty(),
            ..Found::default()
        };
        let compared = (diff.compared as usize).min(ranges.len());
        let unasked = ranges.split_off(compared);
        let mut at = 0;
        for (range, theirs) in rising(&diff.spans) {
            while at < ranges.len() && !range.is_inside(&ranges[at].range) {
                at += 1;
            }
            if at == ranges.len() {
                break;
            }
            let ours = sums.sum(&range)?;
            if sum_word(&ours, self.word) != theirs {
                let count = ours.count;
                self.later(Due {
                    range,
                    count,
                    differs: true,
                });
            }
        }
        for due in unasked {
            self.later(due);
        }
        let mut answers = diff.listed.into_iter();
        for list in lists {
            match answers.next() {
                Some(answer) => self.listed(list, answer, &mut found),
                None => self.later(Due {
                    count: list.keys.len() as u64,
                    range: list.range,
                    differs: true,
                }),
            }
        }
        Ok(found)
    }

    fn later(&mut self, due: Due) {
        if self.due.len() < limits::RECONCILE_PENDING {
            self.due.push_back(due);
        } else {
            self.dropped = true;
        }
    }

    fn listed(&mut self, list: Listed, answer: ListedRows, found: &mut Found) {
        let Listed { mut range, keys } = list;
        if !answer.upto.is_empty() && answer.upto > range.from && range.holds(&answer.upto) {
            let to = std::mem::replace(&mut range.to, answer.upto.clone());
            let left = keys.iter().filter(|key| **key >= answer.upto).count();
            self.later(Due {
                range: Range {
                    from: answer.upto,
                    to,
                },
                count: left as u64,
                differs: true,
            });
        }
        let missing = answer.missing.iter();
        let ours = missing.filter_map(|place| keys.get(*place as usize));
        found
            .ours
            .extend(ours.filter(|key| range.holds(key)).cloned());
        let rows = answer.rows.into_iter();
        found
            .theirs
            .extend(rows.filter(|row| range.holds(&row.key)));
    }
}

impl Asked {
    fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.lists.is_empty()
    }
}
