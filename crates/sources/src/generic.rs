//! Any sender of signed JSON: settings say where the type, the time and the id stand.

use std::time::Duration;

use domain::Settings;
use domain::connector::{Field, FieldKind, SettingsError};
use domain::identity::ReferralCreated;
use domain::signature::{Scheme, Signing};
use domain::source::{Dialect, DialectManifest, Envelope, Unreadable};
use http::{HeaderMap, HeaderName};

use crate::envelope::{self, event_type, lookup, sender_id, time};
use crate::meaning;

/// A sender that no file knows by name.
pub(crate) struct Generic;

/// Longest JSON pointer, in bytes.
const POINTER_BYTES_MAX: usize = 256;

static MANIFEST: DialectManifest = DialectManifest {
    name: "generic",
    title: "Any signed JSON",
    fields: &[
        header("signature_header", "the header that carries the signature; that of the scheme by default"),
        header("timestamp_header", "the header that carries the signed time; that of the scheme by default"),
        header("id_header", "the header that carries the signed id; `webhook-id` by default"),
        Field::optional(
            "tolerance_seconds",
            FieldKind::Integer { min: 1, max: 86_400 },
            "how far a signed time may be from the clock here; 300 by default",
        ),
        pointer("type_pointer", "where the event type stands in the body; `/event` by default"),
        pointer("time_pointer", "where the time stands in the body; `/timestamp` by default"),
        pointer(
            "id_pointer",
            "where the sender's own id of the event stands; without it the body identifies the event",
        ),
        meaning::REFERRAL_CREATED,
    ],
};

const fn header(name: &'static str, help: &'static str) -> Field {
    Field::optional(name, FieldKind::Text, help)
}

const fn pointer(name: &'static str, help: &'static str) -> Field {
    Field::optional(name, FieldKind::Text, help)
}

impl Dialect for Generic {
    fn manifest(&self) -> &'static DialectManifest {
        &MANIFEST
    }

    fn validate(&self, settings: &Settings) -> Result<(), SettingsError> {
        for name in ["signature_header", "timestamp_header", "id_header"] {
            if settings.text(name).is_some_and(|text| text.parse::<HeaderName>().is_err()) {
                return Err(SettingsError::new(name, "is not a header name; write it like `x-signature`"));
            }
        }
        for name in ["type_pointer", "time_pointer", "id_pointer"] {
            let fits = |text: &str| text.starts_with('/') && text.len() <= POINTER_BYTES_MAX;
            if settings.text(name).is_some_and(|text| !fits(text)) {
                return Err(SettingsError::new(name, "is not a JSON pointer; write it like `/meta/type`"));
            }
        }
        Ok(())
    }

    fn signing(&self, scheme: Scheme, settings: &Settings) -> Signing {
        let default = Signing::default_for(scheme);
        let header = |name: &str, default| settings.text(name).and_then(|text| text.parse().ok()).unwrap_or(default);
        let tolerance = settings.integer("tolerance_seconds").and_then(|secs| u64::try_from(secs).ok());
        Signing {
            signature_header: header("signature_header", default.signature_header),
            timestamp_header: header("timestamp_header", default.timestamp_header),
            id_header: header("id_header", default.id_header),
            tolerance: tolerance.map_or(default.tolerance, Duration::from_secs),
        }
    }

    fn referral_created(&self, settings: &Settings) -> ReferralCreated {
        meaning::referral_created(settings)
    }

    fn read(&self, _: &HeaderMap, body: &[u8], settings: &Settings) -> Result<Envelope, Unreadable> {
        let body = envelope::object(body)?;
        let at = |pointer: &str| lookup(body, pointer).map_err(|error| envelope::not_json(&error));
        let type_pointer = settings.text("type_pointer").unwrap_or("/event");
        let time_pointer = settings.text("time_pointer").unwrap_or("/timestamp");
        Ok(Envelope {
            event_type: event_type(at(type_pointer)?, type_pointer)?,
            occurred_at: at(time_pointer)?.and_then(time),
            sender_id: settings.text("id_pointer").map(at).transpose()?.flatten().and_then(sender_id),
        })
    }
}
