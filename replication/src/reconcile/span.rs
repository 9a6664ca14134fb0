//! Neighbouring ranges, as they travel: each end says what it does not share
//! with the one before.

use bytes::Bytes;
use folkmoot_wire::proto::RowSpan;

use super::Range;

/// Longest key that an end may be, in bytes: no row key is longer.
const END_MAX: usize = 64;

/// Ranges one behind another, with their sums.
#[derive(Debug, Default)]
pub(super) struct Span {
    from: Bytes,
    ends: Vec<u8>,
    last: Bytes,
    sums: Vec<u32>,
}

impl Span {
    pub(super) fn new(from: &Bytes) -> Self {
        Self {
            from: from.clone(),
            last: from.clone(),
            ..Self::default()
        }
    }

    pub(super) fn push(&mut self, end: &Bytes, sum: u32) {
        let shared = common(&self.last, end).min(usize::from(u8::MAX));
        // Row keys are shorter than 256 bytes.
        self.ends.push(shared as u8);
        self.ends.push((end.len() - shared) as u8);
        self.ends.extend_from_slice(&end[shared..]);
        self.last = end.clone();
        self.sums.push(sum);
    }

    pub(super) fn done(self) -> RowSpan {
        RowSpan {
            from: self.from,
            ends: self.ends.into(),
            sums: self.sums,
        }
    }
}

/// How many bytes at their beginnings are the same.
pub(super) fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The ranges of a span; as many as are sound.
pub(super) fn ranges(span: &RowSpan) -> impl Iterator<Item = (Range, u32)> {
    let mut from = Some(span.from.clone());
    let mut ends = &span.ends[..];
    span.sums.iter().map_while(move |sum| {
        let begin = from.take()?;
        let [shared, len, rest @ ..] = ends else {
            return None;
        };
        let (shared, len) = (usize::from(*shared), usize::from(*len));
        if shared > begin.len() || len > rest.len() || shared + len > END_MAX {
            return None;
        }
        let to = Bytes::from([&begin[..shared], &rest[..len]].concat());
        ends = &rest[len..];
        let range = Range { from: begin, to };
        // Behind the end of all keys nothing follows.
        from = (!range.to.is_empty()).then(|| range.to.clone());
        range.is_sound().then_some((range, *sum))
    })
}

/// The ranges of spans that rise and do not overlap; as many as are sound.
pub(super) fn rising(spans: &[RowSpan]) -> impl Iterator<Item = (Range, u32)> {
    let mut last: Option<Bytes> = Some(Bytes::new());
    spans
        .iter()
        .flat_map(ranges)
        .map_while(move |(range, sum)| {
            let behind = last.take().is_some_and(|last| range.from >= last);
            last = (!range.to.is_empty()).then(|| range.to.clone());
            behind.then_some((range, sum))
        })
}
