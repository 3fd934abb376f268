//! First stage: every key with a value of its kind and the place where it was set.

use std::collections::BTreeMap;

use super::job::Job;
use super::keys::{self, KEYS, Key};
use super::node::Node;
use super::problem::{ConfigError, Origin, Problem};
use super::value::Value;
use super::yaml::{self, Leaf};

/// One key's value and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Setting {
    pub value: Value,
    pub origin: Origin,
}

/// All keys, set or by default.
#[derive(Debug, Clone, PartialEq)]
pub struct RawConfig {
    settings: BTreeMap<&'static str, Setting>,
}

impl RawConfig {
    /// Reads a YAML text and the pairs that follow it on the command line; later pairs win over earlier ones.
    ///
    /// `path` is only used in messages.
    ///
    /// # Errors
    /// All unknown keys, wrong types, values out of range and keys set twice.
    pub fn parse(path: &str, text: &str, pairs: &[String]) -> Result<RawConfig, ConfigError> {
        let mut config = RawConfig::defaults();
        let (leaves, mut problems) = yaml::leaves(path, text);
        for leaf in leaves {
            problems.extend(config.set(leaf).err());
        }
        problems.extend(config.set_pairs(pairs));
        config.set_defaults_of_job();
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError { problems })
        }
    }

    /// Every key with its value, in the order of the table, as it would be written.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        KEYS.iter()
            .map(|key| (key.path, self.settings[key.path].value.to_string()))
            .collect()
    }

    /// Where the value of a key comes from.
    pub fn origin(&self, path: &str) -> &Origin {
        &self.get(path).origin
    }

    /// The same lines by key, as a checkpoint keeps them.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let lines = self.lines().into_iter();
        lines.map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Keys whose value is not the default, in the order of the table.
    pub(super) fn changed(&self) -> impl Iterator<Item = (&'static Key, &Setting)> {
        let job = self.job();
        KEYS.iter()
            .map(|key| (key, &self.settings[key.path]))
            .filter(move |(key, setting)| setting.value != default_value(key, job))
    }

    /// Whether a key of this section was set, be it to its default.
    pub(super) fn is_any_set(&self, section: &str) -> bool {
        let mut set = self.settings.iter();
        set.any(|(path, setting)| path.starts_with(section) && setting.origin != Origin::Default)
    }

    /// A key of the table; a path that is not in it is a mistake in this program.
    pub(super) fn get(&self, path: &str) -> &Setting {
        self.settings
            .get(path)
            .unwrap_or_else(|| panic!("{path} is in the table of keys"))
    }

    /// No key set.
    pub fn defaults() -> RawConfig {
        let settings = KEYS.iter().map(|key| {
            let setting = Setting {
                value: default_value(key, Job::Pretraining),
                origin: Origin::Default,
            };
            (key.path, setting)
        });
        RawConfig {
            settings: settings.collect(),
        }
    }

    /// What nothing sets has the default of the job that the rest describes.
    fn set_defaults_of_job(&mut self) {
        let job = self.job();
        for key in KEYS {
            let setting = self.settings.get_mut(key.path);
            if let Some(setting) = setting.filter(|setting| setting.origin == Origin::Default) {
                setting.value = default_value(key, job);
            }
        }
    }

    fn set_pairs(&mut self, pairs: &[String]) -> Vec<Problem> {
        let mut problems = Vec::new();
        for pair in pairs.chunks(2) {
            let [key, text] = pair else {
                let what = format!("{} has no value; write KEY VALUE pairs", pair[0]);
                problems.push(Problem::new(Origin::CommandLine, what));
                continue;
            };
            let leaf = Leaf {
                key: key.clone(),
                origin: Origin::CommandLine,
                node: Node::Text(text.clone()),
            };
            problems.extend(self.set(leaf).err());
        }
        problems
    }

    fn set(&mut self, leaf: Leaf) -> Result<(), Problem> {
        let Leaf { key, origin, node } = leaf;
        let Some(known) = keys::find(&key) else {
            return unknown(&key, origin, &node);
        };
        match known.kind.read(&node) {
            Ok(value) => {
                self.settings.insert(known.path, Setting { value, origin });
                Ok(())
            }
            Err(why) => Err(Problem::new(origin, format!("{key}: {why}"))),
        }
    }
}

/// A section written with nothing below it is no key and no mistake; anything else is.
fn unknown(key: &str, origin: Origin, node: &Node) -> Result<(), Problem> {
    let section = format!("{key}.");
    if KEYS.iter().any(|known| known.path.starts_with(&section)) {
        if *node == Node::Plain(String::new()) {
            return Ok(());
        }
        let what = format!("{key} is a section and holds keys, not a value");
        return Err(Problem::new(origin, what));
    }
    let hint = match keys::nearest(key) {
        Some(similar) => format!("; did you mean {similar}?"),
        None => String::new(),
    };
    Err(Problem::new(origin, format!("unknown key {key}{hint}")))
}

fn default_value(key: &Key, job: Job) -> Value {
    let node = Node::Text(key.default_for(job).to_owned());
    key.kind
        .read(&node)
        .unwrap_or_else(|why| panic!("default of {}: {why}", key.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str, pairs: &[&str]) -> Vec<String> {
        let pairs: Vec<String> = pairs.iter().map(ToString::to_string).collect();
        match RawConfig::parse("a.yaml", text, &pairs) {
            Ok(_) => Vec::new(),
            Err(error) => error.problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn every_default_is_of_its_kind_and_every_path_is_unique() {
        let config = RawConfig::defaults();
        for key in KEYS {
            let _ = default_value(key, Job::Linear);
        }
        assert_eq!(config.lines().len(), KEYS.len());
        assert_eq!(config.settings.len(), KEYS.len());
    }

    #[test]
    fn a_misspelt_key_is_named_with_its_place_and_the_nearest_one() {
        let found = problems(
            "SOLVER:\n  BASELR: 0.3\n",
            &["SEEDS", "1", "BATCH_SIZE", "8"],
        );
        assert_eq!(
            found,
            [
                "a.yaml:2:3: unknown key SOLVER.BASELR; did you mean SOLVER.BASE_LR?",
                "command line: unknown key SEEDS; did you mean SEED?",
                "command line: unknown key BATCH_SIZE; did you mean TRAIN.BATCH_SIZE?",
            ]
        );
    }

    #[test]
    fn wrong_types_and_ranges_are_all_listed_at_once() {
        let text = "TRAIN:\n  BATCH_SIZE: many\nDINO:\n  STUDENT_TEMP: 0\nSEED: -1\nUSE_FP16: 2\n\
                    MULTI_VIEWS_TRANSFORMS:\n  LAMBDAS: [0.4]\n  NMB_CROPS: 8\nSSL_METHOD: BYOL\n";
        let found = problems(text, &["DATA.STD", "[0,1,1]"]);
        assert_eq!(found.len(), 8, "{found:#?}");
        assert_eq!(
            found[0],
            "a.yaml:2:3: TRAIN.BATCH_SIZE: expected a whole number from 1 to 65536, found `many`"
        );
        assert_eq!(
            found[4],
            "a.yaml:8:3: MULTI_VIEWS_TRANSFORMS.LAMBDAS: expected 2 values, found 1"
        );
    }

    #[test]
    fn a_key_set_twice_is_an_error_with_both_lines() {
        let found = problems(
            "SEED: 1\nSOLVER:\n  MOMENTUM: 0.5\n  MOMENTUM: 0.9\nSEED: 2\n",
            &[],
        );
        assert_eq!(
            found,
            [
                "a.yaml:4:3: SOLVER.MOMENTUM is set twice (first in line 3); keep one",
                "a.yaml:5:1: SEED is set twice (first in line 1); keep one",
            ]
        );
        let mixed = problems("SOLVER.MOMENTUM: 0.5\nSOLVER:\n  MOMENTUM: 0.9\n", &[]);
        assert_eq!(
            mixed,
            ["a.yaml:3:3: SOLVER.MOMENTUM is set twice (first in line 1); keep one"]
        );
    }

    #[test]
    fn a_second_document_is_an_error_with_its_place() {
        let found = problems("---\nSEED: 1\n---\nSEED: 2\n", &[]);
        assert_eq!(
            found,
            ["a.yaml:3:1: a second document begins here; keep one of them"]
        );
        assert!(problems("---\nSEED: 1\n...\n", &[]).is_empty());
    }

    #[test]
    fn a_text_of_the_command_line_is_taken_byte_for_byte() {
        let texts = [
            "runs/exp #2",
            "&x y",
            "!x y",
            " a ",
            "a\nb",
            "'a'",
            "{a: 1}",
            "[a]",
            "*a",
            "010",
            "a: b",
        ];
        for text in texts {
            let pairs = ["OUTPUT_DIR", text].map(str::to_owned);
            let config = RawConfig::parse("a.yaml", "", &pairs).unwrap();
            assert_eq!(config.text("OUTPUT_DIR"), text);
        }
    }

    #[test]
    fn tags_are_errors_and_a_byte_order_mark_is_none() {
        assert!(problems("SEED: !x 1\n", &[])[0].starts_with("a.yaml:1:7: tags"));
        assert!(problems("\u{feff}SEED: 1\n", &[]).is_empty());
    }

    #[test]
    fn broken_yaml_and_odd_pairs_are_errors() {
        assert!(problems("TRAIN: [1, 2\n", &[])[0].contains("not valid YAML"));
        assert!(problems("- a\n", &[])[0].contains("expected `KEY: value` lines"));
        assert!(problems("TRAIN: 3\n", &[])[0].contains("TRAIN is a section"));
        assert!(problems("", &["SEED"])[0].contains("SEED has no value"));
        assert!(problems("TRAIN:\n", &[]).is_empty());
    }

    #[test]
    fn pairs_override_the_file_and_take_python_spellings() {
        let pairs = [
            "SEED",
            "7",
            "MULTI_VIEWS_TRANSFORMS.NMB_CROPS",
            "(2, 4)",
            "USE_FP16",
            "False",
        ];
        let pairs: Vec<String> = pairs.iter().map(ToString::to_string).collect();
        let config = RawConfig::parse("a.yaml", "SEED: 1\nUSE_FP16: True\n", &pairs).unwrap();
        assert_eq!(config.get("SEED").value, Value::Int(7));
        assert_eq!(config.get("USE_FP16").value, Value::Bool(false));
        assert_eq!(
            config.get("MULTI_VIEWS_TRANSFORMS.NMB_CROPS").value,
            Value::Ints(vec![2, 4])
        );
    }
}
