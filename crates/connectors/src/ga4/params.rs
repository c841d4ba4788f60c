//! The parameters of an event: those that Google reports by name, and nothing that tells who somebody is, because
//! Google forbids addresses and names and deletes whole properties over them.

use domain::Settings;
use domain::connector::{Item, SettingsError};
use domain::fields::Fields;
use serde_json::{Map, Value, json};

use super::names;
use crate::tracking;

/// Most parameters; two of them are ours.
const PARAMS_MAX: usize = 25 - 2;
/// Longest value, in characters.
const VALUE_CHARS_MAX: usize = 100;
/// Most items of a purchase.
const ITEMS_MAX: usize = 200;
/// What Google reports of an item.
const ITEM_FIELDS: &[&str] =
    &["item_id", "item_name", "item_brand", "item_category", "item_variant", "coupon", "price", "quantity", "discount"];

/// Refuses names of parameters that would be dropped.
pub(super) fn check(settings: &Settings) -> Result<(), SettingsError> {
    match settings.object("params").and_then(names::wrong_param) {
        None => Ok(()),
        Some(name) => {
            let message = format!(
                "holds `{name}`, which Google Analytics drops; use at most 40 letters, digits and underscores, and \
                 none of its own prefixes"
            );
            Err(SettingsError::new("params", message))
        }
    }
}

/// What an event says, under Google's names.
pub(super) fn of(item: &Item<'_>, fields: &Fields<'_>, name: &str) -> Map<String, Value> {
    let texts = [
        ("campaign", &fields.campaign),
        ("source", &fields.channel),
        ("medium", &fields.medium),
        ("term", &fields.term),
        ("content", &fields.content),
        ("link_id", &fields.link_id),
        ("link_token", &fields.token),
        ("page_location", &fields.url),
        ("page_referrer", &fields.referrer),
        ("route", &fields.route),
        ("platform", &fields.platform),
        ("country", &fields.country),
        ("app_version", &fields.app_version),
        ("match_method", &fields.match_method),
        ("referral_code", &fields.referral_code),
        ("milestone", &fields.milestone),
        ("transaction_id", &fields.transaction_id),
        ("coupon", &fields.coupon_code),
    ];
    let mut params: Map<_, _> =
        texts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?)))).collect();
    // Google takes a value for one only with its currency.
    if let (Some(value), Some(currency)) = (fields.revenue, tracking::currency(fields)) {
        params.insert("value".to_owned(), json!(value));
        params.insert("currency".to_owned(), json!(currency));
    }
    let numbers = ["tax", "shipping"].into_iter().filter(|_| name == "purchase" || name == "refund");
    params
        .extend(numbers.filter_map(|name| Some((name.to_owned(), item.data().get(name)?.as_f64().map(Value::from)?))));
    if let Some(items) = item.data().get("items").and_then(Value::as_array) {
        params.insert("items".to_owned(), items.iter().take(ITEMS_MAX).map(only_reported).collect());
    }
    params
}

/// Cuts what is too long and leaves out what is too many: a long value costs the whole event otherwise.
pub(super) fn limit(params: &mut Map<String, Value>) {
    let mut count = 0;
    params.retain(|name, value| {
        // A list of items does not count by its length.
        let is_taken = match value {
            Value::String(text) => {
                shorten(text);
                names::is_name(name)
            }
            Value::Number(_) => names::is_name(name),
            Value::Bool(it) => {
                *value = json!(it.to_string());
                names::is_name(name)
            }
            Value::Array(_) => name == "items",
            Value::Object(_) | Value::Null => false,
        };
        count += usize::from(is_taken);
        is_taken && count <= PARAMS_MAX
    });
}

fn only_reported(item: &Value) -> Value {
    let field = |name: &&str| {
        let mut value = item.get(*name)?.clone();
        match &mut value {
            Value::String(text) => shorten(text),
            Value::Number(_) => {}
            _ => return None,
        }
        Some(((*name).to_owned(), value))
    };
    ITEM_FIELDS.iter().filter_map(field).collect::<Map<_, _>>().into()
}

fn shorten(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(VALUE_CHARS_MAX) {
        text.truncate(end);
    }
}
