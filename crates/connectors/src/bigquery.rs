//! `BigQuery`: rows by `insertAll`, each judged for itself.

mod provision;
mod reply;

use domain::connector::{
    Action, Batch, BatchLimits, Call, Category, Connector, Field, FieldKind, HttpCall, Manifest, Means, Outlet,
    Progress, Reply, SettingsError, Step, Token,
};
use domain::verdict::FailureReason;
use domain::{Settings, Timestamp, Verdict};
use serde_json::{Map, Value, json};
use url::Url;

use crate::auth::google::Account;
use crate::common::{USER_AGENT, url as receivers};
use crate::warehouse::{
    COLUMNS_FIELD, DATA, DEFAULT_COLUMNS_FIELD, Kind, Layout, Manner, Rows, TABLE_DEFAULT, identifier,
};

/// Speaks to `BigQuery`.
pub(crate) struct BigQuery;

/// What inserting and making tables takes.
const SCOPE: &str = "https://www.googleapis.com/auth/bigquery";
/// Largest request, in bytes: Google takes ten million.
const REQUEST_BYTES_MAX: usize = 9_500_000;

static MANIFEST: Manifest = Manifest {
    name: "bigquery",
    title: "BigQuery",
    summary: "Every event as a row of typed columns, with its data as JSON beside them, in streamed batches.",
    category: Category::Warehouse,
    notes: include_str!("bigquery/notes.md"),
    fields: &[
        Field::required("project", FieldKind::Text, "the project, by its id"),
        Field::required("dataset", FieldKind::Text, "the dataset; it must be there already, in the region you want"),
        Field::optional("table", FieldKind::Text, "the table").or(TABLE_DEFAULT),
        Field::required(
            "service_account",
            FieldKind::Secret,
            "the key file of a service account with the role `BigQuery Data Editor`, the whole JSON",
        ),
        Field::optional("url", FieldKind::Url, "another server that speaks this API, an emulator for example")
            .or("https://bigquery.googleapis.com"),
        COLUMNS_FIELD,
        DEFAULT_COLUMNS_FIELD,
    ],
    events: &["*"],
    batch: BatchLimits {
        items: 100,
        items_max: 500,
        bytes_max: 3 * 1024 * 1024,
        linger_ms: 2_000,
        keeps_boundaries: false,
    },
    rate: None,
    provisions: true,
    recognises: Some("`insertId`, for about a minute"),
};

impl Connector for BigQuery {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let mut url = receivers::parse(settings.text("url").unwrap_or("https://bigquery.googleapis.com"))
            .map_err(|message| SettingsError::new("url", message))?;
        let dataset = identifier::read(settings, "dataset", "")?;
        let name = identifier::read(settings, "table", TABLE_DEFAULT)?;
        let project = settings.text("project").unwrap_or_default().to_owned();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["bigquery", "v2", "projects", &project, "datasets", &dataset, "tables"]);
        }
        let account = Account::read(settings.text("service_account").unwrap_or_default(), SCOPE)
            .map_err(|message| SettingsError::new("service_account", message))?;
        let layout = Layout::read_for(settings, Manner { time: |at| at.to_string(), whole: &DATA })?;
        Ok(Box::new(Table { url, project, dataset, name, account, layout }))
    }
}

/// One table.
struct Table {
    /// Of the dataset's tables.
    url: Url,
    project: String,
    dataset: String,
    name: String,
    account: Account,
    layout: Layout,
}

impl Outlet for Table {
    fn prepare(&self, batch: &Batch<'_>, _: &mut Progress) -> Step {
        let rows = match Rows::to_send(batch, &self.layout) {
            Ok(rows) => rows,
            Err(step) => return *step,
        };
        let body = self.body(&rows);
        if body.len() > REQUEST_BYTES_MAX {
            let message = "the row is larger than BigQuery takes, which is 10 MB";
            return Step::Split { alone: Verdict::reject(FailureReason::TooLarge, message) };
        }
        Step::Send(self.call("POST", &[&self.name, "insertAll"], body, batch.token))
    }

    fn advance(&self, batch: &Batch<'_>, _: &mut Progress, reply: &Reply) -> Step {
        reply::judge(self, batch, reply)
    }

    fn authorize(&self, now: Timestamp) -> Option<HttpCall> {
        Some(self.account.call(now))
    }

    fn token(&self, reply: &Reply) -> Result<Token, Verdict> {
        Account::token(reply)
    }

    fn survey(&self, means: &Means<'_>) -> Option<Vec<Call>> {
        Some(vec![self.call("GET", &[&self.name], String::new(), means.token)])
    }

    fn plan(&self, means: &Means<'_>, replies: &[Reply]) -> Result<Vec<Action>, String> {
        provision::plan(self, means, replies)
    }

    fn is_done(&self, reply: &Reply) -> Result<(), String> {
        if reply.is_success() { Ok(()) } else { Err(format!("BigQuery says: {}", reply::said(reply))) }
    }
}

impl Table {
    fn body(&self, rows: &Rows<'_>) -> String {
        let mut ids = rows.items.iter().map(|item| item.event.id.to_string());
        let rows: Vec<_> =
            rows.rows.iter().map(|row| json!({"insertId": ids.next(), "json": self.written(row.clone())})).collect();
        // A column that the table lacks must not be dropped without a word; a bad row must not stop the others.
        json!({"skipInvalidRows": true, "ignoreUnknownValues": false, "rows": rows}).to_string()
    }

    /// The row as this API wants it: JSON as the text of it, and exact numbers as texts.
    fn written(&self, mut row: Map<String, Value>) -> Map<String, Value> {
        for (name, value) in &mut row {
            let kind = self.layout.our(name).map(|column| column.kind);
            if kind == Some(Kind::Data) || (kind == Some(Kind::Money) && value.is_number()) {
                *value = value.to_string().into();
            }
        }
        row
    }

    fn call(&self, method: &'static str, path: &[&str], body: String, token: Option<&Token>) -> Call {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        let mut call = HttpCall { method, ..HttpCall::post_json(url, body) }.with_long_reply();
        if let Some(token) = token {
            call = call.header("Authorization", format!("Bearer {}", token.secret.expose()));
        }
        Call::Http(call.header("User-Agent", USER_AGENT))
    }
}

#[cfg(test)]
mod tests;
