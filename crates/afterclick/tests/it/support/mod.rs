//! What the tests drive the binary with: a server process, a receiver, a small HTTP client, and signatures.

mod client;
mod program;
mod receiver;
mod server;
mod wait;

use domain::signature::{Scheme, Signer, Signing};
use domain::{Secret, Timestamp};

pub(crate) use client::{Answer, Headers, request, try_request};
pub(crate) use program::{Output, program, run};
pub(crate) use receiver::{Receiver, SILENCE};
pub(crate) use server::{Server, Setup, argument};
pub(crate) use wait::{DEADLINE, until, until_done};

/// The secret of every source in these tests.
pub(crate) const SOURCE_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw5vDmJx0uN7E=";
/// The secret of every destination in these tests.
pub(crate) const DESTINATION_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDJtP1XyqKk8g=";

/// The time.
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(0) + since
}

/// The headers of a webhook as its sender would sign it now.
pub(crate) fn signed(scheme: Scheme, secret: &str, id: &str, body: &[u8]) -> Headers {
    let signer = Signer::new(scheme, &Secret::from(secret)).unwrap();
    let headers = signer.headers(&Signing::default_for(scheme), id, now(), body);
    headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
}

/// A body that no other test or call has sent.
pub(crate) fn body(event_type: &str, unique: u64) -> Vec<u8> {
    domain::catalogue::sample(event_type, now(), unique).expect("the type is in the catalogue")
}

/// A configuration with the source `tolinku` and one destination.
pub(crate) fn one_destination(url: &str) -> String {
    format!("{}\n{}", source("tolinku", Scheme::BodyHex), destination("backend", url, Scheme::BodyHex))
}

/// A `[[source]]`.
pub(crate) fn source(name: &str, scheme: Scheme) -> String {
    format!(
        "[[source]]\nname = \"{name}\"\nkind = \"tolinku\"\nscheme = \"{scheme}\"\nsecrets = [\"{SOURCE_SECRET}\"]\n"
    )
}

/// A `[[destination]]` that gets every event, tests included.
pub(crate) fn destination(name: &str, url: &str, scheme: Scheme) -> String {
    format!(
        "[[destination]]\nname = \"{name}\"\nconnector = \"webhook\"\nevents = [\"*\", \"test\"]\nretry = [\"50ms\", \"100ms\"]\n\
         settings.url = \"{url}\"\nsettings.secret = \"{DESTINATION_SECRET}\"\nsettings.scheme = \"{scheme}\"\n"
    )
}
