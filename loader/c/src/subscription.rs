//! A subscription as C writes it: a JSON object whose keys are those of [`Subscription`]. What it does not say is as in
//! [`Subscription::new`] for SSLight's views of the split `train` in batches of 256.

use loader_ipc::{Recipe, Subscription};
use serde_json::{Map, Value};

use crate::failure::Failure;

const BATCH_SIZE: u32 = 256;

/// Reads it. A recipe is one of those that have a name, or an object.
pub(crate) fn read(json: &str) -> Result<Subscription, Failure> {
    let asked: Map<String, Value> = serde_json::from_str(json).map_err(bad)?;
    let mut all = defaults();
    for (key, value) in asked {
        let known = || all.keys().cloned().collect::<Vec<_>>().join(", ");
        if !all.contains_key(&key) {
            let words = format!(
                "bad subscription: there is no `{key}`; known are {}",
                known()
            );
            return Err(Failure::usage(words));
        }
        all.insert(key, value);
    }
    if let Some(Value::String(name)) = all.get("recipe") {
        let recipe = serde_json::to_value(Recipe::named(name)?).map_err(bad)?;
        all.insert("recipe".to_owned(), recipe);
    }
    if let Some(device) = all.get("card").filter(|device| !device.is_null()) {
        let device = device
            .as_u64()
            .and_then(|device| usize::try_from(device).ok());
        let words = "bad subscription: `card` is null or the number of a device";
        let device = device.ok_or_else(|| Failure::usage(words))?;
        let card = serde_json::to_value(loader_card::card_of_device(device)?).map_err(bad)?;
        all.insert("card".to_owned(), card);
    }
    let subscription: Subscription = serde_json::from_value(Value::Object(all)).map_err(bad)?;
    subscription.recipe.check()?;
    Ok(subscription)
}

fn defaults() -> Map<String, Value> {
    let subscription = Subscription::new("train", Recipe::sslight(), BATCH_SIZE);
    match serde_json::to_value(subscription) {
        Ok(Value::Object(defaults)) => defaults,
        _ => unreachable!("a subscription is plain data with names"),
    }
}

fn bad(error: serde_json::Error) -> Failure {
    Failure::usage(format!("bad subscription: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use loader_ipc::Order;

    #[test]
    fn what_is_not_said_is_the_default_and_numbers_stay_what_they_are() {
        let default = Subscription::new("train", Recipe::sslight(), BATCH_SIZE);
        assert_eq!(read("{}").unwrap(), default);
        let recipe = serde_json::to_string(&Recipe::dino()).unwrap();
        for recipe in [recipe.as_str(), "\"dino\""] {
            let json = format!(
                r#"{{"recipe": {recipe}, "order": "sequential", "seed": 18446744073709551615, "subset": ["a"]}}"#
            );
            let asked = Subscription {
                recipe: Recipe::dino(),
                order: Order::Sequential,
                seed: u64::MAX,
                subset: Some(vec!["a".to_owned()]),
                ..default.clone()
            };
            assert_eq!(read(&json).unwrap(), asked);
        }
    }

    #[test]
    fn what_makes_no_sense_is_told_with_what_would() {
        let told = |json| read(json).unwrap_err().words;
        for (json, words) in [
            ("[]", "bad subscription"),
            (r#"{"spilt": "val"}"#, "no `spilt`; known are batch_size, "),
            (r#"{"batch_size": -1}"#, "bad subscription"),
            (r#"{"card": "cuda"}"#, "`card` is null or the number"),
            (r#"{"recipe": "dyno"}"#, "ask for sslight, dino"),
            (r#"{"recipe": {"views": []}}"#, "bad recipe: a recipe has 1"),
            (r#"{"recipe": {}}"#, "bad subscription: missing field"),
        ] {
            assert!(told(json).contains(words), "{json}: {}", told(json));
        }
    }
}
