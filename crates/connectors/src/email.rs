//! Mail by campaign: over SMTP, or through Resend, Postmark or `SendGrid`.
//!
//! A person notices a second mail, and most of these providers cannot tell that they have sent one already. So every
//! mail goes out by [`Step::SendOnce`]. Where the provider takes an idempotency key, a mail about one event may be tried
//! again for as long as the key is good; a digest is another mail when it is gathered again, and is not.

mod cap;
mod digest;
mod letter;
mod message;
mod postmark;
mod recipients;
mod resend;
mod send_grid;
mod settings;
mod smtp;
mod templates;
mod tokens;

use std::time::Duration;

use domain::connector::{
    Batch, BatchLimits, Call, Category, Connector, HttpCall, Item, Manifest, Outlet, Progress, Rate, Reply, Server,
    SettingsError, Step, Token,
};
use domain::verdict::{FailureReason, PauseReason};
use domain::{Settings, Timestamp, Verdict};
use lettre::Address;

use self::cap::Cap;
use self::letter::{Letter, Letterhead};
use self::recipients::Recipients;
use self::templates::Templates;
use self::tokens::Tokens;
use crate::tracking;

/// Sends mail.
pub(crate) struct Email;

static MANIFEST: Manifest = Manifest {
    name: "email",
    title: "E-mail",
    summary: "A mail per event, with the template of its campaign, to the person it is about or to a team.",
    category: Category::Email,
    notes: include_str!("email/notes.md"),
    fields: settings::FIELDS,
    events: &["install.tracked", "deferred_link.claimed", "referral.completed"],
    batch: BatchLimits::ONE,
    rate: Some(Rate { per_second: 10.0, per_day: None }),
    provisions: false,
    recognises: None,
};

impl Connector for Email {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        settings::check_belonging(settings)?;
        let provider: Box<dyn Provider> = match settings.text("provider").unwrap_or_default() {
            "smtp" => Box::new(smtp::Smtp::read(settings)?),
            "resend" => Box::new(resend::Resend::read(settings)?),
            "postmark" => Box::new(postmark::Postmark::read(settings)?),
            _ => Box::new(send_grid::SendGrid::read(settings)?),
        };
        Ok(Box::new(Mailer {
            head: Letterhead::read(settings)?,
            recipients: Recipients::read(settings)?,
            templates: Templates::read(settings, provider.templates())?,
            cap: Cap::read(settings),
            provider,
        }))
    }
}

/// Somebody who carries mail.
trait Provider: Send + Sync {
    /// What the provider knows of templates.
    fn templates(&self) -> OwnTemplates;

    /// The call that sends a letter, or why it cannot be one.
    fn call(&self, head: &Letterhead, letter: &Letter, token: Option<&Token>) -> Result<Call, Refusal>;

    /// The server that is dialled by host and port, if it is one.
    fn server(&self) -> Option<Server> {
        None
    }

    /// The login that is a token, if that is what the provider wants.
    fn tokens(&self) -> Option<&Tokens> {
        None
    }

    /// For how long the provider recognises a call that it has carried out before, if it does.
    fn known_for(&self) -> Option<Duration> {
        None
    }

    /// What a reply means.
    fn judge(&self, reply: &Reply, is_for_a_team: bool) -> Verdict;
}

/// What a provider knows of templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OwnTemplates {
    /// Nothing: every mail is rendered here.
    None,
    /// It has templates, and a mail may come with a subject of its own.
    Known,
    /// The same, and the subject must be said with them.
    WithSubject,
    /// It has templates, and their subject stands in them.
    WithOwnSubject,
}

/// Why an event makes no mail.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    reason: FailureReason,
    message: String,
}

impl Refusal {
    fn new(reason: FailureReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(FailureReason::Unprocessable, message)
    }
}

impl From<Refusal> for Verdict {
    fn from(refusal: Refusal) -> Self {
        Self::reject(refusal.reason, refusal.message)
    }
}

/// One destination.
struct Mailer {
    head: Letterhead,
    recipients: Recipients,
    templates: Templates,
    cap: Option<Cap>,
    provider: Box<dyn Provider>,
}

impl Outlet for Mailer {
    fn servers(&self) -> Vec<(&'static str, Server)> {
        self.provider.server().into_iter().map(|server| ("host", server)).collect()
    }

    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        match batch.items {
            [] => Step::Settle(Vec::new()),
            // A digest is one mail to a team; to persons it would tell one what another one did.
            [_, _, ..] if !self.recipients.are_fixed() => {
                Step::Split { alone: Verdict::retry(FailureReason::Unprocessable) }
            }
            [first, ..] => self
                .send(first, batch, progress)
                .unwrap_or_else(|verdict| tracking::settle_sent(batch, progress, &verdict)),
        }
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        let verdict = self.provider.judge(reply, self.recipients.are_fixed());
        if self.is_unsent(&verdict, batch) {
            self.take_back(batch, progress);
        }
        match verdict {
            Verdict::Pause { reason: PauseReason::Unauthorized, message } if self.provider.tokens().is_some() => {
                Step::Reauthorize { message }
            }
            // What is wrong with a digest may be one of its events. Of a mail that may have been sent nothing is tried again.
            alone @ Verdict::Reject { reason, .. }
                if reason != FailureReason::UnknownOutcome && tracking::sent(batch, progress).len() > 1 =>
            {
                Step::Split { alone }
            }
            verdict => tracking::settle_sent(batch, progress, &verdict),
        }
    }

    fn authorize(&self, _: Timestamp) -> Option<HttpCall> {
        self.provider.tokens().map(Tokens::call)
    }

    fn token(&self, reply: &Reply) -> Result<Token, Verdict> {
        Tokens::read_reply(reply)
    }

    fn subjects(&self, batch: &Batch<'_>) -> Vec<String> {
        if self.cap.is_none() {
            return Vec::new();
        }
        let of = |item: &Item<'_>| self.recipients.of(item).unwrap_or_default();
        batch.items.first().map(of).unwrap_or_default().iter().flat_map(cap::subjects).collect()
    }
}

impl Mailer {
    /// The mail about the events of a batch, of which this is the first.
    fn send(&self, first: &Item<'_>, batch: &Batch<'_>, progress: &mut Progress) -> Result<Step, Verdict> {
        let mut to = self.recipients.of(first)?;
        let Some(content) = digest::write(&self.templates, batch, progress)? else {
            return Ok(tracking::settle(batch, progress, |_| Verdict::Delivered));
        };
        let unsubscribe = self.head.unsubscribe(first)?;
        if let Some(cap) = self.cap {
            to.retain(|to| cap.admits(to, first.event.id, batch.now, progress));
            if to.is_empty() {
                return Err(Verdict::skip(cap.reached()));
            }
        }
        let name = match batch.items {
            [item] => item.event.id.to_string(),
            _ => format!("digest-{}", &batch.fingerprint()[..32]),
        };
        let deliveries = batch.items.iter().map(|item| item.delivery.to_string()).collect::<Vec<_>>().join(",");
        let letter = Letter { name, deliveries, to, content, unsubscribe, now: batch.now };
        let call = self.provider.call(&self.head, &letter, batch.token)?;
        if self.cap.is_some() {
            for to in &letter.to {
                cap::count(to, first.event.id, batch.now, progress);
            }
        }
        let key = if self.recipients.are_fixed() { TEAM.to_owned() } else { lower(&letter.to) };
        Ok(Step::SendOnce { key, call, known_for: self.known_for(batch) })
    }

    /// For how long the provider recognises the mail about a batch, if it does.
    fn known_for(&self, batch: &Batch<'_>) -> Option<Duration> {
        if batch.digest.is_none() { self.provider.known_for() } else { None }
    }

    /// Whether a verdict says that the mail did not go out. What is tried again because it would be recognised may have.
    fn is_unsent(&self, verdict: &Verdict, batch: &Batch<'_>) -> bool {
        match verdict {
            Verdict::Delivered | Verdict::Skip { .. } => false,
            Verdict::Reject { reason, .. } => *reason != FailureReason::UnknownOutcome,
            Verdict::Retry { .. } => self.known_for(batch).is_none(),
            Verdict::Wait { .. } | Verdict::Pause { .. } => true,
        }
    }

    /// The mail about a batch did not go out: it is none of those that its recipients had today.
    fn take_back(&self, batch: &Batch<'_>, progress: &mut Progress) {
        if let (Some(_), [first, ..]) = (self.cap, batch.items) {
            for to in self.recipients.of(first).unwrap_or_default() {
                cap::take_back(&to, first.event.id, batch.now, progress);
            }
        }
    }
}

/// Addresses in lower case, for comparing: nobody means two people by two spellings.
fn lower(addresses: &[Address]) -> String {
    addresses.iter().map(|address| address.to_string().to_lowercase()).collect::<Vec<_>>().join(",")
}

/// A gateway gave up waiting for a provider that cannot be asked twice.
fn unknown_outcome(whom: &str) -> Verdict {
    let message =
        format!("{whom}'s gateway gave no answer, so the mail may have been sent; look there before sending it again");
    Verdict::reject(FailureReason::UnknownOutcome, message)
}

/// Somebody in between answered in the place of a provider that cannot be asked twice.
fn unknown_behind_page(whom: &str) -> Verdict {
    let message = format!(
        "a web page was answered in place of {whom}, so the mail may have been sent; look there before sending it again"
    );
    Verdict::reject(FailureReason::UnknownOutcome, message)
}

/// Names the mail of an event to a fixed list, whoever is on it by now.
const TEAM: &str = "team";

#[cfg(test)]
mod tests;
