//! The wire form of Protocol Buffers, read from a slice.
//!
//! INVARIANT (no-trust-in-lengths): nothing here allocates. A length that the file does not back with bytes
//! is an error, so what a caller collects is bounded by the size of the file.

/// One field's value, still in its wire form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// Why a message cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    #[error("it ends in the middle of a field")]
    Truncated,
    #[error("a number is longer than ten bytes")]
    LongVarint,
    #[error("a field has the number 0 or one that is too large")]
    FieldNumber,
    #[error("a field has an unknown wire type")]
    WireType,
    #[error("a field has another type than the format says")]
    FieldType,
    #[error("a text is not UTF-8")]
    Text,
}

/// The fields of one message, in the order of the file.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), WireError> {
        let key = varint(&mut self.rest)?;
        let number = u32::try_from(key >> 3).map_err(|_| WireError::FieldNumber)?;
        if number == 0 || number > MAX_FIELD_NUMBER {
            return Err(WireError::FieldNumber);
        }
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => Value::Fixed64(u64::from_le_bytes(fixed(&mut self.rest)?)),
            2 => {
                let length = usize::try_from(varint(&mut self.rest)?).map_err(|_| WireError::Truncated)?;
                Value::Bytes(take(&mut self.rest, length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(fixed(&mut self.rest)?)),
            _ => return Err(WireError::WireType),
        };
        Ok((number, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[]; // after an error nothing more can be told apart
        }
        Some(field)
    }
}

impl<'a> Value<'a> {
    pub(crate) fn bytes(self) -> Result<&'a [u8], WireError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(WireError::FieldType),
        }
    }

    pub(crate) fn text(self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| WireError::Text)
    }

    /// An `int64` (or `int32`, or enumeration): negative numbers are ten bytes of two's complement.
    pub(crate) fn int(self) -> Result<i64, WireError> {
        match self {
            Self::Varint(value) => Ok(value.cast_signed()),
            _ => Err(WireError::FieldType),
        }
    }

    pub(crate) fn float(self) -> Result<f32, WireError> {
        match self {
            Self::Fixed32(bits) => Ok(f32::from_bits(bits)),
            _ => Err(WireError::FieldType),
        }
    }

    /// Appends a repeated integer field, which may be packed or not.
    pub(crate) fn extend_ints(self, into: &mut Vec<i64>) -> Result<(), WireError> {
        match self {
            Self::Varint(value) => into.push(value.cast_signed()),
            Self::Bytes(mut packed) => {
                while !packed.is_empty() {
                    into.push(varint(&mut packed)?.cast_signed());
                }
            }
            _ => return Err(WireError::FieldType),
        }
        Ok(())
    }

    /// Appends a repeated `float` field, which may be packed or not.
    pub(crate) fn extend_floats(self, into: &mut Vec<f32>) -> Result<(), WireError> {
        match self {
            Self::Fixed32(bits) => into.push(f32::from_bits(bits)),
            Self::Bytes(mut packed) => {
                while !packed.is_empty() {
                    into.push(f32::from_le_bytes(fixed(&mut packed)?));
                }
            }
            _ => return Err(WireError::FieldType),
        }
        Ok(())
    }

    /// Appends a repeated `double` field, which may be packed or not.
    pub(crate) fn extend_doubles(self, into: &mut Vec<f64>) -> Result<(), WireError> {
        match self {
            Self::Fixed64(bits) => into.push(f64::from_bits(bits)),
            Self::Bytes(mut packed) => {
                while !packed.is_empty() {
                    into.push(f64::from_le_bytes(fixed(&mut packed)?));
                }
            }
            _ => return Err(WireError::FieldType),
        }
        Ok(())
    }
}

fn varint(rest: &mut &[u8]) -> Result<u64, WireError> {
    let mut value = 0u64;
    for place in 0..MAX_VARINT_BYTES {
        let (byte, after) = rest.split_first().ok_or(WireError::Truncated)?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(WireError::LongVarint)
}

fn fixed<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], WireError> {
    let (bytes, after) = rest.split_first_chunk().ok_or(WireError::Truncated)?;
    *rest = after;
    Ok(*bytes)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], WireError> {
    let (bytes, after) = rest.split_at_checked(length).ok_or(WireError::Truncated)?;
    *rest = after;
    Ok(bytes)
}

/// Ten groups of seven bits hold 64 bits.
const MAX_VARINT_BYTES: u32 = 10;
/// The largest number that the format allows a field to have.
const MAX_FIELD_NUMBER: u32 = (1 << 29) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(u32, Value<'_>)>, WireError> {
        Fields::new(bytes).collect()
    }

    #[test]
    fn every_wire_type_reads() {
        let bytes = [0x08, 0x96, 0x01, 0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0x1a, 2, b'h', b'i', 0x25, 0, 0, 0x80, 0x3f];
        let fields = read(&bytes).unwrap();
        assert_eq!(fields[0], (1, Value::Varint(150)));
        assert_eq!(fields[1], (2, Value::Fixed64(1)));
        assert_eq!(fields[2].1.text(), Ok("hi"));
        assert_eq!(fields[3].1.float(), Ok(1.0));
    }

    #[test]
    fn a_negative_number_is_ten_bytes_and_eleven_are_too_many() {
        let mut bytes = vec![0x08];
        bytes.extend([0xff; 9]);
        bytes.push(0x01);
        assert_eq!(read(&bytes).unwrap()[0].1.int(), Ok(-1));
        bytes[10] = 0xff;
        bytes.push(0x01);
        assert_eq!(read(&bytes), Err(WireError::LongVarint));
    }

    #[test]
    fn bad_messages_are_refused() {
        for (bytes, error) in [
            (&[0x08][..], WireError::Truncated),
            (&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1], WireError::Truncated),
            (&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], WireError::Truncated),
            (&[0x25, 0, 0], WireError::Truncated),
            (&[0x11, 0, 0, 0, 0], WireError::Truncated),
            (&[0x00, 0x00], WireError::FieldNumber),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0x00], WireError::FieldNumber),
            (&[0x0b], WireError::WireType),
            (&[0x0c], WireError::WireType),
            (&[0x0e], WireError::WireType),
        ] {
            assert_eq!(read(bytes), Err(error), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_packed_list_that_ends_early_is_refused() {
        let mut floats = Vec::new();
        assert_eq!(Value::Bytes(&[0, 0, 0x80]).extend_floats(&mut floats), Err(WireError::Truncated));
        let mut ints = Vec::new();
        assert_eq!(Value::Bytes(&[1, 0x80]).extend_ints(&mut ints), Err(WireError::Truncated));
        assert_eq!(Value::Fixed32(1).extend_ints(&mut ints), Err(WireError::FieldType));
        assert_eq!(Value::Bytes(&[0xff]).text(), Err(WireError::Text));
    }
}
