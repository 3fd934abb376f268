//! Spellings of values, in files and on the command line, against PyYAML and yacs.

use serde_json::Value;
use trainer::config::RawConfig;

use crate::oracle::run_script;

/// What the trainer makes of a spelling; `None` where it refuses it.
fn read(source: &str, key: &str, text: &str) -> Option<Value> {
    let config = if source == "pair" {
        RawConfig::parse("a.yaml", "", &[key.to_owned(), text.to_owned()])
    } else {
        let nested = match key.split_once('.') {
            Some((section, name)) => format!("{section}:\n  {name}: {text}\n"),
            None => format!("{key}: {text}\n"),
        };
        RawConfig::parse("a.yaml", &nested, &[])
    };
    let lines = config.ok()?.lines();
    let (_, shown) = lines.into_iter().find(|(name, _)| *name == key)?;
    let lower = shown.to_ascii_lowercase();
    let is_truth = key == "USE_FP16";
    let value = serde_json::from_str(if is_truth { &lower } else { &shown });
    Some(value.unwrap_or(Value::String(shown)))
}

fn is_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| is_equal(a, b))
        }
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        _ => one == other,
    }
}

#[test]
fn spellings_mean_what_they_mean_to_pyyaml_and_yacs() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.json");
    run_script("config_values", &out);
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert!(cases.len() > 150, "{} cases", cases.len());
    let differing = cases.iter().filter_map(|case| {
        let [source, key, text] =
            ["source", "key", "text"].map(|part| case[part].as_str().unwrap());
        let (found, wanted) = (read(source, key, text), case.get("value"));
        let is_same = match (&found, wanted) {
            (Some(found), Some(wanted)) => is_equal(found, wanted),
            (found, wanted) => found.is_none() && wanted.is_none(),
        };
        (!is_same).then(|| format!("{source} {key} {text:?}: {found:?} instead of {wanted:?}"))
    });
    let differing: Vec<String> = differing.collect();
    assert!(differing.is_empty(), "{differing:#?}");
}
