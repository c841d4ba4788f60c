//! Sources: configured senders. Who may speak to us, how they sign, how their body reads.

use serde::{Deserialize, Serialize};

use crate::connector::{self, Field, SettingsError};
use crate::event::EventType;
use crate::id::{AppspaceId, SourceId};
use crate::identity::ReferralCreated;
use crate::name::Name;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::signature::{Scheme, Signing};
use crate::time::Timestamp;

/// Most secrets of one source that may be live at once.
pub const SOURCE_SECRETS_MAX: usize = 8;
/// Most sources of one appspace.
pub const SOURCES_MAX: usize = 1_000;

/// A configured sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub id: SourceId,
    pub appspace: AppspaceId,
    /// Unique in its appspace; the last part of the path in appspace `default`.
    pub name: Name,
    /// Which file of the `sources` crate reads its body: `tolinku` or `generic`.
    pub kind: String,
    pub scheme: Scheme,
    /// All live at once; which one matched last is shown beside it.
    pub secrets: Vec<SourceSecret>,
    pub settings: Settings,
    pub managed: Managed,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// One of the live secrets of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSecret {
    pub secret: Secret,
    pub created_at: Timestamp,
    /// When it stops being accepted; never, if `None`.
    pub expires_at: Option<Timestamp>,
}

impl SourceSecret {
    /// Whether the secret is accepted at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

/// Who owns a source or destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Managed {
    /// Made through the API or the dashboard.
    Api,
    /// Comes from the configuration file; edits through the API answer 409 `managed_by_file`.
    File,
}

// ---------------------------------------------------------------------------------------------------------------------

/// The code that reads one sender's bodies: one file of the `sources` crate.
pub trait Dialect: Send + Sync {
    /// What it is called and which settings it takes.
    fn manifest(&self) -> &'static DialectManifest;

    /// Checks what the manifest cannot say. Called after the manifest's own checks passed.
    fn validate(&self, settings: &Settings) -> Result<(), SettingsError>;

    /// Where this sender puts its signature, and how old a signed timestamp may be.
    fn signing(&self, scheme: Scheme, settings: &Settings) -> Signing;

    /// Reads a body whose signature has been verified. The bytes are kept whatever this says.
    fn read(&self, headers: &http::HeaderMap, body: &[u8], settings: &Settings) -> Result<Envelope, Unreadable>;

    /// What this sender means by `referral.created`.
    fn referral_created(&self, _settings: &Settings) -> ReferralCreated {
        ReferralCreated::Shown
    }
}

/// What a dialect is called and which settings it takes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct DialectManifest {
    /// Lower case, the word in `kind = "…"`.
    pub name: &'static str,
    /// For a person.
    pub title: &'static str,
    pub fields: &'static [Field],
}

impl DialectManifest {
    /// Checks settings against the fields: nothing unknown, nothing missing, everything of its kind.
    pub fn check(&self, settings: &Settings) -> Result<(), SettingsError> {
        connector::check_fields(self.name, self.fields, settings)
    }
}

/// What every sender's body says in its own way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub event_type: EventType,
    /// When it happened, if the sender says so in a way that can be read. Anything else counts as not said.
    pub occurred_at: Option<Timestamp>,
    /// The sender's own id of the event, if its body carries one. A signed id in a header is in
    /// [`crate::signature::Verified`] and takes precedence.
    pub sender_id: Option<String>,
}

/// Why a body is not an event. Stable codes; the body goes to the quarantine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("the body is not valid JSON: {0}")]
    NotJson(String),
    #[error("the body nests deeper than {} levels", crate::event::JSON_DEPTH_MAX)]
    TooDeep,
    #[error("the body is not a JSON object")]
    NotAnObject,
    #[error("the body has no event type: {0}")]
    NoType(String),
    #[error("the event type is malformed: {0}")]
    BadType(#[from] crate::event::ParseEventTypeError),
    #[error("the event type `{0}` is ours alone; types that begin with `afterclick.` cannot be sent")]
    ReservedType(EventType),
    #[error("the body has no usable `data` object: {0}")]
    NoData(String),
}

impl Unreadable {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotJson(_) => "body_not_json",
            Self::TooDeep => "body_too_deep",
            Self::NotAnObject => "body_not_an_object",
            Self::NoType(_) => "event_type_missing",
            Self::BadType(_) => "event_type_malformed",
            Self::ReservedType(_) => "event_type_reserved",
            Self::NoData(_) => "data_missing",
        }
    }
}
