//! Python's pickles as PyTorch writes them, read without Python and without doing anything that they ask for.
//!
//! A pickle is a program for a small machine with a stack. The machine here builds numbers, texts, lists, dictionaries and the descriptions
//! of tensors; every other class or function becomes an object that is known by its name alone. Nothing is called, and memory is bounded
//! by the length of the pickle. Knows neither files nor tensors' values.

mod bytes;
mod known;
pub(super) mod machine;
pub(super) mod object;
#[cfg(test)]
mod tests;
