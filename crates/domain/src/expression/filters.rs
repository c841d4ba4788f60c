//! The functions behind `|` and `is`: those of the engine whose result is no larger than what goes in, and our own with
//! a cap for those that could grow.

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Value, filters, tests};

use super::escape::{json, percent_encoded};
use super::{OUTPUT_BYTES_MAX, too_long};

/// The words behind `|`.
pub(super) const FILTERS: &[&str] = &[
    "abs",
    "bool",
    "capitalize",
    "count",
    "d",
    "default",
    "first",
    "float",
    "int",
    "join",
    "last",
    "length",
    "lower",
    "replace",
    "round",
    "split",
    "string",
    "title",
    "tojson",
    "trim",
    "upper",
    "urlencode",
];
/// Those of them that make a number or fail.
pub(super) const NUMBER_FILTERS: &[&str] = &["abs", "count", "float", "int", "length", "round"];
/// The words behind `is`.
pub(super) const TESTS: &[&str] = &[
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "even",
    "false",
    "float",
    "integer",
    "iterable",
    "lower",
    "mapping",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
    "upper",
];

/// Most parts of one `split`.
const PARTS_MAX: usize = 1_000;
/// Most decimals of one `round`.
const DECIMALS_MAX: usize = 17;

pub(super) fn add_to(environment: &mut Environment<'static>) {
    environment.add_filter("abs", filters::abs);
    environment.add_filter("bool", filters::bool);
    environment.add_filter("capitalize", filters::capitalize);
    environment.add_filter("count", filters::length);
    environment.add_filter("d", filters::default);
    environment.add_filter("default", filters::default);
    environment.add_filter("first", filters::first);
    environment.add_filter("float", filters::float);
    environment.add_filter("int", filters::int);
    environment.add_filter("join", join);
    environment.add_filter("last", last);
    environment.add_filter("length", filters::length);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("replace", replace);
    environment.add_filter("round", round);
    environment.add_filter("split", split);
    environment.add_filter("string", string);
    environment.add_filter("title", filters::title);
    environment.add_filter("tojson", tojson);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("upper", filters::upper);
    environment.add_filter("urlencode", urlencode);

    environment.add_test("boolean", tests::is_boolean);
    environment.add_test("defined", tests::is_defined);
    environment.add_test("divisibleby", tests::is_divisibleby);
    environment.add_test("endingwith", tests::is_endingwith);
    environment.add_test("even", tests::is_even);
    environment.add_test("false", tests::is_false);
    environment.add_test("float", tests::is_float);
    environment.add_test("integer", tests::is_integer);
    environment.add_test("iterable", tests::is_iterable);
    environment.add_test("lower", tests::is_lower);
    environment.add_test("mapping", tests::is_mapping);
    environment.add_test("none", tests::is_none);
    environment.add_test("number", tests::is_number);
    environment.add_test("odd", tests::is_odd);
    environment.add_test("sequence", tests::is_sequence);
    environment.add_test("startingwith", tests::is_startingwith);
    environment.add_test("string", tests::is_string);
    environment.add_test("true", tests::is_true);
    environment.add_test("undefined", tests::is_undefined);
    environment.add_test("upper", tests::is_upper);
}

fn replace(text: &str, from: &str, to: &str) -> Result<String, Error> {
    // An empty `from` stands between all characters, where `matches` finds it too.
    let found = text.matches(from).count();
    within(text.len().saturating_add(found.saturating_mul(to.len())))?;
    Ok(text.replace(from, to))
}

fn join(values: &Value, separator: Option<&str>) -> Result<String, Error> {
    let separator = separator.unwrap_or_default();
    let mut text = String::new();
    for (index, value) in values.try_iter()?.enumerate() {
        if index > 0 {
            text.push_str(separator);
        }
        match value.as_str() {
            Some(part) => text.push_str(part),
            None => text.push_str(&value.to_string()),
        }
        within(text.len())?;
    }
    Ok(text)
}

fn split(text: &str, separator: Option<&str>) -> Result<Vec<String>, Error> {
    let parts: Vec<_> = match separator {
        None => text.split_whitespace().take(PARTS_MAX + 1).map(str::to_owned).collect(),
        Some("") => return Err(invalid("`split` needs a separator that is not empty")),
        Some(separator) => text.split(separator).take(PARTS_MAX + 1).map(str::to_owned).collect(),
    };
    if parts.len() > PARTS_MAX { Err(invalid(format!("`split` makes more than {PARTS_MAX} parts"))) } else { Ok(parts) }
}

fn last(value: &Value) -> Result<Value, Error> {
    match (value.as_str(), value.len()) {
        (Some(text), _) => Ok(text.chars().next_back().map_or(Value::UNDEFINED, Value::from)),
        (None, Some(0)) => Ok(Value::UNDEFINED),
        (None, Some(count)) if value.kind() == ValueKind::Seq => value.get_item_by_index(count - 1),
        _ => Err(invalid("`last` takes a text or a list")),
    }
}

fn round(value: &Value, decimals: Option<usize>) -> Result<Value, Error> {
    if value.kind() != ValueKind::Number {
        return Err(invalid("`round` takes a number"));
    }
    if value.is_integer() {
        return Ok(value.clone());
    }
    let number = f64::try_from(value.clone())?;
    let decimals = decimals.unwrap_or(0).min(DECIMALS_MAX);
    format!("{number:.decimals$}")
        .parse()
        .map(|rounded: f64| Value::from(rounded))
        .map_err(|_| invalid("`round` failed"))
}

fn string(value: &Value) -> Result<String, Error> {
    let text = if value.is_undefined() { String::new() } else { value.to_string() };
    within(text.len())?;
    Ok(text)
}

fn tojson(value: &Value) -> Result<String, Error> {
    let text = json(value)?;
    within(text.len())?;
    Ok(text)
}

fn urlencode(value: &Value) -> Result<String, Error> {
    let text = percent_encoded(&string(value)?);
    within(text.len())?;
    Ok(text)
}

fn within(bytes: usize) -> Result<(), Error> {
    if bytes > OUTPUT_BYTES_MAX { Err(invalid(too_long())) } else { Ok(()) }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}
