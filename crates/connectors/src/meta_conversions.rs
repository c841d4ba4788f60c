//! Meta's Conversions API: conversions that can be attributed, of people who agreed. One bad event refuses a whole
//! request, so what is known to be refused never goes in.

mod app;
mod reply;
mod user;

use domain::connector::{
    Batch, BatchLimits, Category, Connector, Field, FieldKind, HttpCall, Item, Manifest, Outlet, Progress, Rate, Reply,
    SettingsError, Step,
};
use domain::fields::Fields;
use domain::mapping::Mapping;
use domain::{Settings, Timestamp, Verdict};
use serde_json::{Map, Value, json};

use crate::ads::{self, CONSENT, CONSENT_HELP, Consent};
use crate::common::USER_AGENT;
use crate::tracking::{self, Bulk, HOST_HELP, NAMES_HELP, Names};

/// Speaks to Meta.
pub(crate) struct MetaConversions;

static MANIFEST: Manifest = Manifest {
    name: "meta-conversions",
    title: "Meta Conversions API",
    summary: "Conversions with value and currency, of people who agreed and came through Meta or can be matched there.",
    category: Category::Ads,
    notes: include_str!("meta_conversions/notes.md"),
    fields: &[
        Field::required("dataset_id", FieldKind::Text, "the number of the dataset (pixel), in Meta's Events Manager"),
        Field::required(
            "access_token",
            FieldKind::Secret,
            "an access token of that dataset, in the Events Manager under Settings › Conversions API",
        ),
        Field::optional("consent", FieldKind::Choice { of: CONSENT }, CONSENT_HELP).or("required"),
        Field::optional("names", FieldKind::Mapping, NAMES_HELP),
        Field::optional(
            "action_source",
            FieldKind::Choice {
                of: &["website", "app", "system_generated", "email", "phone_call", "chat", "physical_store", "other"],
            },
            "where conversions happen; otherwise `website` if the event has a user agent, and `system_generated` \
             if not",
        ),
        Field::optional("app_package", FieldKind::Text, "the bundle ID or package name, for `action_source = \"app\"`"),
        Field::optional(
            "custom_data",
            FieldKind::Mapping,
            "custom data to add or to put in place of others; one that comes out empty is left out",
        ),
        Field::optional(
            "test_event_code",
            FieldKind::Text,
            "a code under which Meta shows events as a test, and counts none",
        ),
        Field::optional("host", FieldKind::Url, HOST_HELP),
    ],
    events: &["link.conversion", "referral.completed", "ecommerce.purchase"],
    batch: BatchLimits { items: 100, items_max: 1_000, bytes_max: 2 << 20, linger_ms: 2_000, keeps_boundaries: false },
    rate: Some(Rate { per_second: 10.0, per_day: None }),
    provisions: false,
    recognises: Some("`event_id`, for 48 hours"),
};

/// The version of the Graph API.
const VERSION: &str = "v24.0";
/// How many days back an event may lie; one that is older refuses the whole request.
const DAYS_MAX: u64 = 7;
/// Largest body, in bytes.
const BYTES_MAX: usize = 8 << 20;
/// What Meta calls conversions of each kind.
const EVENT_NAMES: &[(&str, &str)] = &[
    ("link.opened", "DeepLinkOpened"),
    ("install.tracked", "AppInstall"),
    ("deferred_link.claimed", "DeferredLinkClaimed"),
    ("referral.created", "ReferralCreated"),
    ("referral.completed", "CompleteRegistration"),
    ("ecommerce.purchase", PURCHASE),
    ("ecommerce.refund", "Refund"),
    ("ecommerce.add_to_cart", "AddToCart"),
    ("ecommerce.begin_checkout", "InitiateCheckout"),
    ("ecommerce.add_to_wishlist", "AddToWishlist"),
];
const PURCHASE: &str = "Purchase";
/// A conversion that is worth nothing that was told.
const LEAD: &str = "Lead";

impl Connector for MetaConversions {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let dataset = tracking::key(settings, "dataset_id")?;
        if !dataset.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SettingsError::new("dataset_id", "is not a number; it stands in Meta's Events Manager"));
        }
        let action_source = settings.text("action_source").map(str::to_owned);
        let app_package = settings.text("app_package").map(str::to_owned);
        if app_package.is_some() && action_source.as_deref() != Some("app") {
            return Err(SettingsError::new(
                "app_package",
                "belongs to `action_source = \"app\"`; set that or take it out",
            ));
        }
        let host = tracking::host(settings, "https://graph.facebook.com")?;
        Ok(Box::new(Dataset {
            url: format!("{host}/{VERSION}/{dataset}/events"),
            access_token: tracking::key(settings, "access_token")?,
            consent: Consent::read(settings),
            names: Names::with_table(settings, EVENT_NAMES)?,
            action_source,
            app_package,
            custom_data: tracking::mapping(settings, "custom_data")?,
            test_event_code: settings.text("test_event_code").map(str::to_owned),
        }))
    }
}

/// One dataset.
struct Dataset {
    url: String,
    access_token: String,
    consent: Consent,
    names: Names,
    action_source: Option<String>,
    app_package: Option<String>,
    custom_data: Mapping,
    test_event_code: Option<String>,
}

impl Outlet for Dataset {
    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        tracking::send(self, batch, progress)
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        match reply::judge(reply) {
            reply::Judgement::All(verdict) => tracking::settle_sent(batch, progress, &verdict),
            reply::Judgement::Whole(alone) => Step::Split { alone },
        }
    }
}

impl Bulk for Dataset {
    fn write(&self, item: &Item<'_>, now: Timestamp) -> Result<Value, Verdict> {
        let fields = item.fields();
        ads::conversion(item)?;
        self.consent.check(&fields)?;
        let at = ads::recent(item, now, DAYS_MAX)?;
        let user = user::data(item, &fields, at)?;
        let action_source = self.action_source.as_deref().unwrap_or(match fields.user_agent {
            Some(_) => "website",
            None => "system_generated",
        });
        let name = self.name(item, &fields)?;
        let custom_data = self.custom_data(item, &fields)?;
        if name == PURCHASE && !(custom_data.contains_key("value") && custom_data.contains_key("currency")) {
            return Err(Verdict::reject(
                domain::verdict::FailureReason::Unprocessable,
                "Meta takes a `Purchase` with value and currency only; send `revenue` and `currency`, or name it \
                 otherwise under `names`",
            ));
        }
        let mut event = json!({
            "event_name": name,
            "event_time": at.as_secs(),
            "event_id": item.event.id,
            "action_source": action_source,
            "user_data": user,
        });
        if let Some(url) = fields.url.as_deref().filter(|url| url.starts_with("http") && action_source == "website") {
            event["event_source_url"] = json!(url);
        }
        if action_source == "app" {
            event["app_data"] = app::data(item, &fields, self.app_package.as_deref())?;
        }
        if !custom_data.is_empty() {
            event["custom_data"] = custom_data.into();
        }
        Ok(event)
    }

    fn call(&self, events: Vec<Value>, _: &Batch<'_>) -> HttpCall {
        // The token goes into the body, because URLs end up in logs.
        let mut body = json!({"data": events, "access_token": self.access_token});
        if let Some(code) = &self.test_event_code {
            body["test_event_code"] = json!(code);
        }
        HttpCall::post_json(self.url.as_str(), body.to_string()).header("User-Agent", USER_AGENT)
    }

    fn bytes_max(&self) -> usize {
        BYTES_MAX
    }
}

impl Dataset {
    fn name(&self, item: &Item<'_>, fields: &Fields<'_>) -> Result<String, Verdict> {
        if let Some(name) = self.names.known(item)? {
            return Ok(name.into_owned());
        }
        let is_worth_something = fields.revenue.is_some() && tracking::currency(fields).is_some();
        Ok(match item.event.event_type.as_str() {
            "link.conversion" if is_worth_something => PURCHASE.to_owned(),
            "link.conversion" => LEAD.to_owned(),
            other => other.replace(|c: char| !c.is_ascii_alphanumeric(), "_"),
        })
    }

    fn custom_data(&self, item: &Item<'_>, fields: &Fields<'_>) -> Result<Map<String, Value>, Verdict> {
        let mut data = Map::new();
        if let (Some(value), Some(currency)) = (fields.revenue, tracking::currency(fields)) {
            data.insert("value".to_owned(), json!(value));
            data.insert("currency".to_owned(), json!(currency));
        }
        if let Some(id) = &fields.transaction_id {
            data.insert("order_id".to_owned(), json!(id));
        }
        let items = item.data().get("items").and_then(Value::as_array);
        let contents: Vec<_> = items.into_iter().flatten().filter_map(content).collect();
        if !contents.is_empty() {
            data.insert("content_type".to_owned(), json!("product"));
            data.insert("contents".to_owned(), contents.into());
        }
        tracking::apply(&self.custom_data, "custom_data", item, &mut data)?;
        Ok(data)
    }
}

/// An item that was bought.
fn content(item: &Value) -> Option<Value> {
    let mut content = json!({"id": item.get("item_id")?.as_str()?});
    for (name, from) in [("quantity", "quantity"), ("item_price", "price")] {
        if let Some(number) = item.get(from).filter(|value| value.is_number()) {
            content[name] = number.clone();
        }
    }
    Some(content)
}

#[cfg(test)]
mod tests;
