//! Salesforce: leads, or contacts, by an external id that is the subject's; up to 200 of them in a call, each judged for
//! itself.
//!
//! One exchange is a few calls about all people of a batch. Each person is a [`Case`], which needs something or is over;
//! [`Org::next`] makes the call that the first open need asks for, together for everybody who needs the same.

mod address;
mod blame;
mod bound;
mod calls;
mod case;
mod fields;
mod follow;
mod join;
mod limits;
mod login;
mod provision;
mod reply;
mod settings;
mod soap;
mod write;

use domain::connector::{
    Action, Batch, BatchLimits, Call, Category, Connector, Field, FieldKind, HttpCall, Manifest, Means, Outlet,
    Progress, Reply, SettingsError, Step, Token,
};
use domain::{Settings, Timestamp, Verdict};

use self::bound::Ledger;
use self::case::{Asked, Exchange, Need, Turn, What};
use self::settings::Org;
use crate::crm::{self, EVENTS, MATCH, ON_IDENTIFY, People};

/// Speaks to Salesforce.
pub(crate) struct Salesforce;

/// Most calls of an exchange under one token: with those for two tokens and the one that finds the first no longer good it
/// comes to the eight that the engine makes.
const CALLS_MAX: u32 = 5;

static MANIFEST: Manifest = Manifest {
    name: "salesforce",
    title: "Salesforce",
    summary: "One lead per person, with campaign, platform, dates and conversion in fields of its own, brought up to date as \
              more becomes known.",
    category: Category::Crm,
    notes: include_str!("salesforce/notes.md"),
    fields: &[
        Field::required(
            "host",
            FieldKind::Url,
            "your My Domain, like `https://acme.my.salesforce.com`; Setup › My Domain shows it",
        ),
        Field::required("client_id", FieldKind::Text, "the consumer key of the External Client App"),
        Field::optional(
            "client_secret",
            FieldKind::Secret,
            "its consumer secret, for the client credentials flow; leave it out for the JWT bearer flow",
        ),
        Field::optional("username", FieldKind::Text, "the user to act as, for the JWT bearer flow"),
        Field::optional(
            "private_key",
            FieldKind::Secret,
            "the private key whose certificate the app has, in PEM, for the JWT bearer flow",
        ),
        Field::optional(
            "audience",
            FieldKind::Text,
            "whom the JWT is for; by default `https://login.salesforce.com`, of a sandbox `https://test.salesforce.com`",
        ),
        Field::optional(
            "session_minutes",
            FieldKind::Integer { min: 15, max: 1_440 },
            "how long a session lasts, as Setup › Session Settings says; Salesforce does not tell",
        )
        .or("120"),
        Field::optional("api_version", FieldKind::Text, "the version of the API").or("66.0"),
        Field::optional("object", FieldKind::Choice { of: &["Lead", "Contact"] }, "what a person is kept as").or("Lead"),
        Field::optional("key_field", FieldKind::Text, "the field that holds our key: unique and an external id")
            .or("Afterclick_Key__c"),
        MATCH,
        ON_IDENTIFY,
        Field::optional(
            "properties",
            FieldKind::Mapping,
            "fields by their API names, to add or to put in place of ours, like `Rating = \"Hot\"` or `Plan__c = \"{{ \
             person.traits.plan }}\"`; an empty text leaves one of ours out",
        ),
        Field::optional(
            "on_create",
            FieldKind::Mapping,
            "fields that are written when a record is created and never again, if nothing better is known; by default \
             `FirstName` is `Deep Link`, and `LastName` and `Company` are `Unknown`. The place for `Status` and `OwnerId`",
        ),
        Field::optional(
            "conversion",
            FieldKind::Choice { of: &["field", "convert"] },
            "what becomes of a lead whose person converted: `field` writes `Conversion_Date__c` and leaves the rest to people; \
             `convert` has Salesforce make it an account and a contact, once",
        )
        .or("field"),
        Field::optional(
            "converted_status",
            FieldKind::Text,
            "the status that a lead gets by `conversion = \"convert\"`; one of those that are marked as converted",
        )
        .or("Closed - Converted"),
        Field::optional(
            "converted",
            FieldKind::Choice { of: &["contact", "reject"] },
            "what becomes of news of somebody whose lead was converted, which nobody can write any more: `contact` writes the \
             contact, as far as it has the fields; `reject` makes a dead letter",
        )
        .or("contact"),
        Field::optional(
            "duplicates",
            FieldKind::Choice { of: &["reject", "adopt", "allow"] },
            "what happens when a duplicate rule finds that the person is there already: `reject` makes a dead letter that \
             names the records; `adopt` takes the record over that has the same address, if there is exactly one; `allow` \
             saves it all the same where the rule only warns",
        )
        .or("reject"),
        Field::optional(
            "lost_answer_seconds",
            FieldKind::Integer { min: 1, max: 3_600 },
            "how long Salesforce may be at a call whose answer was lost; so long a record that it may make is looked for",
        )
        .or("600"),
        Field::optional(
            "api_share",
            FieldKind::Integer { min: 1, max: 100 },
            "how many percent of the organisation's calls of a day may be used, those of others included, before this \
             destination makes way",
        )
        .or("90"),
    ],
    events: EVENTS,
    batch: BatchLimits { items: 100, items_max: 200, bytes_max: 2 << 20, linger_ms: 2_000, keeps_boundaries: false },
    rate: None,
    provisions: true,
    recognises: None,
};

impl Connector for Salesforce {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        Ok(Box::new(Org::read(settings)?))
    }
}

impl Outlet for Org {
    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        let mut ledger = Ledger::open(self, batch.token, progress);
        let people = self.people(batch, &ledger, &Exchange::default());
        let exchange = Exchange::begin(self, &people, &mut ledger);
        self.next(Turn { batch, people, ledger, exchange })
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        limits::heed(self, progress, reply);
        let exchange = Exchange::recall(progress);
        let ledger = Ledger::open(self, batch.token, progress);
        let people = self.people(batch, &ledger, &exchange);
        let mut turn = Turn { batch, people, ledger, exchange };
        let Some(asked) = turn.exchange.asked.take() else {
            return turn.exchange.settle(&turn.people);
        };
        let taken = match asked.what {
            What::Write => self.written(&mut turn, &asked, reply),
            What::Update => self.updated(&mut turn, &asked, reply),
            What::Follow => self.followed(&mut turn, &asked, reply),
            What::Find => self.found(&mut turn, &asked, reply),
            What::Compare => self.compared(&mut turn, &asked, reply),
            What::Look => self.looked(&mut turn, &asked, reply),
            What::Clear => self.cleared(&mut turn, &asked, reply),
            What::Merge => self.merged(&mut turn, &asked, reply),
            What::Convert => self.converted(&mut turn, &asked, reply),
        };
        match taken {
            Ok(()) => self.next(turn),
            Err(reply::Refusal::Step(step)) => *step,
            Err(reply::Refusal::Verdict(verdict)) => {
                turn.exchange.give_up(&verdict);
                turn.exchange.settle(&turn.people)
            }
        }
    }

    fn authorize(&self, now: Timestamp) -> Option<HttpCall> {
        Some(self.login.call(&self.host, now))
    }

    fn token(&self, reply: &Reply) -> Result<Token, Verdict> {
        login::token(self, reply)
    }

    fn subjects(&self, batch: &Batch<'_>) -> Vec<String> {
        crm::subjects(batch)
    }

    fn reissues(&self) -> bool {
        self.matching.reissues
    }

    fn survey(&self, means: &Means<'_>) -> Option<Vec<Call>> {
        Some(provision::survey(self, means))
    }

    fn plan(&self, means: &Means<'_>, replies: &[Reply]) -> Result<Vec<Action>, String> {
        provision::plan(self, means, replies)
    }

    fn is_done(&self, reply: &Reply) -> Result<(), String> {
        provision::is_done(reply)
    }
}

impl Org {
    /// Who of the batch gets a record. Whoever got one at the beginning of the exchange does to its end.
    fn people<'a>(&self, batch: &'a Batch<'a>, ledger: &Ledger<'_>, exchange: &Exchange) -> People<'a> {
        People::of(batch, self.matching, |profile| {
            let key = profile.subject.to_string();
            let mut absorbed = profile.absorbed.iter().map(ToString::to_string);
            exchange.cases.iter().any(|case| case.key == key)
                || ledger.has(&key)
                || absorbed.any(|subject| ledger.has(&subject))
        })
    }

    /// The call that is due, or the end.
    fn next(&self, mut turn: Turn<'_>) -> Step {
        while let Some(need) = turn.exchange.first_need() {
            // Who has nothing to be joined is done without a call.
            let is_full = turn.ledger.progress.replies >= CALLS_MAX;
            if is_full && need != Need::Join {
                turn.exchange.put_off();
                break;
            }
            let call = match need {
                Need::Write { .. } => self.write(&mut turn),
                Need::Follow { .. } => self.follow(&mut turn),
                Need::Compare { .. } => self.compare(&mut turn),
                Need::Update { .. } => self.update(&mut turn),
                Need::Look { .. } => self.look(&mut turn),
                Need::Clear { .. } => self.clear(&mut turn),
                Need::Join => self.join(&mut turn),
                Need::Convert => self.convert(&mut turn),
                Need::Over { .. } => None,
            };
            // Without a call the needs have changed: somebody turned out to need something else, or nothing.
            if let Some((what, whom, call)) = call {
                if is_full {
                    turn.exchange.put_off();
                    break;
                }
                turn.exchange.asked = Some(Asked { what, whom });
                turn.exchange.keep(turn.ledger.progress);
                return Step::Send(Call::Http(call));
            }
        }
        turn.exchange.settle(&turn.people)
    }
}

#[cfg(test)]
mod tests;
