//! Whether something that looks like a secret is one, or stands for one.

/// Bits per byte below which no generator has made it.
const LEAST_RANDOM_BITS: f64 = 3.0;
/// The same for what stands in an assignment, where the shape says less.
const LEAST_ASSIGNED_BITS: f64 = 3.4;

/// Shannon's entropy of its bytes, in bits per byte.
pub(super) fn entropy(text: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    text.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let total = text.len().max(1) as f64;
    let bits = counts.iter().filter(|count| **count > 0).map(|count| {
        let share = f64::from(*count) / total;
        -share * share.log2()
    });
    bits.sum()
}

/// No example, no template, no run of one sign.
pub(super) fn not_placeholder(text: &[u8]) -> bool {
    let lower = text.to_ascii_lowercase();
    let has = |word: &[u8]| lower.windows(word.len()).any(|window| window == word);
    let words: [&[u8]; 12] = [
        b"example",
        b"xxxx",
        b"your_",
        b"your-",
        b"placeholder",
        b"changeme",
        b"dummy",
        b"sample",
        b"${",
        b"{{",
        b"****",
        b"1234567890",
    ];
    let distinct = text.iter().collect::<std::collections::BTreeSet<_>>().len();
    !words.iter().any(|word| has(word)) && distinct > 5
}

/// Made by a generator.
pub(super) fn random(text: &[u8]) -> bool {
    not_placeholder(text) && entropy(text) >= LEAST_RANDOM_BITS
}

/// What is assigned to a name that speaks of a secret: random, of more than one class of signs, and no name itself.
pub(super) fn password(text: &[u8]) -> bool {
    let (digits, lower, upper) = (
        text.iter().any(u8::is_ascii_digit),
        text.iter().any(u8::is_ascii_lowercase),
        text.iter().any(u8::is_ascii_uppercase),
    );
    let numbers = text.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b':'));
    let is_name = text.iter().filter(|byte| matches!(byte, b'.' | b'_' | b'-' | b'/')).count() * 5 > text.len();
    digits && (lower || upper) && !numbers && !is_name && not_placeholder(text) && entropy(text) >= LEAST_ASSIGNED_BITS
}

/// A header that is base64 of an object of JSON, with its algorithm.
pub(super) fn jwt(text: &[u8]) -> bool {
    let header = text.split(|byte| *byte == b'.').next().unwrap_or_default();
    let decoded = crate::scan::decode::base64::decode(header);
    let holds = |word: &[u8]| decoded.windows(word.len()).any(|window| window == word);
    decoded.starts_with(b"{") && (holds(b"\"alg\"") || holds(b"\"enc\""))
}
