//! Settings of a source or destination: a JSON object whose secret members the manifest names.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::secret::MASK;

/// A JSON object of settings. `Debug` prints member names only: any value may be a secret.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(pub Map<String, Value>);

impl Settings {
    /// The text of the member `name`, if it is there and is a string.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// The whole number of the member `name`, if it is there and is one.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.0.get(name).and_then(Value::as_i64)
    }

    /// The object of the member `name`, if it is there and is one.
    pub fn object(&self, name: &str) -> Option<&Map<String, Value>> {
        self.0.get(name).and_then(Value::as_object)
    }

    /// A copy that may be shown: members for which `is_secret` holds carry [`MASK`] instead of their value, an object in
    /// each of its values.
    #[must_use]
    pub fn masked(&self, is_secret: impl Fn(&str) -> bool) -> Self {
        let mask = |(name, value): (&String, &Value)| {
            let shown = match value {
                Value::Null => Value::Null,
                Value::Object(object) if is_secret(name) => object.keys().map(|key| (key.clone(), MASK)).collect(),
                _ if is_secret(name) => Value::from(MASK),
                _ => value.clone(),
            };
            (name.clone(), shown)
        };
        Self(self.0.iter().map(mask).collect())
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
