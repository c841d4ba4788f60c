//! Whom a conversion is matched with: the click that brought them, and hashes of what is known of them.

use domain::connector::Item;
use domain::fields::Fields;
use domain::{Timestamp, Verdict};
use serde_json::{Map, Value, json};

use crate::ads;
use crate::tracking;

/// The user data of a conversion. One that nothing ties to a click or a person is skipped: an address and a browser
/// alone attribute nothing.
pub(super) fn data(item: &Item<'_>, fields: &Fields<'_>, at: Timestamp) -> Result<Map<String, Value>, Verdict> {
    let cookie = |cookie: &Option<std::borrow::Cow<'_, str>>| {
        cookie.as_deref().filter(|text| text.starts_with("fb.") && ads::is_click_id(text)).map(Value::from)
    };
    let hashed = |text: Option<String>| text.map(|text| json!([ads::hashed(&text)]));
    let keys = [
        ("fbc", cookie(&fields.fbc).or_else(|| click(fields, at).map(Value::from))),
        ("fbp", cookie(&fields.fbp)),
        ("em", hashed(ads::email(fields))),
        ("ph", hashed(ads::phone(fields))),
        ("external_id", hashed(tracking::user_id(fields))),
        ("madid", ads::text(item, &["madid", "idfa", "gaid", "advertising_id"]).map(Value::from)),
    ];
    let mut user: Map<_, _> = keys.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    if user.is_empty() {
        return Err(Verdict::skip(
            "nothing in the event ties it to a click on Meta or to a person: no `fbclid`, e-mail address, \
             telephone number or user id",
        ));
    }
    for (name, value) in [("client_ip_address", &fields.ip), ("client_user_agent", &fields.user_agent)] {
        if let Some(value) = value {
            user.insert(name.to_owned(), json!(value));
        }
    }
    Ok(user)
}

/// A click id as the cookie `_fbc` would hold it: with the time of the click.
fn click(fields: &Fields<'_>, at: Timestamp) -> Option<String> {
    let id = fields.fbclid.as_deref().filter(|id| ads::is_click_id(id)).map(str::to_owned);
    let id = id.or_else(|| ads::in_url(fields, "fbclid"))?;
    let clicked_at = fields.original_click_at.filter(|clicked_at| *clicked_at <= at).unwrap_or(at);
    Some(format!("fb.1.{}.{id}", clicked_at.as_millis()))
}
