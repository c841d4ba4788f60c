//! Redshift by its Data API: a statement is handed over now, and whether it came to anything is asked for later.

mod provision;
mod reply;

use domain::connector::{
    Action, Batch, BatchLimits, Call, Category, Connector, Field, FieldKind, HttpCall, Manifest, Means, Outlet,
    Progress, REPLY_BYTES_DEFAULT, Reply, SettingsError, Step,
};
use domain::verdict::FailureReason;
use domain::{Secret, Settings, Timestamp, Verdict};
use serde_json::{Map, Value, json};

use self::reply::Told;
use crate::auth::sigv4::Signer;
use crate::common::{USER_AGENT, url as receivers};
use crate::warehouse::identifier::{self, in_double_quotes};
use crate::warehouse::written::{self, without_nul};
use crate::warehouse::{COLUMNS_FIELD, DATA, DEFAULT_COLUMNS_FIELD, Layout, Manner, Rows, TABLE_DEFAULT, with_zone};

/// Speaks to Redshift.
pub(crate) struct Redshift;

/// Longest statement, in bytes.
const STATEMENT_BYTES_MAX: usize = 100_000;
/// How long the same statement is the same to Amazon, in seconds. One that failed for want of luck is another one after that, and
/// rows that are there are not inserted again.
const TOKEN_SECS: i64 = 10 * 60;

static MANIFEST: Manifest = Manifest {
    name: "redshift",
    title: "Amazon Redshift",
    summary: "Every event as a row of typed columns, with its data as JSON beside them, in small batches.",
    category: Category::Warehouse,
    notes: include_str!("redshift/notes.md"),
    fields: &[
        Field::required("region", FieldKind::Text, "the region, like `eu-west-1`"),
        Field::optional("workgroup", FieldKind::Text, "the workgroup, for Redshift Serverless"),
        Field::optional("cluster", FieldKind::Text, "the identifier of the cluster, for one that is provisioned"),
        Field::optional("db_user", FieldKind::Text, "the database user, for a cluster without `secret_arn`"),
        Field::optional("secret_arn", FieldKind::Text, "the ARN of the secret in Secrets Manager that holds the login"),
        Field::required("access_key_id", FieldKind::Text, "the id of an access key that may use the Data API"),
        Field::required("secret_access_key", FieldKind::Secret, "the secret of that access key"),
        Field::optional("session_token", FieldKind::Secret, "the session token, if the access key is a temporary one"),
        Field::required("database", FieldKind::Text, "the database"),
        Field::optional("schema", FieldKind::Text, "the schema").or("public"),
        Field::optional("table", FieldKind::Text, "the table").or(TABLE_DEFAULT),
        Field::optional("url", FieldKind::Url, "another server that speaks this API; the region's own as a rule"),
        COLUMNS_FIELD,
        DEFAULT_COLUMNS_FIELD,
    ],
    events: &["*"],
    batch: BatchLimits {
        items: 40,
        items_max: 200,
        // A row is written out with its event in it, and a statement has 100 KB.
        bytes_max: 40 * 1024,
        linger_ms: 5_000,
        keeps_boundaries: true,
    },
    rate: None,
    provisions: true,
    recognises: Some("`event_id`"),
};

impl Connector for Redshift {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        let text = |name: &str| settings.text(name).map(str::to_owned);
        let region = text("region").unwrap_or_default();
        if region.is_empty() || !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(SettingsError::new("region", "is not the name of a region; it is like `eu-west-1`"));
        }
        let url = text("url").unwrap_or_else(|| format!("https://redshift-data.{region}.amazonaws.com/"));
        let url = receivers::parse(&url).map_err(|message| SettingsError::new("url", message))?.into();
        let signer = Signer {
            access_key_id: text("access_key_id").unwrap_or_default(),
            secret_access_key: Secret::new(text("secret_access_key").unwrap_or_default()),
            session_token: text("session_token").map(Secret::new),
            region,
            service: "redshift-data",
        };
        Ok(Box::new(Table {
            url,
            signer,
            whereabouts: whereabouts(settings)?,
            schema: identifier::read(settings, "schema", "public")?,
            name: identifier::read(settings, "table", TABLE_DEFAULT)?,
            layout: Layout::read_for(settings, Manner { time: with_zone, whole: &DATA })?,
        }))
    }
}

/// The members of every request that say which database is meant.
fn whereabouts(settings: &Settings) -> Result<Map<String, Value>, SettingsError> {
    let has = |name| settings.text(name).is_some();
    if has("workgroup") == has("cluster") {
        return Err(SettingsError::new("workgroup", "and `cluster` are two kinds of Redshift; name the one you have"));
    }
    if has("cluster") && !has("db_user") && !has("secret_arn") {
        return Err(SettingsError::new("cluster", "needs `db_user` or `secret_arn` to log in with"));
    }
    let members = [
        ("Database", "database"),
        ("WorkgroupName", "workgroup"),
        ("ClusterIdentifier", "cluster"),
        ("DbUser", "db_user"),
        ("SecretArn", "secret_arn"),
    ];
    let given = |(member, name): &(&str, &str)| Some(((*member).to_owned(), settings.text(name)?.into()));
    Ok(members.iter().filter_map(given).collect())
}

/// One table.
struct Table {
    url: String,
    signer: Signer,
    whereabouts: Map<String, Value>,
    schema: String,
    name: String,
    layout: Layout,
}

/// The stages of an exchange, before the last. A statement that failed is handed over once more, under another name: for want
/// of luck, or because what it failed for may have been mended since.
const HANDED_OVER: u32 = 0;
const ASKED_FOR: u32 = 1;
const HANDED_OVER_AGAIN: u32 = 2;
const HANDED_OVER_ANEW: u32 = 4;
/// How many replies an exchange has before it is left for later: when it has handed over once, and twice.
const REPLIES_MAX: [u32; 2] = [4, 8];
/// The note of what Amazon calls the statement.
const ID: &str = "id";

impl Outlet for Table {
    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        let rows = match Rows::to_send(batch, &self.layout) {
            Ok(rows) => rows,
            Err(step) => return *step,
        };
        let rows = rows.rows.into_iter().map(|row| row.into_iter().map(|(name, it)| (name, without_nul(it))).collect());
        let statement = written::insert(&self.quoted(), &self.layout, rows);
        if statement.len() > STATEMENT_BYTES_MAX {
            let message = "the row is larger than a statement of Redshift's Data API may be, which is 100 KB; use `s3`";
            return Step::Split { alone: Verdict::reject(FailureReason::TooLarge, message) };
        }
        let token = client_token(batch, progress.stage);
        sent(batch, self.execute(statement, Some(token), batch.now))
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        let told = match progress.stage {
            HANDED_OVER | HANDED_OVER_AGAIN | HANDED_OVER_ANEW => reply::of_hand_over(reply),
            _ => reply::of_question(self, reply),
        };
        match told {
            Told::Accepted(id) => {
                progress.stage += 1;
                progress.notes.insert(ID.to_owned(), id);
                self.ask(batch, progress)
            }
            // It is asked about a few times at once, which is as long as an easy statement takes.
            Told::Running(_) if progress.replies < REPLIES_MAX[usize::from(progress.stage > ASKED_FOR)] => {
                self.ask(batch, progress)
            }
            Told::Finished => self.layout.delivered(batch),
            Told::OneOfThem(alone) => Step::Split { alone },
            Told::Unlucky(_) if progress.stage == ASKED_FOR => {
                progress.stage = HANDED_OVER_AGAIN;
                self.prepare(batch, progress)
            }
            Told::Hindered(_) if progress.stage == ASKED_FOR => {
                progress.stage = HANDED_OVER_ANEW;
                self.prepare(batch, progress)
            }
            Told::Running(verdict) | Told::Unlucky(verdict) | Told::Hindered(verdict) | Told::All(verdict) => {
                Step::settle_all(batch, &verdict)
            }
        }
    }

    fn survey(&self, means: &Means<'_>) -> Option<Vec<Call>> {
        Some(provision::survey(self, means))
    }

    fn plan(&self, means: &Means<'_>, replies: &[Reply]) -> Result<Vec<Action>, String> {
        provision::plan(self, means, replies)
    }

    fn is_done(&self, reply: &Reply) -> Result<(), String> {
        match reply::of_hand_over(reply) {
            Told::Accepted(_) => Ok(()),
            _ => Err(format!("Redshift says: {}", reply::said(reply))),
        }
    }
}

impl Table {
    /// `"schema"."table"`.
    fn quoted(&self) -> String {
        format!("{}.{}", in_double_quotes(&self.schema), in_double_quotes(&self.name))
    }

    fn ask(&self, batch: &Batch<'_>, progress: &Progress) -> Step {
        sent(batch, self.request("DescribeStatement", &json!({"Id": progress.notes.get(ID)}), batch.now))
    }

    fn execute(&self, statement: String, token: Option<String>, now: Timestamp) -> Result<Call, String> {
        let mut body = self.whereabouts.clone();
        body.insert("Sql".to_owned(), statement.into());
        body.extend(token.map(|token| ("ClientToken".to_owned(), token.into())));
        self.request("ExecuteStatement", &body.into(), now)
    }

    fn request(&self, operation: &str, body: &Value, now: Timestamp) -> Result<Call, String> {
        let call = HttpCall {
            method: "POST",
            url: self.url.clone(),
            headers: vec![
                ("Content-Type".to_owned(), "application/x-amz-json-1.1".to_owned()),
                ("X-Amz-Target".to_owned(), format!("RedshiftData.{operation}")),
            ],
            body: body.to_string().into(),
            reply_bytes_max: REPLY_BYTES_DEFAULT,
        };
        Ok(Call::Http(self.signer.signed(call, now)?.header("User-Agent", USER_AGENT)))
    }
}

fn sent(batch: &Batch<'_>, call: Result<Call, String>) -> Step {
    match call {
        Ok(call) => Step::Send(call),
        Err(message) => Step::settle_all(
            batch,
            &Verdict::misconfigured(format!("the request cannot be signed ({message}); look at `region` and the keys")),
        ),
    }
}

/// A name for this statement, good for a while: the same statement is executed once, and one that failed gets another chance. If
/// a person had to mend something, that is at once.
fn client_token(batch: &Batch<'_>, stage: u32) -> String {
    let while_good = match stage {
        HANDED_OVER_ANEW => batch.now.as_millis(),
        _ => batch.now.as_secs().div_euclid(TOKEN_SECS),
    };
    let named = format!("{} {while_good} {stage}", batch.fingerprint());
    hex::encode(ring::digest::digest(&ring::digest::SHA256, named.as_bytes()))
}

#[cfg(test)]
mod tests;
