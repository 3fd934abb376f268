//! What is known of weights beside their values: words by name, as a safetensors file carries them.

use std::collections::{BTreeMap, HashMap};

use super::names::Which;
use crate::batch::Normalization;
use crate::checkpoint::State;

/// Words by name. Files of others have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About(BTreeMap<String, String>);

impl About {
    /// What a file says.
    pub(super) fn of_file(words: Option<HashMap<String, String>>) -> About {
        About(words.into_iter().flatten().collect())
    }

    /// What a checkpoint says.
    pub(super) fn of_checkpoint(state: &State) -> About {
        let settings = [
            ("arch", "MODEL.BACKBONE_ARCH"),
            ("method", "SSL_METHOD"),
            ("mean", "DATA.MEAN"),
            ("std", "DATA.STD"),
            ("size", "MULTI_VIEWS_TRANSFORMS.GLOBAL_CROP_SIZE"),
        ];
        let value = |(name, key): (&str, &str)| {
            let value = state.settings.get(key)?;
            Some((name.to_owned(), value.clone()))
        };
        let mut words: BTreeMap<_, _> = settings.into_iter().filter_map(value).collect();
        words.insert("step".to_owned(), state.position.step.to_string());
        words.insert("sslight".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        About(words)
    }

    /// What a name stands for.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Mean and standard deviation of the pixels that the network was trained on.
    pub fn normalization(&self) -> Option<Normalization> {
        let three = |name: &str| serde_json::from_str::<[f64; 3]>(self.get(name)?).ok();
        Some(Normalization {
            mean: three("mean")?,
            std: three("std")?,
        })
    }

    /// Which network they are of, where somebody said it.
    pub fn which(&self) -> Option<Which> {
        let word = self.get("which")?;
        let all = [Which::Student, Which::Teacher];
        all.into_iter().find(|which| which.name() == word)
    }

    /// Lets a name stand for something.
    pub fn set(&mut self, name: &str, word: &str) {
        self.0.insert(name.to_owned(), word.to_owned());
    }

    /// All of it.
    pub(super) fn words(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}
