//! Text to a typed literal, by two rules: Python's (what `ast.literal_eval` reads) and YAML 1.1's for plain scalars as PyYAML
//! has it. Knows no key and no place. What needs more of Python (escapes, complex numbers, dictionaries) no key holds.

/// Brackets within brackets that are followed.
const MAX_DEPTH: usize = 16;
/// Up to here a double holds every whole number.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// A value of which only its form is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// A list or a tuple.
    List(Vec<Literal>),
}

/// What Python would read; `None` where it is no literal, which leaves it a text.
pub(super) fn python(text: &str) -> Option<Literal> {
    let mut reader = Reader { rest: text };
    let (items, has_comma) = reader.items(None, 0)?;
    unless_one(items, has_comma)
}

/// What PyYAML makes of a scalar without quotes; `None` where that is a text.
pub(super) fn yaml(text: &str) -> Option<Literal> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Some(Literal::None),
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Some(Literal::Bool(true))
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some(Literal::Bool(false))
        }
        ".nan" | ".NaN" | ".NAN" => Some(Literal::Float(f64::NAN)),
        _ => yaml_number(text),
    }
}

/// Reads Python from the left.
struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    /// Values between commas up to `close` (the end of the text where that is `None`), and whether there was a comma.
    fn items(&mut self, close: Option<char>, depth: usize) -> Option<(Vec<Literal>, bool)> {
        let mut items = Vec::new();
        let mut has_comma = false;
        let mut may_follow = true;
        while !self.takes_end(close) {
            if !may_follow || depth > MAX_DEPTH {
                return None;
            }
            items.push(self.value(depth)?);
            may_follow = self.takes(',');
            has_comma |= may_follow;
        }
        Some((items, has_comma))
    }

    fn value(&mut self, depth: usize) -> Option<Literal> {
        match self.rest.chars().next()? {
            '[' => self
                .bracket(']', depth)
                .map(|(items, _)| Literal::List(items)),
            '(' => match self.bracket(')', depth)? {
                (items, _) if items.is_empty() => Some(Literal::List(items)),
                (items, has_comma) => unless_one(items, has_comma),
            },
            quote @ ('\'' | '"') => self.quoted(quote),
            _ => self.word(),
        }
    }

    fn bracket(&mut self, close: char, depth: usize) -> Option<(Vec<Literal>, bool)> {
        self.rest = &self.rest[1..];
        self.items(Some(close), depth + 1)
    }

    fn quoted(&mut self, quote: char) -> Option<Literal> {
        let (text, rest) = self.rest[1..].split_once(quote)?;
        if text.contains(['\\', '\n']) {
            return None;
        }
        self.rest = rest;
        Some(Literal::Text(text.to_owned()))
    }

    /// A number or one of the three names. A sign belongs to a number's start and to its exponent.
    fn word(&mut self) -> Option<Literal> {
        let unsigned = self.rest.trim_start_matches(['+', '-']);
        let sign = &self.rest[..self.rest.len() - unsigned.len()];
        let is_hex = unsigned.starts_with("0x") || unsigned.starts_with("0X");
        let mut last = ' ';
        let end = unsigned.find(|c: char| {
            let is_exponent_sign = matches!(c, '+' | '-') && matches!(last, 'e' | 'E') && !is_hex;
            last = c;
            !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.') || is_exponent_sign)
        });
        let (word, rest) = unsigned.split_at(end.unwrap_or(unsigned.len()));
        self.rest = rest;
        match (sign, word) {
            ("", "None") => Some(Literal::None),
            ("", "True") => Some(Literal::Bool(true)),
            ("", "False") => Some(Literal::Bool(false)),
            ("" | "+", _) => python_number(word, false),
            ("-", _) => python_number(word, true),
            _ => None,
        }
    }

    fn takes_end(&mut self, close: Option<char>) -> bool {
        match close {
            Some(close) => self.takes(close),
            None => {
                self.skip_blanks();
                self.rest.is_empty()
            }
        }
    }

    fn takes(&mut self, wanted: char) -> bool {
        self.skip_blanks();
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                self.skip_blanks();
                true
            }
            None => false,
        }
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n']);
    }
}

/// `a` and `(a)` are a value, `a,` and `a, b` a tuple.
fn unless_one(mut items: Vec<Literal>, has_comma: bool) -> Option<Literal> {
    if has_comma {
        return Some(Literal::List(items));
    }
    items.pop()
}

fn python_number(word: &str, is_negative: bool) -> Option<Literal> {
    let lower = word.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            let digits = digits.strip_prefix('_').unwrap_or(digits);
            return int(&without_separators(digits, radix)?, radix, is_negative);
        }
    }
    let plain = without_separators(&lower, 10)?;
    if plain.contains(['.', 'e']) {
        return float(&plain, is_negative);
    }
    let has_leading_zero = plain.starts_with('0') && plain.contains(|c| c != '0');
    let number = int(&plain, 10, is_negative)?;
    (!has_leading_zero).then_some(number)
}

/// Python takes an underscore between two digits and nowhere else.
fn without_separators(word: &str, radix: u32) -> Option<String> {
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_digit(radix));
    let parts: Vec<&str> = word.split('_').collect();
    let are_between = parts
        .windows(2)
        .all(|pair| is_digit(pair[0].chars().next_back()) && is_digit(pair[1].chars().next()));
    are_between.then(|| parts.concat())
}

/// Digits of a radix; what is too large for 64 bits is a number all the same.
fn int(digits: &str, radix: u32, is_negative: bool) -> Option<Literal> {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    match i64::from_str_radix(digits, radix) {
        Ok(number) => Some(Literal::Int(if is_negative { -number } else { number })),
        Err(_) if radix == 10 => float(digits, is_negative),
        Err(_) => None,
    }
}

/// Digits with a point or an exponent. Rust reads the same forms as Python, and names that are sorted out here.
fn float(text: &str, is_negative: bool) -> Option<Literal> {
    let is_numeric = text.starts_with(|c: char| c == '.' || c.is_ascii_digit());
    let number: f64 = text.parse().ok().filter(|_| is_numeric)?;
    Some(Literal::Float(if is_negative { -number } else { number }))
}

fn yaml_number(text: &str) -> Option<Literal> {
    let is_negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        let sign = if is_negative { -1.0 } else { 1.0 };
        return Some(Literal::Float(sign * f64::INFINITY));
    }
    if unsigned.starts_with('_') {
        return None;
    }
    let plain = unsigned.replace('_', "");
    if let Some(digits) = plain.strip_prefix("0b") {
        return int(digits, 2, is_negative);
    }
    if let Some(digits) = plain.strip_prefix("0x") {
        return int(digits, 16, is_negative);
    }
    if plain.contains(':') {
        return sexagesimal(&plain, is_negative);
    }
    if plain.contains('.') {
        // An exponent is only taken with a sign of its own, and a bare point only without one before it.
        let exponent = plain.split_once(['e', 'E']);
        let has_sign = exponent.is_none_or(|(_, exponent)| exponent.starts_with(['+', '-']));
        let is_float = has_sign && (!unsigned.starts_with('.') || unsigned == text);
        return is_float.then(|| float(&plain, is_negative)).flatten();
    }
    let radix = if plain.starts_with('0') { 8 } else { 10 };
    int(&plain, radix, is_negative)
}

/// `1:30` is 90: digits to the base of 60, the last one perhaps with a fraction.
fn sexagesimal(plain: &str, is_negative: bool) -> Option<Literal> {
    let (whole, is_float) = match plain.split_once('.') {
        Some((whole, _)) => (whole, true),
        None => (plain, false),
    };
    let mut digits = whole.split(':');
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_led = digits.next().is_some_and(is_number) && (is_float || !whole.starts_with('0'));
    let is_digit = |text: &str| is_number(text) && text.len() <= 2 && text < "60";
    if !is_led || !digits.all(|text| is_digit(text) || is_number(text) && text.len() == 1) {
        return None;
    }
    let (mut value, mut base) = (0.0, 1.0);
    for digit in plain.rsplit(':') {
        value += base * digit.parse::<f64>().ok()?;
        base *= 60.0;
    }
    let value = if is_negative { -value } else { value };
    let is_int = !is_float && value.abs() < MAX_EXACT;
    Some(if is_int {
        Literal::Int(value as i64)
    } else {
        Literal::Float(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_nested_too_deep_or_has_escapes_is_no_literal() {
        for text in [
            "", "(", "[1", "1]", "(1, 2", "'a", r"'\n'", "1 2", ",", "[,]", "--1", "a.b", "{1: 2}",
        ] {
            assert_eq!(python(text), None, "{text}");
        }
        assert_eq!(python(&"[".repeat(100_000)), None);
        assert!(python(&format!("{}1{}", "[".repeat(16), "]".repeat(16))).is_some());
    }

    #[test]
    fn every_short_text_is_read_or_refused() {
        const LETTERS: &[u8] = b"[]()',1_.ex+-: N";
        let num_texts = LETTERS.len().pow(5);
        let texts = (0..num_texts).map(|mut number| -> String {
            let letter = |_| {
                let letter = LETTERS[number % LETTERS.len()];
                number /= LETTERS.len();
                letter as char
            };
            (0..5).map(letter).collect()
        });
        let num_read = texts
            .filter(|text| python(text).is_some() || yaml(text).is_some())
            .count();
        assert!(num_read > 1_000 && num_read < num_texts / 10, "{num_read}");
    }

    #[test]
    fn tuples_need_a_comma_and_nest() {
        let int = Literal::Int;
        assert_eq!(python("(5)"), Some(int(5)));
        assert_eq!(python("5,"), Some(Literal::List(vec![int(5)])));
        assert_eq!(python("()"), Some(Literal::List(vec![])));
        let inner = Literal::List(vec![int(1), Literal::Text("b".to_owned())]);
        assert_eq!(
            python("((1, 'b'), [None, True],)"),
            Some(Literal::List(vec![
                inner,
                Literal::List(vec![Literal::None, Literal::Bool(true)])
            ]))
        );
    }
}
