//! safetensors: the length of a header, the header in JSON, the tensors one after the other.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::refusal::{Bad, Why, shown};
use super::source::Source;

/// Whether a file begins like one.
pub(crate) fn begins_like_one(head: &[u8], length: u64) -> bool {
    let Some((size, rest)) = head.split_first_chunk::<8>() else { return false };
    rest.first() == Some(&b'{') && u64::from_le_bytes(*size).checked_add(8).is_some_and(|end| end <= length)
}

/// Checks that the header is one and that the tensors lie one after the other, without holes, up to the end.
pub(crate) fn scan(source: &Source) -> Result<(), Bad> {
    let head = source.head(8)?;
    let size = head.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
    let size = size.ok_or_else(|| Bad::malformed("it ends before its header"))?;
    if size > MAX_HEADER {
        return Err(Bad::new(
            Why::TooLarge,
            format!("its header says {size} bytes, and at most {MAX_HEADER} are allowed"),
        ));
    }
    let header = source.part(8, size)?.whole(MAX_HEADER)?;
    if header.first() != Some(&b'{') {
        return Err(Bad::malformed("its header does not begin with `{`"));
    }
    let header = parse(&header)?;
    let data = source.len() - 8 - size;
    let mut spans = Vec::new();
    for (name, value) in &header {
        if name == "__metadata__" {
            let texts = value.as_object().is_some_and(|fields| fields.values().all(Value::is_string));
            if !texts {
                return Err(Bad::malformed("its metadata are not texts"));
            }
            continue;
        }
        spans.push(span(name, value)?);
    }
    spans.sort_unstable();
    let mut at = 0;
    for (start, end) in spans {
        if start != at {
            return Err(Bad::malformed("its tensors overlap or leave a hole").at(8 + size + start));
        }
        at = end;
    }
    match at == data {
        true => Ok(()),
        false => Err(Bad::malformed(format!("its tensors take {at} bytes, and {data} are there"))),
    }
}

fn span(name: &str, value: &Value) -> Result<(u64, u64), Bad> {
    let wrong = |what: &str| Bad::malformed(format!("the tensor `{}` {what}", shown(name)));
    let fields =
        value.as_object().filter(|fields| fields.len() == 3).ok_or_else(|| wrong("has other fields than three"))?;
    let bits =
        fields.get("dtype").and_then(Value::as_str).and_then(bits).ok_or_else(|| wrong("has an unknown type"))?;
    let shape = fields.get("shape").and_then(Value::as_array).ok_or_else(|| wrong("has no shape"))?;
    let offsets = fields.get("data_offsets").and_then(Value::as_array).map(Vec::as_slice);
    let Some([start, end]) = offsets else { return Err(wrong("has no place")) };
    let (Some(start), Some(end)) = (start.as_u64(), end.as_u64()) else { return Err(wrong("has no place")) };
    let elements = shape.iter().try_fold(1u64, |all, size| all.checked_mul(size.as_u64()?));
    let total = elements.and_then(|elements| elements.checked_mul(bits)).filter(|bits| bits % 8 == 0);
    if total.map(|bits| bits / 8) != end.checked_sub(start) {
        return Err(wrong("is not as long as its shape says"));
    }
    Ok((start, end))
}

fn bits(kind: &str) -> Option<u64> {
    Some(match kind {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => 8,
        "U16" | "I16" | "F16" | "BF16" => 16,
        "U32" | "I32" | "F32" => 32,
        "U64" | "I64" | "F64" | "C64" => 64,
        _ => return None,
    })
}

/// Parses an object whose keys are told apart: readers differ on which of two equal ones counts.
fn parse(bytes: &[u8]) -> Result<Map<String, Value>, Bad> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let parsed = reader.deserialize_map(Tensors).and_then(|map| reader.end().map(|()| map));
    parsed.map_err(|error| Bad::malformed(format!("its header is no JSON object of tensors: {error}")))
}

struct Tensors;

impl<'de> Visitor<'de> for Tensors {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut all = Map::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            if all.insert(key, value).is_some() {
                return Err(serde::de::Error::custom("two tensors have one name"));
            }
        }
        Ok(all)
    }
}

/// As the library has it.
const MAX_HEADER: u64 = 100_000_000;
