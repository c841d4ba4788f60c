//! How people are shown.

use serde::Serialize;
use utoipa::ToSchema;

use crate::wire::Time;

/// What the parameter `key` takes.
pub(crate) const KEY: &str = "Id of a subject (`sub_…`), an identifier with its kind (`user:42`, `email:ada@example.org`, \
                              `install:i-7`, and so for click, anonymous and referral), or the bare identifier if it is of \
                              one kind only";

/// How far somebody has come; nobody goes back.
#[derive(Serialize, ToSchema)]
#[schema(as = Stage)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes `domain::identity::Stage`")]
pub(crate) enum StageShown {
    /// Clicked, at most.
    Visitor,
    /// Installed, claimed a link or was referred.
    Lead,
    /// Converted or completed a referral.
    Customer,
}

/// What a sales team sees of a person. What is not known is left out.
#[derive(Serialize, ToSchema)]
#[schema(as = SalesRecord)]
pub(crate) struct RecordShown {
    /// Missing while it is only known who the person is.
    #[schema(examples("Deep Link"))]
    lead_source: Option<String>,
    /// Campaign, channel and platform of the first touch.
    campaign: Option<String>,
    channel: Option<String>,
    platform: Option<String>,
    /// Prefix and token of the first link.
    #[schema(examples("go/summer-promo"))]
    link: Option<String>,
    /// Campaign and channel of the last touch.
    last_campaign: Option<String>,
    last_channel: Option<String>,
    installed_at: Option<Time>,
    referred_at: Option<Time>,
    /// Who referred the person: an id, or the token or code that stands for the referrer.
    referral_source: Option<String>,
    converted_at: Option<Time>,
    conversion_value: Option<MoneyShown>,
    install_to_conversion: Option<SpanShown>,
}

/// An amount, in units of its currency.
#[derive(Serialize, ToSchema)]
#[schema(as = Money)]
pub(crate) struct MoneyShown {
    amount: f64,
    #[schema(examples("EUR"))]
    currency: Option<String>,
}

/// A span of time, and how to say it.
#[derive(Serialize, ToSchema)]
#[schema(as = Span)]
pub(crate) struct SpanShown {
    #[schema(examples(1_080_000))]
    ms: u64,
    #[schema(examples("18 minutes"))]
    text: String,
}

/// One step of a journey.
#[derive(Serialize, ToSchema)]
#[schema(as = Step)]
pub(crate) struct StepShown {
    #[schema(inline)]
    kind: StepKindShown,
    /// When it happened; left out for a visit to a store that nobody reported.
    at: Option<Time>,
    /// The event that says so. A click that only a claim tells of has the event of the claim.
    event: Option<String>,
    event_type: Option<String>,
    campaign: Option<String>,
    /// Since the step before.
    after_step: Option<SpanShown>,
    /// Since the first click.
    after_click: Option<SpanShown>,
    /// Since the first install.
    after_install: Option<SpanShown>,
}

/// What kind of step it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes `domain::identity::StepKind`")]
pub(crate) enum StepKindShown {
    Click,
    Store,
    Install,
    Claim,
    Open,
    /// The person got a referral code to hand out.
    Code,
    Referral,
    Completion,
    Conversion,
    /// Somebody said who it is.
    Identified,
    /// Anything else that names the person.
    Event,
}
