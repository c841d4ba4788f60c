//! Iterable's event tracking in bulk: a 200 counts its failures and names them by who they are about.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::connector::{
    Batch, BatchLimits, Category, Connector, Field, FieldKind, HttpCall, Item, Manifest, Outlet, Progress, Rate, Reply,
    SettingsError, Step,
};
use domain::mapping::Mapping;
use domain::verdict::FailureReason;
use domain::{Settings, Timestamp, Verdict};
use serde_json::{Value, json};

use crate::common::{USER_AGENT, in_brackets, is_page, on_one_line, page, retry, said, wait};
use crate::tracking::{self, Bulk, HOST_HELP, NAMES_HELP, Names};

/// Speaks to Iterable.
pub(crate) struct Iterable;

static MANIFEST: Manifest = Manifest {
    name: "iterable",
    title: "Iterable",
    summary: "Events about users with an id or address, as custom events, in batches and without duplicates.",
    category: Category::Engagement,
    notes: include_str!("iterable/notes.md"),
    fields: &[
        Field::required("api_key", FieldKind::Secret, "a server-side API key of the project"),
        Field::optional("region", FieldKind::Choice { of: &["us", "eu"] }, "where the project keeps its data").or("us"),
        Field::optional("host", FieldKind::Url, HOST_HELP),
        Field::optional(
            "prefer",
            FieldKind::Choice { of: &["user_id", "email"] },
            "what tells a user if an event has both",
        )
        .or("user_id"),
        Field::optional("names", FieldKind::Mapping, NAMES_HELP),
        Field::optional(
            "data_fields",
            FieldKind::Mapping,
            "data fields to add or to put in place of others; one that comes out empty is left out",
        ),
    ],
    events: &[
        "link.opened",
        "install.tracked",
        "deferred_link.claimed",
        "link.conversion",
        "referral.*",
        "ecommerce.*",
    ],
    batch: BatchLimits { items: 100, items_max: 1_000, bytes_max: 2 << 20, linger_ms: 2_000, keeps_boundaries: false },
    rate: Some(Rate { per_second: 10.0, per_day: None }),
    provisions: false,
    recognises: Some("the `id` of the event"),
};

/// Largest body, in bytes.
const BYTES_MAX: usize = 4 << 20;
/// A wait that is not named.
const RATE_WAIT: Duration = Duration::from_secs(5);

/// The lists in which an answer names whom it did not take, and what that means.
const LISTS: &[(&str, &str)] = &[
    ("invalidEmails", "is no address that Iterable takes"),
    ("invalidUserIds", "is no user id that Iterable takes"),
    ("notFoundEmails", "is not known to Iterable"),
    ("notFoundUserIds", "is not known to Iterable"),
    ("invalidDataEmails", "has data fields that Iterable does not take"),
    ("invalidDataUserIds", "has data fields that Iterable does not take"),
    ("conflictEmails", "conflicts with another user"),
    ("conflictUserIds", "conflicts with another user"),
    ("forgottenEmails", "was forgotten on request"),
    ("forgottenUserIds", "was forgotten on request"),
];

impl Connector for Iterable {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let usual = match settings.text("region") {
            Some("eu") => "https://api.eu.iterable.com",
            _ => "https://api.iterable.com",
        };
        Ok(Box::new(Project {
            url: format!("{}/api/events/trackBulk", tracking::host(settings, usual)?),
            api_key: tracking::key(settings, "api_key")?,
            prefers_email: settings.text("prefer") == Some("email"),
            names: Names::read(settings)?,
            data_fields: tracking::mapping(settings, "data_fields")?,
        }))
    }
}

/// One project.
struct Project {
    url: String,
    api_key: String,
    prefers_email: bool,
    names: Names,
    data_fields: Mapping,
}

impl Outlet for Project {
    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        tracking::send(self, batch, progress)
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        let body = reply.json().unwrap_or_default();
        let text = body["msg"].as_str().map(|text| on_one_line(text, 200)).or_else(|| said(reply));
        let all = |verdict: &Verdict| tracking::settle_sent(batch, progress, verdict);
        let split = |reason| Step::Split { alone: Verdict::Reject { reason, message: text.clone() } };
        match reply.status {
            200..=299 if is_page(reply) => all(&page(reply, "Iterable")),
            200..=299 => self.counted(batch, progress, &body),
            400 if body["code"] == "BadApiKey" => all(&unauthorized(text)),
            400 | 409 | 422 => split(FailureReason::Refused),
            401 | 403 => all(&unauthorized(text)),
            404 | 405 => all(&Verdict::misconfigured(format!(
                "there is no Iterable at `host`{}; mend it or take it out",
                in_brackets(text)
            ))),
            413 => split(FailureReason::TooLarge),
            429 => all(&wait(reply, RATE_WAIT)),
            _ => all(&retry(reply)),
        }
    }
}

fn unauthorized(text: Option<String>) -> Verdict {
    Verdict::unauthorized(format!(
        "Iterable refused the API key{}; give a server-side key of this project, and set `region`",
        in_brackets(text)
    ))
}

impl Project {
    /// A request that was taken, with what it says of those that were not.
    fn counted(&self, batch: &Batch<'_>, progress: &Progress, body: &Value) -> Step {
        let failed = body["failCount"].as_u64().unwrap_or_default();
        if failed == 0 {
            return tracking::settle_sent(batch, progress, &Verdict::Delivered);
        }
        let sent = tracking::sent(batch, progress);
        let named = Named::read(body);
        let verdict = |index: &usize| {
            let event = self.write(&batch.items[*index], batch.now).unwrap_or_default();
            named.verdict(&event)
        };
        let verdicts: Vec<_> = sent.iter().map(verdict).collect();
        if (verdicts.iter().flatten().count() as u64) < failed {
            // Somebody failed and nobody says who. Repetitions replace what is there, so each is tried for itself.
            let alone = Verdict::reject(FailureReason::Refused, "Iterable did not take the event and does not say why");
            return Step::Split { alone };
        }
        tracking::settle(batch, progress, |place| verdicts.get(place).cloned().flatten().unwrap_or(Verdict::Delivered))
    }
}

/// Whom and what an answer names as refused.
struct Named<'b> {
    emails: BTreeMap<&'b str, &'static str>,
    users: BTreeMap<&'b str, &'static str>,
    event_names: BTreeSet<&'b str>,
}

impl<'b> Named<'b> {
    fn read(body: &'b Value) -> Self {
        let texts = |list: &'b Value| list.as_array().into_iter().flatten().filter_map(Value::as_str);
        let event_names = texts(&body["disallowedEventNames"]).collect();
        let mut named = Self { emails: BTreeMap::new(), users: BTreeMap::new(), event_names };
        for (list, what) in LISTS {
            let people = if list.ends_with("Emails") { &mut named.emails } else { &mut named.users };
            for who in texts(&body[*list]).chain(texts(&body["failedUpdates"][*list])) {
                people.entry(who).or_insert(what);
            }
        }
        named
    }

    /// Why an event was not taken, if it is one of those that are named.
    fn verdict(&self, event: &Value) -> Option<Verdict> {
        let text = |name: &str| event[name].as_str().unwrap_or_default();
        if self.event_names.contains(text("eventName")) {
            let message =
                "its name is not allowed in this Iterable project; allow it there, or set another one under `names`";
            return Some(Verdict::reject(FailureReason::Refused, message));
        }
        let what = self.emails.get(text("email")).or_else(|| self.users.get(text("userId")))?;
        Some(Verdict::reject(FailureReason::Refused, format!("the user of the event {what}")))
    }
}

impl Bulk for Project {
    fn write(&self, item: &Item<'_>, _: Timestamp) -> Result<Value, Verdict> {
        let fields = item.fields();
        let user = tracking::user_id(&fields);
        let email = fields.email.as_deref().map(|email| email.trim().to_lowercase()).filter(|email| !email.is_empty());
        let (name, who) = match (user, email) {
            (Some(_), Some(email)) if self.prefers_email => ("email", email),
            (Some(user), _) => ("userId", user),
            (None, Some(email)) => ("email", email),
            (None, None) => return Err(Verdict::skip("the event names neither a user nor an address")),
        };
        let mut data_fields = tracking::properties(item);
        tracking::apply(&self.data_fields, "data_fields", item, &mut data_fields)?;
        Ok(json!({
            name: who,
            "eventName": self.names.of(item)?,
            "id": item.event.id,
            "createdAt": tracking::time(item)?.as_secs(),
            "dataFields": data_fields,
        }))
    }

    fn call(&self, events: Vec<Value>, _: &Batch<'_>) -> HttpCall {
        HttpCall::post_json(self.url.as_str(), json!({"events": events}).to_string())
            .header("User-Agent", USER_AGENT)
            .header("Api-Key", self.api_key.as_str())
    }

    fn bytes_max(&self) -> usize {
        BYTES_MAX
    }
}

#[cfg(test)]
mod tests;
