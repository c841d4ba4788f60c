//! Rows for warehouses: one table of events that every one of them gets, under the names of its columns.
//!
//! [`COLUMNS`] is the table. A destination can add columns, fill one of ours with something else, leave ours out one by one
//! or all together: then the table is the user's own. How a value is written is the warehouse's business.

pub(crate) mod identifier;
mod literal;
pub(crate) mod written;

use domain::connector::{Batch, Field, FieldKind, Item, SettingsError, Step};
use domain::fields::Fields;
use domain::mapping::{Mapping, weight};
use domain::verdict::FailureReason;
use domain::{Settings, Timestamp, Verdict};
use serde_json::{Map, Value};

/// The table, unless the destination names another.
pub(crate) const TABLE_DEFAULT: &str = "deep_link_events";

/// Most that the rows of one batch hold, in bytes: several times what the events of the largest batch hold.
pub(crate) const ROWS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a pause message tells a person to run.
pub(crate) const PROVISION: &str = "`afterclick destinations provision NAME`";

/// The settings that every warehouse has.
pub(crate) const COLUMNS_FIELD: Field = Field::optional(
    "columns",
    FieldKind::Mapping,
    "columns to add or to fill differently, by name, with what goes into them; an empty text leaves one of ours out",
);
pub(crate) const DEFAULT_COLUMNS_FIELD: Field = Field::optional(
    "default_columns",
    FieldKind::Switch,
    "whether our columns are filled; with `false` only those under `columns` are, for a table of your own",
)
.or("true");

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The name of the event: different in every row.
    Id,
    /// One of many texts.
    Text,
    /// One of few texts.
    Word,
    Time,
    Number,
    Money,
    Flag,
    /// The event as it was received, a text.
    Raw,
    /// What the event says, an object.
    Data,
}

/// How a warehouse likes its rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// How times are written.
    pub(crate) time: fn(Timestamp) -> String,
    /// The column that holds the whole event: [`RAW`] or [`DATA`].
    pub(crate) whole: &'static Column,
}

/// A column of ours.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Whether every row has it.
    pub(crate) required: bool,
    read: Read,
}

type Read = fn(&Item<'_>, &Fields<'_>, Manner) -> Value;

const fn always(name: &'static str, kind: Kind, read: Read) -> Column {
    Column { name, kind, required: true, read }
}

const fn perhaps(name: &'static str, kind: Kind, read: Read) -> Column {
    Column { name, kind, required: false, read }
}

/// Our columns, in order; the one with the whole event follows.
static COLUMNS: [Column; 18] = [
    always("event_id", Kind::Id, |item, _, _| item.event.id.to_string().into()),
    always("event_type", Kind::Word, |item, _, _| item.event.event_type.as_str().into()),
    always("occurred_at", Kind::Time, |item, _, manner| (manner.time)(item.event.occurred_at).into()),
    always("received_at", Kind::Time, |item, _, manner| (manner.time)(item.event.received_at).into()),
    perhaps("link_id", Kind::Text, |_, fields, _| fields.link_id.as_deref().into()),
    perhaps("link_token", Kind::Text, |_, fields, _| fields.token.as_deref().into()),
    perhaps("campaign", Kind::Word, |_, fields, _| fields.campaign.as_deref().into()),
    perhaps("channel", Kind::Word, |_, fields, _| fields.channel.as_deref().into()),
    perhaps("platform", Kind::Word, |_, fields, _| fields.platform.as_deref().into()),
    perhaps("country", Kind::Word, |_, fields, _| fields.country.as_deref().into()),
    perhaps("region", Kind::Word, |_, fields, _| fields.region.as_deref().into()),
    perhaps("user_id", Kind::Text, |_, fields, _| fields.user_id.as_deref().into()),
    perhaps("anonymous_id", Kind::Text, |_, fields, _| {
        let id = fields.anonymous_id.as_deref();
        id.or(fields.install_id.as_deref()).or(fields.click_id.as_deref()).into()
    }),
    perhaps("match_method", Kind::Word, |_, fields, _| fields.match_method.as_deref().into()),
    perhaps("match_confidence", Kind::Number, |_, fields, _| fields.match_confidence.into()),
    perhaps("is_deferred", Kind::Flag, |_, fields, _| fields.is_deferred.into()),
    perhaps("revenue", Kind::Money, |_, fields, _| fields.revenue.into()),
    perhaps("currency", Kind::Word, |_, fields, _| fields.currency.as_deref().into()),
];

/// The event byte for byte.
pub(crate) static RAW: Column = always("raw", Kind::Raw, |item, _, _| String::from_utf8_lossy(&item.event.body).into());

/// Its data, for warehouses that can look inside.
pub(crate) static DATA: Column = always("data", Kind::Data, |item, _, _| item.data().clone());

/// `2026-03-04 14:32:08.441`, in UTC.
pub(crate) fn date_time(at: Timestamp) -> String {
    at.to_string().replace('T', " ").replace('Z', "")
}

/// `2026-03-04 14:32:08.441+00`, whatever the zone of the session is.
pub(crate) fn with_zone(at: Timestamp) -> String {
    format!("{}+00", date_time(at))
}

/// Which columns a destination fills, and with what.
#[derive(Debug)]
pub(crate) struct Layout {
    /// In order.
    pub(crate) names: Vec<String>,
    /// For each of the names, the column of ours that has it.
    ours: Vec<Option<&'static Column>>,
    mapping: Mapping,
    manner: Manner,
}

impl Layout {
    /// Reads the two settings, for rows in the usual manner.
    pub(crate) fn read(settings: &Settings) -> Result<Self, SettingsError> {
        Self::read_for(settings, Manner { time: date_time, whole: &RAW })
    }

    /// The same for rows in another manner.
    pub(crate) fn read_for(settings: &Settings, manner: Manner) -> Result<Self, SettingsError> {
        let wrong = |message| SettingsError::new("columns", message);
        let mut written = settings.object("columns").cloned().unwrap_or_default();
        for name in written.keys() {
            identifier::check(name).map_err(|message| wrong(format!("holds `{name}`, which {message}")))?;
        }
        let left_out: Vec<_> = written.iter().filter(|(_, it)| is_nothing(it)).map(|(name, _)| name.clone()).collect();
        written.retain(|_, value| !is_nothing(value));
        let mapping = Mapping::compile(&written).map_err(wrong)?;
        let has_ours = settings.0.get("default_columns").and_then(Value::as_bool).unwrap_or(true);
        let is_left_out = |name: &str| left_out.iter().any(|known| known == name);
        let ours = COLUMNS.iter().chain([manner.whole]).map(|column| column.name);
        let mut names: Vec<_> = ours.filter(|name| has_ours && !is_left_out(name)).map(str::to_owned).collect();
        for name in written.into_iter().map(|(name, _)| name) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.is_empty() {
            return Err(wrong("leaves no column to fill; name some, or leave `default_columns` on".to_owned()));
        }
        let our = |name: &String| COLUMNS.iter().chain([manner.whole]).find(|column| column.name == name);
        let ours = names.iter().map(our).collect();
        Ok(Self { names, ours, mapping, manner })
    }

    /// Whether a column is filled.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|filled| filled == name)
    }

    /// Whether the destination says itself what goes into a column.
    pub(crate) fn overrides(&self, name: &str) -> bool {
        self.mapping.names().any(|overridden| overridden == name)
    }

    /// Our column of this name.
    pub(crate) fn our(&self, name: &str) -> Option<&'static Column> {
        self.ours.iter().flatten().copied().find(|column| column.name == name)
    }

    /// What goes into the columns for an event; one that has nothing is left out.
    pub(crate) fn row(&self, item: &Item<'_>) -> Result<Map<String, Value>, Verdict> {
        let fields = item.fields();
        let mut row = Map::with_capacity(self.names.len());
        for column in self.ours.iter().flatten() {
            let value = (column.read)(item, &fields, self.manner);
            if !value.is_null() {
                row.insert(column.name.to_owned(), value);
            }
        }
        if !self.mapping.is_empty() {
            let applied = self.mapping.apply(item.value(), &mut row);
            applied.map_err(|error| Verdict::reject(FailureReason::TemplateError, error.to_string()))?;
        }
        Ok(row)
    }

    /// One verdict per item: what `verdict` says of the row with that number, or why there was no row.
    pub(crate) fn verdicts(&self, batch: &Batch<'_>, mut verdict: impl FnMut(usize) -> Verdict) -> Vec<Verdict> {
        let mut rows = 0..;
        let mut of_row = || rows.next().map_or(Verdict::Delivered, &mut verdict);
        // Only what a destination has written itself can fail.
        let refused = |item| if self.mapping.is_empty() { None } else { self.row(item).err() };
        batch.items.iter().map(|item| refused(item).unwrap_or_else(&mut of_row)).collect()
    }

    /// Every row is stored.
    pub(crate) fn delivered(&self, batch: &Batch<'_>) -> Step {
        Step::Settle(self.verdicts(batch, |_| Verdict::Delivered))
    }
}

/// What is written for a column that is to be left out; a file cannot say `null`.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || value == ""
}

/// The rows of a batch, without those events that have none.
pub(crate) struct Rows<'b> {
    pub(crate) rows: Vec<Map<String, Value>>,
    /// Whose they are, in the same order.
    pub(crate) items: Vec<&'b Item<'b>>,
}

impl<'b> Rows<'b> {
    /// Those to send; the step if there is nothing to send, or too much.
    pub(crate) fn to_send(batch: &Batch<'b>, layout: &Layout) -> Result<Self, Box<Step>> {
        match Self::of(batch, layout) {
            Ok(rows) if rows.rows.is_empty() => Err(Box::new(layout.delivered(batch))),
            Ok(rows) => Ok(rows),
            Err(alone) => Err(Box::new(Step::Split { alone })),
        }
    }

    /// All of them. If they are too large together, smaller batches are to be tried, because what a destination writes
    /// into each row may make much of little; then this is the verdict on one that is too large alone.
    pub(crate) fn of(batch: &Batch<'b>, layout: &Layout) -> Result<Self, Verdict> {
        let mut rows = Self { rows: Vec::with_capacity(batch.items.len()), items: Vec::new() };
        let mut bytes = 0;
        for item in batch.items {
            let Ok(row) = layout.row(item) else { continue };
            bytes += row.values().map(weight).sum::<usize>();
            if bytes > ROWS_BYTES_MAX {
                let message = format!("the row is larger than {} MiB", ROWS_BYTES_MAX >> 20);
                return Err(Verdict::reject(FailureReason::TooLarge, message));
            }
            rows.rows.push(row);
            rows.items.push(item);
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kit::{event, with_batch};

    fn settings(settings: Value) -> Settings {
        serde_json::from_value(settings).unwrap()
    }

    fn row(layout: Value) -> Value {
        let layout = Layout::read(&settings(layout)).unwrap();
        let events = [event("link.conversion")];
        with_batch(&events, false, |batch| layout.row(&batch.items[0]).unwrap().into())
    }

    #[test]
    fn a_table_of_the_users_own_gets_its_own_columns_and_nothing_else() {
        let layout = json!({"default_columns": false, "columns": {"ts": "{{ timestamp }}", "kind": "{{ type }}"}});
        assert_eq!(row(layout), json!({"ts": "2026-03-04T14:32:08.441Z", "kind": "link.conversion"}));
    }

    #[test]
    fn a_column_is_added_filled_differently_or_left_out() {
        let layout = json!({"columns": {"raw": null, "region": "", "link_id": "x", "tenant": "eu"}});
        let names = Layout::read(&settings(layout.clone())).unwrap().names;
        assert!(!names.iter().any(|name| name == "raw" || name == "region"), "{names:?}");
        assert!(names.ends_with(&["tenant".to_owned()]), "{names:?}");
        let row = row(layout);
        assert_eq!((&row["link_id"], &row["tenant"], row.get("raw")), (&json!("x"), &json!("eu"), None));
    }

    #[test]
    fn rows_that_are_mostly_what_the_destination_writes_are_made_in_smaller_batches() {
        let layout = json!({"columns": {"page": "x".repeat(1_000_000)}});
        let layout = Layout::read(&settings(layout)).unwrap();
        for (count, fits) in [(1, true), (50, true), (100, false)] {
            let events = vec![event("link.conversion"); count];
            let rows = with_batch(&events, false, |batch| Rows::of(batch, &layout).map(|rows| rows.items.len()));
            match rows {
                Ok(rows) => assert!(fits && rows == count),
                Err(alone) => assert!(!fits, "{alone:?}"),
            }
        }
    }

    #[test]
    fn columns_that_cannot_be_are_refused() {
        for columns in [json!({"a`b": 1}), json!({"": 1}), json!({"x": "{{ nope }}"})] {
            assert!(Layout::read(&settings(json!({"columns": columns}))).is_err(), "{columns}");
        }
        assert!(Layout::read(&settings(json!({"default_columns": false}))).is_err());
    }
}
