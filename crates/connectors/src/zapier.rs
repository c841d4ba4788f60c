//! Catch hooks of Zapier, Make and n8n: one flat object per event.

mod flat;
mod reply;

use domain::connector::{
    Batch, BatchLimits, Call, Category, Connector, Field, FieldKind, HttpCall, Item, Manifest, Outlet, Progress, Rate,
    Reply, SettingsError, Step,
};
use domain::mapping::Mapping;
use domain::verdict::FailureReason;
use domain::{Settings, Verdict};
use serde_json::{Map, Value};
use url::Url;

use self::reply::Service;
use crate::common::{USER_AGENT, headers, url};

/// Speaks to Zapier, Make and n8n.
pub(crate) struct Zapier;

static MANIFEST: Manifest = Manifest {
    name: "zapier",
    title: "Zapier, Make and n8n",
    summary: "A flat object per event for the webhook that starts a Zap, a scenario or a workflow.",
    category: Category::Automation,
    notes: "Every event is one flat object: `id`, `event`, `timestamp` and `source`, then everything in `data` under names like \
            `data__campaign` and `data__items__0__price`, in alphabetical order, so that the fields of one event type are \
            always found in the same place. Those are the names that Zapier gives to the fields of a webhook sent to it directly, \
            so a Zap that was built for one goes on working. A repetition has the same `id`: put a filter or a lookup on it where \
            twice would hurt.

- **Zapier**: begin a Zap with *Webhooks by Zapier*, *Catch Hook*, and put its URL into `url`. Zapier answers *success* for a Zap \
that is switched off too, so a success proves that the event arrived and no more. Each event is a task, which is why clicks are \
not sent unless you name them.
- **Make**: begin a scenario with *Webhooks*, *Custom webhook*. If the webhook asks for a key, put it into `make_apikey`. A full \
queue is waited for.
- **n8n**: begin a workflow with a *Webhook* node that takes POST, activate it, and use its production URL; the test URL works \
only while somebody watches and is refused. Authentication by header goes into `headers`.

This connector was held against simulators of the three, not against their services.",
    fields: &[
        Field::required("url", FieldKind::SecretUrl, "the URL of the catch hook, custom webhook or webhook node"),
        Field::optional("make_apikey", FieldKind::Secret, "what Make's webhook asks for in the header `x-make-apikey`"),
        Field::optional("headers", FieldKind::Map, "headers to send along, for example `Authorization` for n8n"),
        Field::optional(
            "properties",
            FieldKind::Mapping,
            "fields to add or to put in place of others; one that comes out empty is left out",
        ),
    ],
    events: &[
        "install.tracked",
        "deferred_link.claimed",
        "link.conversion",
        "referral.*",
        "ecommerce.purchase",
        "ecommerce.refund",
    ],
    batch: BatchLimits::ONE,
    // Make's; Zapier takes twice as much.
    rate: Some(Rate { per_second: 30.0, per_day: None }),
    provisions: false,
    recognises: None,
};

impl Connector for Zapier {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let text = settings.text("url").unwrap_or_default();
        let url = url::parse_or(text, url::INTO_A_HEADER)
            .and_then(checked)
            .map_err(|message| SettingsError::new("url", message))?;
        let no_properties = Map::new();
        let properties = Mapping::compile(settings.object("properties").unwrap_or(&no_properties))
            .map_err(|message| SettingsError::new("properties", message))?;
        Ok(Box::new(Hook {
            url: text.to_owned(),
            service: Service::of(&url),
            headers: headers_of(settings)?,
            properties,
        }))
    }
}

/// One hook.
struct Hook {
    url: String,
    service: Service,
    headers: Vec<(String, String)>,
    properties: Mapping,
}

impl Outlet for Hook {
    fn prepare(&self, batch: &Batch<'_>, _: &mut Progress) -> Step {
        let [item] = batch.items else {
            return Step::Split { alone: Verdict::retry(FailureReason::Unprocessable) };
        };
        match self.fields(item) {
            Ok(fields) => Step::Send(Call::Http(self.call(fields))),
            Err(verdict) => Step::settle_all(batch, &verdict),
        }
    }

    fn advance(&self, batch: &Batch<'_>, _: &mut Progress, reply: &Reply) -> Step {
        Step::settle_all(batch, &self.service.judge(reply))
    }
}

impl Hook {
    fn call(&self, fields: Map<String, Value>) -> HttpCall {
        let body = Value::Object(fields).to_string();
        let mut call = HttpCall::post_json(self.url.as_str(), body).header("User-Agent", USER_AGENT);
        call.headers.extend(self.headers.iter().cloned());
        call
    }

    fn fields(&self, item: &Item<'_>) -> Result<Map<String, Value>, Verdict> {
        let event = item.event;
        let mut fields = Map::new();
        fields.insert("id".to_owned(), event.id.to_string().into());
        fields.insert("event".to_owned(), event.event_type.as_str().into());
        fields.insert("timestamp".to_owned(), event.occurred_at.to_string().into());
        fields.insert("source".to_owned(), item.source().into());
        let too_many = |flat::TooMany { most }| {
            Verdict::reject(FailureReason::TooLarge, format!("the event has more than {most} fields"))
        };
        flat::add("data", item.data(), &mut fields).map_err(too_many)?;
        if self.properties.is_empty() {
            return Ok(fields);
        }
        self.properties
            .apply(item.value(), &mut fields)
            .map_err(|error| Verdict::reject(FailureReason::TemplateError, error.to_string()))?;
        let mut flat = Map::new();
        for (name, value) in &fields {
            flat::add(name, value, &mut flat).map_err(too_many)?;
        }
        Ok(flat)
    }
}

/// A URL that can work. A message continues "setting `url` …".
fn checked(url: Url) -> Result<Url, String> {
    let service = Service::of(&url);
    if url.scheme() != "https" && service.is_hosted() {
        return Err("begins with `http:`, and the URL is a secret; use `https:`".to_owned());
    }
    if url.path_segments().into_iter().flatten().any(|segment| segment == "webhook-test") {
        return Err(
            "is a test URL of n8n, which works only while somebody watches; activate the workflow and use its \
                    production URL, with `/webhook/` in it"
                .to_owned(),
        );
    }
    Ok(url)
}

fn headers_of(settings: &Settings) -> Result<Vec<(String, String)>, SettingsError> {
    headers::validate(settings)?;
    let mut headers: Vec<_> = headers::custom(settings).collect();
    if let Some(key) = settings.text("make_apikey") {
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = "is empty or holds a space or a character that no key has; copy it again";
            return Err(SettingsError::new("make_apikey", message));
        }
        headers.push(("x-make-apikey".to_owned(), key.to_owned()));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests;
