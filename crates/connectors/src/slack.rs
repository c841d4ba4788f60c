//! Slack's incoming webhooks: one message per event, or a digest.

mod blocks;
mod reply;

use domain::connector::{
    Batch, Category, Connector, Field, FieldKind, Item, Manifest, Outlet, Progress, Rate, Reply, SettingsError, Step,
};
use domain::expression::Escape;
use domain::{Settings, Verdict};
use serde_json::{Value, json};
use url::Url;

use self::blocks::Blocks;
use crate::chat::{self, Text, Tongue, cut, stage};

/// Speaks to Slack.
pub(crate) struct Slack;

static MANIFEST: Manifest = Manifest {
    name: "slack",
    title: "Slack",
    summary: "A message in a channel for each event that people should see, or a digest of many.",
    category: Category::Chat,
    notes: "Make an [incoming webhook](https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks) for the \
            channel and put its URL into `url`. The URL is the credential; nobody is shown it again.

Slack takes about one message a second. For anything more frequent than installs set `volume.digest`: one message per interval \
with the counts of each type and campaign. A digest has its own words; `text` and `blocks` are for single events.

What an event says is escaped: a campaign called `<!channel>` pings nobody and makes no link, and stays on its line. `blocks` is JSON as \
[Block Kit Builder](https://app.slack.com/block-kit-builder) gives it, and every text in it may hold `{{ … }}`; each is escaped \
for its place, and texts of type `mrkdwn` are sent with `verbatim` unless you say otherwise, so that Slack makes no links and \
mentions of its own. A block whose text comes out empty is left out. `text` is sent next to the blocks for notifications; if \
Slack refuses the blocks, the text alone is sent. An event for which `text` comes out empty, where there are no blocks, is skipped.

Slack has no idempotency key: if its answer is lost, the message may come twice.

This connector was held against a simulator of incoming webhooks and their documentation, not against Slack itself.

For [Mattermost](https://developers.mattermost.com/integrate/webhooks/incoming/) and others that take the same messages \
set `host_check = false`.",
    fields: &[
        Field::required(
            "url",
            FieldKind::SecretUrl,
            "the URL of the incoming webhook, like `https://hooks.slack.com/services/…`",
        ),
        Field::optional(
            "text",
            FieldKind::Template,
            "the message in Slack's markup, like `New install from *{{ data.campaign }}*`; without it there is one per type",
        ),
        Field::optional(
            "blocks",
            FieldKind::Template,
            "Block Kit as JSON, a list or an object with `blocks`, whose texts may hold `{{ … }}`",
        ),
        Field::optional(
            "host_check",
            FieldKind::Switch,
            "whether to insist on one of Slack's own hosts; `false` for Mattermost and the like",
        )
        .or("true"),
    ],
    events: chat::EVENTS,
    batch: chat::LIMITS,
    rate: Some(Rate { per_second: 1.0, per_day: None }),
    provisions: false,
    recognises: None,
};

/// How Slack writes text.
const TONGUE: Tongue = Tongue { escape: Escape::Slack, strong: "*" };
/// Longest `text`. Slack takes ten times as much, and nobody reads it.
const TEXT_MAX: usize = 4_000;

impl Connector for Slack {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        Ok(Box::new(Channel {
            url: chat::hook(settings, check_host)?.into(),
            text: Text::read(settings, Escape::Slack)?,
            blocks: Blocks::read(settings)?,
        }))
    }
}

/// One channel.
struct Channel {
    url: String,
    text: Text,
    blocks: Option<Blocks>,
}

impl Outlet for Channel {
    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        progress.stage = stage::WHOLE;
        self.say(batch, progress)
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        if progress.stage == stage::WHOLE && self.blocks.is_some() && reply::is_about_the_message(reply) {
            progress.stage = stage::TEXT_ONLY;
            return self.say(batch, progress);
        }
        chat::settle(batch, reply::judge(reply))
    }
}

impl Channel {
    fn say(&self, batch: &Batch<'_>, progress: &Progress) -> Step {
        let of_lines = |lines: Vec<String>| message(lines.join("\n"), Value::Null);
        chat::say(batch, &self.url, TONGUE, |item| self.about(item, progress), of_lines)
    }

    fn about(&self, item: &Item<'_>, progress: &Progress) -> Result<Value, Verdict> {
        let blocks = match self.blocks.as_ref().filter(|_| progress.stage == stage::WHOLE) {
            Some(blocks) => blocks.about(item).map_err(|error| chat::failed("blocks", &error))?,
            None => Value::Null,
        };
        let text = self.text.own(item, self.blocks.is_some())?;
        // Without a text there is no notification, so blocks always have one next to them.
        let text = text.unwrap_or_else(|| chat::in_lines(TONGUE, &chat::sentence(item)));
        Ok(message(text, blocks))
    }
}

fn message(text: String, blocks: Value) -> Value {
    let mut message = json!({"text": cut(text, TEXT_MAX, Escape::Slack)});
    if !blocks.is_null() {
        message["blocks"] = blocks;
    }
    message
}

fn check_host(url: &Url) -> Result<(), String> {
    if !matches!(url.host_str(), Some("hooks.slack.com" | "hooks.slack-gov.com")) {
        return Err(
            "is not one of Slack's; it begins with `https://hooks.slack.com/services/`, and for another server \
                    that takes Slack's messages set `host_check = false`"
                .to_owned(),
        );
    }
    if !url.path().starts_with("/services/") {
        return Err("starts a workflow, which takes variables and no messages; make an incoming webhook, or use the \
                    connector `zapier`, which sends flat objects"
            .to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
