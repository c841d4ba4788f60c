//! Tolinku: the envelope is `event`, `timestamp` and `data`, signed over the raw body.
//!
//! `X-Webhook-Event` repeats the type in a header that nobody signs, so it is not read.

use domain::Settings;
use domain::connector::SettingsError;
use domain::identity::ReferralCreated;
use domain::signature::{Scheme, Signing};
use domain::source::{Dialect, DialectManifest, Envelope, Unreadable};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::envelope::{self, event_type, sender_id, time};
use crate::meaning;

/// The official sender, and any platform that speaks like it.
pub(crate) struct Tolinku;

static MANIFEST: DialectManifest =
    DialectManifest { name: "tolinku", title: "Tolinku", fields: &[meaning::REFERRAL_CREATED] };

/// The members of the envelope; others are kept in the body and ignored. A member that occurs twice is an error, because
/// two readers could take different ones.
#[derive(Deserialize)]
struct Body<'b> {
    #[serde(borrow)]
    event: Option<&'b RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'b RawValue>,
    #[serde(borrow)]
    data: Option<&'b RawValue>,
    #[serde(borrow)]
    id: Option<&'b RawValue>,
}

impl Dialect for Tolinku {
    fn manifest(&self) -> &'static DialectManifest {
        &MANIFEST
    }

    fn validate(&self, _: &Settings) -> Result<(), SettingsError> {
        Ok(())
    }

    fn signing(&self, scheme: Scheme, _: &Settings) -> Signing {
        Signing::default_for(scheme)
    }

    fn referral_created(&self, settings: &Settings) -> ReferralCreated {
        meaning::referral_created(settings)
    }

    fn read(&self, _: &HeaderMap, body: &[u8], _: &Settings) -> Result<Envelope, Unreadable> {
        let body: Body<'_> =
            serde_json::from_str(envelope::object(body)?).map_err(|error| envelope::not_json(&error))?;
        let event_type = event_type(body.event, "/event")?;
        match body.data {
            Some(data) if data.get().starts_with('{') => {}
            Some(_) => return Err(Unreadable::NoData("`data` is not an object".to_owned())),
            None => return Err(Unreadable::NoData("`data` is missing".to_owned())),
        }
        Ok(Envelope {
            event_type,
            occurred_at: body.timestamp.and_then(time),
            sender_id: body.id.filter(|id| id.get().starts_with('"')).and_then(sender_id),
        })
    }
}
