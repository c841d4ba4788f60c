//! `PostgreSQL`, and what speaks its protocol: a batch is one statement that inserts many rows and passes over those that are
//! there already.

mod provision;
mod reply;
mod statement;

use domain::connector::{
    Action, Batch, BatchLimits, Call, Category, Connector, Field, FieldKind, Manifest, Means, Outlet, Progress, Reply,
    Server, SettingsError, SqlCall, SqlServer, Step,
};
use domain::{Secret, Settings};

use self::statement::Dialect;
use crate::common::tls::{self, CA_CERTIFICATE_FIELD, TLS_FIELD};
use crate::warehouse::identifier::{self, in_double_quotes};
use crate::warehouse::{COLUMNS_FIELD, DATA, DEFAULT_COLUMNS_FIELD, Layout, Manner, Rows, TABLE_DEFAULT, with_zone};

/// Speaks to `PostgreSQL`.
pub(crate) struct Postgres;

static MANIFEST: Manifest = Manifest {
    name: "postgres",
    title: "PostgreSQL",
    summary: "Every event as a row of typed columns, with its data as `jsonb` beside them, in batches.",
    category: Category::Warehouse,
    notes: include_str!("postgres/notes.md"),
    fields: &[
        Field::required("host", FieldKind::Text, "the server, like `db.example.com`"),
        Field::optional("port", FieldKind::Integer { min: 1, max: 65_535 }, "its port").or("5432"),
        Field::required("database", FieldKind::Text, "the database"),
        Field::required("user", FieldKind::Text, "the user, who needs `INSERT` and `SELECT` on the table"),
        Field::optional("password", FieldKind::Secret, "the user's password"),
        TLS_FIELD,
        CA_CERTIFICATE_FIELD,
        Field::optional("schema", FieldKind::Text, "the schema").or("public"),
        Field::optional("table", FieldKind::Text, "the table").or(TABLE_DEFAULT),
        Field::optional(
            "dialect",
            FieldKind::Choice { of: &["postgres", "redshift"] },
            "`redshift` for stores that know neither `ON CONFLICT` nor `jsonb`",
        )
        .or("postgres"),
        COLUMNS_FIELD,
        DEFAULT_COLUMNS_FIELD,
    ],
    events: &["*"],
    batch: BatchLimits {
        items: 100,
        items_max: 5_000,
        bytes_max: 4 * 1024 * 1024,
        linger_ms: 1_000,
        keeps_boundaries: false,
    },
    rate: None,
    provisions: true,
    recognises: Some("the primary key, `event_id`"),
};

impl Connector for Postgres {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let text = |name| settings.text(name).unwrap_or_default().to_owned();
        check_host(&text("host"))?;
        let server = SqlServer {
            host: text("host"),
            port: settings.integer("port").and_then(|port| u16::try_from(port).ok()).unwrap_or(5_432),
            database: text("database"),
            user: text("user"),
            password: Secret::new(text("password")),
            tls: tls::read(settings)?,
        };
        Ok(Box::new(Table {
            server,
            schema: identifier::read(settings, "schema", "public")?,
            name: identifier::read(settings, "table", TABLE_DEFAULT)?,
            dialect: Dialect::read(settings),
            layout: Layout::read_for(settings, Manner { time: with_zone, whole: &DATA })?,
        }))
    }
}

fn check_host(host: &str) -> Result<(), SettingsError> {
    let wrong = |message| Err(SettingsError::new("host", message));
    let is_of_a_host = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '[' | ']');
    if host.contains("://") {
        wrong("is a whole connection string; write `host`, `port`, `database`, `user` and `password` each for itself")
    } else if host.is_empty() || !host.chars().all(is_of_a_host) {
        wrong("is not the name or address of a server; write it like `db.example.com`")
    } else {
        Ok(())
    }
}

/// One table of one server.
struct Table {
    server: SqlServer,
    schema: String,
    name: String,
    dialect: Dialect,
    layout: Layout,
}

impl Outlet for Table {
    fn prepare(&self, batch: &Batch<'_>, _: &mut Progress) -> Step {
        let rows = match Rows::to_send(batch, &self.layout) {
            Ok(rows) => rows,
            Err(step) => return *step,
        };
        let (statement, arrays) = statement::insert(self, rows.rows);
        Step::Send(self.call(statement, arrays))
    }

    fn advance(&self, batch: &Batch<'_>, _: &mut Progress, reply: &Reply) -> Step {
        match &reply.code {
            None if reply.is_success() => self.layout.delivered(batch),
            code => reply::judge(self, batch, code.as_deref().unwrap_or_default(), reply),
        }
    }

    fn servers(&self) -> Vec<(&'static str, Server)> {
        vec![("host", Server { host: self.server.host.clone(), port: self.server.port })]
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

impl Table {
    /// `"schema"."table"`.
    fn quoted(&self) -> String {
        format!("{}.{}", in_double_quotes(&self.schema), in_double_quotes(&self.name))
    }

    fn call(&self, statement: String, arrays: Vec<Vec<Option<String>>>) -> Call {
        Call::Sql(SqlCall { server: self.server.clone(), statement, arrays })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::{fixture, refusal};

    #[test]
    fn settings_that_lead_nowhere_are_refused() {
        let with = |name: &str, value: &str| {
            let mut settings = fixture("postgres").default;
            settings.0.insert(name.to_owned(), value.into());
            refusal(&Postgres, &settings)
        };
        assert!(with("host", "postgres://u:p@db/x").starts_with("setting `host` is a whole connection string"));
        assert!(
            with("host", "/var/run/postgresql").starts_with("setting `host` is not the name or address of a server")
        );
        assert!(with("table", "x\"; DROP TABLE y; --").starts_with("setting `table` is no name"));
        assert!(with("ca_certificate", "nonsense").starts_with("setting `ca_certificate` is no certificate in PEM"));
    }
}
