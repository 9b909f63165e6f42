//! NumPy's arrays: a header in Python's syntax, then the elements.

use super::refusal::{Bad, Why, shown};
use super::source::Source;

/// Checks that the header is one, that the array holds no objects, and that its elements are there to the byte.
pub(crate) fn scan(source: &Source) -> Result<(), Bad> {
    let head = source.head(12)?;
    let (start, length) = match head.as_slice() {
        [_, _, _, _, _, _, 1, 0, a, b, ..] => (10, u64::from(u16::from_le_bytes([*a, *b]))),
        [_, _, _, _, _, _, 2 | 3, 0, a, b, c, d] => (12, u64::from(u32::from_le_bytes([*a, *b, *c, *d]))),
        _ => return Err(Bad::malformed("its version is not known")),
    };
    let header = source.part(start, length)?.whole(MAX_HEADER)?;
    let text = std::str::from_utf8(&header).map_err(|_| Bad::malformed("its header is not UTF-8"))?;
    let Some(header) = Header::read(text) else {
        return Err(Bad::malformed(format!("its header is not NumPy's: `{}`", shown(text))));
    };
    let element = header.descr.bytes()?;
    let elements = header.shape.iter().try_fold(element, |all, size| all.checked_mul(*size));
    let there = source.len() - start - length;
    match elements == Some(there) {
        true => Ok(()),
        false => Err(Bad::malformed(format!("{there} bytes follow its header, and not as many as its shape says"))),
    }
}

/// `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`, and nothing else.
#[derive(Debug, PartialEq)]
struct Header {
    descr: Descr,
    shape: Vec<u64>,
}

/// The type of an element.
#[derive(Debug, PartialEq)]
enum Descr {
    Plain(String),
    Record(Vec<(Descr, Vec<u64>)>),
}

impl Descr {
    fn bytes(&self) -> Result<u64, Bad> {
        let unknown = |text: &str| Bad::malformed(format!("its element `{}` is not known", shown(text)));
        match self {
            Self::Plain(text) => {
                let short = text.trim_start_matches(['<', '>', '=', '|']);
                let letter = short.bytes().next().ok_or_else(|| unknown(text))?;
                let count = short.get(1..).unwrap_or_default();
                let count = count.split('[').next().unwrap_or_default();
                if letter == b'O' {
                    return Err(Bad::new(Why::ObjectArray, "its elements are objects, which lie in it as a pickle"));
                }
                let count: u64 = count.parse().map_err(|_| unknown(text))?;
                match letter {
                    b'b' | b'i' | b'u' | b'f' | b'c' | b'S' | b'V' | b'M' | b'm' => Ok(count),
                    b'U' => count.checked_mul(4).ok_or_else(|| unknown(text)),
                    _ => Err(unknown(text)),
                }
            }
            Self::Record(fields) => fields.iter().try_fold(0u64, |sum, (field, shape)| {
                let bytes = shape.iter().try_fold(field.bytes()?, |all, size| all.checked_mul(*size));
                bytes.and_then(|bytes| sum.checked_add(bytes)).ok_or_else(|| unknown("a record"))
            }),
        }
    }
}

impl Header {
    fn read(text: &str) -> Option<Self> {
        let mut reader = Reader { rest: text.trim_end() };
        reader.sign('{')?;
        let (mut descr, mut order, mut shape) = (None, None, None);
        while !reader.next_is('}') {
            let key = reader.text()?;
            reader.sign(':')?;
            let again = match key.as_str() {
                "descr" => descr.replace(reader.descr(0)?).is_some(),
                "fortran_order" => order.replace(reader.truth()?).is_some(),
                "shape" => shape.replace(reader.shape()?).is_some(),
                _ => return None,
            };
            if again || (reader.sign(',').is_none() && !reader.next_is('}')) {
                return None;
            }
        }
        reader.sign('}')?;
        order?;
        reader.rest.is_empty().then_some(Self { descr: descr?, shape: shape? })
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn next_is(&mut self, sign: char) -> bool {
        self.rest = self.rest.trim_start();
        self.rest.starts_with(sign)
    }

    fn sign(&mut self, sign: char) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(sign)?;
        Some(())
    }

    fn text(&mut self) -> Option<String> {
        let rest = self.rest.trim_start();
        let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
        let (text, rest) = rest.get(1..)?.split_once(quote)?;
        self.rest = rest;
        // No escape is ever needed, and one could spell something else.
        (!text.contains('\\')).then(|| text.to_owned())
    }

    fn truth(&mut self) -> Option<bool> {
        let rest = self.rest.trim_start();
        let (truth, rest) = match (rest.strip_prefix("True"), rest.strip_prefix("False")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return None,
        };
        self.rest = rest;
        Some(truth)
    }

    fn number(&mut self) -> Option<u64> {
        let rest = self.rest.trim_start();
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, rest) = rest.split_at(end);
        self.rest = rest.strip_prefix('L').unwrap_or(rest);
        digits.parse().ok()
    }

    fn shape(&mut self) -> Option<Vec<u64>> {
        self.sign('(')?;
        let mut shape = Vec::new();
        while !self.next_is(')') {
            shape.push(self.number()?);
            if self.sign(',').is_none() && !self.next_is(')') {
                return None;
            }
        }
        self.sign(')')?;
        (shape.len() <= 64).then_some(shape)
    }

    fn descr(&mut self, depth: usize) -> Option<Descr> {
        if !self.next_is('[') {
            return self.text().map(Descr::Plain);
        }
        if depth > 8 {
            return None;
        }
        self.sign('[')?;
        let mut fields = Vec::new();
        while !self.next_is(']') {
            self.sign('(')?;
            match self.next_is('(') {
                // A title and a name.
                true => {
                    self.sign('(')?;
                    self.text()?;
                    self.sign(',')?;
                    self.text()?;
                    self.sign(')')?;
                }
                false => drop(self.text()?),
            }
            self.sign(',')?;
            let descr = self.descr(depth + 1)?;
            let shape = match self.sign(',') {
                Some(()) if self.next_is('(') => self.shape()?,
                _ => Vec::new(),
            };
            self.sign(')')?;
            fields.push((descr, shape));
            if self.sign(',').is_none() && !self.next_is(']') {
                return None;
            }
        }
        self.sign(']')?;
        Some(Descr::Record(fields))
    }
}

/// As NumPy has it, generously.
const MAX_HEADER: u64 = 64 * 1024;
