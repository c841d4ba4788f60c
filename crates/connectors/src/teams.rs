//! Microsoft Teams, through a workflow that posts an adaptive card: one per event, or a digest.

mod card;
mod reply;

use domain::connector::{
    Batch, Category, Connector, Field, FieldKind, Item, Manifest, Outlet, Progress, Rate, Reply, SettingsError, Step,
};
use domain::expression::Escape;
use domain::{Settings, Verdict};
use serde_json::Value;
use url::Url;

use self::card::Card;
use crate::chat::{self, Text, Tongue};

/// Speaks to Microsoft Teams.
pub(crate) struct Teams;

static MANIFEST: Manifest = Manifest {
    name: "teams",
    title: "Microsoft Teams",
    summary: "A card in a channel for each event that people should see, or a digest of many.",
    category: Category::Chat,
    notes: "In Teams open the channel's Workflows, choose “Post to a channel when a webhook request is received” and put the \
            URL that it shows into `url`, whole, with everything after the question mark. The URL is the credential; nobody is \
            shown it again. The connectors of Office 365, with URLs under `webhook.office.com`, were retired and are refused.

**An answer of 202 proves little**: it says that the workflow has started, not that a card was posted. Look at the run history \
of the workflow in Power Automate if cards do not appear. That is also why Afterclick keeps to what Teams is sure to take: cards \
of version 1.4 and no more than 28 KB.

This connector was held against a simulator of workflows and their documentation, not against Teams itself.

What an event says is escaped for the Markdown of cards and stays on its line. `card` is an adaptive card as the \
[designer](https://adaptivecards.io/designer/) gives it, and every text in it may hold `{{ … }}`; what comes out empty is left \
out, and a card that gets larger than 28 KB is sent as text alone. An event for which `text` comes out empty, where there is no \
card, is skipped.

A workflow takes about four requests a second. For frequent events set `volume.digest`: one card per interval with the counts \
of each type and campaign. A digest has its own words; `text` and `card` are for single events.

A workflow has no idempotency key: if its answer is lost, the card may come twice.",
    fields: &[
        Field::required("url", FieldKind::SecretUrl, "the URL of the workflow, with its whole query"),
        Field::optional(
            "text",
            FieldKind::Template,
            "the message in Markdown, like `New install from **{{ data.campaign }}**`; without it there is one per type",
        ),
        Field::optional(
            "card",
            FieldKind::Template,
            "an adaptive card as JSON in place of `text`, whose texts may hold `{{ … }}`",
        ),
        Field::optional(
            "host_check",
            FieldKind::Switch,
            "whether to insist on one of Microsoft's own hosts; `false` for another server that takes such cards",
        )
        .or("true"),
    ],
    events: chat::EVENTS,
    batch: chat::LIMITS,
    rate: Some(Rate { per_second: 4.0, per_day: None }),
    provisions: false,
    recognises: None,
};

/// How a card writes text.
const TONGUE: Tongue = Tongue { escape: Escape::Markdown, strong: "**" };

impl Connector for Teams {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        chat::hook(settings, check_host)?;
        Ok(Box::new(Channel {
            // As it was written: the signature covers the query.
            url: settings.text("url").unwrap_or_default().to_owned(),
            text: Text::read(settings, Escape::Markdown)?,
            card: Card::read(settings)?,
        }))
    }
}

/// One channel.
struct Channel {
    url: String,
    text: Text,
    card: Option<Card>,
}

impl Outlet for Channel {
    fn prepare(&self, batch: &Batch<'_>, _: &mut Progress) -> Step {
        chat::say(batch, &self.url, TONGUE, |item| self.about(item), card::of_lines)
    }

    fn advance(&self, batch: &Batch<'_>, _: &mut Progress, reply: &Reply) -> Step {
        chat::settle(batch, reply::judge(reply))
    }
}

impl Channel {
    fn about(&self, item: &Item<'_>) -> Result<String, Verdict> {
        let own_card = match &self.card {
            Some(card) => card.about(item).map_err(|error| chat::failed("card", &error))?,
            None => Value::Null,
        };
        if let Some(body) = card::if_it_fits(&own_card) {
            return Ok(body);
        }
        Ok(match self.text.own(item, self.card.is_some())? {
            Some(text) => card::of_lines(text.lines().filter(|line| !line.is_empty()).map(str::to_owned)),
            None => card::of_sentence(&chat::sentence(item), TONGUE),
        })
    }
}

fn check_host(url: &Url) -> Result<(), String> {
    let host = url.host_str().unwrap_or_default();
    let is_under = |domain: &str| host == domain || host.ends_with(&format!(".{domain}"));
    if ["webhook.office.com", "outlook.office.com", "outlook.office365.com"].into_iter().any(is_under) {
        return Err(
            "belongs to an Office 365 connector, and those were retired; make a workflow in the channel, “Post to \
                    a channel when a webhook request is received”, and put its URL here"
                .to_owned(),
        );
    }
    if !["logic.azure.com", "logic.azure.us", "api.powerplatform.com"].into_iter().any(is_under) {
        return Err(
            "is not the URL of a workflow; copy it from the workflow in Teams, and for another server that takes \
                    such cards set `host_check = false`"
                .to_owned(),
        );
    }
    if !url.query_pairs().any(|(name, value)| name == "sig" && !value.is_empty()) {
        return Err(
            "has no `sig=…` in its query, without which the workflow refuses everything; copy the whole URL".to_owned()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
