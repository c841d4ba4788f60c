//! Names that Google Analytics takes: letters, digits and underscores, none of its own.

use domain::connector::SettingsError;
use domain::verdict::FailureReason;
use domain::{Settings, Verdict};
use serde_json::Value;

/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 40;

/// Names by type. Purchases and the like have the names under which Google reports them.
pub(super) const EVENT_NAMES: &[(&str, &str)] = &[
    ("link.clicked", "deep_link_clicked"),
    ("link.opened", "deep_link_opened"),
    ("link.conversion", "deep_link_conversion"),
    ("deferred_link.claimed", "deferred_link_claimed"),
    ("install.tracked", "deep_link_install"),
    ("referral.created", "referral_created"),
    ("referral.completed", "referral_completed"),
    ("ecommerce.purchase", "purchase"),
    ("ecommerce.refund", "refund"),
    ("ecommerce.add_to_cart", "add_to_cart"),
    ("ecommerce.begin_checkout", "begin_checkout"),
    ("ecommerce.add_to_wishlist", "add_to_wishlist"),
];

/// Events that Google's own libraries send; from elsewhere they are dropped.
const RESERVED: &[&str] = &[
    "ad_activeview",
    "ad_click",
    "ad_exposure",
    "ad_impression",
    "ad_query",
    "ad_reward",
    "adunit_exposure",
    "app_background",
    "app_clear_data",
    "app_exception",
    "app_install",
    "app_remove",
    "app_store_refund",
    "app_store_subscription_cancel",
    "app_store_subscription_convert",
    "app_store_subscription_renew",
    "app_update",
    "app_upgrade",
    "dynamic_link_app_open",
    "dynamic_link_app_update",
    "dynamic_link_first_open",
    "error",
    "firebase_campaign",
    "firebase_in_app_message_action",
    "firebase_in_app_message_dismiss",
    "firebase_in_app_message_impression",
    "first_open",
    "first_visit",
    "in_app_purchase",
    "notification_dismiss",
    "notification_foreground",
    "notification_open",
    "notification_receive",
    "notification_send",
    "os_update",
    "screen_view",
    "session_start",
    "user_engagement",
];
/// What no name of an event or parameter may begin with.
const PREFIXES: &[&str] = &["_", "ga_", "google_", "gtag.", "firebase_"];

/// Refuses names that would be dropped, as far as they can be seen without an event.
pub(super) fn check(settings: &Settings) -> Result<(), SettingsError> {
    for (event_type, name) in settings.object("names").into_iter().flatten() {
        if let Some(name) = name.as_str().filter(|name| !name.contains("{{") && !name.contains("{%"))
            && (!is_name(name) || RESERVED.contains(&name))
        {
            let message = format!(
                "gives `{event_type}` the name `{name}`, which Google Analytics drops; use at most \
                 {NAME_CHARS_MAX} letters, digits and underscores, and none of its own names"
            );
            return Err(SettingsError::new("names", message));
        }
    }
    Ok(())
}

/// The name with underscores in place of whatever cannot be in one.
pub(super) fn sanitised(name: &str) -> Result<String, Verdict> {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    let plain: String = plain.chars().take(NAME_CHARS_MAX).collect();
    if is_name(&plain) && !RESERVED.contains(&plain.as_str()) {
        return Ok(plain);
    }
    // Whatever begins with a digit or is a name of Google's own becomes one of ours.
    let ours: String = format!("event_{}", plain.trim_matches('_')).chars().take(NAME_CHARS_MAX).collect();
    if is_name(&ours) && ours.len() > "event_".len() {
        return Ok(ours);
    }
    Err(Verdict::reject(
        FailureReason::Unprocessable,
        "no name for Google Analytics can be made of its type; set one under `names`",
    ))
}

/// Whether Google takes this as the name of an event or of a parameter.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= NAME_CHARS_MAX
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The names in a setting of parameters.
pub(super) fn wrong_param(params: &serde_json::Map<String, Value>) -> Option<&str> {
    params.keys().map(String::as_str).find(|name| !is_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_google_takes_whatever_it_was() {
        for (name, expect) in [
            ("deep_link_clicked", "deep_link_clicked"),
            ("link.custom thing", "link_custom_thing"),
            ("Größe", "gr__e"),
            ("first_open", "event_first_open"),
            ("ga_thing", "event_ga_thing"),
            ("2nd.try", "event_2nd_try"),
            ("_private", "event_private"),
        ] {
            assert_eq!(sanitised(name).as_deref(), Ok(expect), "{name}");
        }
        assert_eq!(sanitised(&"x".repeat(60)).unwrap().len(), 40);
        assert!(sanitised("...").is_err());
    }

    #[test]
    fn the_table_holds_good_names() {
        for (event_type, name) in EVENT_NAMES {
            assert_eq!(sanitised(name).as_deref(), Ok(*name), "{event_type}");
        }
    }
}
