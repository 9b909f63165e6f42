//! The extended headers of POSIX tar: what of them is taken, and what is refused.

/// What an extended header says of the entry behind it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) mtime: Option<i64>,
}

impl Pax {
    /// Reads records `LENGTH KEY=VALUE\n`. Extended attributes, owners and other times are read over.
    ///
    /// # Errors
    /// What is wrong: a record that is none, a key that counts and comes twice, holes in the file.
    pub(crate) fn parse(mut bytes: &[u8]) -> Result<Self, &'static str> {
        const NONE: &str = "has an extended header that is none";
        const TWICE: &str = "has an extended header that says a thing twice";
        let mut pax = Self::default();
        while !bytes.is_empty() {
            let space = bytes.iter().position(|byte| *byte == b' ').ok_or(NONE)?;
            let length = number(bytes.get(..space).ok_or(NONE)?).ok_or(NONE)?;
            let length = usize::try_from(length).map_err(|_| NONE)?;
            let record = bytes.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or(NONE)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or(NONE)?;
            let (key, value) = (record.get(..equals).ok_or(NONE)?, record.get(equals + 1..).ok_or(NONE)?);
            let fresh = match key {
                b"path" => pax.path.replace(value.to_vec()).is_none(),
                b"linkpath" => pax.link.replace(value.to_vec()).is_none(),
                b"size" => pax.size.replace(number(value).ok_or(NONE)?).is_none(),
                b"mtime" => pax.mtime.replace(seconds(value).ok_or(NONE)?).is_none(),
                key if key.starts_with(b"GNU.sparse.") => return Err("has holes, which is not taken"),
                _ => true,
            };
            if !fresh {
                return Err(TWICE);
            }
            bytes = bytes.get(length..).ok_or(NONE)?;
        }
        Ok(pax)
    }

    /// Whether it says anything that would change an entry.
    pub(crate) fn is_plain(&self) -> bool {
        self.path.is_none() && self.link.is_none() && self.size.is_none()
    }
}

/// A decimal number of digits alone.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// The whole seconds of a time such as `1700000000.25` or `-1`.
fn seconds(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    text.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_read_and_binary_attributes_are_read_over() {
        let text = b"14 path=a\nb/c\n19 linkpath=target\n10 size=7\n22 mtime=1700000000.5\n29 SCHILY.xattr.user.x=\x00\n\xff=\n\n";
        let pax = Pax::parse(text).unwrap();
        assert_eq!(pax.path.as_deref(), Some(b"a\nb/c".as_slice()));
        assert_eq!(
            (pax.link.as_deref(), pax.size, pax.mtime),
            (Some(b"target".as_slice()), Some(7), Some(1_700_000_000))
        );
    }

    #[test]
    fn records_that_are_none_or_say_a_thing_twice_are_refused() {
        for text in [
            &b"path=a\n"[..],
            b"9 path=a\n\n\n",
            b"99 path=a\n",
            b"0 path=a\n",
            b"2 path=a\n",
            b"-9 path=a\n",
            b"18446744073709551616 path=a\n",
            b"10 size=-7",
            b"11 size=-7\n",
            b"9 path=a\n9 path=b\n",
            b"23 GNU.sparse.major=1\n",
            b"7 patha\n",
        ] {
            assert!(Pax::parse(text).is_err(), "{}", String::from_utf8_lossy(text));
        }
    }
}
