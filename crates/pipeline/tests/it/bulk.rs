//! Connectors that take batches and do what the replies say, so that a script of replies is a whole vendor.
//!
//! A call lists the tokens of its items. A reply is read like this: `{"split": true}` refuses the batch whole,
//! `{"reauthorize": "…"}` refuses the token, `{"pause": "…"}` asks for a pause, `{"more": true}` for another call,
//! `{"first": true}` for one about the first item alone,
//! `{"verdicts": {"t3": "reject"}}` judges items by name (`retry`, `later`, `reject`, `skip`, `wait`); whatever is not named is
//! delivered if the status is a success and retried if it is not. `429` waits.

use std::time::Duration;

use domain::connector::{
    Batch, BatchLimits, Call, Category, Connector, Field, FieldKind, HttpCall, Manifest, Outlet, Progress, Rate, Reply,
    SettingsError, Step, Token,
};
use domain::verdict::{FailureReason, Verdict};
use domain::{Secret, Settings, Timestamp};
use pipeline::Plugins;
use serde_json::{Value, json};

use crate::house::plugins;

/// Up to ten at a time, after at most five seconds.
pub(crate) static BULK: Bulk = Bulk(&Manifest { name: "bulk", ..MANIFEST });
/// The same for a vendor that recognises a batch by its boundaries.
pub(crate) static SEALED: Bulk =
    Bulk(&Manifest { name: "sealed", batch: BatchLimits { keeps_boundaries: true, ..MANIFEST.batch }, ..MANIFEST });
/// The same for one that takes much at once.
pub(crate) static HEFTY: Bulk = Bulk(&Manifest {
    name: "hefty",
    batch: BatchLimits { items: 1_000, items_max: 1_000, bytes_max: 3 << 19, keeps_boundaries: true, ..MANIFEST.batch },
    ..MANIFEST
});
/// The same for people.
pub(crate) static CHATTY: Bulk = Bulk(&Manifest { name: "chatty", category: Category::Chat, ..MANIFEST });
/// The same for one message at a time.
pub(crate) static TERSE: Bulk =
    Bulk(&Manifest { name: "terse", category: Category::Chat, batch: BatchLimits::ONE, ..MANIFEST });
/// One at a time, two calls a second, two hundred a day.
pub(crate) static THRIFTY: Bulk = Bulk(&Manifest {
    name: "thrifty",
    batch: BatchLimits::ONE,
    rate: Some(Rate { per_second: 2.0, per_day: Some(200) }),
    ..MANIFEST
});
/// One at a time.
pub(crate) static SINGLE: Bulk = Bulk(&Manifest { name: "single", batch: BatchLimits::ONE, ..MANIFEST });
/// The same for a vendor that recognises repetitions.
pub(crate) static KNOWING: Bulk =
    Bulk(&Manifest { name: "knowing", batch: BatchLimits::ONE, recognises: Some("the token"), ..MANIFEST });

pub(crate) struct Bulk(&'static Manifest);

const MANIFEST: Manifest = Manifest {
    name: "",
    title: "Bulk",
    summary: "Does what its vendor says.",
    category: Category::Warehouse,
    notes: "",
    fields: &[
        Field::optional("token", FieldKind::Switch, "whether calls need a token"),
        Field::optional("once", FieldKind::Switch, "whether a call must not be repeated"),
        Field::optional(
            "known_for_s",
            FieldKind::Integer { min: 1, max: 1_000_000 },
            "for how long the vendor recognises a call that must not be repeated",
        ),
        Field::optional("binds", FieldKind::Switch, "whether the first reply gives an id that the second call needs"),
    ],
    events: &["*"],
    batch: BatchLimits { items: 10, items_max: 100, bytes_max: 16_384, linger_ms: 5_000, keeps_boundaries: false },
    rate: None,
    provisions: false,
    recognises: None,
};

/// The real connectors and these.
pub(crate) fn with_bulk() -> Plugins {
    let mut all: Vec<&'static dyn Connector> = connectors::ALL.to_vec();
    all.extend([&BULK as &dyn Connector, &SEALED, &HEFTY, &CHATTY, &TERSE, &THRIFTY, &SINGLE, &KNOWING]);
    Plugins { connectors: all.leak(), ..plugins() }
}

impl Connector for Bulk {
    fn manifest(&self) -> &'static Manifest {
        self.0
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let is_on = |name| settings.0.get(name).and_then(Value::as_bool).unwrap_or_default();
        let known_for = settings.0.get("known_for_s").and_then(Value::as_u64).map(Duration::from_secs);
        Ok(Box::new(Shop { token: is_on("token"), once: is_on("once"), known_for, binds: is_on("binds") }))
    }
}

struct Shop {
    token: bool,
    once: bool,
    known_for: Option<Duration>,
    binds: bool,
}

const SUBJECT: &str = "user:ada@example.com";
const ABOUT_THE_FIRST: u32 = 1;

impl Shop {
    fn call(&self, batch: &Batch<'_>, bound: Option<&str>) -> Step {
        let items: Vec<&str> = batch.items.iter().filter_map(|item| item.data()["token"].as_str()).collect();
        let body = json!({ "items": items, "digest": batch.digest.map(|every| every.as_secs()), "bound": bound });
        let mut call = HttpCall::post_json("https://example.com/bulk", body.to_string())
            .header("webhook-id", batch.items[0].event.id.to_string());
        if let Some(token) = batch.token {
            call = call.header("authorization", token.secret.expose());
        }
        if self.once {
            Step::SendOnce { key: "welcome".to_owned(), call: Call::Http(call), known_for: self.known_for }
        } else {
            Step::Send(Call::Http(call))
        }
    }
}

impl Outlet for Shop {
    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        match (self.binds, progress.bound(SUBJECT)) {
            (true, None) => {
                let call = HttpCall::post_json("https://example.com/create", "{}");
                Step::Send(Call::Http(call))
            }
            (_, bound) => self.call(batch, bound),
        }
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        let said = reply.json().unwrap_or_default();
        if let Some(id) = said["created"].as_str() {
            progress.bind(SUBJECT, id);
            return self.call(batch, Some(id));
        }
        if let Some(ms) = said["pause_ms"].as_u64() {
            progress.pause_for(Duration::from_millis(ms));
        }
        if said["first"] == true {
            progress.stage = ABOUT_THE_FIRST;
        }
        if said["more"] == true || said["first"] == true {
            return Step::Send(Call::Http(HttpCall::post_json("https://example.com/more", "{}")));
        }
        if said["split"] == true {
            return Step::Split { alone: Verdict::reject(FailureReason::Refused, "poison") };
        }
        if let Some(message) = said["reauthorize"].as_str() {
            return Step::Reauthorize { message: message.to_owned() };
        }
        if let Some(message) = said["pause"].as_str() {
            return Step::settle_all(batch, &Verdict::misconfigured(message));
        }
        let rest = match reply.status {
            200..=299 => Verdict::Delivered,
            429 => Verdict::Wait { after: Duration::from_secs(90), message: None },
            status => Verdict::retry(FailureReason::of_status(status)),
        };
        let verdict = |token: &str| match said["verdicts"][token].as_str() {
            Some("retry") => Verdict::retry(FailureReason::ServerError),
            Some("later") => {
                Verdict::Retry { after: Some(Duration::from_mins(10)), reason: FailureReason::Throttled, message: None }
            }
            Some("reject") => Verdict::reject(FailureReason::Refused, format!("{token} will never do")),
            Some("skip") => Verdict::skip("nothing in it"),
            Some("wait") => Verdict::Wait { after: Duration::from_secs(1), message: None },
            _ => rest.clone(),
        };
        Step::Settle(batch.items.iter().map(|item| verdict(item.data()["token"].as_str().unwrap())).collect())
    }

    fn cut_off(&self, batch: &Batch<'_>, progress: &Progress, otherwise: &Verdict) -> Option<Vec<Verdict>> {
        let wait = Verdict::Wait { after: Duration::from_secs(1), message: None };
        let rest = std::iter::repeat_n(wait, batch.items.len() - 1);
        (progress.stage == ABOUT_THE_FIRST).then(|| std::iter::once(otherwise.clone()).chain(rest).collect())
    }

    fn authorize(&self, _: Timestamp) -> Option<HttpCall> {
        self.token.then(|| HttpCall::post_json("https://auth.example.com/token", "{}"))
    }

    fn token(&self, reply: &Reply) -> Result<Token, Verdict> {
        let said = reply.json().unwrap_or_default();
        let Some(token) = said["token"].as_str() else {
            return Err(Verdict::unauthorized("the client secret is refused; set the one that the account shows"));
        };
        let valid_for = said["valid_s"].as_u64().map(Duration::from_secs);
        Ok(Token { secret: Secret::from(token), valid_for, extra: None })
    }

    fn subjects(&self, _: &Batch<'_>) -> Vec<String> {
        if self.binds { vec![SUBJECT.to_owned()] } else { Vec::new() }
    }
}
