//! Kafka: every event as a record that all replicas have.

mod settings;
mod verdict;

use domain::Settings;
use domain::connector::{
    Batch, BatchLimits, Category, Connector, Field, FieldKind, Manifest, Outlet, Progress, Reply, Server,
    SettingsError, Step,
};

use self::settings::{KEYS, MECHANISMS, TOPIC_DEFAULT, Topics};
use crate::bus;
use crate::common::tls::{CA_CERTIFICATE_FIELD, TLS_FIELD};

/// Speaks to brokers.
pub(crate) struct Kafka;

static MANIFEST: Manifest = Manifest {
    name: "kafka",
    title: "Apache Kafka",
    summary: "Every event, byte for byte as it was received, as a record of a topic that all in-sync replicas have.",
    category: Category::Bus,
    notes: include_str!("kafka/notes.md"),
    fields: &[
        Field::required(
            "brokers",
            FieldKind::List,
            "some brokers of the cluster, like `kafka-1.example.com:9092`; they tell of the others",
        ),
        Field::optional(
            "topic",
            FieldKind::Template,
            "the topic of each record, which must be there already; it begins with a fixed text, and what a topic \
             cannot hold becomes `_`",
        )
        .or(TOPIC_DEFAULT),
        Field::optional(
            "key",
            FieldKind::Choice { of: KEYS },
            "what decides on the partition, so that what belongs together stays in order: the person or device, the \
             link, or nothing but the event itself; an event without one has its own id for a key",
        )
        .or("subject"),
        TLS_FIELD,
        CA_CERTIFICATE_FIELD,
        Field::optional(
            "user",
            FieldKind::Text,
            "the name of the user or the id of the API key, for a login with SASL",
        ),
        Field::optional("password", FieldKind::Secret, "the password of that user or the secret of the API key"),
        Field::optional("mechanism", FieldKind::Choice { of: MECHANISMS }, "how the password is told").or("PLAIN"),
    ],
    events: &["*"],
    // A record batch of a partition is at most a megabyte, unless the topic says otherwise.
    batch: BatchLimits { items: 500, items_max: 5_000, bytes_max: 512 * 1024, linger_ms: 50, keeps_boundaries: false },
    rate: None,
    provisions: false,
    recognises: None,
};

impl Connector for Kafka {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        Topics::read(settings).map(|topics| Box::new(topics) as Box<dyn Outlet>)
    }
}

impl Outlet for Topics {
    fn servers(&self) -> Vec<(&'static str, Server)> {
        bus::named("brokers", &self.broker)
    }

    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        bus::publish(batch, progress, &self.broker, |item| {
            Ok(bus::record(item, self.topic(item)?, Some(self.key(item)), "event_id"))
        })
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        bus::judge(batch, progress, reply, verdict::turned_away, verdict::refused)
    }
}

#[cfg(test)]
mod tests;
