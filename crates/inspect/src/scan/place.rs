//! From a place in decoded bytes back to the place in the original.

use std::ops::Range;

/// How the bytes of one decoding lie in the bytes that it was made from.
#[derive(Debug, Default)]
pub(crate) struct Map {
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    /// Where it begins in the decoded bytes.
    decoded: usize,
    /// Where it begins in the bytes before.
    from: usize,
    scale: Scale,
}

/// How far a step in the decoded bytes reaches in those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// `before` bytes make `after` bytes.
    Ratio { before: usize, after: usize },
    /// All of it was made of these many bytes, as of a compressed stream.
    Whole(usize),
}

/// One byte is one byte.
pub(crate) const SAME: Scale = Scale::Ratio { before: 1, after: 1 };

impl Map {
    /// Everything was made of one stretch.
    pub(crate) fn whole(range: Range<usize>) -> Self {
        Self { segments: vec![Segment { decoded: 0, from: range.start, scale: Scale::Whole(range.len()) }] }
    }

    /// From here on in the decoded bytes, they come from there at that scale. A segment that only continues the last
    /// one is not added.
    pub(crate) fn push(&mut self, decoded: usize, from: usize, scale: Scale) {
        if let (Some(last), Scale::Ratio { before, after }) = (self.segments.last(), scale) {
            let step = decoded - last.decoded;
            let continues = step.is_multiple_of(after) && last.from + step / after * before == from;
            if last.scale == scale && continues {
                return;
            }
        }
        self.segments.push(Segment { decoded, from, scale });
    }

    /// The bytes before that a stretch of the decoded ones was made of.
    pub(crate) fn before(&self, range: &Range<usize>) -> Range<usize> {
        let start = self.segment(range.start).map_or(range.start, |segment| segment.start(range.start));
        let last = range.end.saturating_sub(1).max(range.start);
        let end = self.segment(last).map_or(range.end, |segment| segment.end(last));
        start..end.max(start)
    }

    fn segment(&self, decoded: usize) -> Option<&Segment> {
        let after = self.segments.partition_point(|segment| segment.decoded <= decoded);
        self.segments.get(after.checked_sub(1)?)
    }
}

impl Segment {
    fn start(&self, decoded: usize) -> usize {
        match self.scale {
            Scale::Whole(_) => self.from,
            Scale::Ratio { before, after } => self.from + (decoded - self.decoded) * before / after,
        }
    }

    /// The end of what the byte at `decoded` was made of.
    fn end(&self, decoded: usize) -> usize {
        match self.scale {
            Scale::Whole(length) => self.from + length,
            Scale::Ratio { before, after } => self.from + ((decoded - self.decoded + 1) * before).div_ceil(after),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_lead_back_through_each_scale() {
        let mut map = Map::default();
        map.push(0, 10, SAME); // abc
        map.push(3, 13, Scale::Ratio { before: 3, after: 1 }); // %20
        map.push(4, 16, SAME);
        map.push(5, 17, SAME); // continues
        assert_eq!(map.segments.len(), 3);
        assert_eq!(map.before(&(0..3)), 10..13);
        assert_eq!(map.before(&(2..4)), 12..16);
        assert_eq!(map.before(&(3..6)), 13..18);
        let mut map = Map::default();
        map.push(0, 100, Scale::Ratio { before: 4, after: 3 });
        assert_eq!(map.before(&(0..3)), 100..104);
        assert_eq!(map.before(&(4..5)), 105..107);
        assert_eq!(Map::whole(7..20).before(&(1000..2000)), 7..20);
    }
}
