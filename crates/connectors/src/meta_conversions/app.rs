//! What Meta wants to know of the app in which something happened: sixteen places, most of which may be empty.

use domain::Verdict;
use domain::connector::Item;
use domain::fields::Fields;
use serde_json::{Value, json};

use crate::ads;

/// How many places there are.
const PLACES: usize = 16;

/// The app data of a conversion.
pub(super) fn data(item: &Item<'_>, fields: &Fields<'_>, package: Option<&str>) -> Result<Value, Verdict> {
    let platform = [&fields.platform, &fields.os].into_iter().flatten().map(|it| it.to_lowercase()).collect::<Vec<_>>();
    let is = |name: &str| platform.iter().any(|it| it.contains(name));
    let version = if is("ios") || is("iphone") {
        "i2"
    } else if is("android") {
        "a2"
    } else {
        return Err(Verdict::skip("the event names neither iOS nor Android, and Meta takes no other app"));
    };
    let mut places = vec![String::new(); PLACES];
    let known = [
        (0, Some(version)),
        (1, package),
        (3, fields.app_version.as_deref()),
        (4, fields.os_version.as_deref()),
        (5, fields.device_type.as_deref()),
        (6, ads::text(item, &["locale", "language"])),
    ];
    for (place, text) in known {
        text.unwrap_or_default().clone_into(&mut places[place]);
    }
    // Without a word from the person, tracking is off.
    let is_on = |name: &str| i32::from(item.data().get(name).and_then(Value::as_bool).unwrap_or_default());
    Ok(json!({
        "advertiser_tracking_enabled": is_on("advertiser_tracking_enabled"),
        "application_tracking_enabled": is_on("application_tracking_enabled"),
        "extinfo": places,
    }))
}
