//! The parameters of an event: those that Google reports by name, and nothing that tells who somebody is, because
//! Google forbids addresses and names and deletes whole properties over them.

use std::borrow::Cow;

use domain::Settings;
use domain::connector::{Item, SettingsError};
use domain::fields::Fields;
use domain::mapping::Mapping;
use serde_json::{Map, Value, json};

use super::{names, urls};
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
    let text =
        |value: &Option<Cow<'_, str>>| value.as_deref().filter(|text| !urls::holds_address(text)).map(Value::from);
    let url = |value: &Option<Cow<'_, str>>| value.as_deref().and_then(urls::without_people).map(Value::from);
    // Google takes a value for one only with its currency.
    let money = fields.revenue.zip(tracking::currency(fields));
    let (value, currency) = money.map(|(value, currency)| (json!(value), json!(currency))).unzip();
    let is_sale = name == "purchase" || name == "refund";
    let number = |name: &str| item.data().get(name)?.as_f64().filter(|_| is_sale).map(Value::from);
    let items = item.data().get("items").and_then(Value::as_array);
    // What there may be no room for comes last.
    let known = [
        ("campaign", text(&fields.campaign)),
        ("source", text(&fields.channel)),
        ("medium", text(&fields.medium)),
        ("term", text(&fields.term)),
        ("content", text(&fields.content)),
        ("transaction_id", text(&fields.transaction_id)),
        ("value", value),
        ("currency", currency),
        ("items", items.map(|items| items.iter().take(ITEMS_MAX).map(only_reported).collect())),
        ("coupon", text(&fields.coupon_code)),
        ("tax", number("tax")),
        ("shipping", number("shipping")),
        ("link_id", text(&fields.link_id)),
        ("page_location", url(&fields.url)),
        ("page_referrer", url(&fields.referrer)),
        ("referral_code", text(&fields.referral_code)),
        ("milestone", text(&fields.milestone)),
        ("platform", text(&fields.platform)),
        ("match_method", text(&fields.match_method)),
        ("route", text(&fields.route)),
        ("country", text(&fields.country)),
        ("app_version", text(&fields.app_version)),
        ("link_token", text(&fields.token)),
    ];
    known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// The parameters that Google takes, those of the destination's `own` before any other: a long value costs the whole event
/// otherwise, and of too many nobody says which are lost.
pub(super) fn limited(mut params: Map<String, Value>, own: &Mapping) -> Map<String, Value> {
    let first: Vec<_> = own.names().filter_map(|name| params.shift_remove_entry(name)).collect();
    let taken = first.into_iter().chain(params).filter_map(|(name, value)| Some((taken(&name, value)?, name)));
    taken.take(PARAMS_MAX).map(|(value, name)| (name, value)).collect()
}

/// A value as Google takes it, if it does.
fn taken(name: &str, value: Value) -> Option<Value> {
    // A list of items does not count by its length.
    let value = match value {
        Value::String(mut text) => {
            shorten(&mut text);
            text.into()
        }
        Value::Bool(it) => it.to_string().into(),
        Value::Array(_) if name == "items" => return Some(value),
        Value::Number(_) => value,
        Value::Array(_) | Value::Object(_) | Value::Null => return None,
    };
    names::is_name(name).then_some(value)
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
