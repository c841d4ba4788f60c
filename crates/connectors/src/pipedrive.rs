//! Pipedrive: one person per human being and, if wanted, one deal per person, told by a custom field of our own.
//!
//! Pipedrive has no upsert, and its search lags behind what was written. So the ids that it gives are kept, a person is looked for
//! before one is made, and while the answer to a create is lost nobody makes another one until search must know the first.
//! An exchange is about a few people, one after the other; each is a [`Case`](case::Case), which says from what has been
//! found out so far what comes next. Whatever is worth keeping is kept as soon as it is known, so an exchange that ends in
//! the middle is gone on with by the next one.

mod answer;
mod bound;
mod calls;
mod case;
mod deal;
mod fields;
mod limits;
mod lookup;
mod person;
mod provision;
mod refusal;
mod settings;
mod talk;
mod wanted;

use domain::connector::{
    Action, Batch, BatchLimits, Call, Category, Connector, Field, FieldKind, Manifest, Means, Outlet, Progress, Rate,
    Reply, SettingsError, Step,
};
use domain::{Settings, Verdict};

use self::settings::Account;
use crate::crm::{EVENTS, MATCH, ON_IDENTIFY};

/// Speaks to Pipedrive.
pub(crate) struct Pipedrive;

static MANIFEST: Manifest = Manifest {
    name: "pipedrive",
    title: "Pipedrive",
    summary: "One person per human being, with campaign, platform, dates and conversion in custom fields, and a deal for those who \
              came through a referral if you want one.",
    category: Category::Crm,
    notes: include_str!("pipedrive/notes.md"),
    fields: &[
        Field::required(
            "api_token",
            FieldKind::Secret,
            "your API token (your picture › Personal preferences › API); it may do what its user may, so take a user's who sees everybody",
        ),
        Field::optional("domain", FieldKind::Text, "the company's domain, `acme` of `https://acme.pipedrive.com`"),
        Field::optional(
            "host",
            FieldKind::Url,
            "another server that speaks this API, a proxy of yours for example, in place of `domain`",
        ),
        MATCH,
        ON_IDENTIFY,
        Field::optional(
            "properties",
            FieldKind::Mapping,
            "custom fields to add or to put in place of ours, by the names that people see, like `\"Plan\" = \"{{ person.traits.plan \
             }}\"`, and `name`, `email`, `phone`, `owner_id`, `org_id`, `label_ids`, `visible_to`, `job_title` or `notes`; an empty text \
             leaves one of ours out",
        ),
        Field::optional(
            "placeholder_name",
            FieldKind::Template,
            "what a person is called who is made before anybody knows a name; by default `Deep Link Lead` and the link's token",
        ),
        Field::optional(
            "deal",
            FieldKind::Choice { of: &["never", "referral", "always"] },
            "who gets a deal: nobody, those who came through a referral, or everybody; it is won when the referral is completed, of \
             `always` at any conversion",
        )
        .or("never"),
        Field::optional(
            "deal_title",
            FieldKind::Template,
            "the title that a deal is made with; by default `Referral:` and the link's token",
        ),
        Field::optional("pipeline", FieldKind::Text, "the pipeline that deals are made in, by its name; by default the first one"),
        Field::optional(
            "stage",
            FieldKind::Text,
            "the stage that deals are made in, by its name; by default the first one of the pipeline",
        ),
        Field::optional(
            "deal_properties",
            FieldKind::Mapping,
            "custom fields of deals to fill, by the names that people see, and `value`, `currency`, `owner_id`, `label_ids`, \
             `expected_close_date`, `probability` or `visible_to`; an empty text leaves one of ours out",
        ),
        Field::optional(
            "key_field",
            FieldKind::Text,
            "the name of the custom text field by which people and deals are told",
        )
        .or("Afterclick key"),
        Field::optional(
            "search_lag_seconds",
            FieldKind::Integer { min: 1, max: 3_600 },
            "how long Pipedrive's search may take to know of a new person; so long nobody is made anew whose making was not answered",
        )
        .or("60"),
        Field::optional(
            "token_share",
            FieldKind::Integer { min: 1, max: 100 },
            "how many percent of the company's API tokens of a day may be used, by whomever, before this destination makes way",
        )
        .or("90"),
    ],
    events: EVENTS,
    batch: BatchLimits { items: 10, items_max: 50, bytes_max: 1 << 20, linger_ms: 1_000, keeps_boundaries: false },
    // Half of what the smallest plan bears, and what search bears on every plan: ten calls in two seconds.
    rate: Some(Rate { per_second: 5.0, per_day: None }),
    provisions: true,
    recognises: None,
};

impl Connector for Pipedrive {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        Ok(Box::new(Account::read(settings)?))
    }
}

impl Outlet for Account {
    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        talk::begin(self, batch, progress)
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        limits::heed(self, progress, reply);
        talk::go_on(self, batch, progress, reply)
    }

    fn cut_off(&self, batch: &Batch<'_>, progress: &Progress, otherwise: &Verdict) -> Option<Vec<Verdict>> {
        talk::cut_off(self, batch, progress, otherwise)
    }

    fn preview(&self, batch: &Batch<'_>) -> Step {
        talk::preview(self, batch)
    }

    fn subjects(&self, batch: &Batch<'_>) -> Vec<String> {
        bound::subjects(self, batch)
    }

    fn reissues(&self) -> bool {
        self.matching.reissues
    }

    fn survey(&self, _: &Means<'_>) -> Option<Vec<Call>> {
        Some(provision::survey(self))
    }

    fn plan(&self, _: &Means<'_>, replies: &[Reply]) -> Result<Vec<Action>, String> {
        provision::plan(self, replies)
    }

    fn is_done(&self, reply: &Reply) -> Result<(), String> {
        provision::is_done(reply)
    }
}

#[cfg(test)]
mod tests;
