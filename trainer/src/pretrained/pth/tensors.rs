//! The tensors in what was unpickled, and their values out of their storage.

use tch::Tensor;

use crate::pretrained::pickle::machine::Unpickled;
use crate::pretrained::pickle::object::{Id, Object, TensorRef};

/// Objects in objects that are looked into; dictionaries of weights are two or three deep.
const MAX_DEPTH: usize = 16;
/// Objects that are looked at, each as often as it is referred to.
const MAX_VISITS: usize = 1_000_000;
/// Most bytes of a tensor's name.
const MAX_NAME: usize = 1_000;

/// What a dictionary of weights may hold.
#[derive(Debug)]
pub(super) enum Leaf {
    Tensor(TensorRef),
    /// An object of this class, or what this function would give.
    Foreign(String),
}

/// Every tensor and every object that is not built, by the keys that lead to it.
pub(super) fn leaves(pickle: &Unpickled) -> Result<Vec<(String, Leaf)>, String> {
    let mut found = Vec::new();
    let mut open: Vec<(Id, String, usize)> = vec![(pickle.root, String::new(), 0)];
    let mut num_visits = 0;
    while let Some((id, name, depth)) = open.pop() {
        num_visits += 1;
        if depth > MAX_DEPTH || num_visits > MAX_VISITS || name.len() > MAX_NAME {
            return Err("it is nested without end".to_owned());
        }
        let below = |key: String| match name.as_str() {
            "" => key,
            name => format!("{name}.{key}"),
        };
        match &pickle.heap[id] {
            Object::Tensor(tensor) => found.push((name, Leaf::Tensor(tensor.clone()))),
            Object::Foreign(class) => found.push((name, Leaf::Foreign(class.clone()))),
            Object::List(items) => {
                let items = items.iter().enumerate().rev();
                open.extend(items.map(|(at, item)| (*item, below(at.to_string()), depth + 1)));
            }
            Object::Dict(pairs) => {
                let named = pairs.iter().rev().filter_map(|(key, value)| {
                    let key = match &pickle.heap[*key] {
                        Object::Text(key) => key.clone(),
                        Object::Int(key) => key.to_string(),
                        _ => return None,
                    };
                    Some((*value, below(key), depth + 1))
                });
                open.extend(named);
            }
            _ => {}
        }
        if open.len() > MAX_VISITS {
            return Err("it is nested without end".to_owned());
        }
    }
    Ok(found)
}

/// Bytes of a tensor's values, if there is such a number.
pub(super) fn num_bytes(tensor: &TensorRef) -> Option<u64> {
    let mut num = 1u64;
    for size in &tensor.size {
        num = num.checked_mul(u64::try_from(*size).ok()?)?;
    }
    num.checked_mul(tensor.storage.kind.elt_size_in_bytes() as u64)
}

/// The tensor with values of its own, out of its storage's bytes.
pub(super) fn build(tensor: &TensorRef, bytes: &[u8]) -> Result<Tensor, String> {
    let outside = || "size, stride or offset lead out of its storage".to_owned();
    let TensorRef {
        storage,
        offset,
        size,
        stride,
    } = tensor;
    let width = storage.kind.elt_size_in_bytes();
    let is_empty = size.contains(&0);
    let num = last_value(tensor).ok_or_else(outside)?;
    let start = usize::try_from(*offset).map_err(|_| outside())?;
    let range = match is_empty {
        true => 0..0,
        false => {
            start.checked_mul(width).ok_or_else(outside)?
                ..num.checked_mul(width).ok_or_else(outside)?
        }
    };
    let bytes = bytes.get(range).ok_or_else(outside)?;
    let flat = Tensor::f_from_data_size(bytes, &[(bytes.len() / width) as i64], storage.kind);
    let flat = flat.map_err(|error| error.to_string())?;
    let shaped = flat.f_as_strided(size.as_slice(), stride.as_slice(), 0);
    let shaped = shaped.map_err(|error| error.to_string())?;
    Ok(shaped.contiguous().copy())
}

/// Place behind the last value in the storage.
fn last_value(tensor: &TensorRef) -> Option<usize> {
    let TensorRef { size, stride, .. } = tensor;
    let are_sound =
        size.len() == stride.len() && size.iter().chain(stride).all(|number| *number >= 0);
    let mut last = usize::try_from(tensor.offset).ok().filter(|_| are_sound)?;
    for (size, stride) in size.iter().zip(stride) {
        let steps = usize::try_from((*size).max(1) - 1).ok()?;
        last = last.checked_add(steps.checked_mul(usize::try_from(*stride).ok()?)?)?;
    }
    last.checked_add(1)
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::pretrained::pickle::machine;
    use crate::pretrained::pickle::object::Storage;

    fn view(offset: i64, size: &[i64], stride: &[i64]) -> TensorRef {
        TensorRef {
            storage: Storage {
                key: "0".to_owned(),
                kind: Kind::Float,
                num_values: 6,
            },
            offset,
            size: size.to_vec(),
            stride: stride.to_vec(),
        }
    }

    fn values(tensor: &TensorRef) -> Result<Vec<f32>, String> {
        let bytes: Vec<u8> = (0..6u8).flat_map(|n| f32::from(n).to_le_bytes()).collect();
        let built = build(tensor, &bytes)?;
        Ok(Vec::try_from(built.flatten(0, -1)).unwrap())
    }

    #[test]
    fn views_of_a_storage_are_read_in_their_own_order() {
        assert_eq!(values(&view(1, &[2], &[3])).unwrap(), [1.0, 4.0]);
        let transposed = values(&view(0, &[3, 2], &[1, 3])).unwrap();
        assert_eq!(transposed, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(values(&view(5, &[], &[])).unwrap(), [5.0]);
        assert_eq!(values(&view(0, &[0, 4], &[4, 1])).unwrap(), [0f32; 0]);
    }

    #[test]
    fn a_view_that_leads_out_of_its_storage_is_refused() {
        let most = i64::MAX;
        for tensor in [
            view(0, &[7], &[1]),
            view(6, &[1], &[1]),
            view(-1, &[2], &[1]),
            view(0, &[2], &[-1]),
            view(0, &[2, 3], &[3]),
            view(0, &[most, most], &[most, 1]),
            view(most, &[2], &[1]),
        ] {
            assert!(
                values(&tensor).unwrap_err().contains("out of its storage"),
                "{tensor:?}"
            );
        }
        assert_eq!(num_bytes(&view(0, &[most, most], &[0, 0])), None);
    }

    #[test]
    fn what_is_nested_without_end_is_refused() {
        let own_item = machine::read(b"]q\x00h\x00a.").unwrap();
        let error = leaves(&own_item).unwrap_err();
        assert!(error.contains("nested without end"), "{error}");
        // Ten lists, each ten times in the next.
        let level = b"](h\x002222222222eq\x00";
        let bomb = [&b"]q\x000"[..], &level.repeat(10), b"."].concat();
        let error = leaves(&machine::read(&bomb).unwrap()).unwrap_err();
        assert!(error.contains("nested without end"), "{error}");
    }
}
