//! What a pickle may name, and how it may be called.
//!
//! The lists lie in `allow/`: one line for each module, with the form and the names. A name that is on none is refused.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::value::Value;

/// Something that a pickle may name.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) module: &'static str,
    pub(super) name: &'static str,
    pub(super) form: Form,
}

/// How it may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// It may stand there, and not be called.
    Value,
    /// A class: an empty instance may be made, and its state be set.
    Class,
    /// A class whose instance may also be made from plain values.
    Called,
    /// The same, and things may be appended to it.
    Sequence,
    /// The same, and items may be set in it.
    Mapping,
    /// A function or class that may be called with arguments of these shapes.
    Call(&'static str),
}

/// What may be named so; Python 2's names are those of Python 3.
pub(super) fn known(module: &str, name: &str) -> Option<&'static Known> {
    let module = match module {
        "__builtin__" => "builtins",
        "copy_reg" => "copyreg",
        other => other,
    };
    KNOWN.get(module)?.get(name)
}

impl Known {
    pub(super) fn is(&self, module: &str, name: &str) -> bool {
        self.module == module && self.name == name
    }

    pub(super) fn path(&self) -> String {
        format!("{}.{}", self.module, self.name)
    }

    pub(super) fn is_class(&self) -> bool {
        matches!(self.form, Form::Class | Form::Called | Form::Sequence | Form::Mapping) || self.is_type()
    }

    /// Types that stand for themselves where a class is wanted.
    fn is_type(&self) -> bool {
        let names = ["object", "int", "float", "str", "bool", "list", "dict", "tuple", "set", "bytes", "complex"];
        (self.module == "builtins" && names.contains(&self.name))
            || (self.module == "numpy" && ["ndarray", "matrix"].contains(&self.name))
    }

    /// Whether an instance may be made with `__new__` and these arguments.
    pub(super) fn may_be_made(&self, arguments: &[Value]) -> bool {
        match self.form {
            Form::Class => arguments.is_empty(),
            Form::Called | Form::Sequence | Form::Mapping => arguments.iter().all(is_data),
            Form::Value | Form::Call(_) => false,
        }
    }

    /// Whether it may be called with these arguments.
    pub(super) fn may_be_called(&self, arguments: &[Value]) -> bool {
        match self.form {
            Form::Called | Form::Sequence | Form::Mapping => arguments.iter().all(is_data),
            Form::Call(shapes) => shapes.split(',').any(|shape| fits(shape, arguments)),
            Form::Value | Form::Class => false,
        }
    }
}

fn is_data(value: &Value) -> bool {
    !matches!(value, Value::Global(_) | Value::Opaque)
}

/// One letter for each argument.
fn fits(shape: &str, arguments: &[Value]) -> bool {
    let mut rest = arguments.iter();
    for letter in shape.chars() {
        if letter == '*' {
            return rest.all(is_data);
        }
        let Some(argument) = rest.next() else { return false };
        let good = match letter {
            'T' => matches!(argument, Value::Global(known) if known.is_class()),
            'O' => {
                matches!(argument, Value::Global(known) if known.module == "builtins" && ["object", "dict", "list"].contains(&known.name))
            }
            'B' => matches!(argument, Value::Global(known) if known.module == "numpy.random._pickle"),
            't' => argument.as_items().is_some(),
            // The shape of an array that is filled later: no element yet, so that nothing is allocated.
            'z' => matches!(argument.as_items(), Some([Value::Int(0)])),
            's' => matches!(argument, Value::Text(_)),
            'l' => matches!(argument.as_text(), Some("latin1" | "latin-1")),
            'b' => matches!(argument, Value::Bytes) || is_made(argument, &["bytes", "bytearray", "encode"]),
            'i' => matches!(argument, Value::Int(_)),
            'f' => matches!(argument, Value::Int(_) | Value::Number),
            'o' => argument.element().is_some_and(|element| !element.objects),
            'L' => matches!(argument, Value::List),
            'P' => matches!(argument, Value::Storage),
            'd' => is_data(argument),
            _ => false,
        };
        if !good {
            return false;
        }
    }
    rest.next().is_none()
}

fn is_made(value: &Value, by: &[&str]) -> bool {
    matches!(value, Value::Object(object) if by.contains(&object.made_by.name))
}

/// By module and name.
static KNOWN: LazyLock<HashMap<&'static str, HashMap<&'static str, Known>>> = LazyLock::new(|| {
    let lists = [include_str!("allow/python.txt"), include_str!("allow/sklearn.txt"), include_str!("allow/torch.txt")];
    let lines = lists.into_iter().flat_map(str::lines).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut known: HashMap<_, HashMap<_, _>> = HashMap::new();
    for line in lines {
        let mut words = line.split(' ');
        let (Some(form), Some(module)) = (words.next().and_then(form), words.next()) else { continue };
        for name in words {
            known.entry(module).or_default().insert(name, Known { module, name, form: form.clone() });
        }
    }
    known
});

fn form(word: &'static str) -> Option<Form> {
    Some(match word {
        "value" => Form::Value,
        "class" => Form::Class,
        "called" => Form::Called,
        "sequence" => Form::Sequence,
        "mapping" => Form::Mapping,
        word => Form::Call(word.strip_prefix("call:")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_lists_is_read() {
        for list in
            [include_str!("allow/python.txt"), include_str!("allow/sklearn.txt"), include_str!("allow/torch.txt")]
        {
            for line in list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
                let words: Vec<_> = line.split(' ').collect();
                assert!(words.len() > 2 && form(line.split(' ').next().unwrap()).is_some(), "{line}");
                for name in &words[2..] {
                    assert!(known(words[1], name).is_some() && !name.contains('.'), "{line}");
                }
            }
        }
    }

    #[test]
    fn nothing_that_runs_a_program_or_reads_a_name_is_on_the_lists() {
        for (module, name) in [
            ("os", "system"),
            ("posix", "system"),
            ("builtins", "eval"),
            ("builtins", "exec"),
            ("builtins", "getattr"),
            ("builtins", "open"),
            ("builtins", "__import__"),
            ("builtins", "map"),
            ("builtins", "type"),
            ("functools", "partial"),
            ("operator", "attrgetter"),
            ("operator", "methodcaller"),
            ("pickle", "loads"),
            ("_pickle", "loads"),
            ("torch", "load"),
            ("torch.storage", "_load_from_bytes"),
            ("numpy", "load"),
            ("numpy", "fromfile"),
            ("joblib", "load"),
            ("importlib", "import_module"),
            ("types", "FunctionType"),
            ("types", "CodeType"),
            ("copyreg", "add_extension"),
            ("torch.hub", "load"),
            ("pandas", "read_pickle"),
            ("pandas", "eval"),
        ] {
            assert!(known(module, name).is_none(), "{module}.{name}");
        }
    }
}
