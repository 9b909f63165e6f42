//! Arrays: the length of their elements, and what joblib puts between the instructions.

use super::super::cursor::Cursor;
use super::super::refusal::{Bad, Why};
use super::allow::{Form, Known};
use super::value::{Element, Value};

/// What joblib's reader puts in place of the wrapper.
pub(super) static NDARRAY: &Known = &Known { module: "numpy", name: "ndarray", form: Form::Value };

/// What follows a wrapper's state.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrapped {
    Raw { bytes: u64 },
    Objects,
}

/// The element that a dtype's first argument says.
pub(super) fn element(text: &str) -> Option<Element> {
    let text = text.trim_start_matches(['<', '>', '=', '|']);
    let letter = text.bytes().next()?;
    let count = text.get(1..)?;
    let count: u64 = if count.is_empty() { 0 } else { count.parse().ok()? };
    let (bytes, objects) = match letter {
        b'b' | b'i' | b'u' | b'f' | b'c' | b'S' | b'V' | b'M' | b'm' | b'B' => (count, false),
        b'?' => (1, false),
        b'U' => (count.checked_mul(4)?, false),
        b'O' => (8, true),
        _ => return None,
    };
    (bytes <= MAX_ELEMENT).then_some(Element { letter, bytes, objects })
}

/// The element after the state of a dtype was set; none where it is not known any more.
pub(super) fn after_state(before: Option<Element>, state: &Value) -> Option<Element> {
    let before = before?;
    let items = state.as_items()?;
    // (version, byte order, subarray, names, fields, size, alignment, flags …)
    let (Some(Value::Int(3 | 4)), Some(size), Some(Value::Int(flags))) = (items.first(), items.get(5), items.get(7))
    else {
        return None;
    };
    if !matches!(items.get(2), Some(Value::None)) {
        return None;
    }
    if flags & HAS_OBJECTS != 0 && !matches!(before.letter, b'O' | b'V') {
        return None;
    }
    // NumPy believes the flags. Where they hide that a field holds objects, bytes of the file would become pointers.
    let objects = before.objects || flags & HAS_OBJECTS != 0;
    match (items.get(4), objects) {
        (Some(Value::None), _) | (_, true) => {}
        (Some(Value::Dict(fields)), false) if fields.all(&|field| is_plain_field(field)) => {}
        _ => return None,
    }
    let bytes = match (before.letter, size) {
        (b'S' | b'U' | b'V', Value::Int(size)) => u64::try_from(*size).ok()?,
        (b'S' | b'U' | b'V', _) => return None,
        _ => before.bytes,
    };
    (bytes <= MAX_ELEMENT).then_some(Element { bytes, objects, ..before })
}

/// A field of a record: its dtype, its place.
fn is_plain_field(field: &Value) -> bool {
    let dtype = field.as_items().and_then(<[_]>::first);
    dtype.and_then(Value::element).is_some_and(|element| !element.objects)
}

/// Whether an array's state is (version, shape, dtype, order, bytes), or a list in place of the bytes where it holds objects.
pub(super) fn is_usual_state(state: &Value) -> bool {
    let Some(items) = state.as_items() else { return false };
    let (dtype, data) = match items {
        // Of a masked array: its mask and fill value follow.
        [Value::Int(_), shape, dtype, Value::Int(_), data, ..] if shape.as_items().is_some() => (dtype, data),
        _ => return false,
    };
    match dtype.element() {
        Some(element) if element.objects => matches!(data, Value::List),
        Some(_) => !matches!(data, Value::List | Value::Global(_) | Value::Opaque),
        None => false,
    }
}

/// What follows, by the state of a wrapper.
pub(super) fn wrapped(state: &Value) -> Result<Wrapped, Bad> {
    let unknown = |what: &str| Bad::new(Why::Call, format!("joblib's array has {what} that is not usual"));
    let Value::Dict(state) = state else { return Err(unknown("a state")) };
    match state.field("subclass") {
        Some(Value::Global(class)) if class.is_class() => {}
        _ => return Err(unknown("a class")),
    }
    let element = state.field("dtype").and_then(|dtype| dtype.element()).ok_or_else(|| unknown("an element"))?;
    if element.objects {
        return Ok(Wrapped::Objects);
    }
    match state.field("numpy_array_alignment_bytes") {
        Some(Value::Int(16)) => {}
        _ => {
            let reason = "joblib's array begins right after an instruction, where other readers see instructions too; \
                          joblib 1.2 and newer write a byte between them";
            return Err(Bad::new(Why::Ambiguous, reason));
        }
    }
    let shape = state.field("shape");
    let mut bytes = element.bytes;
    for size in shape.as_ref().and_then(Value::as_items).ok_or_else(|| unknown("a shape"))? {
        let Value::Int(size) = size else { return Err(unknown("a shape")) };
        let size = u64::try_from(*size).map_err(|_| unknown("a shape"))?;
        bytes = bytes.checked_mul(size).ok_or_else(|| unknown("a shape"))?;
    }
    Ok(Wrapped::Raw { bytes })
}

/// Passes over padding and elements. The padding's first byte is no instruction, so that Python's own reader stops there.
pub(super) fn skip_raw(cursor: &mut Cursor<'_>, bytes: u64) -> Result<(), Bad> {
    let padding = cursor.byte()?;
    if !(1..=16).contains(&padding) {
        return Err(Bad::new(Why::Ambiguous, "joblib's array is not padded as joblib does"));
    }
    cursor.skip(u64::from(padding))?;
    cursor.skip(bytes)
}

/// NumPy's flag of an element that holds objects.
const HAS_OBJECTS: i64 = 1;
/// Bytes of one element.
const MAX_ELEMENT: u64 = 1 << 24;
