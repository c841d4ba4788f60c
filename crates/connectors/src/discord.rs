//! Discord's webhooks: one message per event, or a digest.

mod embeds;
mod reply;

use domain::connector::{
    Batch, Category, Connector, Field, FieldKind, Item, Manifest, Outlet, Progress, Rate, Reply, SettingsError, Step,
};
use domain::expression::Escape;
use domain::{Settings, Verdict};
use serde_json::{Value, json};
use url::Url;

use self::embeds::Embeds;
use crate::chat::{self, Text, Tongue, cut, stage};

/// Speaks to Discord.
pub(crate) struct Discord;

static MANIFEST: Manifest = Manifest {
    name: "discord",
    title: "Discord",
    summary: "A message in a channel for each event that people should see, or a digest of many.",
    category: Category::Chat,
    notes: "Make a [webhook](https://support.discord.com/hc/en-us/articles/228383668) in the channel's settings under \
            Integrations and put its URL into `url`. The URL is the credential; nobody is shown it again. For a forum or a \
            thread add `?thread_id=…` to it.

Messages are sent with `wait=true`, because Discord answers 204 to a message that it does not save otherwise. Whatever a \
message says, it pings nobody: `allowed_mentions` is empty, and what an event says is escaped for Markdown and stays on its line.

`embeds` is JSON as Discord's documentation and the usual designers give it, and every text in it may hold `{{ … }}`. What \
comes out empty is left out. If Discord refuses the embeds, the text alone is sent. An event for which `text` comes out empty, \
where there are no embeds, is skipped.

This connector was held against a simulator of the API and its documentation, not against Discord itself.

Discord grants about five messages in two seconds and says in each answer what is left; Afterclick waits accordingly. For \
frequent events set `volume.digest`: one message per interval with the counts of each type and campaign. A digest has its own \
words; `text` and `embeds` are for single events.

Discord has no idempotency key: if its answer is lost, the message may come twice.",
    fields: &[
        Field::required("url", FieldKind::SecretUrl, "the URL of the webhook, like `https://discord.com/api/webhooks/…`"),
        Field::optional(
            "text",
            FieldKind::Template,
            "the message in Markdown, like `New install from **{{ data.campaign }}**`; without it there is one per type",
        ),
        Field::optional(
            "embeds",
            FieldKind::Template,
            "embeds as JSON, a list or an object with `embeds`, whose texts may hold `{{ … }}`",
        ),
        Field::optional(
            "host_check",
            FieldKind::Switch,
            "whether to insist on one of Discord's own hosts; `false` for another server that speaks like it",
        )
        .or("true"),
    ],
    events: chat::EVENTS,
    batch: chat::LIMITS,
    rate: Some(Rate { per_second: 2.0, per_day: None }),
    provisions: false,
    recognises: None,
};

/// How Discord writes text.
const TONGUE: Tongue = Tongue { escape: Escape::Markdown, strong: "**" };
/// Longest `content`.
const CONTENT_MAX: usize = 2_000;

impl Connector for Discord {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let url = chat::hook(settings, check_host)?;
        Ok(Box::new(Channel {
            url: waiting(url).into(),
            text: Text::read(settings, Escape::Markdown)?,
            embeds: Embeds::read(settings)?,
        }))
    }
}

/// One channel.
struct Channel {
    url: String,
    text: Text,
    embeds: Option<Embeds>,
}

impl Outlet for Channel {
    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        progress.stage = stage::WHOLE;
        self.say(batch, progress)
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        if let Some(wait) = reply::used_up(reply) {
            progress.pause_for(wait);
        }
        if progress.stage == stage::WHOLE && self.embeds.is_some() && reply::is_about_the_message(reply) {
            progress.stage = stage::TEXT_ONLY;
            return self.say(batch, progress);
        }
        chat::settle(batch, reply::judge(reply))
    }
}

impl Channel {
    fn say(&self, batch: &Batch<'_>, progress: &Progress) -> Step {
        let of_lines = |lines: Vec<String>| message(Some(lines.join("\n")), Value::Null);
        chat::say(batch, &self.url, TONGUE, |item| self.about(item, progress), of_lines)
    }

    fn about(&self, item: &Item<'_>, progress: &Progress) -> Result<Value, Verdict> {
        let embeds = match self.embeds.as_ref().filter(|_| progress.stage == stage::WHOLE) {
            Some(embeds) => embeds.about(item).map_err(|error| chat::failed("embeds", &error))?,
            None => Value::Null,
        };
        let text = self.text.own(item, self.embeds.is_some())?;
        let content = text.or_else(|| embeds.is_null().then(|| chat::in_lines(TONGUE, &chat::sentence(item))));
        Ok(message(content, embeds))
    }
}

fn message(content: Option<String>, embeds: Value) -> Value {
    let mut message = json!({"allowed_mentions": {"parse": []}});
    if let Some(content) = content {
        message["content"] = cut(content, CONTENT_MAX, Escape::Markdown).into();
    }
    if !embeds.is_null() {
        message["embeds"] = embeds;
    }
    message
}

/// The URL with `wait=true`, whatever else its query says.
fn waiting(mut url: Url) -> Url {
    let others: Vec<_> =
        url.query_pairs().filter(|(name, _)| name != "wait").map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair("wait", "true");
    url
}

fn check_host(url: &Url) -> Result<(), String> {
    const HOSTS: &[&str] = &["discord.com", "discordapp.com", "canary.discord.com", "ptb.discord.com"];
    if !url.host_str().is_some_and(|host| HOSTS.contains(&host)) {
        return Err(
            "is not one of Discord's; it begins with `https://discord.com/api/webhooks/`, and for another server \
                    set `host_check = false`"
                .to_owned(),
        );
    }
    let segments: Vec<_> = url.path_segments().into_iter().flatten().filter(|segment| !segment.is_empty()).collect();
    match segments.as_slice() {
        ["api", "webhooks", _, _] | ["api", _, "webhooks", _, _] => Ok(()),
        [.., "slack" | "github"] => Err("ends in a format of others; leave out everything after the token".to_owned()),
        _ => Err("is not the URL of a webhook; copy it in the channel's settings under Integrations".to_owned()),
    }
}

#[cfg(test)]
mod tests;
