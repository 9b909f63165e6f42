//! One layer: bytes as they are, the findings in them, and the layers below, which are what they stand for.

use std::collections::HashMap;
use std::ops::Range;

use regex_automata::{Anchored, Input};

use super::Scanner;
use super::index::{Action, Mark, Widths};
use crate::scan::Finding;
use crate::scan::decode::compressed::{self, Unmarked};
use crate::scan::decode::{self, Decoded, base64, escapes, fold, utf16};
use crate::scan::detector::{Anchor, ContextRule, Detector};
use crate::scan::numbers::{self, Cluster, Run};
use crate::scan::place::{Map, SAME, Scale};
use crate::scan::report::{Bound, Tally};

/// Bytes, and how they came of those above.
struct Layer<'a> {
    bytes: &'a [u8],
    above: Option<(&'a Layer<'a>, &'a Map, &'static str)>,
    depth: usize,
}

/// Scans bytes and all that they stand for.
pub(super) fn scan(scanner: &Scanner, tally: &mut Tally, bytes: &[u8]) {
    Layer { bytes, above: None, depth: 0 }.scan(scanner, tally);
}

/// A place where something may begin.
#[derive(Debug, Clone, Copy)]
struct Hint {
    start: usize,
    end: usize,
    detector: usize,
}

/// Where a run of signs of an encoding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signs {
    Base64,
    Base32,
    Hex,
}

/// Where a word that speaks for a detector stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    Absent,
    /// Within reach, on another line.
    Near,
    Line,
}

/// How far a detector's pattern was looked for, and where it began first.
#[derive(Debug, Clone, Copy)]
struct Searched {
    from: usize,
    start: Option<usize>,
    to: usize,
}

impl Searched {
    /// Whether it says of a place that a word leads to what a search from there would say.
    fn covers(&self, from: usize, end: usize, length: usize) -> bool {
        self.from <= from && (self.start.is_some() || self.to == length || end + REACH <= self.to)
    }
}

/// What one pass over the bytes found.
#[derive(Debug, Default)]
struct Seen {
    hints: Vec<Hint>,
    /// Ends and numbers of the words of context.
    contexts: Vec<(usize, usize)>,
    marks: Vec<(usize, Mark)>,
    runs: Vec<(Range<usize>, Signs)>,
}

/// How far a word of context speaks, before and after.
const CONTEXT_BEFORE: usize = 72;
const CONTEXT_AFTER: usize = 40;
/// How far a pattern may reach beyond its word.
const REACH: usize = 10_240;
/// Shortest run of signs that is decoded: shorter ones hold less than any identifier.
const LEAST_RUN: usize = 16;
/// Lines are decoded in pieces of this size at most.
const MAX_LINE: usize = 1 << 20;
/// How far before a mark its line is taken in.
const LINE_BEFORE: usize = 4096;
/// What may be read of a layer for streams that begin in it, as a multiple of its length and a sum: streams may lie
/// within each other, but not each in all the others.
const STREAM_SHARE: usize = 8;
const STREAM_BYTES: usize = 1 << 20;
/// What the attempt alone counts for.
const STREAM_COST: usize = 64;

impl Layer<'_> {
    fn scan(&self, scanner: &Scanner, tally: &mut Tally) {
        self.hold_against_prints(scanner, tally);
        let mut seen = Seen::default();
        self.words(scanner, &mut seen);
        self.signs(scanner, tally, &mut seen);
        let mut searched = HashMap::new();
        for hint in std::mem::take(&mut seen.hints) {
            self.try_word(scanner, tally, &seen, &mut searched, hint);
        }
        self.decode(scanner, tally, seen);
    }

    /// What of the inputs stands in it.
    fn hold_against_prints(&self, scanner: &Scanner, tally: &mut Tally) {
        for print in scanner.prints.iter().flat_map(|prints| prints.look(self.bytes)) {
            let place = self.in_original(print.at);
            tally.add_print(Finding {
                detector: usize::MAX,
                kind: print.kind.name().to_owned(),
                start: place.start,
                end: place.end,
                confidence: print.kind.confidence(),
                checksum: false,
                context: false,
                context_in_line: false,
                encodings: self.encodings(),
            });
        }
    }

    /// The encodings that it was found in, from the outermost.
    fn encodings(&self) -> Vec<&'static str> {
        let mut encodings = Vec::new();
        let mut layer = self;
        while let Some((above, _, name)) = layer.above {
            if !name.is_empty() {
                encodings.insert(0, name);
            }
            layer = above;
        }
        encodings
    }

    /// The pass for words, all at once.
    fn words(&self, scanner: &Scanner, seen: &mut Seen) {
        scanner.index.words(self.bytes, |start, end, actions| {
            for action in actions {
                match *action {
                    Action::Try(detector) => seen.hints.push(Hint { start, end, detector }),
                    Action::Context(number) if self.is_word(start, end) => seen.contexts.push((end, number)),
                    Action::Context(_) => {}
                    Action::Decode(mark) => {
                        let next = self.bytes.get(end).copied().unwrap_or(0);
                        let likely = match mark {
                            Mark::Percent => next.is_ascii_hexdigit() || next == b'u',
                            Mark::Backslash => !next.is_ascii_whitespace(),
                            _ => true,
                        };
                        if likely {
                            seen.marks.push((start, mark));
                        }
                    }
                }
            }
        });
        seen.hints.sort_by_key(|hint| hint.end);
        seen.contexts.sort_unstable();
    }

    /// Whether a word of context stands alone: `tin` is not in `testing`.
    fn is_word(&self, start: usize, end: usize) -> bool {
        let letter = |at: Option<usize>| at.and_then(|at| self.bytes.get(at)).is_some_and(u8::is_ascii_alphabetic);
        let latin = self.bytes.get(start).is_some_and(u8::is_ascii_alphabetic);
        !latin || !letter(start.checked_sub(1)) && (end - start > SHORT_WORD || !letter(Some(end)))
    }

    /// The pass for numbers, tokens and runs of signs.
    fn signs(&self, scanner: &Scanner, tally: &mut Tally, seen: &mut Seen) {
        let bytes = self.bytes;
        let (mut at, mut numbers_from) = (0, 0);
        while let Some(rest) = bytes.get(at..) {
            let Some(skip) = rest.iter().position(|byte| CLASSES[usize::from(*byte)] != 0) else { break };
            let start = at + skip;
            let (mut any, mut all, mut length) = (0u8, 0xffu8, 0);
            for byte in bytes.get(start..).unwrap_or_default() {
                let class = CLASSES[usize::from(*byte)];
                if class == 0 {
                    break;
                }
                any |= class;
                all &= class;
                length += 1;
            }
            let token = start..start + length;
            at = token.end;
            if any & DIGIT != 0 {
                numbers_from = self.numbers(scanner, tally, seen, &token, numbers_from);
            }
            let mixed = any & DIGIT != 0 && any & (LOWER | UPPER) != 0;
            if mixed || length <= SHORT_TOKEN {
                self.tokens(scanner, tally, seen, &token);
            }
            if length >= LEAST_RUN {
                note_runs(&token, any, all, seen);
            }
        }
    }

    /// Every number that begins in a token; gives where the next may begin.
    fn numbers(&self, scanner: &Scanner, tally: &mut Tally, seen: &Seen, token: &Range<usize>, from: usize) -> usize {
        let mut at = token.start.max(from);
        while at < token.end {
            let rest = self.bytes.get(at..token.end).unwrap_or_default();
            let Some(skip) = rest.iter().position(u8::is_ascii_digit) else { break };
            if let Some(end) = numbers::short(self.bytes, at + skip, LEAST_DIGITS) {
                at = end;
                continue;
            }
            let cluster = Cluster::read(self.bytes, at + skip);
            if cluster.runs().iter().map(Run::width).sum::<usize>() >= LEAST_DIGITS {
                self.try_cluster(scanner, tally, seen, &cluster);
            }
            at = cluster.resume().max(at + skip + 1);
        }
        at.max(from)
    }

    fn try_cluster(&self, scanner: &Scanner, tally: &mut Tally, seen: &Seen, cluster: &Cluster) {
        let runs = cluster.runs();
        for first in 0..runs.len() {
            let mut widths = Widths::default();
            for last in first..runs.len() {
                let (window, next) = (runs.get(first..=last).unwrap_or_default(), runs.get(last + 1));
                let Some(run) = window.last().filter(|run| run.width() <= MAX_NUMBER) else { break };
                // The check sign may be a letter, which counts as a digit.
                let letter = next.is_none() && matches!(self.bytes.get(run.end), Some(b'x' | b'X'));
                let (whole, begun) = (widths.and(run.width() + usize::from(letter)), widths.and(run.width()));
                let detectors = match first == last {
                    true => scanner.index.digits(run.width() + usize::from(letter)),
                    false => scanner.index.grouped(whole).unwrap_or_default(),
                };
                let next = next.map_or(0, |run| run.separator);
                for detector in detectors {
                    self.try_digits(scanner, tally, seen, *detector, window, next, letter);
                }
                widths = begun;
                if first < last && scanner.index.grouped(widths).is_none() {
                    break;
                }
            }
        }
        self.try_around(scanner, tally, seen, runs, cluster);
        // Columns of numbers that only spaces part: each for itself.
        if runs.iter().any(|run| run.separator == b' ') {
            let mut from = 0;
            for at in 1..=runs.len() {
                if runs.get(at).is_none_or(|run| run.separator == b' ') {
                    let part = runs.get(from..at).unwrap_or_default();
                    self.try_around(scanner, tally, seen, part, cluster);
                    from = at;
                }
            }
        }
    }

    fn try_around(&self, scanner: &Scanner, tally: &mut Tally, seen: &Seen, runs: &[Run], cluster: &Cluster) {
        let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return };
        let total: usize = runs.iter().map(Run::width).sum();
        for place in scanner.index.around(total) {
            let Some(detector) = scanner.detectors.get(*place) else { continue };
            let Anchor::Around { before, after, separators, parts, .. } = &detector.anchor else { continue };
            if runs.len() < *parts {
                continue;
            }
            if !separators.is_empty() && !cluster.has_separator(separators) {
                continue;
            }
            let hint = Hint { start: first.start, end: last.end, detector: *place };
            let reach = first.start.saturating_sub(*before)..(last.end + after).min(self.bytes.len());
            self.try_pattern(scanner, tally, seen, hint, reach, false);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the facts of one candidate")]
    fn try_digits(
        &self,
        scanner: &Scanner,
        tally: &mut Tally,
        seen: &Seen,
        place: usize,
        window: &[Run],
        next: u8,
        letter: bool,
    ) {
        let (Some(first), Some(last)) = (window.first(), window.last()) else { return };
        let grouped = window.len() > 1;
        // A decimal fraction, a version, an address.
        if !grouped && (first.separator == b'.' || next == b'.' && self.is_fraction(last.end)) {
            return;
        }
        let end = last.end + usize::from(letter);
        if first.separator == 0 && self.glued_before(first.start) || next == 0 && self.glued_after(end) {
            return;
        }
        let mut compact = [0; MAX_NUMBER + 1];
        let Some(mut length) = self.compact(window, &mut compact).map(<[u8]>::len) else { return };
        if letter {
            let Some(sign) = compact.get_mut(length) else { return };
            *sign = b'X';
            length += 1;
        }
        let digits = compact.get(..length).unwrap_or_default();
        self.judge_digits(scanner, tally, seen, place, first.start..end, digits, grouped);
    }

    /// The digits of some runs, one after the other.
    fn compact<'c>(&self, window: &[Run], to: &'c mut [u8]) -> Option<&'c [u8]> {
        let mut length = 0;
        for run in window {
            let digits = self.bytes.get(run.start..run.end)?;
            to.get_mut(length..length + digits.len())?.copy_from_slice(digits);
            length += digits.len();
        }
        to.get(..length)
    }

    #[expect(clippy::too_many_arguments, reason = "the facts of one candidate")]
    fn judge_digits(
        &self,
        scanner: &Scanner,
        tally: &mut Tally,
        seen: &Seen,
        place: usize,
        at: Range<usize>,
        digits: &[u8],
        grouped: bool,
    ) {
        let Some(detector) = scanner.detectors.get(place) else { return };
        if detector.validator.is_some_and(|validator| !validator.holds_compact(digits)) {
            return;
        }
        if let Some(regex) = detector.regex() {
            let input = Input::new(digits).anchored(Anchored::Yes);
            if regex.search(&input).is_none_or(|found| found.end() != digits.len()) {
                return;
            }
        }
        self.report(scanner, tally, seen, place, at, grouped);
    }

    /// Words of letters and digits within a token.
    fn tokens(&self, scanner: &Scanner, tally: &mut Tally, seen: &Seen, token: &Range<usize>) {
        let bytes = self.bytes;
        let mut at = token.start;
        while at < token.end {
            let rest = bytes.get(at..token.end).unwrap_or_default();
            let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            let word = rest.get(..length).unwrap_or_default();
            let mixed = word.iter().any(u8::is_ascii_digit) && word.iter().any(u8::is_ascii_alphabetic);
            if mixed {
                for place in scanner.index.tokens(length) {
                    self.try_token(scanner, tally, seen, *place, at..at + length);
                }
            }
            if length <= SHORT_TOKEN && word.iter().all(u8::is_ascii_hexdigit) {
                for place in scanner.index.hex_tokens(length) {
                    self.try_token(scanner, tally, seen, *place, at..at + length);
                }
            }
            at += length.max(1);
        }
    }

    fn try_token(&self, scanner: &Scanner, tally: &mut Tally, seen: &Seen, place: usize, token: Range<usize>) {
        let Some(detector) = scanner.detectors.get(place) else { return };
        let Anchor::Token { before, beside, .. } = &detector.anchor else { return };
        let neighbours = [token.start.checked_sub(1), Some(token.end)];
        let near = |at: &Option<usize>| at.and_then(|at| self.bytes.get(at)).is_some_and(|byte| beside.contains(byte));
        if !beside.is_empty() && !neighbours.iter().any(near) {
            return;
        }
        let hint = Hint { start: token.start, end: token.end, detector: place };
        let reach = token.start.saturating_sub(*before)..(token.end + REACH).min(self.bytes.len());
        if *before > 0 {
            let near = reach.start..(token.end + before).min(self.bytes.len());
            return self.try_pattern(scanner, tally, seen, hint, near, false);
        }
        self.try_pattern(scanner, tally, seen, hint, reach.clone(), true);
        // A sign of China's writing may belong to it.
        let wide = token.start.checked_sub(3).filter(|at| self.bytes.get(*at).is_some_and(|byte| *byte >= 0xe4));
        if let Some(start) = wide {
            let hint = Hint { start, ..hint };
            self.try_pattern(scanner, tally, seen, hint, start..reach.end, true);
        }
    }

    fn try_word(
        &self,
        scanner: &Scanner,
        tally: &mut Tally,
        seen: &Seen,
        searched: &mut HashMap<usize, Searched>,
        hint: Hint,
    ) {
        let Some(detector) = scanner.detectors.get(hint.detector) else { return };
        if !detector.has_pattern() {
            return self.report(scanner, tally, seen, hint.detector, hint.start..hint.end, true);
        }
        let Anchor::Words { before, .. } = detector.anchor else { return };
        let from = hint.start.saturating_sub(before);
        if before == 0 {
            return self.try_pattern(scanner, tally, seen, hint, from..(hint.end + REACH).min(self.bytes.len()), true);
        }
        // Words in a row ask for what a search before them has looked through already, which goes on twice as far: so
        // each byte is looked at a few times, however many words there are.
        let to = (hint.end + 2 * REACH).min(self.bytes.len());
        let known = searched.get(&hint.detector).filter(|known| known.covers(from, hint.end, self.bytes.len()));
        if known.is_none_or(|known| known.start.is_some_and(|start| start < from)) {
            let Some(regex) = detector.regex() else { return };
            let start = regex.search(&Input::new(self.bytes).range(from..to)).map(|found| found.start());
            searched.insert(hint.detector, Searched { from, start, to });
        }
        if searched.get(&hint.detector).and_then(|known| known.start).is_some_and(|start| start < hint.end) {
            self.try_pattern(scanner, tally, seen, hint, from..to, false);
        }
    }

    /// Holds a pattern against the text at a place; the match has to take in what led there.
    fn try_pattern(
        &self,
        scanner: &Scanner,
        tally: &mut Tally,
        seen: &Seen,
        hint: Hint,
        reach: Range<usize>,
        anchored: bool,
    ) {
        let Some(detector) = scanner.detectors.get(hint.detector) else { return };
        if detector.context_required == ContextRule::Required
            && self.context(scanner, seen, hint.detector, &(hint.start..hint.end)) == Context::Absent
        {
            return;
        }
        let Some(regex) = detector.regex() else { return };
        let mut from = if anchored { hint.start } else { reach.start };
        while from < hint.end {
            let mode = if anchored { Anchored::Yes } else { Anchored::No };
            let input = Input::new(self.bytes).range(from..reach.end).anchored(mode);
            let Some(found) = regex.search(&input) else { return };
            if found.start() >= hint.end {
                return;
            }
            if found.end() > hint.start {
                self.judge_match(scanner, tally, seen, hint.detector, found.range());
                if anchored {
                    return;
                }
            }
            from = found.end().max(found.start() + 1);
        }
    }

    fn judge_match(&self, scanner: &Scanner, tally: &mut Tally, seen: &Seen, place: usize, whole: Range<usize>) {
        let Some(detector) = scanner.detectors.get(place) else { return };
        let Some(regex) = detector.regex() else { return };
        let mut at = whole.clone();
        if regex.captures_len() > 1 {
            let mut captures = regex.create_captures();
            regex.search_captures(&Input::new(self.bytes).range(whole.clone()).anchored(Anchored::Yes), &mut captures);
            let group = (1..regex.captures_len()).find_map(|group| captures.get_group(group));
            at = group.map_or(whole, |span| span.range());
        } else if self.is_cut_out(detector, &at) {
            return;
        }
        let matched = self.bytes.get(at.clone()).unwrap_or_default();
        if detector.validator.is_some_and(|validator| !validator.holds(matched)) {
            return;
        }
        self.report(scanner, tally, seen, place, at, true);
    }

    /// Whether a match is only a part of a longer word.
    fn is_cut_out(&self, detector: &Detector, at: &Range<usize>) -> bool {
        let (first, last) = (self.bytes.get(at.start), at.end.checked_sub(1).and_then(|last| self.bytes.get(last)));
        let (before, after) =
            (at.start.checked_sub(1).and_then(|before| self.bytes.get(before)), self.bytes.get(at.end));
        let joined = |a: Option<&u8>, b: Option<&u8>| {
            a.is_some_and(u8::is_ascii_alphanumeric) && b.is_some_and(u8::is_ascii_alphanumeric)
        };
        if joined(before, first) || joined(last, after) && !(after == Some(&b'x') && detector.kind == "phone") {
            return true;
        }
        match &detector.anchor {
            Anchor::Token { beside, .. } => {
                let beside = |sign: Option<&u8>, next: Option<usize>| {
                    let next = next.and_then(|next| self.bytes.get(next)).is_some_and(u8::is_ascii_alphanumeric);
                    sign.is_some_and(|sign| beside.contains(sign)) && next
                };
                beside(before, at.start.checked_sub(2)) || beside(after, Some(at.end + 1))
            }
            Anchor::Around { separators, .. } if separators == b"." => {
                before == Some(&b'.') || after == Some(&b'.') && self.is_fraction(at.end)
            }
            _ => false,
        }
    }

    /// Whether a digit follows the sign at `at`.
    fn is_fraction(&self, at: usize) -> bool {
        self.bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
    }

    /// Whether a number continues a word.
    fn glued_before(&self, start: usize) -> bool {
        let before = |back: usize| start.checked_sub(back).and_then(|at| self.bytes.get(at));
        before(1).is_some_and(u8::is_ascii_alphanumeric)
            || before(1) == Some(&b'.') && before(2).is_some_and(u8::is_ascii_digit)
    }

    fn glued_after(&self, end: usize) -> bool {
        self.bytes.get(end).is_some_and(u8::is_ascii_alphanumeric)
    }

    /// Whether a word that speaks for a detector stands near a place.
    fn context(&self, scanner: &Scanner, seen: &Seen, place: usize, at: &Range<usize>) -> Context {
        let words = scanner.index.contexts(place);
        if words.is_empty() {
            return Context::Absent;
        }
        let from = seen.contexts.partition_point(|(end, _)| *end + CONTEXT_BEFORE < at.start);
        let near = seen.contexts.get(from..).unwrap_or_default().iter();
        let near = near.take_while(|(end, _)| *end <= at.end + CONTEXT_AFTER);
        let mut context = Context::Absent;
        for (end, _) in near.filter(|(_, number)| words.contains(number)) {
            if self.is_same_line(*end, at) {
                return Context::Line;
            }
            context = Context::Near;
        }
        let line_alone = scanner.detectors.get(place).is_some_and(|detector| detector.context_line);
        if line_alone { Context::Absent } else { context }
    }

    /// Whether a word that ends at `end` stands on the line of a place, or heads it with nothing between.
    fn is_same_line(&self, end: usize, at: &Range<usize>) -> bool {
        let between = if end <= at.start { end..at.start } else { at.end.min(end)..end };
        let between = self.bytes.get(between).unwrap_or_default();
        let empty = |byte: &u8| byte.is_ascii_whitespace() || byte.is_ascii_punctuation();
        !between.contains(&b'\n') || end <= at.start && between.iter().all(empty)
    }

    fn report(&self, scanner: &Scanner, tally: &mut Tally, seen: &Seen, place: usize, at: Range<usize>, grouped: bool) {
        let Some(detector) = scanner.detectors.get(place) else { return };
        let context = self.context(scanner, seen, place, &at);
        let needs = match detector.context_required {
            ContextRule::Helps => false,
            ContextRule::Ungrouped => !grouped,
            ContextRule::Required => true,
        };
        if needs && context == Context::Absent {
            return;
        }
        let encodings = self.encodings();
        let place_of = self.in_original(at);
        let confidence = detector.confidence;
        tally.add(Finding {
            detector: place,
            kind: detector.kind.clone(),
            start: place_of.start,
            end: place_of.end,
            confidence: if context == Context::Absent { confidence } else { confidence + (1.0 - confidence) / 2.0 },
            checksum: detector.validator.is_some_and(|validator| validator.is_checksum()),
            context: context != Context::Absent,
            context_in_line: context == Context::Line,
            encodings,
        });
    }

    /// Where a place of this layer lies in the bytes that the scan began with.
    fn in_original(&self, at: Range<usize>) -> Range<u64> {
        let (mut layer, mut at) = (self, at);
        while let Some((above, map, _)) = layer.above {
            at = map.before(&at);
            layer = above;
        }
        at.start as u64..at.end as u64
    }

    /// Undoes whatever encodings there seem to be, and scans what they stand for.
    fn decode(&self, scanner: &Scanner, tally: &mut Tally, mut seen: Seen) {
        drop(std::mem::take(&mut seen.contexts));
        for (run, signs) in merge_lines(self.bytes, std::mem::take(&mut seen.runs)) {
            self.decode_run(scanner, tally, &run, signs);
        }
        seen.marks.sort_by_key(|(at, mark)| (*mark, *at));
        let mut done: Option<(Mark, usize)> = None;
        let mut readable = self.bytes.len().saturating_mul(STREAM_SHARE).saturating_add(STREAM_BYTES);
        for (at, mark) in std::mem::take(&mut seen.marks) {
            if done.is_some_and(|(last, end)| last == mark && at < end) {
                continue;
            }
            if let Mark::Packed(packed) = mark {
                if readable == 0 {
                    tally.unseen(self.in_original(at..self.bytes.len()), Bound::Size);
                    continue;
                }
                let most = compressed::bound(self.bytes.len() - at, tally.decoded_left());
                let (unpacked, read) = compressed::unpack(packed.packing(), self.bytes, at, most);
                readable = readable.saturating_sub(read + STREAM_COST);
                self.unpacked(scanner, tally, unpacked, at);
                continue;
            }
            let from = done.filter(|(last, _)| *last == mark).map_or(0, |(_, end)| end);
            let line = self.line_around(at, from);
            let text = self.bytes.get(line.clone()).unwrap_or_default();
            let decoded = match mark {
                Mark::Percent => escapes::percent(text, line.start),
                Mark::Backslash => escapes::backslash(text, line.start),
                Mark::Entity => escapes::entities(text, line.start),
                _ => fold::fold(text, line.start),
            };
            done = Some((mark, line.end.max(at + 1)));
            if let Some(decoded) = decoded {
                self.below(scanner, tally, decoded);
            }
        }
        for decoded in utf16::utf16(self.bytes) {
            self.below(scanner, tally, decoded);
        }
        if self.is_binary() && !compressed::has_magic(self.bytes) {
            for format in [Unmarked::Deflate, Unmarked::Brotli] {
                let most = compressed::bound(self.bytes.len(), tally.decoded_left());
                let (unpacked, thrown_away) =
                    compressed::unpack_unmarked(format, self.bytes, most, &|bytes| is_believed(scanner, bytes));
                if !tally.spend(thrown_away) || most == 0 {
                    tally.unseen(self.in_original(0..self.bytes.len()), Bound::Size);
                    break;
                }
                self.unpacked(scanner, tally, unpacked, 0);
            }
        }
    }

    /// The line of a mark, as far as the bounds reach; not before what was done already.
    fn line_around(&self, at: usize, done: usize) -> Range<usize> {
        let earliest = at.saturating_sub(LINE_BEFORE).max(done);
        let head = self.bytes.get(earliest..at).unwrap_or_default();
        let start = memchr::memrchr(b'\n', head).map_or(earliest, |newline| earliest + newline + 1);
        let latest = (at + MAX_LINE).min(self.bytes.len());
        let tail = self.bytes.get(at..latest).unwrap_or_default();
        start..memchr::memchr(b'\n', tail).map_or(latest, |newline| at + newline)
    }

    fn decode_run(&self, scanner: &Scanner, tally: &mut Tally, run: &Lines, signs: Signs) {
        let believed = &|bytes: &[u8]| is_believed(scanner, bytes);
        let decoded: Vec<Decoded> = match signs {
            Signs::Base64 => base64::base64(&run.signs, 0, believed).collect(),
            Signs::Base32 => base64::base32(&run.signs, 0, believed).collect(),
            Signs::Hex => base64::hex(&run.signs, 0, believed).collect(),
        };
        // The lines joined are a layer of their own, which only leads back.
        let joined = Layer { bytes: &run.signs, above: Some((self, &run.map, "")), depth: self.depth };
        for decoded in decoded {
            joined.below(scanner, tally, decoded);
        }
        if signs == Signs::Base64 && run.signs.len() >= LEAST_PACKED_RUN && is_well_mixed(&run.signs) {
            let bytes = base64::decode(&run.signs);
            if !decode::is_plausible(&bytes) {
                let mut map = Map::default();
                map.push(0, 0, Scale::Ratio { before: 4, after: 3 });
                joined.below(scanner, tally, Decoded { name: "base64", bytes, map });
            }
        }
    }

    fn unpacked(&self, scanner: &Scanner, tally: &mut Tally, unpacked: compressed::Unpacked, at: usize) {
        match unpacked {
            compressed::Unpacked::Nothing => {}
            compressed::Unpacked::Bytes(decoded) => self.below(scanner, tally, decoded),
            compressed::Unpacked::Cut(decoded) => {
                tally.unseen(self.in_original(at..self.bytes.len()), Bound::Size);
                self.below(scanner, tally, decoded);
            }
        }
    }

    /// Scans what some bytes of this layer stand for.
    fn below(&self, scanner: &Scanner, tally: &mut Tally, decoded: Decoded) {
        let whole = decoded.map.before(&(0..decoded.bytes.len()));
        if self.depth >= scanner.bounds.depth {
            return tally.unseen(self.in_original(whole), Bound::Depth);
        }
        if !tally.spend(decoded.bytes.len()) {
            return tally.unseen(self.in_original(whole), Bound::Size);
        }
        let above = Some((self, &decoded.map, decoded.name));
        Layer { bytes: &decoded.bytes, above, depth: self.depth + 1 }.scan(scanner, tally);
    }

    /// Whether the beginning is no text.
    fn is_binary(&self) -> bool {
        let head = self.bytes.get(..self.bytes.len().min(256)).unwrap_or_default();
        let odd = head.iter().filter(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace()).count();
        std::str::from_utf8(head).is_err_and(|error| error.error_len().is_some()) || odd * 20 > head.len()
    }
}

/// Whether bytes were decoded rightly: they hold text, or something of an input.
fn is_believed(scanner: &Scanner, bytes: &[u8]) -> bool {
    let is_something = |bytes: &[u8]| decode::is_plausible(bytes) || scanner.knows(bytes);
    // Packed without a magic number it is neither, until it is unpacked.
    let is_packed = |format| {
        let (unpacked, _) = compressed::unpack_unmarked(format, bytes, MAX_TRIED, &is_something);
        match unpacked {
            compressed::Unpacked::Bytes(_) => true,
            compressed::Unpacked::Cut(begun) => is_something(&begun.bytes),
            compressed::Unpacked::Nothing => false,
        }
    };
    is_something(bytes)
        || !scanner.prints.is_empty() && [Unmarked::Deflate, Unmarked::Brotli].into_iter().any(is_packed)
}

/// How much is unpacked only to see whether it is something.
const MAX_TRIED: usize = 4096;

/// Longest word of hexadecimal signs that need not have both letters and digits.
const SHORT_TOKEN: usize = 2;
/// Context words up to this length have to end where they end.
const SHORT_WORD: usize = 4;
/// Fewer digits are no number that any detector looks for.
const LEAST_DIGITS: usize = 4;
/// Longest number.
const MAX_NUMBER: usize = 24;
/// Shortest run of base64 that is tried as a compressed stream without a magic number.
const LEAST_PACKED_RUN: usize = 40;

const DIGIT: u8 = 1;
const LOWER: u8 = 2;
const UPPER: u8 = 4;
const SIGN: u8 = 8;
const HEX: u8 = 16;
const BASE32: u8 = 32;

/// What a byte may be part of; 0 for what ends every token.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        classes[at] = match byte {
            b'0'..=b'9' => DIGIT | HEX,
            b'a'..=b'f' => LOWER | HEX | BASE32,
            b'g'..=b'z' => LOWER | BASE32,
            b'A'..=b'F' => UPPER | HEX | BASE32,
            b'G'..=b'Z' => UPPER | BASE32,
            b'+' | b'/' | b'-' | b'_' => SIGN,
            _ => 0,
        };
        if byte >= b'2' && byte <= b'7' {
            classes[at] |= BASE32;
        }
        at += 1;
    }
    classes
};

fn note_runs(token: &Range<usize>, any: u8, all: u8, seen: &mut Seen) {
    if all & HEX != 0 {
        seen.runs.push((token.clone(), Signs::Hex));
    }
    if all & BASE32 != 0 && (any & LOWER == 0 || any & UPPER == 0) {
        seen.runs.push((token.clone(), Signs::Base32));
    }
    // Words that are only joined have letters of one case, or none that is not the first.
    if any & UPPER != 0 && any & LOWER != 0 || any & DIGIT != 0 && any & (UPPER | LOWER) != 0 && all & HEX == 0 {
        seen.runs.push((token.clone(), Signs::Base64));
    }
}

/// Whether a run has letters of both cases and digits, as packed bytes do.
fn is_well_mixed(signs: &[u8]) -> bool {
    signs.iter().any(u8::is_ascii_digit)
        && signs.iter().any(u8::is_ascii_lowercase)
        && signs.iter().any(u8::is_ascii_uppercase)
}

/// Signs of one encoding, of one line or of several that belong together.
struct Lines {
    signs: Vec<u8>,
    map: Map,
}

/// Lines from this length on may go on in the next one.
const LEAST_LINE: usize = 32;

/// Joins runs that only the end of a line parts.
fn merge_lines(bytes: &[u8], runs: Vec<(Range<usize>, Signs)>) -> Vec<(Lines, Signs)> {
    let mut merged = Vec::new();
    for signs in [Signs::Base64, Signs::Base32, Signs::Hex] {
        let mut last_end: Option<usize> = None;
        let mut open: Option<Lines> = None;
        for (run, _) in runs.iter().filter(|(_, of)| *of == signs) {
            let text = bytes.get(run.clone()).unwrap_or_default();
            let joins = open.is_some() && last_end.is_some_and(|end| is_line_end(bytes, end, run.start));
            match open.as_mut().filter(|_| joins) {
                Some(lines) => {
                    lines.map.push(lines.signs.len(), run.start, SAME);
                    lines.signs.extend_from_slice(text);
                }
                None => {
                    merged.extend(open.take().map(|lines| (lines, signs)));
                    let mut map = Map::default();
                    map.push(0, run.start, SAME);
                    open = Some(Lines { signs: text.to_vec(), map });
                }
            }
            last_end = (run.len() >= LEAST_LINE).then_some(run.end);
            if last_end.is_none() {
                merged.extend(open.take().map(|lines| (lines, signs)));
            }
            // The last line may be shorter than any run.
            if let (Some(lines), Some(tail)) = (open.as_mut(), last_end.and_then(|end| short_tail(bytes, end))) {
                lines.map.push(lines.signs.len(), tail.start, SAME);
                lines.signs.extend_from_slice(bytes.get(tail).unwrap_or_default());
                merged.extend(open.take().map(|lines| (lines, signs)));
                last_end = None;
            }
        }
        merged.extend(open.map(|lines| (lines, signs)));
    }
    merged
}

/// The signs of the next line, where it is too short to be a run.
fn short_tail(bytes: &[u8], end: usize) -> Option<Range<usize>> {
    let rest = bytes.get(end..)?;
    let start = end + rest.iter().take(17).position(|byte| CLASSES[usize::from(*byte)] != 0)?;
    let length =
        bytes.get(start..)?.iter().take(LEAST_RUN).take_while(|byte| CLASSES[usize::from(**byte)] != 0).count();
    (length < LEAST_RUN && is_line_end(bytes, end, start)).then_some(start..start + length)
}

/// Whether only the end of a line, and what stands at its edges, lies between two places.
fn is_line_end(bytes: &[u8], end: usize, start: usize) -> bool {
    let between = bytes.get(end..start).unwrap_or_default();
    between.len() <= 16
        && between.iter().filter(|byte| **byte == b'\n' || **byte == b'.').count() == 1
        && between.iter().all(|byte| matches!(byte, b'\n' | b'\r' | b' ' | b'\t' | b'"' | b'\'' | b'\\' | b'.'))
}
