//! Files of columns: one row group of Parquet, as every warehouse and query engine reads it.
//!
//! The columns are written directly, without a table in memory in another format first. Our own have types: times are
//! milliseconds in UTC, sums and scores are doubles, flags are booleans. What the destination adds is text, because the
//! next event may say something of another kind: a number as its digits, an object as JSON.

use std::sync::Arc;

use bytes::Bytes;
use domain::Timestamp;
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;
use serde_json::{Map, Value};

use crate::warehouse::{Kind, Layout};

/// Times as [`file`] wants to find them in rows.
pub(super) fn time(at: Timestamp) -> String {
    at.as_millis().to_string()
}

/// One file with all rows. The error is for a person.
pub(super) fn file(rows: &[Map<String, Value>], layout: &Layout) -> Result<Bytes, String> {
    written(rows, layout).map(Bytes::from).map_err(|error| format!("these columns make no Parquet file: {error}"))
}

fn written(rows: &[Map<String, Value>], layout: &Layout) -> Result<Vec<u8>, ParquetError> {
    let columns: Vec<_> = layout.names.iter().map(|name| (name.as_str(), kind(layout, name))).collect();
    let fields: Vec<_> =
        columns.iter().map(|(name, kind)| field(name, *kind).map(Arc::new)).collect::<Result<_, _>>()?;
    let schema = Arc::new(Type::group_type_builder("events").with_fields(fields).build()?);
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for (name, kind) in columns {
        let Some(column) = group.next_column()? else { break };
        let values = rows.iter().map(|row| row.get(name));
        match kind {
            Kind::Time => put::<Int64Type>(column, values.map(|value| value?.as_str()?.parse().ok())),
            Kind::Number | Kind::Money => put::<DoubleType>(column, values.map(|value| value?.as_f64())),
            Kind::Flag => put::<BoolType>(column, values.map(|value| value?.as_bool())),
            _ => put::<ByteArrayType>(column, values.map(|value| text(value?))),
        }?;
    }
    group.close()?;
    writer.into_inner()
}

/// Writes a column in which every value may be missing.
fn put<T: DataType>(
    mut column: SerializedColumnWriter<'_>,
    values: impl Iterator<Item = Option<T::T>>,
) -> Result<(), ParquetError> {
    let (mut there, mut levels) = (Vec::new(), Vec::new());
    for value in values {
        levels.push(i16::from(value.is_some()));
        there.extend(value);
    }
    column.typed::<T>().write_batch(&there, Some(&levels), None)?;
    column.close()
}

/// What a column holds. One that the destination fills itself may hold anything.
fn kind(layout: &Layout, name: &str) -> Kind {
    let ours = layout.our(name).filter(|_| !layout.overrides(name));
    ours.map_or(Kind::Text, |column| column.kind)
}

fn field(name: &str, kind: Kind) -> Result<Type, ParquetError> {
    let (physical, logical) = match kind {
        Kind::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
        Kind::Number | Kind::Money => (Physical::DOUBLE, None),
        Kind::Flag => (Physical::BOOLEAN, None),
        _ => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
    };
    let field = Type::primitive_type_builder(name, physical);
    field.with_logical_type(logical).with_repetition(Repetition::OPTIONAL).build()
}

fn text(value: &Value) -> Option<ByteArray> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.as_str().into()),
        other => Some(other.to_string().into_bytes().into()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::Settings;
    use domain::connector::{Call, Progress, Step};
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use serde_json::json;

    use super::*;
    use crate::kit::{Variant, event_with, fixture, numbered, open, with_batch};
    use crate::s3::S3;

    /// The rows for a conversion with and one without everything that it can say, each value as its reader shows it.
    fn rows(columns: Value) -> [BTreeMap<String, String>; 2] {
        let Settings(mut settings) = fixture("s3").default;
        settings.extend([("format".to_owned(), "parquet".into()), ("columns".to_owned(), columns)]);
        let store = open(&S3, &Settings(settings));
        let event = |variant, number| numbered(event_with("link.conversion", variant), number);
        let events = [event(Variant::Full, 1), event(Variant::Required, 2)];
        let step = with_batch(&events, false, |batch| store.prepare(batch, &mut Progress::default()));
        let Step::Send(Call::Object(call)) = step else { panic!("{step:?}") };
        assert!(call.key.strip_suffix(".parquet").is_some() && !call.gzip, "{}", call.key);
        let file = SerializedFileReader::new(call.body).unwrap();
        let shown = |row: parquet::record::Row| -> BTreeMap<_, _> {
            row.get_column_iter().map(|(name, field)| (name.clone(), field.to_string())).collect()
        };
        let rows: Vec<_> = file.get_row_iter(None).unwrap().map(|row| shown(row.unwrap())).collect();
        rows.try_into().unwrap()
    }

    #[test]
    fn every_column_is_there_with_its_type_and_what_is_missing_is_null() {
        let [full, required] = rows(json!({}));
        assert_eq!(full["campaign"], r#""spring-sale""#);
        assert_eq!(full["revenue"], "49.99");
        assert_eq!(full["received_at"], "2026-03-04 14:32:08.441 +00:00");
        assert!(full["data"].contains("user_456"), "{}", full["data"]);
        for name in ["campaign", "revenue", "is_deferred"] {
            assert_eq!(required[name], "null", "{name}");
        }
    }

    #[test]
    fn columns_of_the_destination_are_texts_whatever_is_in_them() {
        let [full, required] = rows(json!({
            "tenant": "eu", "n": 7, "revenue": "{{ data.revenue }}", "list": "{{ 'a,b' | split(',') }}", "data": null,
        }));
        assert_eq!([&full["tenant"], &full["n"], &full["revenue"]], [r#""eu""#, r#""7""#, r#""49.99""#]);
        assert_eq!(full["list"], r#""["a","b"]""#);
        assert_eq!(required["revenue"], "null");
        assert!(!full.contains_key("data"));
    }
}
