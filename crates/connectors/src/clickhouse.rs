//! `ClickHouse` over HTTP, from 18.16 to the servers of today: batches of rows as `JSONEachRow` into one table.

mod provision;
mod reply;

use domain::connector::{
    Action, Batch, BatchLimits, Call, Category, Connector, Field, FieldKind, HttpCall, Manifest, Means, Outlet,
    Progress, REPLY_BYTES_DEFAULT, Reply, SettingsError, Step,
};
use domain::{Secret, Settings};
use url::Url;

use self::reply::Judgement;
use crate::common::{USER_AGENT, url as receivers};
use crate::warehouse::identifier::{self, in_backticks};
use crate::warehouse::{COLUMNS_FIELD, DEFAULT_COLUMNS_FIELD, Layout, Rows, TABLE_DEFAULT};

/// Speaks to `ClickHouse`.
pub(crate) struct ClickHouse;

/// Longest URL with the statement in it, in bytes: what the guard lets pass.
const URL_BYTES_MAX: usize = 2_000;

static MANIFEST: Manifest = Manifest {
    name: "clickhouse",
    title: "ClickHouse",
    summary: "Every event as a row of typed columns, with the whole event beside them, in batches.",
    category: Category::Warehouse,
    notes: include_str!("clickhouse/notes.md"),
    fields: &[
        Field::required("url", FieldKind::Url, "the HTTP interface, like `https://clickhouse.example.com:8443`"),
        Field::optional("user", FieldKind::Text, "the user, who needs `INSERT` on the table").or("default"),
        Field::optional("password", FieldKind::Secret, "the user's password"),
        Field::optional("database", FieldKind::Text, "the database").or("default"),
        Field::optional("table", FieldKind::Text, "the table").or(TABLE_DEFAULT),
        Field::optional(
            "dialect",
            FieldKind::Choice { of: &["auto", "modern", "legacy"] },
            "`modern` for servers from 22.2 on, `legacy` for older ones; `auto` tries the first and then the second",
        )
        .or("auto"),
        COLUMNS_FIELD,
        DEFAULT_COLUMNS_FIELD,
    ],
    events: &["*"],
    batch: BatchLimits {
        items: 100,
        items_max: 10_000,
        bytes_max: 8 * 1024 * 1024,
        linger_ms: 5_000,
        keeps_boundaries: true,
    },
    rate: None,
    provisions: true,
    recognises: Some("the insert token of the batch"),
};

impl Connector for ClickHouse {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let url = receivers::parse_or(settings.text("url").unwrap_or_default(), "put them into `user` and `password`")
            .map_err(|message| SettingsError::new("url", message))?;
        let table = Table {
            database: identifier::read(settings, "database", "default")?,
            name: identifier::read(settings, "table", TABLE_DEFAULT)?,
        };
        for field in ["user", "password"] {
            if settings.text(field).is_some_and(|text| text.chars().any(char::is_control)) {
                return Err(SettingsError::new(field, "holds a line break or another control character; take it out"));
            }
        }
        let server = Server {
            url,
            user: settings.text("user").unwrap_or("default").to_owned(),
            password: settings.text("password").map(Secret::from),
            dialect: Dialect::read(settings),
            layout: Layout::read(settings)?,
            table,
        };
        if server.insert_url(Form::Modern, &"f".repeat(64)).len() > URL_BYTES_MAX {
            return Err(SettingsError::new("columns", "has too many names for one statement; leave some out"));
        }
        Ok(Box::new(server))
    }
}

/// One table of one server.
struct Server {
    url: Url,
    user: String,
    password: Option<Secret>,
    table: Table,
    dialect: Dialect,
    layout: Layout,
}

/// Where the rows go.
struct Table {
    database: String,
    name: String,
}

impl Table {
    fn quoted(&self) -> String {
        format!("{}.{}", in_backticks(&self.database), in_backticks(&self.name))
    }
}

/// Which servers are spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Auto,
    Only(Form),
}

/// How an insert looks. A server refuses settings that it does not know, and nothing says what it knows without a
/// question of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Modern,
    Legacy,
}

impl Dialect {
    fn read(settings: &Settings) -> Self {
        match settings.text("dialect") {
            Some("modern") => Self::Only(Form::Modern),
            Some("legacy") => Self::Only(Form::Legacy),
            _ => Self::Auto,
        }
    }

    /// The form of the stage that an exchange has come to.
    fn form(self, stage: u32) -> Form {
        match self {
            Self::Only(form) => form,
            Self::Auto if stage == 0 => Form::Modern,
            Self::Auto => Form::Legacy,
        }
    }
}

impl Outlet for Server {
    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        let rows = match Rows::to_send(batch, &self.layout) {
            Ok(rows) => rows,
            Err(step) => return *step,
        };
        Step::Send(Call::Http(self.insert(self.dialect.form(progress.stage), &batch.fingerprint(), &rows)))
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        match reply::judge(reply, &self.table) {
            Judgement::Delivered => self.layout.delivered(batch),
            Judgement::UnknownSetting(_) if self.dialect == Dialect::Auto && progress.stage == 0 => {
                progress.stage = 1;
                self.prepare(batch, progress)
            }
            Judgement::OneOfThem(alone) => Step::Split { alone },
            Judgement::All(verdict) | Judgement::UnknownSetting(verdict) => Step::settle_all(batch, &verdict),
        }
    }

    fn survey(&self, _: &Means<'_>) -> Option<Vec<Call>> {
        Some(provision::survey(self))
    }

    fn plan(&self, _: &Means<'_>, replies: &[Reply]) -> Result<Vec<Action>, String> {
        provision::plan(self, replies)
    }

    fn is_done(&self, reply: &Reply) -> Result<(), String> {
        provision::is_done(self, reply)
    }
}

impl Server {
    fn insert(&self, form: Form, token: &str, rows: &Rows<'_>) -> HttpCall {
        let mut body = Vec::new();
        for row in &rows.rows {
            // Writing JSON into memory cannot fail.
            let _ = serde_json::to_writer(&mut body, row);
            body.push(b'\n');
        }
        self.call(self.insert_url(form, token), body)
    }

    fn insert_url(&self, form: Form, token: &str) -> String {
        // The columns are named, so that one that the table lacks is an error on every server and is never just dropped.
        let columns: Vec<_> = self.layout.names.iter().map(|name| in_backticks(name)).collect();
        let statement = format!("INSERT INTO {} ({}) FORMAT JSONEachRow", self.table.quoted(), columns.join(","));
        // Servers before 20 read fractions of a second only so; the others do it anyway.
        let mut parameters = vec![("query", statement.as_str()), ("date_time_input_format", "best_effort")];
        if form == Form::Modern {
            // We have collected the rows ourselves, and the token is good for exactly these.
            parameters.extend([("async_insert", "0"), ("insert_deduplication_token", token)]);
        }
        self.url_with(&parameters)
    }

    /// The URL with parameters; one that is in the setting already stays as it is.
    fn url_with(&self, parameters: &[(&str, &str)]) -> String {
        let mut url = self.url.clone();
        for (name, value) in parameters.iter().chain(&[("wait_end_of_query", "1")]) {
            if !self.url.query_pairs().any(|(known, _)| known == *name) {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        url.into()
    }

    fn call(&self, url: String, body: Vec<u8>) -> HttpCall {
        let mut headers = vec![
            ("Content-Type".to_owned(), "application/x-ndjson".to_owned()),
            ("User-Agent".to_owned(), USER_AGENT.to_owned()),
            ("X-ClickHouse-User".to_owned(), self.user.clone()),
        ];
        if let Some(password) = &self.password {
            headers.push(("X-ClickHouse-Key".to_owned(), password.expose().to_owned()));
        }
        HttpCall { method: "POST", url, headers, body: body.into(), reply_bytes_max: REPLY_BYTES_DEFAULT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::{fixture, refusal};

    #[test]
    fn a_login_in_the_url_is_sent_to_its_own_settings() {
        let settings =
            fixture("clickhouse").with(serde_json::json!({"url": "https://u:p@clickhouse.example.com:8443"}));
        let refusal = refusal(&ClickHouse, &settings);
        assert_eq!(refusal, "setting `url` holds a user name or password; put them into `user` and `password`");
    }
}
