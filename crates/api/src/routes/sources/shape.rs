//! How a source is shown.

use domain::Secret;
use domain::signature::Scheme;
use domain::source::Managed;
use pipeline::registry::LiveSource;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::masked;
use crate::wire::Time;

/// How a sender signs.
#[derive(ToSchema)]
#[schema(as = Scheme, rename_all = "kebab-case")]
#[expect(dead_code, reason = "describes `domain::signature::Scheme`")]
pub(crate) enum SchemeShown {
    BodyHex,
    BodyHexPrefixed,
    Timestamped,
    StandardWebhooks,
}

/// A source.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Source {
    #[schema(examples("src_01JD3ZK7Q0M8X2V4N6B8C0D2F4"))]
    id: String,
    name: String,
    kind: String,
    #[schema(value_type = SchemeShown)]
    scheme: Scheme,
    /// Where the sender posts to.
    #[schema(examples("/webhooks/tolinku"))]
    path: String,
    secrets: Vec<ShownSecret>,
    /// Secret ones are masked.
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
    /// Who owns it: `api`, or `file` for one from the configuration file, which the API cannot change.
    #[schema(value_type = String, examples("api"))]
    managed_by: Managed,
    created_at: Time,
    updated_at: Time,
}

/// One of the secrets of a source, by its last characters.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownSecret {
    #[schema(examples("••••pQ0="))]
    hint: String,
    created_at: Time,
    expires_at: Option<Time>,
    /// When a request last matched it, if it was the last to match since the start of this process.
    last_matched_at: Option<Time>,
}

/// A source with a secret that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceWithSecret {
    #[serde(flatten)]
    source: Source,
    /// The secret, if it was made here. It is shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

pub(crate) fn with_secret(caller: &Caller, live: &LiveSource, made: Option<Secret>) -> SourceWithSecret {
    SourceWithSecret { source: show(caller, live), secret: made.map(|secret| secret.expose().to_owned()) }
}

pub(crate) fn show(caller: &Caller, live: &LiveSource) -> Source {
    let source = &live.source;
    let last_match = live.last_match();
    let secrets = source.secrets.iter().enumerate().map(|(index, secret)| ShownSecret {
        hint: secret.secret.masked(),
        created_at: secret.created_at.into(),
        expires_at: secret.expires_at.map(Time::from),
        last_matched_at: last_match.filter(|(matched, _)| *matched == index).map(|(_, at)| at.into()),
    });
    let in_default = caller.appspace.name.as_str() == domain::appspace::DEFAULT_APPSPACE;
    let last_part = if in_default { source.name.to_string() } else { source.id.to_string() };
    Source {
        id: source.id.to_string(),
        name: source.name.to_string(),
        kind: source.kind.clone(),
        scheme: source.scheme,
        path: format!("/webhooks/{last_part}"),
        secrets: secrets.collect(),
        settings: masked::shown(live.dialect.manifest().fields, &source.settings),
        managed_by: source.managed,
        created_at: source.created_at.into(),
        updated_at: source.updated_at.into(),
    }
}
