//! Masking: the shape of a value stays, its letters and digits do not.

/// The value with each letter as `x` or `X`, each digit as `0`, each letter of a script without case as `某`; what is neither
/// stays. So many letters at its beginning and end stay as they are, where as many again are hidden.
pub(crate) fn mask(value: &str, first: usize, last: usize) -> String {
    let count = value.chars().count();
    let (first, last) = if count >= 2 * (first + last) { (first, last) } else { (0, 0) };
    let hide = |letter: char| match letter {
        _ if letter.is_numeric() => '0',
        _ if letter.is_uppercase() => 'X',
        _ if letter.is_lowercase() => 'x',
        _ if letter.is_alphanumeric() => '某',
        _ if letter.is_ascii() || letter.is_whitespace() => letter,
        // Marks, signs and pictures can spell, too.
        _ => '?',
    };
    let shown = |place: usize| place < first || place >= count - last;
    value.chars().enumerate().map(|(place, letter)| if shown(place) { letter } else { hide(letter) }).collect()
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn the_shape_stays_and_what_it_is_of_does_not() {
        for (value, first, last, seen) in [
            ("Li Wei", 0, 0, "Xx Xxx"),
            ("13800138000", 3, 4, "00000000000"),
            ("138-0013-8000-77", 3, 4, "138-0000-0000-77"),
            ("王小明", 1, 0, "王某某"),
            ("王", 1, 0, "某"),
            ("a@b.org", 0, 0, "x@x.xxx"),
            ("é1٣½", 0, 0, "x000"),
            ("😀", 0, 0, "?"),
            ("", 3, 3, ""),
        ] {
            assert_eq!(mask(value, first, last), seen, "{value}");
        }
    }
}
