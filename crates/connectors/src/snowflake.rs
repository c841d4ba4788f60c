//! Snowflake by an elastic channel of Snowpipe Streaming: rows in a request, and no warehouse that must run.

mod names;
mod provision;
mod reply;

use domain::connector::{
    Action, Batch, BatchLimits, Call, Category, Connector, Field, FieldKind, HttpCall, Manifest, Means, Outlet,
    Progress, REPLY_BYTES_DEFAULT, Reply, SettingsError, Step, Token,
};
use domain::verdict::FailureReason;
use domain::{Settings, Timestamp, Verdict};
use serde_json::{Value, json};
use url::Url;

use self::names::Names;
use crate::auth::jwt::Key;
use crate::auth::oauth;
use crate::common::{USER_AGENT, url as receivers};
use crate::warehouse::{
    COLUMNS_FIELD, DATA, DEFAULT_COLUMNS_FIELD, Kind, Layout, Manner, Rows, TABLE_DEFAULT, identifier,
};

/// Speaks to Snowflake.
pub(crate) struct Snowflake;

/// Largest body of rows, in bytes: Snowflake takes four million on the wire.
const ROWS_BYTES_MAX: usize = 3_900_000;
/// The first amount that no longer fits a `NUMBER(18, 4)`.
const MONEY_MAX: f64 = 1e14;
/// How long a token of ours is good for, in seconds: the longest that Snowflake accepts.
const LIFETIME_SECS: i64 = 3_600;

static MANIFEST: Manifest = Manifest {
    name: "snowflake",
    title: "Snowflake",
    summary: "Every event as a row of typed columns, with its data as a variant beside them, in streamed batches.",
    category: Category::Warehouse,
    notes: include_str!("snowflake/notes.md"),
    fields: &[
        Field::required("account", FieldKind::Text, "the account, like `ACME-LINKS` or its locator"),
        Field::required("user", FieldKind::Text, "the user, whose key pair this is"),
        Field::required("private_key", FieldKind::Secret, "the private key, in PEM and without a passphrase"),
        Field::required("database", FieldKind::Text, "the database"),
        Field::optional("schema", FieldKind::Text, "the schema").or("PUBLIC"),
        Field::optional("table", FieldKind::Text, "the table").or(TABLE_DEFAULT),
        Field::optional(
            "url",
            FieldKind::Url,
            "the account's URL, if it is not `https://ACCOUNT.snowflakecomputing.com`",
        ),
        Field::optional(
            "ingest_host",
            FieldKind::Text,
            "the host that takes rows, as Snowflake names it; with it, a token is kept and a batch is one request, not two",
        ),
        COLUMNS_FIELD,
        DEFAULT_COLUMNS_FIELD,
    ],
    events: &["*"],
    batch: BatchLimits {
        items: 100,
        items_max: 5_000,
        bytes_max: 1536 * 1024,
        linger_ms: 5_000,
        keeps_boundaries: true,
    },
    rate: None,
    provisions: true,
    recognises: None,
};

impl Connector for Snowflake {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let text = |name| settings.text(name).unwrap_or_default();
        let names = Names::read(text("account"), text("user"))?;
        let url = settings.text("url").map_or_else(|| names.account_url(), str::to_owned);
        let url = receivers::parse(&url).map_err(|message| SettingsError::new("url", message))?;
        let key = Key::from_pem(text("private_key")).map_err(|message| SettingsError::new("private_key", message))?;
        let Some(fingerprint) = key.fingerprint() else {
            return Err(SettingsError::new("private_key", "is an elliptic key; Snowflake wants an RSA key"));
        };
        let ingest_host = settings.text("ingest_host").map(str::to_owned);
        if let Some(host) = &ingest_host {
            rows_host(&url, host).map_err(|message| SettingsError::new("ingest_host", message))?;
        }
        let name = |field, default| identifier::read(settings, field, default).map(|name| names::stored(&name));
        Ok(Box::new(Table {
            database: name("database", "")?,
            schema: name("schema", "PUBLIC")?,
            name: name("table", TABLE_DEFAULT)?,
            layout: Layout::read_for(settings, Manner { time: |at| at.to_string(), whole: &DATA })?,
            url,
            names,
            key,
            fingerprint,
            ingest_host,
        }))
    }
}

/// One table.
struct Table {
    /// Of the account.
    url: Url,
    names: Names,
    key: Key,
    fingerprint: String,
    ingest_host: Option<String>,
    database: String,
    schema: String,
    name: String,
    layout: Layout,
}

/// The stages of an exchange.
const TOKEN_ASKED_FOR: u32 = 0;
const ROWS_SENT: u32 = 1;

impl Outlet for Table {
    /// With a token for the host of the rows, the rows; with only the name of the host, the token first.
    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        let rows = match Rows::to_send(batch, &self.layout) {
            Ok(rows) => rows,
            Err(step) => return *step,
        };
        let unknown = || Step::Reauthorize { message: "Snowflake has not said where rows go".to_owned() };
        let Some(token) = batch.token else { return unknown() };
        if let Some(host) = &self.ingest_host {
            progress.stage = ROWS_SENT;
            return self.rows(batch, &rows, host, token.secret.expose());
        }
        let Some(host) = &token.extra else { return unknown() };
        progress.stage = TOKEN_ASKED_FOR;
        // What cannot be sent anyway is found out before there is a reply with a token in it, which nobody is to see.
        match self.rows(batch, &rows, host, "") {
            Step::Send(_) => Step::Send(Call::Http(self.scoped_token(host, batch.now))),
            end => end,
        }
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        if progress.stage == ROWS_SENT {
            return reply::judge(self, batch, reply);
        }
        let host = batch.token.and_then(|token| token.extra.as_deref()).unwrap_or_default();
        match reply::scoped_token(reply) {
            Ok(token) => {
                progress.stage = ROWS_SENT;
                Rows::of(batch, &self.layout)
                    .map_or_else(|alone| Step::Split { alone }, |rows| self.rows(batch, &rows, host, &token))
            }
            Err(verdict) => Step::settle_all(batch, &verdict),
        }
    }

    fn authorize(&self, now: Timestamp) -> Option<HttpCall> {
        if let Some(host) = &self.ingest_host {
            return Some(self.scoped_token(host, now));
        }
        let call = HttpCall { method: "GET", ..HttpCall::post_json(self.url_of("v2/streaming/hostname"), "") };
        Some(call.header("Authorization", self.signed(now)).header("User-Agent", USER_AGENT))
    }

    fn token(&self, reply: &Reply) -> Result<Token, Verdict> {
        match &self.ingest_host {
            Some(_) => reply::scoped_token(reply).map(reply::granted),
            None => reply::host(reply),
        }
    }

    fn survey(&self, means: &Means<'_>) -> Option<Vec<Call>> {
        Some(provision::survey(self, means))
    }

    fn plan(&self, means: &Means<'_>, replies: &[Reply]) -> Result<Vec<Action>, String> {
        provision::plan(self, means, replies)
    }

    fn is_done(&self, reply: &Reply) -> Result<(), String> {
        // 202 says that it is being done, and nothing that is made here takes long.
        if reply.is_success() { Ok(()) } else { Err(format!("Snowflake says: {}", reply::said(reply))) }
    }
}

impl Table {
    /// A token that our key pair signs.
    fn signed(&self, now: Timestamp) -> String {
        let subject = self.names.subject();
        let claims = json!({
            "iss": format!("{subject}.SHA256:{}", self.fingerprint),
            "sub": subject,
            "iat": now.as_secs(),
            "exp": now.as_secs() + LIFETIME_SECS,
        });
        format!("Bearer {}", self.key.sign(None, &claims))
    }

    /// Asks for a token that is good for the host of the rows only.
    fn scoped_token(&self, host: &str, now: Timestamp) -> HttpCall {
        let grant = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("scope", host)];
        oauth::form(&self.url_of("oauth/token"), &grant).header("Authorization", self.signed(now))
    }

    fn rows(&self, batch: &Batch<'_>, rows: &Rows<'_>, host: &str, token: &str) -> Step {
        if let Some(alone) = self.unfit(rows) {
            return Step::Split { alone };
        }
        let mut body = Vec::new();
        for row in &rows.rows {
            // Writing JSON into memory cannot fail.
            let _ = serde_json::to_writer(&mut body, row);
            body.push(b'\n');
        }
        if body.len() > ROWS_BYTES_MAX {
            let message = "the row is larger than Snowflake takes, which is 4 MB";
            return Step::Split { alone: Verdict::reject(FailureReason::TooLarge, message) };
        }
        let mut url = match rows_host(&self.url, host) {
            Ok(url) => url,
            Err(message) => {
                let message = format!("the host that Snowflake names {message}; set `ingest_host`");
                return Step::settle_all(batch, &Verdict::misconfigured(message));
            }
        };
        let (database, schema, table) = (&self.database, &self.schema, &self.name);
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().extend(["v2", "streaming", "data", "databases", database, "schemas", schema, "tables", table]);
            path.push("rows");
        }
        let retries = batch.items.iter().map(|item| item.attempt).max().unwrap_or(1).saturating_sub(1);
        url.query_pairs_mut()
            .append_pair("requestId", &names::uuid(&batch.fingerprint()))
            .append_pair("retryCount", &retries.to_string());
        let headers = [
            ("Content-Type", "application/x-ndjson".to_owned()),
            ("User-Agent", USER_AGENT.to_owned()),
            ("Authorization", format!("Bearer {token}")),
        ];
        Step::Send(Call::Http(HttpCall {
            method: "POST",
            url: url.into(),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
            body: body.into(),
            reply_bytes_max: REPLY_BYTES_DEFAULT,
        }))
    }

    /// What is wrong with an amount of money that its column cannot hold: Snowflake would put the row away without a word.
    fn unfit(&self, rows: &Rows<'_>) -> Option<Verdict> {
        let is_money = |name: &str| self.layout.our(name).is_some_and(|column| column.kind == Kind::Money);
        let is_unfit = |value: &Value| value.as_f64().is_some_and(|amount| amount.abs() >= MONEY_MAX);
        let (name, value) = rows.rows.iter().flatten().find(|(name, value)| is_money(name) && is_unfit(value))?;
        let message = format!(
            "`{name}` is {value}, and column `{}` of type NUMBER(18, 4) has fourteen digits before the point; send the right \
             amount, or fill the column otherwise by `columns.{name}`",
            names::stored(name)
        );
        Some(Verdict::reject(FailureReason::Refused, message))
    }

    fn url_of(&self, path: &str) -> String {
        format!("{}/{path}", self.url.as_str().trim_end_matches('/'))
    }
}

/// The URL of the host that takes rows; the error continues "the host …".
fn rows_host(account: &Url, host: &str) -> Result<Url, String> {
    // Names of hosts have no underscores, but accounts do.
    let host = host.trim().trim_matches('"').replace('_', "-").to_lowercase();
    receivers::parse(&format!("{}://{host}/", account.scheme()))
        .map_err(|_| "is not the name of one".to_owned())
        .and_then(|url| if url.path() == "/" && url.query().is_none() { Ok(url) } else { Err("is not one".to_owned()) })
}

#[cfg(test)]
mod tests;
