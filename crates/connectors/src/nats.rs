//! NATS: every event as a message that a stream of `JetStream` keeps.

mod login;
mod subject;
mod verdict;

use domain::Settings;
use domain::connector::{
    Batch, BatchLimits, Broker, Category, Connector, Field, FieldKind, Manifest, Outlet, Progress, Reply, Server,
    SettingsError, Step,
};

use self::subject::Subject;
use crate::bus;
use crate::common::tls::{self, CA_CERTIFICATE_FIELD, TLS_FIELD};

/// Speaks to NATS servers.
pub(crate) struct Nats;

static MANIFEST: Manifest = Manifest {
    name: "nats",
    title: "NATS JetStream",
    summary: "Every event, byte for byte as it was received, as a message in a stream of JetStream.",
    category: Category::Bus,
    notes: include_str!("nats/notes.md"),
    fields: &[
        Field::required(
            "servers",
            FieldKind::List,
            "the servers, like `nats.example.com:4222`; the first that answers is used",
        ),
        Field::optional(
            "subject",
            FieldKind::Template,
            "the subject of each message; it begins with fixed words, and what a subject cannot hold becomes `_`",
        )
        .or(subject::DEFAULT),
        TLS_FIELD,
        CA_CERTIFICATE_FIELD,
        Field::optional("user", FieldKind::Text, "the name of the user, for a login with a password"),
        Field::optional("password", FieldKind::Secret, "the password of that user"),
        Field::optional("token", FieldKind::Secret, "the token, for a login with one"),
        Field::optional("nkey_seed", FieldKind::Secret, "the seed of an NKey (`SU…`), for a login with one"),
        Field::optional("credentials", FieldKind::Secret, "the content of a `.creds` file, for a login with a JWT"),
    ],
    events: &["*"],
    batch: BatchLimits {
        items: 256,
        items_max: 1_000,
        bytes_max: 4 * 1024 * 1024,
        linger_ms: 50,
        keeps_boundaries: false,
    },
    rate: None,
    provisions: false,
    recognises: Some("`Nats-Msg-Id`, within the duplicate window of the stream"),
};

impl Connector for Nats {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let servers = bus::servers(settings, "servers", 4_222)?;
        let broker = Broker::Nats { servers, tls: tls::read(settings)?, login: login::read(settings)? };
        Ok(Box::new(Streams { broker, subject: Subject::read(settings)? }))
    }
}

/// The streams of one server.
struct Streams {
    broker: Broker,
    subject: Subject,
}

impl Outlet for Streams {
    fn servers(&self) -> Vec<(&'static str, Server)> {
        bus::named("servers", &self.broker)
    }

    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        bus::publish(batch, progress, &self.broker, |item| {
            Ok(bus::record(item, self.subject.of(item)?, None, "Nats-Msg-Id"))
        })
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        bus::judge(batch, progress, reply, verdict::turned_away, verdict::refused)
    }
}

#[cfg(test)]
mod tests;
