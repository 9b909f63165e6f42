//! The stack machine.

use std::collections::HashMap;
use std::rc::Rc;

use super::super::cursor::Cursor;
use super::super::refusal::{Bad, Why, shown};
use super::super::storages::{Storage, Storages, element_bytes};
use super::allow::{self, Form, Known};
use super::array;
use super::text;
use super::value::Value;

/// Which program would read the pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// Python's own.
    Plain,
    /// joblib's, which takes arrays from between the instructions; it also reads what Python's own does.
    Joblib,
    /// PyTorch's, which knows storages by persistent ids.
    Torch,
}

/// What is known at the end of a pickle.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) storages: Storages,
    /// Whether it is the number that PyTorch's older files begin with.
    pub(super) is_torch_magic: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Machine {
    reader: Reader,
    stack: Vec<Value>,
    /// Heights of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    frame_end: Option<u64>,
    storages: Storages,
    refused: Vec<Bad>,
    nested: Vec<Vec<u8>>,
    streams: u32,
    last_long: Vec<u8>,
    named: bool,
    acted: bool,
    /// Whether the first thing that is refused ends it.
    stops: bool,
    /// Whether Python itself would have ended there: what it would name or call cannot be.
    stumbled: bool,
}

impl Machine {
    pub(super) fn new(reader: Reader) -> Self {
        Self {
            reader,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            frame_end: None,
            storages: Storages::default(),
            refused: Vec::new(),
            nested: Vec::new(),
            streams: 0,
            last_long: Vec::new(),
            named: false,
            acted: false,
            stops: false,
            stumbled: false,
        }
    }

    pub(super) fn take_refused(&mut self) -> Vec<Bad> {
        std::mem::take(&mut self.refused)
    }

    pub(super) fn take_nested(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.nested)
    }

    /// Whether it named something by a name that Python could import, and called something.
    pub(super) fn acts(&self) -> bool {
        self.named && self.acted
    }

    /// Goes through one pickle. What is refused and can be gone past is kept in [`Self::take_refused`].
    pub(super) fn run(&mut self, cursor: &mut Cursor<'_>) -> Result<Ended, Bad> {
        for _ in 0..MAX_STEPS {
            let at = cursor.at();
            let code = cursor.byte()?;
            if code == b'.' {
                let result = self.pop().map_err(|bad| bad.at(at))?;
                let is_torch_magic = matches!(result, Value::Number) && self.last_long == TORCH_MAGIC;
                if self.frame_end.is_some_and(|end| end != cursor.at()) {
                    return Err(ambiguous_frame().at(at));
                }
                return Ok(Ended { storages: std::mem::take(&mut self.storages), is_torch_magic });
            }
            self.step(code, cursor).map_err(|bad| if bad.at.is_some() { bad } else { bad.at(at) })?;
            if self.stops && !self.refused.is_empty() {
                return Err(Bad::malformed("it ends here for Python's own reader"));
            }
            if self.stack.len() > MAX_STACK {
                return Err(Bad::new(Why::TooLarge, format!("more than {MAX_STACK} values wait on its stack")).at(at));
            }
            match self.frame_end {
                Some(end) if cursor.at() > end => return Err(ambiguous_frame().at(at)),
                Some(end) if cursor.at() == end => self.frame_end = None,
                _ => {}
            }
        }
        Err(Bad::new(Why::TooLarge, format!("it has more than {MAX_STEPS} instructions")))
    }

    fn step(&mut self, code: u8, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        match code {
            // Where it is and what follows.
            0x80 => match cursor.byte()? {
                0..=5 => {}
                other => return Err(Bad::new(Why::Opcode, format!("its protocol {other} is not known"))),
            },
            0x95 => {
                let length = cursor.u64()?;
                let end = cursor.at().checked_add(length).filter(|_| length <= cursor.rest());
                let end = end.ok_or_else(|| Bad::malformed("a frame is longer than the file"))?;
                if self.frame_end.replace(end).is_some() {
                    return Err(ambiguous_frame());
                }
            }
            // The stack.
            b'(' => {
                if self.marks.len() >= MAX_MARKS {
                    return Err(Bad::new(Why::TooLarge, "its marks lie too deep"));
                }
                self.marks.push(self.stack.len());
            }
            b'0' => {
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = self.top()?.clone();
                self.stack.push(top);
            }
            // Plain values.
            b'N' => self.stack.push(Value::None),
            0x88 | 0x89 => self.stack.push(Value::Int(i64::from(code == 0x88))),
            b'I' => match text::integer(&cursor.line(MAX_LINE)?)? {
                Some(number) => self.stack.push(Value::Int(number)),
                None => self.stack.push(Value::Number),
            },
            b'L' => match text::integer(&cursor.line(MAX_NUMBER)?)? {
                Some(number) => self.stack.push(Value::Int(number)),
                None => self.stack.push(Value::Number),
            },
            b'J' => {
                let number = i32::from_le_bytes(cursor.array()?);
                self.stack.push(Value::Int(i64::from(number)));
            }
            b'K' => {
                let number = cursor.byte()?;
                self.stack.push(Value::Int(i64::from(number)));
            }
            b'M' => {
                let number = u16::from_le_bytes(cursor.array()?);
                self.stack.push(Value::Int(i64::from(number)));
            }
            0x8a => {
                let length = cursor.byte()?;
                self.long(u64::from(length), cursor)?;
            }
            0x8b => {
                let length = i32::from_le_bytes(cursor.array()?);
                let length = u64::try_from(length).map_err(|_| Bad::malformed("a number has a negative length"))?;
                self.long(length, cursor)?;
            }
            b'F' => {
                let line = cursor.line(MAX_LINE)?;
                let number = std::str::from_utf8(&line).ok().and_then(|text| text.trim().parse::<f64>().ok());
                number.ok_or_else(|| Bad::malformed("a number is not decimal"))?;
                self.stack.push(Value::Number);
            }
            b'G' => {
                cursor.skip(8)?;
                self.stack.push(Value::Number);
            }
            b'S' => {
                let text = text::quoted(&cursor.line(MAX_TEXT_LINE)?)?;
                self.stack.push(Value::text(&text));
            }
            b'V' => {
                let text = text::raw_unicode(&cursor.line(MAX_TEXT_LINE)?)?;
                self.stack.push(Value::text(&text));
            }
            b'T' => {
                let length = i32::from_le_bytes(cursor.array()?);
                let length = u64::try_from(length).map_err(|_| Bad::malformed("a text has a negative length"))?;
                self.counted_text(length, cursor)?;
            }
            b'U' | 0x8c => {
                let length = cursor.byte()?;
                self.counted_text(u64::from(length), cursor)?;
            }
            b'X' => {
                let length = cursor.u32()?;
                self.counted_text(u64::from(length), cursor)?;
            }
            0x8d => {
                let length = cursor.u64()?;
                self.counted_text(length, cursor)?;
            }
            b'B' => {
                let length = cursor.u32()?;
                self.counted_bytes(u64::from(length), cursor)?;
            }
            b'C' => {
                let length = cursor.byte()?;
                self.counted_bytes(u64::from(length), cursor)?;
            }
            0x8e | 0x96 => {
                let length = cursor.u64()?;
                self.counted_bytes(length, cursor)?;
            }
            // Containers.
            b')' => self.stack.push(Value::tuple(Vec::new())),
            0x85..=0x87 => {
                let count = usize::from(code - 0x84);
                let items = self.pop_many(count)?;
                self.stack.push(Value::tuple(items));
            }
            b't' => {
                let items = self.pop_mark()?;
                self.stack.push(Value::tuple(items));
            }
            b']' => self.stack.push(Value::List),
            b'l' => {
                drop(self.pop_mark()?);
                self.stack.push(Value::List);
            }
            b'}' => self.stack.push(Value::Dict(Rc::default())),
            b'd' => {
                let items = self.pop_mark()?;
                let dict = Value::Dict(Rc::default());
                self.set_items(&dict, &items)?;
                self.stack.push(dict);
            }
            0x8f => self.stack.push(Value::Set),
            0x91 => {
                drop(self.pop_mark()?);
                self.stack.push(Value::Set);
            }
            b'a' => {
                self.pop()?;
                let list = self.top()?.clone();
                self.appended_to(&list)?;
            }
            b'e' => {
                drop(self.pop_mark()?);
                let list = self.top()?.clone();
                self.appended_to(&list)?;
            }
            b's' => {
                let items = self.pop_many(2)?;
                let dict = self.top()?.clone();
                self.set_items(&dict, &items)?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                let dict = self.top()?.clone();
                self.set_items(&dict, &items)?;
            }
            0x90 => {
                drop(self.pop_mark()?);
                match self.top()? {
                    Value::Set => {}
                    _ => return Err(Bad::new(Why::Call, "it adds to something that is no set")),
                }
            }
            // The memo.
            b'p' => {
                let index = text::integer(&cursor.line(MAX_LINE)?)?;
                let index = index.and_then(|index| u32::try_from(index).ok());
                self.put(index.ok_or_else(|| Bad::malformed("a place in the memo is no number"))?)?;
            }
            b'q' => {
                let index = cursor.byte()?;
                self.put(u32::from(index))?;
            }
            b'r' => {
                let index = cursor.u32()?;
                self.put(index)?;
            }
            0x94 => self.put(u32::try_from(self.memo.len()).unwrap_or(u32::MAX))?,
            b'g' => {
                let index = text::integer(&cursor.line(MAX_LINE)?)?;
                let index = index.and_then(|index| u32::try_from(index).ok());
                self.get(index.ok_or_else(|| Bad::malformed("a place in the memo is no number"))?)?;
            }
            b'h' => {
                let index = cursor.byte()?;
                self.get(u32::from(index))?;
            }
            b'j' => {
                let index = cursor.u32()?;
                self.get(index)?;
            }
            // What acts.
            b'c' => {
                let (module, name) = (cursor.line(MAX_NAME)?, cursor.line(MAX_NAME)?);
                self.global(&String::from_utf8_lossy(&module), &String::from_utf8_lossy(&name));
            }
            0x93 => {
                let names = self.pop_many(2)?;
                match names.as_slice() {
                    [Value::Text(Some(module)), Value::Text(Some(name))] => self.global(module, name),
                    _ => {
                        self.named = true;
                        // Python takes nothing but a text itself for a name, and no call on the list gives one.
                        self.stumbled |= names.iter().any(|name| !matches!(name, Value::Text(_)));
                        self.refused_here(Why::Global, "it computes the name of what it uses".to_owned());
                    }
                }
            }
            b'R' => {
                let [callable, arguments] = self.pop_two()?;
                self.reduce(&callable, &arguments);
            }
            0x81 => {
                let [class, arguments] = self.pop_two()?;
                self.make(&class, &arguments);
            }
            b'b' => {
                let state = self.pop()?;
                self.build(&state, cursor)?;
            }
            b'i' => {
                let (module, name) = (cursor.line(MAX_NAME)?, cursor.line(MAX_NAME)?);
                drop(self.pop_mark()?);
                self.global(&String::from_utf8_lossy(&module), &String::from_utf8_lossy(&name));
                self.pop()?;
                self.unusual("INST");
            }
            b'o' => {
                drop(self.pop_mark()?);
                self.unusual("OBJ");
            }
            0x92 => {
                drop(self.pop_many(3)?);
                self.unusual("NEWOBJ_EX");
            }
            0x82 => {
                cursor.skip(1)?;
                self.unusual("EXT1");
            }
            0x83 => {
                cursor.skip(2)?;
                self.unusual("EXT2");
            }
            0x84 => {
                cursor.skip(4)?;
                self.unusual("EXT4");
            }
            b'P' => {
                drop(cursor.line(MAX_LINE)?);
                self.unusual("PERSID");
            }
            b'Q' => {
                let id = self.pop()?;
                self.persistent(&id)?;
            }
            0x97 => self.unusual("NEXT_BUFFER"),
            0x98 => return Err(Bad::new(Why::Opcode, "it uses the instruction READONLY_BUFFER")),
            other => return Err(Bad::malformed(format!("the byte {other:#04x} is no instruction"))),
        }
        Ok(())
    }

    /// An instruction that ordinary pickles of today have no need of; what it would give is unknown.
    fn unusual(&mut self, name: &str) {
        self.acted = true;
        self.named |= name.starts_with("EXT");
        self.refused_here(Why::Opcode, format!("it uses the instruction {name}"));
        self.stack.push(Value::Opaque);
    }

    fn global(&mut self, module: &str, name: &str) {
        self.named |= is_dotted(module) && is_dotted(name);
        let value = match allow::known(module, name) {
            Some(known) => Value::Global(known),
            None => {
                self.stumbled |= NO_MODULES.contains(&module) || !is_dotted(module);
                self.refused_here(
                    Why::Global,
                    format!("it uses `{}.{}`, which is on no list", shown(module), shown(name)),
                );
                Value::Opaque
            }
        };
        self.stack.push(value);
    }

    fn reduce(&mut self, callable: &Value, arguments: &Value) {
        self.acted = true;
        let result = match (callable, arguments.as_items()) {
            (Value::Global(known), Some(arguments)) if known.may_be_called(arguments) => result_of(known, arguments),
            (Value::Global(known), _) => {
                self.refused_here(Why::Call, format!("it calls `{}` with arguments that are not usual", known.path()));
                Value::Opaque
            }
            // What it is was refused where it was named.
            (Value::Opaque, _) => Value::Opaque,
            _ => {
                self.stumbled |= !matches!(callable, Value::Object(_));
                self.refused_here(Why::Call, "it calls something that it has made".to_owned());
                Value::Opaque
            }
        };
        self.stack.push(result);
    }

    fn make(&mut self, class: &Value, arguments: &Value) {
        self.acted = true;
        let result = match (class, arguments.as_items()) {
            (Value::Global(known), Some(arguments)) if known.may_be_made(arguments) => Value::object(known),
            (Value::Global(known), _) => {
                self.refused_here(
                    Why::Call,
                    format!("it makes a `{}` with arguments that are not usual", known.path()),
                );
                Value::Opaque
            }
            (Value::Opaque, _) => Value::Opaque,
            _ => {
                self.refused_here(Why::Call, "it makes an instance of something that is no class".to_owned());
                Value::Opaque
            }
        };
        self.stack.push(result);
    }

    fn build(&mut self, state: &Value, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        self.acted = true;
        let instance = self.top()?.clone();
        let object = match &instance {
            Value::Object(object) => Rc::clone(object),
            Value::Opaque => return Ok(()),
            _ => {
                self.refused_here(Why::Call, "it sets the state of something that is no instance".to_owned());
                return Ok(());
            }
        };
        let dicts = [Some(state)].into_iter().chain(state.as_items().into_iter().flatten().map(Some)).flatten();
        for part in dicts {
            match part {
                Value::Dict(dict) if dict.computed_key.get() => {
                    self.refused_here(Why::Call, "the names of a state's fields are computed".to_owned());
                }
                _ => {}
            }
        }
        if matches!(state, Value::Global(_) | Value::Opaque) {
            self.refused_here(Why::Call, "a state is no plain value".to_owned());
        }
        if object.made_by.is("numpy", "dtype") {
            object.element.set(array::after_state(object.element.get(), state));
        }
        if object.made_by.name.ends_with("reconstruct") && !array::is_usual_state(state) {
            self.refused_here(Why::Call, "an array's state is not one that NumPy writes".to_owned());
        }
        if object.made_by.is("joblib.numpy_pickle", "NumpyArrayWrapper") && self.reader == Reader::Joblib {
            self.joblib_array(state, cursor)?;
        }
        Ok(())
    }

    /// What joblib reads from between the instructions, in place of the wrapper.
    fn joblib_array(&mut self, state: &Value, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        // Nothing after the state may have been read ahead, or readers would differ on where the array begins.
        if self.frame_end.is_some_and(|end| end != cursor.at()) {
            return Err(ambiguous_frame());
        }
        self.frame_end = None;
        let wrapped = array::wrapped(state)?;
        match wrapped {
            array::Wrapped::Raw { bytes } => array::skip_raw(cursor, bytes)?,
            array::Wrapped::Objects => {
                self.streams += 1;
                if self.streams > MAX_STREAMS {
                    return Err(Bad::new(Why::TooLarge, "it holds too many arrays of objects"));
                }
                // Python's own reader would go on here with the same memo.
                let mut plain = self.clone();
                plain.reader = Reader::Plain;
                plain.refused.clear();
                plain.stops = true;
                let mut ahead = Cursor::new(cursor.source());
                ahead.skip(cursor.at())?;
                let _ = plain.run(&mut ahead);
                if let Some(bad) = plain.refused.into_iter().next().filter(|_| !plain.stumbled) {
                    self.keep(Bad::new(Why::Ambiguous, format!("for Python's own reader {}", bad.reason)));
                }
                let mut inner = Self::new(Reader::Plain);
                inner.streams = self.streams;
                let ended = inner.run(cursor);
                inner.refused.into_iter().for_each(|bad| self.keep(bad));
                self.nested.extend(inner.nested);
                ended?;
            }
        }
        self.pop()?;
        self.stack.push(Value::object(array::NDARRAY));
        Ok(())
    }

    fn persistent(&mut self, id: &Value) -> Result<(), Bad> {
        if self.reader != Reader::Torch {
            self.unusual("BINPERSID");
            return Ok(());
        }
        let Some([kind, class, key, location, count, rest @ ..]) = id.as_items() else {
            return Err(Bad::new(Why::Call, "a persistent id is none of PyTorch's"));
        };
        let (Some("storage"), Value::Global(class), Some(key), Some(_), Value::Int(count)) =
            (kind.as_text(), class, key.as_text(), location.as_text(), count)
        else {
            return Err(Bad::new(Why::Call, "a persistent id is none of PyTorch's"));
        };
        let element = element_bytes(class.name).filter(|_| class.module.starts_with("torch"));
        let element = element.ok_or_else(|| Bad::new(Why::Call, format!("`{}` is no storage", class.path())))?;
        if !matches!(rest, [] | [Value::None]) {
            return Err(Bad::new(Why::Call, "a persistent id names a part of another"));
        }
        let bytes = u64::try_from(*count).ok().and_then(|count| count.checked_mul(element));
        let bytes = bytes.ok_or_else(|| Bad::malformed("a storage has an impossible length"))?;
        self.storages.add(key, Storage { bytes, element })?;
        self.stack.push(Value::Storage);
        Ok(())
    }

    fn appended_to(&mut self, list: &Value) -> Result<(), Bad> {
        match list {
            Value::List | Value::Opaque => Ok(()),
            Value::Object(object) if object.made_by.form == Form::Sequence => Ok(()),
            _ => Err(Bad::new(Why::Call, "it appends to something that is no list")),
        }
    }

    fn set_items(&mut self, dict: &Value, items: &[Value]) -> Result<(), Bad> {
        if !items.len().is_multiple_of(2) {
            return Err(Bad::malformed("a key has no value"));
        }
        match dict {
            Value::Dict(_) | Value::Opaque => {}
            Value::Object(object)
                if object.made_by.form == Form::Mapping || object.made_by.is("collections", "defaultdict") => {}
            _ => return Err(Bad::new(Why::Call, "it sets items of something that is no dictionary")),
        }
        for pair in items.chunks_exact(2) {
            let [key, value] = pair else { continue };
            // With such a field in its state, an instance would act otherwise than its class.
            if let Some(name) = key.as_text().filter(|name| is_special(name)) {
                self.refused_here(Why::Call, format!("it sets the special field `{}`", shown(name)));
            }
            if let Value::Dict(dict) = dict {
                dict.set(key, value);
            }
        }
        Ok(())
    }

    fn long(&mut self, length: u64, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        let bytes = cursor.take(length, MAX_NUMBER as u64)?;
        let value = match bytes.len() {
            0 => Value::Int(0),
            1..=8 => {
                let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
                let mut wide = [if negative { 0xff } else { 0 }; 8];
                wide.get_mut(..bytes.len()).unwrap_or_default().copy_from_slice(&bytes);
                Value::Int(i64::from_le_bytes(wide))
            }
            _ => Value::Number,
        };
        self.last_long = bytes;
        self.stack.push(value);
        Ok(())
    }

    fn counted_text(&mut self, length: u64, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        let value = match length <= MAX_KEPT {
            true => match String::from_utf8(cursor.take(length, MAX_KEPT)?) {
                Ok(text) => Value::text(&text),
                Err(_) => Value::Text(None),
            },
            false => {
                cursor.skip(length)?;
                Value::Text(None)
            }
        };
        self.stack.push(value);
        Ok(())
    }

    /// Bytes; a pickle among them is looked at as well, whoever may load it.
    fn counted_bytes(&mut self, length: u64, cursor: &mut Cursor<'_>) -> Result<(), Bad> {
        let part = cursor.source().part(cursor.at(), length)?;
        cursor.skip(length)?;
        let looks = super::begins_like_one(&part.head(2)?) && part.tail(1)? == b".";
        if looks && length <= MAX_NESTED && self.nested.len() < MAX_NESTED_PICKLES {
            self.nested.push(part.whole(MAX_NESTED)?);
        }
        self.stack.push(Value::Bytes);
        Ok(())
    }

    fn put(&mut self, index: u32) -> Result<(), Bad> {
        let value = self.top()?.clone();
        // An index far beyond what was put before would make Python allocate.
        if index > MAX_MEMO || self.memo.len() as u64 > u64::from(MAX_MEMO) {
            return Err(Bad::new(Why::TooLarge, format!("it keeps more than {MAX_MEMO} values in mind")));
        }
        self.memo.insert(index, value);
        Ok(())
    }

    fn get(&mut self, index: u32) -> Result<(), Bad> {
        let value = self.memo.get(&index).cloned();
        self.stack.push(value.ok_or_else(|| Bad::malformed("it takes from the memo what is not there"))?);
        Ok(())
    }

    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<&Value, Bad> {
        self.stack.get(self.floor()..).and_then(<[_]>::last).ok_or_else(underflow)
    }

    fn pop(&mut self) -> Result<Value, Bad> {
        self.top()?;
        self.stack.pop().ok_or_else(underflow)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Value>, Bad> {
        let from = self.stack.len().checked_sub(count).filter(|from| *from >= self.floor()).ok_or_else(underflow)?;
        Ok(self.stack.split_off(from))
    }

    fn pop_two(&mut self) -> Result<[Value; 2], Bad> {
        let second = self.pop()?;
        Ok([self.pop()?, second])
    }

    fn pop_mark(&mut self) -> Result<Vec<Value>, Bad> {
        let from = self.marks.pop().ok_or_else(|| Bad::malformed("it goes back to a mark that is not there"))?;
        Ok(self.stack.split_off(from.min(self.stack.len())))
    }

    fn refused_here(&mut self, kind: Why, reason: String) {
        self.keep(Bad::new(kind, reason));
    }

    fn keep(&mut self, bad: Bad) {
        let known = self.refused.iter().any(|other| other.kind == bad.kind && other.reason == bad.reason);
        if !known && self.refused.len() < MAX_REFUSED {
            self.refused.push(bad);
        }
    }
}

/// What a call that is allowed gives.
fn result_of(known: &'static Known, arguments: &[Value]) -> Value {
    match (known.module, known.name) {
        ("copyreg", "_reconstructor") => match arguments.first() {
            Some(Value::Global(class)) => Value::object(class),
            _ => Value::Opaque,
        },
        ("numpy", "dtype") => {
            let result = Value::object(known);
            if let (Value::Object(object), Some(text)) = (&result, arguments.first().and_then(Value::as_text)) {
                object.element.set(array::element(text));
            }
            result
        }
        _ => Value::object(known),
    }
}

fn underflow() -> Bad {
    Bad::malformed("it takes from its stack what is not there")
}

fn ambiguous_frame() -> Bad {
    Bad::new(Why::Ambiguous, "a frame ends within an instruction or another frame, so that readers differ")
}

/// Whether a field of this name changes how an instance acts.
fn is_special(name: &str) -> bool {
    let harmless = ["__version__", "__name__", "__doc__", "__metadata__"];
    name.len() > 4 && name.starts_with("__") && name.ends_with("__") && !harmless.contains(&name)
}

/// Whether Python could import something of this name.
fn is_dotted(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.chars().all(|letter| letter == '_' || letter.is_alphanumeric())
            && !part.starts_with(|letter: char| letter.is_numeric())
    };
    name.split('.').all(part)
}

/// Words of joblib's wrappers, which stand in the memo where the inner pickle expects its modules. None is a module.
const NO_MODULES: &[&str] = &[
    "NumpyArrayWrapper",
    "subclass",
    "shape",
    "order",
    "dtype",
    "allow_mmap",
    "numpy_array_alignment_bytes",
    "ndarray",
    "C",
    "F",
];

/// PyTorch's older files begin with this number.
const TORCH_MAGIC: &[u8] = &[0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Instructions of one pickle: some hundred bytes of model for each are usual.
const MAX_STEPS: u64 = 200_000_000;
/// Values on the stack: pickles are written in batches of a thousand.
const MAX_STACK: usize = 1 << 20;
const MAX_MARKS: usize = 1 << 12;
/// Values in the memo: each text of a vocabulary is one.
const MAX_MEMO: u32 = 1 << 23;
const MAX_LINE: usize = 256;
const MAX_NAME: usize = 1024;
const MAX_TEXT_LINE: usize = 1 << 22;
const MAX_NUMBER: usize = 1 << 16;
/// Texts up to this length are read; longer ones are passed over.
const MAX_KEPT: u64 = 4096;
/// Bytes that are looked at as a pickle of their own.
const MAX_NESTED: u64 = 64 << 20;
const MAX_NESTED_PICKLES: usize = 64;
/// Arrays of objects in a file of joblib's.
const MAX_STREAMS: u32 = 256;
/// Refusals that are kept of one pickle.
const MAX_REFUSED: usize = 32;
