//! Segment's tracking API, and the look-alikes of `RudderStack` and Jitsu: events as `track` calls, in batches.
//!
//! Segment answers 200 to nearly everything and swallows what it does not like, so every rule that it has is kept here
//! before anything is sent.

mod context;
mod identity;
mod message;
mod names;
mod properties;
mod reply;

use domain::connector::{
    Batch, BatchLimits, Call, Category, Connector, Field, FieldKind, HttpCall, Item, Manifest, Outlet, Progress, Rate,
    Reply, SettingsError, Step,
};
use domain::mapping::Mapping;
use domain::verdict::FailureReason;
use domain::{Settings, Verdict};

use self::context::Context;
use self::identity::Identity;
use self::message::{Envelope, MESSAGES_MAX, Traits};
use self::reply::Judgement;
use crate::common::{USER_AGENT, url};
use crate::tracking::{NAMES_HELP, Names};

/// Speaks to Segment.
pub(crate) struct Segment;

static MANIFEST: Manifest = Manifest {
    name: "segment",
    title: "Segment",
    summary: "Every event as a track call, in batches, with a message id that makes repetitions harmless.",
    category: Category::CustomerData,
    notes: "\
[The HTTP tracking API](https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/) answers 200 to nearly \
everything, a wrong write key and the wrong region included, and swallows what it does not like. Afterclick keeps Segment's \
rules before it sends: an event that breaks one is a dead letter that names the rule. It cannot see a key or a region that is \
wrong: send a test event and look for it under Connections › Sources › your source › Debugger.

Segment recognises a `messageId` for about a day and a warehouse behind it for longer. Ours is the id of the event behind a \
prefix that belongs to the write key, so a retry, a replay or a resend is counted once. `timestamp` is when it happened, \
`sentAt` when it was sent.

For much traffic `batch = { items = 50, wait = \"2s\" }` makes fewer requests; Segment takes about 1,000 a second for a workspace.

All of `data` becomes `properties`, with `source` (the name of the source and `_webhook`: `tolinku_webhook`) and \
`original_event_type`; a `source` that the event names itself is kept as `original_source`. Five types have names, \
`Deep Link Clicked`, `Deferred Link Claimed`, `Install Tracked`, `Referral Created` and `Referral Completed`; any other is \
`Webhook` and its type unless `names` says otherwise.

Somebody with a `user_id` is named by it. Anybody else gets the `anonymous_id`, `install_id` or `click_id` of the event, and \
where there is none, or only one like `null` or zeros that many people share, a hash, salted with the write key, of the e-mail address or of IP address, platform and device type. Who has \
not even an address is a person of their own in each event. The unsalted hash of Tolinku's article \
(`anonymous_id = \"plain\"`) is off because everybody behind one router is one person in it, and because it gives the address away.

This connector was held against the requests of `@segment/analytics-node`, a simulator of the API and its documentation, not \
against Segment itself.

For [RudderStack](https://www.rudderstack.com) put the data plane's URL into `host`. For [Jitsu](https://jitsu.com) put in \
the ingest URL, and choose `auth = \"x-write-key\"` with `keyId:secret` as the key.",
    fields: &[
        Field::required(
            "write_key",
            FieldKind::Secret,
            "the write key of the source, in Segment under Connections › Sources › your source › Settings › API Keys",
        ),
        Field::optional(
            "region",
            FieldKind::Choice { of: &["us", "eu"] },
            "where the workspace keeps its data; what is sent to the other region is lost without a word",
        )
        .or("us"),
        Field::optional(
            "host",
            FieldKind::Url,
            "another server that speaks this API, RudderStack or Jitsu for example; without a path, `/v1/batch` is added",
        ),
        Field::optional(
            "auth",
            FieldKind::Choice { of: &["basic", "body", "x-write-key"] },
            "how the write key is sent; Jitsu takes `x-write-key` with `keyId:secret` as the key",
        )
        .or("basic"),
        Field::optional(
            "names",
            FieldKind::Mapping,
            NAMES_HELP,
        ),
        Field::optional(
            "properties",
            FieldKind::Mapping,
            "properties to add or to put in place of others; one that comes out empty is left out",
        ),
        Field::optional(
            "anonymous_id",
            FieldKind::Choice { of: &["salted", "plain"] },
            "how somebody without an id is named; `plain` is the hash of Tolinku's article, which merges people",
        )
        .or("salted"),
        Field::optional(
            "anonymous_salt",
            FieldKind::Secret,
            "what the ids of unknown people are made with, if they must stay the same under another write key",
        ),
        Field::optional(
            "identify",
            FieldKind::Switch,
            "whether to send an identify call too when an event names a user or an e-mail address",
        )
        .or("false"),
        Field::optional(
            "message_id_prefix",
            FieldKind::Text,
            "what message ids begin with, if it must not follow from the write key",
        ),
    ],
    events: &["*"],
    batch: BatchLimits {
        items: 15,
        items_max: MESSAGES_MAX,
        // A message is about three times its event, and Segment takes 500 KB.
        bytes_max: 160 * 1024,
        linger_ms: 5_000,
        keeps_boundaries: false,
    },
    rate: Some(Rate { per_second: 1_000.0, per_day: None }),
    provisions: false,
    recognises: Some("`messageId`"),
};

impl Connector for Segment {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let write_key = write_key(settings)?;
        let (url, whom) = address(settings)?;
        let no_properties = serde_json::Map::new();
        let properties = Mapping::compile(settings.object("properties").unwrap_or(&no_properties))
            .map_err(|message| SettingsError::new("properties", message))?;
        Ok(Box::new(Source {
            url,
            whom,
            auth: Auth::read(settings),
            identity: Identity::read(write_key, settings)?,
            write_key: write_key.to_owned(),
            names: Names::with_table(settings, names::TABLE)?,
            properties,
            identifies: settings.0.get("identify").and_then(serde_json::Value::as_bool).unwrap_or_default(),
        }))
    }
}

/// One source of a workspace.
struct Source {
    url: String,
    /// What to call the server in a message.
    whom: String,
    write_key: String,
    auth: Auth,
    identity: Identity,
    names: Names,
    properties: Mapping,
    identifies: bool,
}

impl Outlet for Source {
    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        progress.notes.clear();
        let mut envelope = Envelope::default();
        for (index, item) in batch.items.iter().enumerate() {
            if let Err(Refusal { reason, message }) = self.write(item, &mut envelope) {
                progress.notes.insert(index.to_string(), format!("{} {message}", reason.code()));
            }
        }
        if envelope.is_empty() {
            return settle(batch, progress, &Verdict::Delivered);
        }
        let write_key = (self.auth != Auth::Header).then_some(self.write_key.as_str());
        match envelope.seal(write_key, batch.now) {
            Some(body) => Step::Send(Call::Http(self.call(batch, body))),
            None => Step::Split {
                alone: Verdict::reject(FailureReason::TooLarge, "the event is larger than a whole batch may be"),
            },
        }
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        match reply::judge(reply, &self.whom) {
            Judgement::All(verdict) => settle(batch, progress, &verdict),
            Judgement::OneOfThem(alone) => Step::Split { alone },
        }
    }
}

/// Why an event will never do, found out before it is sent.
#[derive(Debug)]
struct Refusal {
    reason: FailureReason,
    message: String,
}

impl Source {
    fn call(&self, batch: &Batch<'_>, body: Vec<u8>) -> HttpCall {
        let mut call = HttpCall::post_json(self.url.as_str(), body).header("User-Agent", USER_AGENT);
        match self.auth {
            Auth::Basic => call = call.header("Authorization", basic(&self.write_key)),
            Auth::Header => call = call.header("X-Write-Key", self.write_key.as_str()),
            Auth::Body => {}
        }
        let retries = batch.items.iter().map(|item| item.attempt.saturating_sub(1)).max().unwrap_or_default();
        if retries > 0 {
            call = call.header("X-Retry-Count", retries.to_string());
        }
        call
    }

    /// Writes the messages of one event, or none of them.
    fn write(&self, item: &Item<'_>, envelope: &mut Envelope) -> Result<(), Refusal> {
        message::check_time(item)?;
        let fields = item.fields();
        let name = names::of(&self.names, item)?;
        let properties = properties::properties(item, &self.properties)?;
        let who = self.identity.of(item, &fields);
        let ids = self.identity.message_ids(item);
        let context = Context::of(&fields);
        let begin = envelope.mark();
        if self.identifies && (who.user_id.is_some() || fields.email.is_some()) {
            envelope.identify(item, &who, &context, &ids.identify, &Traits::of(&fields));
        }
        envelope.track(item, &who, &context, &ids.track, &name, &properties);
        envelope.keep_since(&begin)
    }
}

/// The same verdict for every event that was sent, and for the others why they were not.
fn settle(batch: &Batch<'_>, progress: &Progress, verdict: &Verdict) -> Step {
    if progress.notes.is_empty() {
        return Step::Settle(vec![verdict.clone(); batch.items.len()]);
    }
    let of = |index: usize| {
        let note = progress.notes.get(&index.to_string())?;
        let (code, message) = note.split_once(' ')?;
        Some(Verdict::reject(FailureReason::from_code(code)?, message))
    };
    Step::Settle((0..batch.items.len()).map(|index| of(index).unwrap_or_else(|| verdict.clone())).collect())
}

/// How the write key is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Auth {
    /// In the `Authorization` header and in the body, like Segment's own libraries.
    Basic,
    /// In the body only.
    Body,
    /// In the header `X-Write-Key` only.
    Header,
}

impl Auth {
    fn read(settings: &Settings) -> Self {
        match settings.text("auth") {
            Some("body") => Self::Body,
            Some("x-write-key") => Self::Header,
            _ => Self::Basic,
        }
    }
}

fn basic(write_key: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{write_key}:")))
}

fn write_key(settings: &Settings) -> Result<&str, SettingsError> {
    let key = settings.text("write_key").unwrap_or_default();
    // Segment answers 200 to a wrong key, so the mistakes that can be seen are caught here.
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = "is empty or holds a space or a character that no write key has; copy it again";
        return Err(SettingsError::new("write_key", message));
    }
    Ok(key)
}

/// The URL to post to, and what to call the server.
fn address(settings: &Settings) -> Result<(String, String), SettingsError> {
    let Some(host) = settings.text("host") else {
        let url = match settings.text("region") {
            Some("eu") => "https://events.eu1.segmentapis.com/v1/batch",
            _ => "https://api.segment.io/v1/batch",
        };
        return Ok((url.to_owned(), "Segment".to_owned()));
    };
    let mut url = url::parse(host).map_err(|message| SettingsError::new("host", message))?;
    if url.path() == "/" {
        url.set_path(PATH);
    }
    let whom = url.host_str().unwrap_or_default().to_owned();
    Ok((url.into(), whom))
}

const PATH: &str = "/v1/batch";

#[cfg(test)]
mod tests;
