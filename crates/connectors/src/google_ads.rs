//! Google Ads by its Data Manager API: conversions that can be attributed, of people who agreed. One invalid event
//! fails the request, and Google says which; the others go out again at once.

mod reply;

use domain::connector::{
    Batch, BatchLimits, Category, Connector, Field, FieldKind, HttpCall, Item, Manifest, Outlet, Progress, Rate, Reply,
    SettingsError, Step, Token,
};
use domain::fields::Fields;
use domain::verdict::FailureReason;
use domain::{Settings, Timestamp, Verdict};
use serde_json::{Map, Value, json};

use crate::ads::{self, CONSENT, CONSENT_HELP, Consent};
use crate::auth::google::Account;
use crate::common::USER_AGENT;
use crate::tracking::{self, Bulk, HOST_HELP};

/// Speaks to Google Ads.
pub(crate) struct GoogleAds;

static MANIFEST: Manifest = Manifest {
    name: "google-ads",
    title: "Google Ads",
    summary: "Conversions with value and currency, of people who agreed and came through Google or can be matched \
        there.",
    category: Category::Ads,
    notes: include_str!("google_ads/notes.md"),
    fields: &[
        Field::required("customer_id", FieldKind::Text, "the number of the Google Ads account, like `123-456-7890`"),
        Field::required(
            "conversion_action",
            FieldKind::Text,
            "the number of the conversion action, `ctId` in the address of its page in Google Ads",
        ),
        Field::optional(
            "conversion_actions",
            FieldKind::Mapping,
            "other conversion actions by event type, like `\"referral.completed\" = \"987654321\"`",
        ),
        Field::optional(
            "login_customer_id",
            FieldKind::Text,
            "the manager account through which the service account has access",
        ),
        Field::required(
            "service_account",
            FieldKind::Secret,
            "the key file of a service account that is a user of the Google Ads account, the whole JSON",
        ),
        Field::optional("consent", FieldKind::Choice { of: CONSENT }, CONSENT_HELP).or("required"),
        Field::optional(
            "event_source",
            FieldKind::Choice { of: &["WEB", "APP", "IN_STORE", "PHONE", "OTHER"] },
            "where conversions happen",
        )
        .or("WEB"),
        Field::optional("validate_only", FieldKind::Switch, "whether Google checks events and counts none").or("false"),
        Field::optional("host", FieldKind::Url, HOST_HELP),
    ],
    events: &["link.conversion", "referral.completed", "ecommerce.purchase"],
    batch: BatchLimits { items: 200, items_max: 2_000, bytes_max: 2 << 20, linger_ms: 5_000, keeps_boundaries: false },
    rate: Some(Rate { per_second: 5.0, per_day: Some(100_000) }),
    provisions: false,
    recognises: None,
};

const SCOPE: &str = "https://www.googleapis.com/auth/datamanager";
/// How many days back an event may lie.
const DAYS_MAX: u64 = 90;
/// Largest body, in bytes.
const BYTES_MAX: usize = 8 << 20;
/// Most conversion actions of a request.
const ACTIONS_MAX: usize = 10;
/// Longest transaction id, in characters.
const TRANSACTION_ID_CHARS_MAX: usize = 512;

impl Connector for GoogleAds {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let account = Account::read(settings.text("service_account").unwrap_or_default(), SCOPE)
            .map_err(|message| SettingsError::new("service_account", message))?;
        let customer = number(settings, "customer_id")?;
        let manager = settings.text("login_customer_id").map(|_| number(settings, "login_customer_id")).transpose()?;
        let actions = Actions::read(settings)?;
        let host = tracking::host(settings, "https://datamanager.googleapis.com")?;
        Ok(Box::new(Customer {
            url: format!("{host}/v1/events:ingest"),
            account,
            destinations: actions.destinations(&customer, manager.as_deref()),
            actions,
            consent: Consent::read(settings),
            event_source: settings.text("event_source").unwrap_or("WEB").to_owned(),
            validate_only: settings.0.get("validate_only").and_then(Value::as_bool).unwrap_or_default(),
        }))
    }
}

/// One account.
struct Customer {
    url: String,
    account: Account,
    actions: Actions,
    destinations: Value,
    consent: Consent,
    event_source: String,
    validate_only: bool,
}

impl Outlet for Customer {
    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        tracking::send(self, batch, progress)
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        match reply::judge(reply) {
            reply::Judgement::All(verdict) => tracking::settle_sent(batch, progress, &verdict),
            reply::Judgement::Whole(alone) => Step::Split { alone },
            reply::Judgement::NewToken(message) => Step::Reauthorize { message },
            reply::Judgement::Named(refused) => {
                let sent = tracking::sent(batch, progress);
                let mut is_any_named = false;
                for (place, verdict) in &refused {
                    if let Some(&index) = sent.get(*place) {
                        tracking::set_aside(progress, index, verdict);
                        is_any_named = true;
                    }
                }
                if !is_any_named || progress.replies >= tracking::ROUNDS_MAX {
                    let alone = refused.into_values().next();
                    return Step::Split { alone: alone.unwrap_or(Verdict::retry(FailureReason::Refused)) };
                }
                tracking::send(self, batch, progress)
            }
        }
    }

    fn authorize(&self, now: Timestamp) -> Option<HttpCall> {
        Some(self.account.call(now))
    }

    fn token(&self, reply: &Reply) -> Result<Token, Verdict> {
        Account::token(reply)
    }
}

impl Bulk for Customer {
    fn write(&self, item: &Item<'_>, now: Timestamp) -> Result<Value, Verdict> {
        let fields = item.fields();
        ads::conversion(item)?;
        self.consent.check(&fields)?;
        let at = ads::recent(item, now, DAYS_MAX)?;
        let clicks = clicks(&fields);
        let people = people(&fields);
        if clicks.is_empty() && people.is_empty() {
            return Err(Verdict::skip(
                "nothing in the event ties it to a click on Google or to a person: no `gclid`, `gbraid` or \
                 `wbraid`, e-mail address or telephone number",
            ));
        }
        let transaction = fields.transaction_id.as_deref().filter(|id| id.chars().count() <= TRANSACTION_ID_CHARS_MAX);
        let mut event = json!({
            // What a tag on the site has reported under the same id counts once.
            "transactionId": transaction.map_or_else(|| item.event.id.to_string(), str::to_owned),
            "eventTimestamp": at,
            "eventSource": self.event_source,
        });
        if fields.consent == Some(true) {
            event["consent"] = json!({"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"});
        }
        if !clicks.is_empty() {
            event["adIdentifiers"] = clicks.into();
        }
        if !people.is_empty() {
            event["userData"] = json!({"userIdentifiers": people});
        }
        if let (Some(value), Some(currency)) = (fields.revenue, tracking::currency(&fields)) {
            event["conversionValue"] = json!(value);
            event["currency"] = json!(currency);
        }
        if let Some(reference) = self.actions.reference(item) {
            event["destinationReferences"] = json!([reference]);
        }
        Ok(event)
    }

    fn call(&self, events: Vec<Value>, batch: &Batch<'_>) -> HttpCall {
        let body = json!({
            "destinations": self.destinations,
            "events": events,
            "encoding": "HEX",
            "validateOnly": self.validate_only,
        });
        let token = batch.token.map(|token| token.secret.expose()).unwrap_or_default();
        HttpCall::post_json(self.url.as_str(), body.to_string())
            .header("User-Agent", USER_AGENT)
            .header("Authorization", format!("Bearer {token}"))
    }

    fn bytes_max(&self) -> usize {
        BYTES_MAX
    }
}

/// The click that brought somebody, by whichever name.
fn clicks(fields: &Fields<'_>) -> Map<String, Value> {
    let ids = [("gclid", &fields.gclid), ("gbraid", &fields.gbraid), ("wbraid", &fields.wbraid)];
    let id = |(name, told): (&str, &Option<std::borrow::Cow<'_, str>>)| {
        let told = told.as_deref().filter(|id| ads::is_click_id(id)).map(str::to_owned);
        Some((name.to_owned(), told.or_else(|| ads::in_url(fields, name))?.into()))
    };
    ids.into_iter().filter_map(id).collect()
}

/// Hashes of the address and telephone number.
fn people(fields: &Fields<'_>) -> Vec<Value> {
    let email = ads::email(fields).map(|email| json!({"emailAddress": ads::hashed(&without_dots(&email))}));
    let phone = ads::phone(fields).map(|phone| json!({"phoneNumber": ads::hashed(&format!("+{phone}"))}));
    email.into_iter().chain(phone).collect()
}

/// Google Mail takes no notice of dots before the @, and Google's matching takes none of them either.
fn without_dots(email: &str) -> String {
    match email.rsplit_once('@') {
        Some((local, domain @ ("gmail.com" | "googlemail.com"))) => format!("{}@{domain}", local.replace('.', "")),
        _ => email.to_owned(),
    }
}

/// What conversions are counted as.
struct Actions {
    usual: String,
    by_type: Vec<(String, String)>,
}

impl Actions {
    fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let by_type = settings.object("conversion_actions").into_iter().flatten().map(|(event_type, id)| {
            let id = digits(id.as_str().unwrap_or_default()).ok_or_else(|| {
                SettingsError::new(
                    "conversion_actions",
                    format!("holds no number under `{event_type}`; write the action's `ctId`"),
                )
            })?;
            Ok((event_type.clone(), id))
        });
        let actions =
            Self { usual: number(settings, "conversion_action")?, by_type: by_type.collect::<Result<_, _>>()? };
        if actions.all().len() > ACTIONS_MAX {
            return Err(SettingsError::new("conversion_actions", format!("names more than {ACTIONS_MAX} actions")));
        }
        Ok(actions)
    }

    /// Each action once.
    fn all(&self) -> Vec<&str> {
        let mut all = vec![self.usual.as_str()];
        for (_, id) in &self.by_type {
            if !all.contains(&id.as_str()) {
                all.push(id);
            }
        }
        all
    }

    fn destinations(&self, customer: &str, manager: Option<&str>) -> Value {
        let account = |id: &str| json!({"accountType": "GOOGLE_ADS", "accountId": id});
        let all = self.all();
        let destination = |id: &&str| {
            let mut destination = json!({"operatingAccount": account(customer), "productDestinationId": id});
            if let Some(manager) = manager {
                destination["loginAccount"] = account(manager);
            }
            if all.len() > 1 {
                destination["reference"] = json!(id);
            }
            destination
        };
        all.iter().map(destination).collect()
    }

    /// The action of an event, where there is a choice.
    fn reference(&self, item: &Item<'_>) -> Option<&str> {
        let event_type = item.event.event_type.as_str();
        let alias = domain::catalogue::alias(event_type);
        let own = self.by_type.iter().find(|(name, _)| name == event_type || Some(name.as_str()) == alias);
        (self.all().len() > 1).then(|| own.map_or(self.usual.as_str(), |(_, id)| id))
    }
}

/// A number as Google writes it, with or without hyphens.
fn number(settings: &Settings, name: &str) -> Result<String, SettingsError> {
    digits(settings.text(name).unwrap_or_default())
        .ok_or_else(|| SettingsError::new(name, "is not a number; copy it from Google Ads, with or without hyphens"))
}

fn digits(text: &str) -> Option<String> {
    let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
    (!digits.is_empty() && digits.len() <= 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

#[cfg(test)]
mod tests;
