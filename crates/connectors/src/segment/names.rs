//! What an event is called at Segment: an object and a verb in the past tense.

use std::borrow::Cow;

use domain::connector::Item;
use domain::verdict::FailureReason;

use super::Refusal;
use crate::tracking::Names;

/// The table of Tolinku's article.
pub(super) const TABLE: &[(&str, &str)] = &[
    ("link.clicked", "Deep Link Clicked"),
    ("deferred_link.claimed", "Deferred Link Claimed"),
    ("install.tracked", "Install Tracked"),
    ("referral.created", "Referral Created"),
    ("referral.completed", "Referral Completed"),
];

/// The name of an event; what neither the destination nor the table names has its type in it.
pub(super) fn of(names: &Names, item: &Item<'_>) -> Result<Cow<'static, str>, Refusal> {
    let known =
        names.known(item).map_err(|nameless| Refusal { reason: FailureReason::TemplateError, message: nameless.0 })?;
    Ok(known.unwrap_or_else(|| format!("Webhook {}", item.event.event_type).into()))
}
