//! One person: from a tap on a link, which could be anybody's, to a customer, and what the sales team's CRM knows each time.

use std::time::Duration;

use anyhow::{Result, ensure};
use domain::Timestamp;
use serde_json::{Value, json};
use vendors::hubspot::{Contact, HubSpot};
use vendors::{Faults, Simulator, Vendor as _};

use super::board::Board;
use super::record::{self, Record};
use super::sender::Sender;
use crate::cli::{Paint, now, say};
use crate::client::Client;

/// The destination.
const CRM: &str = "crm";
/// The link that leads to all this, and to nothing else in the demo.
const TOKEN: &str = "summer-promo";
/// How long a step may take to show in the CRM.
const STEP_MAX: Duration = Duration::from_secs(10);
/// When it happened, before now.
const TAPPED_AGO: Duration = Duration::from_mins(22);
const INSTALLED_AGO: Duration = Duration::from_mins(18);
/// Width of the columns that say when and by what we know.
const WHEN_CHARS: usize = 14;
const BY_CHARS: usize = 20;

/// Somebody whose way is followed.
struct Story<'s> {
    crm: Simulator<HubSpot>,
    client: &'s Client,
    sender: &'s mut Sender,
    board: &'s mut Board,
    /// What the CRM said after the last step.
    known: Record,
}

/// Tells the way of one person; the CRM, and whether the person is one contact in it that says what it should.
pub(super) async fn follow(
    client: &Client,
    sender: &mut Sender,
    board: &mut Board,
) -> Result<(Simulator<HubSpot>, bool)> {
    let crm = HubSpot::new().without_limit().start(Faults::none());
    join(client, &crm).await?;
    let mut story = Story { crm, client, sender, board, known: Record::default() };
    say("");
    say("And who was that? A tap and an install are a device and a campaign; nobody knows");
    say("yet whose. Follow one person into a CRM, a look-alike of HubSpot:");
    let is_good = story.tell().await?;
    Ok((story.crm, is_good))
}

/// Connects the CRM as a person would, on the command line or by the API: first the destination, then its properties.
async fn join(client: &Client, crm: &Simulator<HubSpot>) -> Result<()> {
    let token = crm.vendor(|account| account.access_token.clone());
    let destination = json!({
        "name": CRM,
        "connector": "hubspot",
        "batch": { "items": 10, "wait": "50ms" },
        "settings": { "access_token": token, "host": crm.url(), "match": "stub", "lifecycle": true },
    });
    client.post("/v1/destinations", &destination).await?;
    client.post(&format!("/v1/destinations/{CRM}/provision"), &json!({ "dry_run": false })).await?;
    Ok(())
}

impl Story<'_> {
    async fn tell(&mut self) -> Result<bool> {
        let start = now();
        let click = json!({
            "click_id": "click-1", "prefix": "go", "token": TOKEN, "campaign": "instagram-story-may",
            "channel": "instagram", "platform": "ios",
        });
        step("22 minutes ago", "link.clicked", "somebody taps a link");
        self.send("link.clicked", start - TAPPED_AGO, &click).await?;
        note("nothing yet: a tap names nobody");

        step("18 minutes ago", "install.tracked", "the app is on that phone");
        let install = json!({ "click_id": "click-1", "install_id": "install-1", "platform": "ios" });
        self.send("install.tracked", start - INSTALLED_AGO, &install).await?;
        note("a contact, whoever it is:");
        self.grown("install_date").await?;

        step("now", "POST /v1/identify", "the app says whose it is");
        let said = json!({
            "install_id": "install-1", "user_id": "ada", "email": "ada@example.org", "name": "Ada Lovelace",
        });
        self.client.post("/v1/identify", &said).await?;
        note("the same contact gets a name:");
        self.grown("email").await?;

        step("now", "referral.completed", "her first purchase");
        let completed = json!({
            "referred_user_id": "ada", "referrer_id": "user-abc123", "milestone": "first_purchase", "revenue": 49.99,
            "currency": "EUR",
        });
        self.send("referral.completed", now(), &completed).await?;
        note("the same contact is a customer:");
        self.grown("conversion_date").await?;
        self.end().await
    }

    /// Sends an event and waits until it is with everybody.
    async fn send(&mut self, event_type: &'static str, at: Timestamp, data: &Value) -> Result<()> {
        let sent = self.sender.tell(event_type, at, data).await?;
        self.board.complete(&sent.event_id).await
    }

    /// Waits until a property has been written, and says what is new.
    async fn grown(&mut self, property: &str) -> Result<()> {
        let writes = |entry: &vendors::Entry| {
            entry.item["deep_link_token"] == TOKEN && entry.item[property].as_str().is_some_and(|text| !text.is_empty())
        };
        let is_there = self.crm.until(STEP_MAX, |book| book.stored.iter().chain(&book.duplicates).any(writes)).await;
        ensure!(is_there, "`{property}` did not come to the CRM within {} s", STEP_MAX.as_secs());
        let contacts = self.contacts();
        let record = contacts.first().map(Record::of).unwrap_or_default();
        let paint = Paint::for_stdout();
        for (label, value) in record.since(&self.known) {
            let line = format!(
                "{:1$}{2} {label:3$} {value}",
                "",
                WHEN_CHARS + BY_CHARS + 4,
                paint.good("+"),
                record::LABEL_CHARS
            );
            say(&line);
        }
        self.known = record;
        Ok(())
    }

    /// The contacts of whoever came by the link.
    fn contacts(&self) -> Vec<Contact> {
        let is_ours = |contact: &&&Contact| contact.get("deep_link_token") == TOKEN;
        self.crm.vendor(|account| account.contacts().iter().filter(is_ours).map(|contact| (*contact).clone()).collect())
    }

    /// The record that the sales team sees; whether it is the only one of this person, and whole.
    async fn end(&self) -> Result<bool> {
        let journey = self.client.get("/v1/journeys/user:ada", &[]).await?;
        let took = journey["record"]["install_to_conversion"]["text"].as_str().unwrap_or_default();
        let count = self.contacts().len();
        let is_good = count == 1 && !took.is_empty();
        say("");
        say(match count {
            1 => "What the sales team sees, in one contact that was made once and filled up:",
            _ => "What the sales team sees, in contacts of which there should be one:",
        });
        say("");
        let paint = Paint::for_stdout();
        let closing = format!("converted {took} after install");
        for line in record::panel(&self.known, &closing, paint) {
            say(&line);
        }
        Ok(is_good)
    }
}

/// What the step is to the CRM.
fn note(text: &str) {
    say(&Paint::for_stdout().dim(&format!("{:1$}{text}", "", WHEN_CHARS + BY_CHARS + 6)));
}

/// The head of a step.
fn step(when: &str, by: &str, what: &str) {
    let paint = Paint::for_stdout();
    say("");
    say(&format!(
        "  {}  {}  {what}",
        paint.dim(&format!("{when:WHEN_CHARS$}")),
        paint.bold(&format!("{by:BY_CHARS$}"))
    ));
}
