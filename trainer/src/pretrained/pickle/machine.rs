//! The machine that a pickle is a program for (Python's `pickletools` describes it). It knows the instructions that PyTorch's files are
//! made of, in all protocols, and refuses the others.

use std::collections::HashMap;

use super::bytes::{Bytes, text};
use super::known::{self, Given};
use super::object::{Heap, Id, Object};

/// No function that matters has more.
const MAX_ARGUMENTS: usize = 16;
/// A checkpoint has some ten thousand.
const MAX_INSTRUCTIONS: u64 = 4_000_000;

/// What a pickle holds.
#[derive(Debug)]
pub(crate) struct Unpickled {
    pub(crate) heap: Heap,
    /// The object that was saved.
    pub(crate) root: Id,
    /// Bytes of the pickle; more may follow.
    pub(crate) num_bytes: usize,
}

/// Reads the pickle at the start of `bytes`.
pub(crate) fn read(bytes: &[u8]) -> Result<Unpickled, String> {
    let mut machine = Machine {
        bytes: Bytes::new(bytes),
        heap: Heap::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    for _ in 0..MAX_INSTRUCTIONS {
        match machine.bytes.byte()? {
            b'.' => return machine.done(),
            instruction => machine.step(instruction)?,
        }
    }
    Err(format!(
        "the pickle has more than {MAX_INSTRUCTIONS} instructions"
    ))
}

/// Every instruction makes one object at most, and copies no more than a name.
#[derive(Debug)]
struct Machine<'a> {
    bytes: Bytes<'a>,
    heap: Heap,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl Machine<'_> {
    fn done(mut self) -> Result<Unpickled, String> {
        Ok(Unpickled {
            root: self.pop()?,
            num_bytes: self.bytes.num_read(),
            heap: self.heap,
        })
    }

    fn step(&mut self, instruction: u8) -> Result<(), String> {
        if let Some(object) = self.literal(instruction)? {
            self.push(object);
            return Ok(());
        }
        match instruction {
            0x80 => self.bytes.byte().map(drop),
            0x95 => self.bytes.take(8).map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.discard(),
            b'1' => self.pop_to_mark().map(drop),
            b'2' => self.top().map(|top| self.stack.push(top)),
            b'q' | b'r' | b'p' | 0x94 => self.remember(instruction),
            b'h' | b'j' | b'g' => self.recall(instruction),
            b'a' => self.pop().and_then(|item| self.append(vec![item])),
            b'e' => self.pop_to_mark().and_then(|items| self.append(items)),
            b's' => self.pop_many(2).and_then(|pair| self.set(&pair)),
            b'u' => self.pop_to_mark().and_then(|items| self.set(&items)),
            b't' | b'l' => self
                .pop_to_mark()
                .map(|items| self.push(Object::List(items))),
            b'd' => self.dict(),
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(instruction - 0x84))?;
                self.push(Object::List(items));
                Ok(())
            }
            0x90 => self.pop_to_mark().map(drop),
            0x91 => self.pop_to_mark().map(|_| self.push(Object::Plain)),
            b'c' | 0x93 => self.global(instruction),
            b'R' | 0x81 | 0x92 => self.call(instruction),
            // The state of an object is of no interest: tensors have none, and no other object is built.
            b'b' => self.pop().map(drop),
            b'Q' => self.storage(),
            other => Err(format!(
                "the pickle has an instruction that PyTorch does not use ({other:#04x})"
            )),
        }
    }

    /// The object that an instruction makes of the bytes behind it alone.
    fn literal(&mut self, instruction: u8) -> Result<Option<Object>, String> {
        let bytes = &mut self.bytes;
        let object = match instruction {
            b'N' => Object::Plain,
            0x88 => Object::Bool(true),
            0x89 => Object::Bool(false),
            b'K' => Object::Int(bytes.number(1)? as i64),
            b'M' => Object::Int(bytes.number(2)? as i64),
            b'J' => Object::Int(i64::from(bytes.number(4)? as i32)),
            0x8a => int(bytes.counted(1)?),
            0x8b => int(bytes.counted(4)?),
            b'I' | b'L' => number(&bytes.line()?),
            b'F' => bytes.line().map(|_| Object::Plain)?,
            b'G' => bytes.take(8).map(|_| Object::Plain)?,
            b'X' | b'T' => Object::Text(text(bytes.counted(4)?)),
            0x8c | b'U' => Object::Text(text(bytes.counted(1)?)),
            0x8d => Object::Text(text(bytes.counted(8)?)),
            b'V' => Object::Text(bytes.line()?),
            b'B' => bytes.counted(4).map(|_| Object::Plain)?,
            b'C' => bytes.counted(1).map(|_| Object::Plain)?,
            0x8e => bytes.counted(8).map(|_| Object::Plain)?,
            0x8f => Object::Plain,
            b']' | b')' => Object::List(Vec::new()),
            b'}' => Object::Dict(Vec::new()),
            _ => return Ok(None),
        };
        Ok(Some(object))
    }

    fn push(&mut self, object: Object) {
        self.stack.push(self.heap.len());
        self.heap.push(object);
    }

    /// The topmost object above the last mark.
    fn top(&self) -> Result<Id, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let above = self.stack.get(floor..).unwrap_or_default();
        above
            .last()
            .copied()
            .ok_or_else(|| "the pickle takes more than it put down".to_owned())
    }

    fn pop(&mut self) -> Result<Id, String> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_many(&mut self, num: usize) -> Result<Vec<Id>, String> {
        let mut items: Vec<Id> = (0..num).map(|_| self.pop()).collect::<Result<_, _>>()?;
        items.reverse();
        Ok(items)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("the pickle goes back to no mark")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    /// Drops what is on top, be it a mark.
    fn discard(&mut self) -> Result<(), String> {
        match self.marks.last() {
            Some(mark) if *mark == self.stack.len() => {
                self.marks.pop();
                Ok(())
            }
            _ => self.pop().map(drop),
        }
    }

    fn remember(&mut self, instruction: u8) -> Result<(), String> {
        let place = match instruction {
            b'q' => self.bytes.number(1)?,
            b'r' => self.bytes.number(4)?,
            b'p' => memo_place(&self.bytes.line()?)?,
            _ => self.memo.len() as u64,
        };
        self.memo.insert(place, self.top()?);
        Ok(())
    }

    fn recall(&mut self, instruction: u8) -> Result<(), String> {
        let place = match instruction {
            b'h' => self.bytes.number(1)?,
            b'j' => self.bytes.number(4)?,
            _ => memo_place(&self.bytes.line()?)?,
        };
        let found = self.memo.get(&place);
        self.stack
            .push(*found.ok_or("the pickle recalls what it never kept")?);
        Ok(())
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), String> {
        let target = self.top()?;
        match &mut self.heap[target] {
            Object::List(list) => list.extend(items),
            Object::Foreign(_) => {}
            _ => return Err("the pickle appends to what is no list".to_owned()),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), String> {
        let target = self.top()?;
        let pairs = pairs(items)?;
        match &mut self.heap[target] {
            Object::Dict(dict) => dict.extend(pairs),
            Object::Foreign(_) => {}
            _ => return Err("the pickle sets an item of what is no dictionary".to_owned()),
        }
        Ok(())
    }

    fn dict(&mut self) -> Result<(), String> {
        let items = self.pop_to_mark()?;
        let pairs = pairs(&items)?;
        self.push(Object::Dict(pairs.collect()));
        Ok(())
    }

    fn global(&mut self, instruction: u8) -> Result<(), String> {
        let global = if instruction == b'c' {
            let (module, name) = (self.bytes.line()?, self.bytes.line()?);
            known::global(&module, &name)?
        } else {
            let names = self.pop_many(2)?;
            match (&self.heap[names[0]], &self.heap[names[1]]) {
                (Object::Text(module), Object::Text(name)) => known::global(module, name)?,
                _ => return Err("the pickle names a class by what is no text".to_owned()),
            }
        };
        self.push(global);
        Ok(())
    }

    fn call(&mut self, instruction: u8) -> Result<(), String> {
        let num = if instruction == 0x92 { 3 } else { 2 };
        let parts = self.pop_many(num)?;
        let Object::List(args) = &mut self.heap[parts[1]] else {
            return Err("the pickle calls with what are no arguments".to_owned());
        };
        let args = args.get(..MAX_ARGUMENTS).unwrap_or(args).to_vec();
        match known::call(&mut self.heap, parts[0], &args)? {
            Given::New(object) => self.push(object),
            Given::Same(argument) => self.stack.push(argument),
        }
        Ok(())
    }

    fn storage(&mut self) -> Result<(), String> {
        let identity = self.pop()?;
        let storage = match &self.heap[identity] {
            Object::List(parts) => known::storage(&self.heap, parts)?,
            _ => return Err("the pickle leads outside of it, not to a storage".to_owned()),
        };
        self.push(storage);
        Ok(())
    }
}

fn pairs(items: &[Id]) -> Result<impl Iterator<Item = (Id, Id)> + '_, String> {
    if items.len().is_multiple_of(2) {
        Ok(items.chunks(2).map(|pair| (pair[0], pair[1])))
    } else {
        Err("the pickle sets an item without a value".to_owned())
    }
}

fn memo_place(line: &str) -> Result<u64, String> {
    let place = line.trim().parse();
    place.map_err(|_| "the pickle keeps something at no place".to_owned())
}

/// A whole number of any width, two's complement, the least significant byte first; what is too wide for 64 bits is no size of a tensor.
fn int(bytes: &[u8]) -> Object {
    if bytes.len() > 8 {
        return Object::Plain;
    }
    let is_negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = [if is_negative { 0xff } else { 0 }; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Object::Int(i64::from_le_bytes(wide))
}

/// A number, or a truth, as protocol 0 writes them.
fn number(line: &str) -> Object {
    match line.trim_end_matches('L') {
        "00" => Object::Bool(false),
        "01" => Object::Bool(true),
        digits => digits.parse().map_or(Object::Plain, Object::Int),
    }
}
