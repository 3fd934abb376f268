//! The few classes and functions that tensors need, and those that no file of weights has a reason to name.

use tch::Kind;

use super::object::{Heap, Id, Object, Storage, TensorRef};

/// Modules through which a pickle reaches the system when Python loads it.
const REFUSED_MODULES: [&str; 16] = [
    "os",
    "posix",
    "nt",
    "subprocess",
    "_posixsubprocess",
    "sys",
    "pty",
    "runpy",
    "importlib",
    "socket",
    "shutil",
    "ctypes",
    "webbrowser",
    "code",
    "commands",
    "pip",
];
const BUILTINS: [&str; 2] = ["builtins", "__builtin__"];
const REFUSED_BUILTINS: [&str; 8] = [
    "eval",
    "exec",
    "execfile",
    "compile",
    "open",
    "__import__",
    "apply",
    "input",
];

/// Most bytes of a name, which is copied wherever it is used.
const MAX_NAME: usize = 256;
/// Most dimensions of a tensor.
const MAX_DIMENSIONS: usize = 16;

/// What a call gives.
#[derive(Debug)]
pub(super) enum Given {
    New(Object),
    /// One of its arguments.
    Same(Id),
}

/// A class or function by its module and name. Nothing would be run here; a file that wants to run something is not to be trusted in
/// anything else.
pub(super) fn global(module: &str, name: &str) -> Result<Object, String> {
    if module.len() + name.len() > MAX_NAME {
        return Err("a class has a name without end".to_owned());
    }
    let top = module.split('.').next().unwrap_or_default();
    let is_refused = REFUSED_MODULES.contains(&top)
        || (BUILTINS.contains(&module) && REFUSED_BUILTINS.contains(&name));
    if is_refused {
        return Err(format!(
            "it asks Python to run {module}.{name}, as no file of weights does; nothing was run"
        ));
    }
    Ok(Object::Global(format!("{module}.{name}")))
}

/// What `function(*args)` gives.
pub(super) fn call(heap: &mut Heap, function: Id, args: &[Id]) -> Result<Given, String> {
    let name = match &heap[function] {
        Object::Global(name) => name.as_str(),
        Object::Foreign(name) => return Ok(Given::New(Object::Foreign(name.clone()))),
        _ => return Err("the pickle calls what is no function".to_owned()),
    };
    let given = match name {
        "collections.OrderedDict" => dict(heap, args.first())?,
        "collections.defaultdict" => dict(heap, args.get(1))?,
        "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => tensor(heap, args)?,
        "torch.Size"
        | "torch._utils._rebuild_parameter"
        | "torch._utils._rebuild_parameter_with_state" => {
            let given = args.first().ok_or("the pickle gives too few arguments")?;
            return Ok(Given::Same(*given));
        }
        foreign => Object::Foreign(foreign.to_owned()),
    };
    Ok(Given::New(given))
}

/// The storage that a persistent identity names: `("storage", class, key, device, number of values)`.
pub(super) fn storage(heap: &Heap, parts: &[Id]) -> Result<Object, String> {
    let part = |at| argument(heap, parts, at);
    let (Object::Text(tag), Object::Text(key)) = (part(0)?, part(2)?) else {
        return Err("a storage has no key".to_owned());
    };
    let (Object::Global(class), Object::Int(num)) = (part(1)?, part(4)?) else {
        return Err(format!("the storage {key} has no class or no length"));
    };
    if tag != "storage" || key.len() > MAX_NAME {
        return Err("the pickle leads outside of it, not to a storage".to_owned());
    }
    if matches!(parts.get(5).map(|at| &heap[*at]), Some(Object::List(_))) {
        return Err(format!("the storage {key} is a part of another"));
    }
    let num_values =
        u64::try_from(*num).map_err(|_| format!("the storage {key} has {num} values"))?;
    Ok(match kind(class) {
        Some(kind) => Object::Storage(Storage {
            key: key.clone(),
            kind,
            num_values,
        }),
        None => Object::Foreign(class.clone()),
    })
}

fn kind(class: &str) -> Option<Kind> {
    let name = class.strip_prefix("torch.")?;
    match name.strip_prefix("cuda.").unwrap_or(name) {
        "DoubleStorage" => Some(Kind::Double),
        "FloatStorage" => Some(Kind::Float),
        "HalfStorage" => Some(Kind::Half),
        "BFloat16Storage" => Some(Kind::BFloat16),
        "LongStorage" => Some(Kind::Int64),
        "IntStorage" => Some(Kind::Int),
        "ShortStorage" => Some(Kind::Int16),
        "CharStorage" => Some(Kind::Int8),
        "ByteStorage" => Some(Kind::Uint8),
        "BoolStorage" => Some(Kind::Bool),
        _ => None,
    }
}

/// `(storage, offset, size, stride, ..)`.
fn tensor(heap: &Heap, args: &[Id]) -> Result<Object, String> {
    let storage = match argument(heap, args, 0)? {
        Object::Storage(storage) => storage.clone(),
        Object::Foreign(class) => return Ok(Object::Foreign(format!("a tensor of {class}"))),
        _ => return Err("a tensor has no storage".to_owned()),
    };
    let numbers = |at| match argument(heap, args, at)? {
        Object::List(items) if items.len() <= MAX_DIMENSIONS => {
            items.iter().map(|item| int(&heap[*item])).collect()
        }
        _ => Err("a tensor has no size or no stride".to_owned()),
    };
    Ok(Object::Tensor(TensorRef {
        storage,
        offset: int(argument(heap, args, 1)?)?,
        size: numbers(2)?,
        stride: numbers(3)?,
    }))
}

/// An empty dictionary, or that of the pairs in a list that Python 2 made for nothing else.
fn dict(heap: &mut Heap, pairs: Option<&Id>) -> Result<Object, String> {
    const NO_PAIRS: &str = "a dictionary is made of what are no pairs";
    let pairs = match pairs.map(|pairs| &mut heap[*pairs]) {
        None => Vec::new(),
        Some(Object::List(pairs)) => std::mem::take(pairs),
        Some(_) => return Err(NO_PAIRS.to_owned()),
    };
    let pair = |pair: &Id| match &heap[*pair] {
        Object::List(two) if two.len() == 2 => Ok((two[0], two[1])),
        _ => Err(NO_PAIRS.to_owned()),
    };
    let pairs: Result<_, String> = pairs.iter().map(pair).collect();
    Ok(Object::Dict(pairs?))
}

fn argument<'a>(heap: &'a Heap, args: &[Id], at: usize) -> Result<&'a Object, String> {
    let id = args.get(at).ok_or("the pickle gives too few arguments")?;
    Ok(&heap[*id])
}

fn int(object: &Object) -> Result<i64, String> {
    match object {
        Object::Int(number) => Ok(*number),
        _ => Err("a tensor's size, stride or offset is no whole number".to_owned()),
    }
}
