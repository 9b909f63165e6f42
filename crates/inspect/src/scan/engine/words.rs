//! Words in text, thousands at once: of each word the three bytes that are rarest in text lead to it, and one table of
//! bits says of any three bytes whether they lead anywhere. Clean text costs one look at that table for each byte.

use std::collections::{BTreeMap, BTreeSet};

/// Words, ready to be looked for. Letters of ASCII count in either case.
#[derive(Debug)]
pub(super) struct Words {
    words: Vec<Vec<u8>>,
    /// A bit for every hash of three bytes that lead to a word.
    leading: Box<[u64; HASHES / 64]>,
    /// By hash: where its leads begin; they end where the next one's begin.
    begins: Vec<usize>,
    leads: Vec<Lead>,
    /// Whether a word of one or two bytes begins with this one, and which.
    short_begins: Box<[bool; 256]>,
    short: BTreeMap<u8, Vec<usize>>,
}

/// That three bytes may be those of a word from this offset on.
#[derive(Debug, Clone, Copy)]
struct Lead {
    word: usize,
    offset: usize,
}

/// Values of the hash of three bytes: the table of their bits has to stay in the nearest cache.
const HASHES: usize = 1 << 16;

impl Words {
    pub(super) fn of(words: Vec<Vec<u8>>) -> Self {
        let mut found = Self {
            words,
            leading: Box::new([0; HASHES / 64]),
            begins: vec![0; HASHES + 1],
            leads: Vec::new(),
            short_begins: Box::new([false; 256]),
            short: BTreeMap::new(),
        };
        let mut leads = Vec::new();
        for (place, word) in found.words.iter().enumerate() {
            let threes = word.windows(3).enumerate();
            match threes.min_by_key(|(_, three)| commonness_of_three(three)) {
                Some((offset, three)) => leads.push((hash(number(three)), Lead { word: place, offset })),
                None => {
                    let first = word.first().copied().unwrap_or_default();
                    for first in BTreeSet::from([first.to_ascii_lowercase(), first.to_ascii_uppercase()]) {
                        found.short_begins[usize::from(first)] = true;
                        found.short.entry(first).or_default().push(place);
                    }
                }
            }
        }
        leads.sort_by_key(|(hash, _)| *hash);
        for (hash, _) in &leads {
            if let Some(bits) = found.leading.get_mut(hash / 64) {
                *bits |= 1 << (hash % 64);
            }
            if let Some(count) = found.begins.get_mut(hash + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for begin in &mut found.begins {
            sum += *begin;
            *begin = sum;
        }
        found.leads = leads.into_iter().map(|(_, lead)| lead).collect();
        found
    }

    /// Tells of every word in `bytes` where it begins and ends, and which it is; about in their order.
    pub(super) fn each(&self, bytes: &[u8], mut found: impl FnMut(usize, usize, usize)) {
        let mut three = 0;
        for (at, byte) in bytes.iter().enumerate() {
            three = three >> 8 | u32::from(*byte) << 16;
            let hash = hash(three);
            let bit = self.leading.get(hash / 64 % (HASHES / 64)).copied().unwrap_or(0) >> (hash % 64) & 1;
            if bit | u64::from(self.short_begins[usize::from(*byte)]) != 0 {
                self.look(bytes, at, hash, &mut found);
            }
        }
    }

    /// Looks at the words that three bytes with this hash, the last of them at `at`, may lead to.
    #[inline(never)]
    fn look(&self, bytes: &[u8], at: usize, hash: usize, found: &mut impl FnMut(usize, usize, usize)) {
        let mut try_word = |word: usize, start: usize| {
            let Some(text) = self.words.get(word) else { return };
            if bytes.get(start..start + text.len()).is_some_and(|there| there.eq_ignore_ascii_case(text)) {
                found(start, start + text.len(), word);
            }
        };
        let range = self.begins.get(hash).copied().unwrap_or(0)..self.begins.get(hash + 1).copied().unwrap_or(0);
        for lead in self.leads.get(range).unwrap_or_default() {
            if let Some(start) = at.checked_sub(lead.offset + 2) {
                try_word(lead.word, start);
            }
        }
        let short = bytes.get(at).filter(|byte| self.short_begins[usize::from(**byte)]);
        short.and_then(|byte| self.short.get(byte)).into_iter().flatten().for_each(|word| try_word(*word, at));
    }
}

/// Three bytes as a number, the first the lowest.
fn number(three: &[u8]) -> u32 {
    three.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// The same for letters of either case.
fn hash(three: u32) -> usize {
    ((three | 0x20_2020).wrapping_mul(0x9e37_79b1) >> 16) as usize
}

/// How common three bytes are in text, roughly.
fn commonness_of_three(three: &[u8]) -> u32 {
    const COMMON: &[&[u8; 3]] = &[
        b"the", b"and", b"ing", b"ion", b"ent", b"ati", b"for", b"her", b"ter", b"hat", b"ere", b"ate", b"his", b"con",
        b"res", b"ver", b"all", b"ons", b"nce", b"men", b"ith", b"ted", b"ers", b"pro", b"wit", b"are", b"ess", b"not",
        b"ive", b"was", b"ect", b"rea", b"com", b"eve", b"per", b"int", b"est", b"sta", b"cti", b"ica", b"ist", b"ear",
        b"ain", b"one", b"our", b"iti", b"rat", b"ell", b"ant", b"ort", b"ous", b"ste", b"ein", b"ich", b"der", b"die",
        b"und", b"sch", b"che", b"den", b"ung", b"gen", b"tal", b"lat", b"der", b"oke", b"sec", b"art", b"ecr", b"tat",
    ];
    let common = COMMON.iter().any(|common| common.eq_ignore_ascii_case(three));
    three.iter().copied().map(commonness).sum::<u32>() + if common { 60 } else { 0 }
}

/// How common a byte is in text, roughly.
fn commonness(byte: u8) -> u32 {
    const LETTERS: &[u8] = b"qzjxkvbywgpfmucdlhrsnioate";
    match byte {
        b' ' => 60,
        b'0'..=b'9' => 34,
        0xe3..=0xe9 => 40,
        0x80..=0xbf => 30,
        b'-' | b'.' | b':' | b'"' | b',' => 26,
        b'=' | b'/' | b'_' => 18,
        _ => match LETTERS.iter().position(|letter| letter.eq_ignore_ascii_case(&byte)) {
            Some(rank) => 12 + 2 * rank as u32,
            None => 8,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_wherever_it_stands_as_by_looking_everywhere() {
        let words: Vec<Vec<u8>> =
            ["@", "+1", "·", "tel", "telephone", "phone", "one", "sk-proj-", "住址", "址", "aaa", "aaaa"]
                .map(|word| word.as_bytes().to_vec())
                .to_vec();
        let found = Words::of(words.clone());
        let texts =
            ["", "@", "+", "t", "TelePhone", "aaaaaa", "x住址@+1+1·", "SK-PROJ-telone tel", "\u{1}+1", "ph\0one@"];
        for text in texts {
            let text = text.as_bytes();
            let mut fast = Vec::new();
            found.each(text, |start, end, word| fast.push((start, end, word)));
            fast.sort_unstable();
            let mut slow = Vec::new();
            for start in 0..text.len() {
                for (place, word) in words.iter().enumerate() {
                    let end = start + word.len();
                    if text.get(start..end).is_some_and(|there| there.eq_ignore_ascii_case(word)) {
                        slow.push((start, end, place));
                    }
                }
            }
            assert_eq!(fast, slow, "{}", String::from_utf8_lossy(text));
        }
    }
}
