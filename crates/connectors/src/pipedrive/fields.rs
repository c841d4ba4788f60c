//! The fields that are filled, and how Pipedrive wants the values of each kind.

use std::collections::BTreeMap;

use domain::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::common::on_one_line;
use crate::crm::{Part, Record};

/// Longest text of a short field, in characters; more is cut.
const SHORT_CHARS_MAX: usize = 255;
/// The same for a long one.
const LONG_CHARS_MAX: usize = 65_000;
/// Most choices of a field that are known by their names.
const CHOICES_MAX: usize = 200;

/// A field that we fill.
pub(super) struct Ours {
    pub(super) name: &'static str,
    /// What of the record it is, if that may turn out to be nothing.
    pub(super) part: Option<Part>,
    pub(super) of: Of,
}

/// Where its value comes from, and so what kind it is.
pub(super) enum Of {
    /// A member of the record itself.
    Member(for<'r> fn(&Record<'r>) -> Option<Value>),
    Text(for<'r> fn(&'r Record<'_>) -> Option<&'r str>),
    Time(fn(&Record<'_>) -> Option<Timestamp>),
    Number(fn(&Record<'_>) -> Option<f64>),
}

pub(super) const NAME: &str = "name";
pub(super) const EMAIL: &str = "email";
pub(super) const PHONE: &str = "phone";
pub(super) const VALUE: &str = "value";
pub(super) const CURRENCY: &str = "currency";

/// What a person has that is no custom field. The first three are put where they belong, the others are sent as they are.
pub(super) const PERSON_MEMBERS: &[&str] =
    &[NAME, EMAIL, PHONE, "owner_id", "org_id", "label_ids", "visible_to", "job_title", "notes"];
/// The same of a deal.
pub(super) const DEAL_MEMBERS: &[&str] =
    &[VALUE, CURRENCY, "owner_id", "label_ids", "expected_close_date", "probability", "visible_to"];

pub(super) const PERSON_OURS: &[Ours] = &[
    Ours { name: NAME, part: None, of: Of::Member(name) },
    Ours { name: EMAIL, part: None, of: Of::Member(|record| record.email.map(Value::from)) },
    Ours { name: PHONE, part: None, of: Of::Member(|record| record.phone.map(Value::from)) },
    Ours { name: "Deep link lead source", part: None, of: Of::Text(|record| record.lead_source) },
    Ours { name: "Deep link campaign", part: Some(Part::Campaign), of: Of::Text(|record| record.campaign) },
    Ours { name: "Deep link channel", part: Some(Part::Channel), of: Of::Text(|record| record.channel) },
    Ours { name: "Deep link platform", part: Some(Part::Platform), of: Of::Text(|record| record.platform) },
    Ours { name: "Deep link token", part: Some(Part::Token), of: Of::Text(|record| record.token) },
    Ours { name: "Deep link prefix", part: Some(Part::Prefix), of: Of::Text(|record| record.prefix) },
    Ours {
        name: "Last deep link campaign",
        part: Some(Part::LastCampaign),
        of: Of::Text(|record| record.last_campaign),
    },
    Ours { name: "Last deep link channel", part: Some(Part::LastChannel), of: Of::Text(|record| record.last_channel) },
    Ours { name: "Install date", part: Some(Part::InstalledAt), of: Of::Time(|record| record.installed_at) },
    Ours { name: "Referral source", part: Some(Part::ReferralSource), of: Of::Text(|record| record.referral_source) },
    Ours { name: "Referral date", part: Some(Part::ReferredAt), of: Of::Time(|record| record.referred_at) },
    Ours { name: "Conversion date", part: Some(Part::ConvertedAt), of: Of::Time(|record| record.converted_at) },
    Ours { name: "Conversion value", part: Some(Part::Value), of: Of::Number(|record| record.value) },
    Ours { name: "Conversion currency", part: Some(Part::Currency), of: Of::Text(|record| record.currency) },
];

pub(super) const DEAL_OURS: &[Ours] = &[
    Ours { name: VALUE, part: None, of: Of::Member(|record| record.value.map(Value::from)) },
    Ours { name: CURRENCY, part: None, of: Of::Member(currency) },
];

/// The whole name, as far as it is known.
fn name(record: &Record<'_>) -> Option<Value> {
    let parts = [record.first_name, record.last_name].into_iter().flatten();
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join(" ").into())
}

/// As ISO 4217 writes it. A value without one is in the company's own.
fn currency(record: &Record<'_>) -> Option<Value> {
    let currency = record.currency?.trim();
    let is_one = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_alphabetic());
    (record.value.is_some() && is_one).then(|| currency.to_uppercase().into())
}

impl Ours {
    pub(super) const fn is_custom(&self) -> bool {
        !matches!(self.of, Of::Member(_))
    }

    pub(super) fn value(&self, record: &Record<'_>) -> Option<Value> {
        match self.of {
            Of::Member(of) => of(record),
            Of::Text(of) => of(record).filter(|text| !text.is_empty()).map(Value::from),
            Of::Time(of) => of(record).map(|time| time.to_string().into()),
            Of::Number(of) => of(record).map(Value::from),
        }
    }

    /// Whether it is known to hold nothing: whatever of ours stands there is not true any more.
    pub(super) fn is_nothing(&self, record: &Record<'_>) -> bool {
        self.part.is_some_and(|part| record.is_nothing(part))
    }

    /// The kind that it is made as.
    pub(super) const fn kind(&self) -> &'static str {
        match self.of {
            Of::Time(_) => "date",
            Of::Number(_) => "double",
            Of::Member(_) | Of::Text(_) => TEXT,
        }
    }
}

/// The kind of a short text, which can be searched.
pub(super) const TEXT: &str = "varchar";

/// A custom field that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Custom {
    /// Forty digits, by which it is written.
    pub(super) code: String,
    /// Pipedrive's word for what it holds.
    pub(super) kind: String,
    /// Ids by the names of the choices, in small letters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    choices: BTreeMap<String, i64>,
}

impl Custom {
    /// Reads one of a list of fields, with its name. `None` if it is no custom field.
    pub(super) fn read(field: &Value) -> Option<(String, Self)> {
        let name = field["field_name"].as_str()?.trim().to_owned();
        let code = field["field_code"].as_str()?.to_owned();
        if field["is_custom_field"] != true || !is_code(&code) {
            return None;
        }
        let choices = field["options"].as_array().into_iter().flatten().take(CHOICES_MAX);
        let choices = choices.filter_map(|it| Some((it["label"].as_str()?.to_lowercase(), it["id"].as_i64()?)));
        let kind = field["field_type"].as_str().unwrap_or_default().to_owned();
        Some((name, Self { code, kind, choices: choices.collect() }))
    }

    /// One that stands in for one that was not looked up, under its name in place of its code.
    pub(super) fn by_name(name: &str, kind: &str) -> Self {
        Self { code: name.to_owned(), kind: kind.to_owned(), choices: BTreeMap::new() }
    }

    /// Whether what is of this kind can be told by exact search.
    pub(super) fn can_be_key(&self) -> bool {
        matches!(self.kind.as_str(), "varchar" | "text" | "varchar_auto")
    }

    /// Whether values of ours can be put into it.
    pub(super) fn takes(&self, ours: &Ours) -> bool {
        matches!(
            (&ours.of, self.kind.as_str()),
            (_, "varchar" | "text" | "varchar_auto")
                | (Of::Text(_), "enum" | "set")
                | (Of::Time(_), "date")
                | (Of::Number(_), "double" | "monetary")
        )
    }

    /// A value as this kind wants it; `None` if it is nothing. The error continues "field `…` ".
    pub(super) fn render(&self, value: &Value, currency: Option<&str>) -> Result<Option<Value>, String> {
        let text = match value {
            Value::Null => return Ok(None),
            Value::String(text) => text.replace('\0', "").trim().to_owned(),
            other => other.to_string(),
        };
        if text.is_empty() {
            return Ok(None);
        }
        let shown = || on_one_line(&text, 60);
        Ok(Some(match self.kind.as_str() {
            "text" => cut(&text, LONG_CHARS_MAX).into(),
            "date" => day(&text).ok_or_else(|| format!("is a date, and `{}` is none", shown()))?.into(),
            "double" => number(value, &text).ok_or_else(|| format!("is a number, and `{}` is none", shown()))?,
            "monetary" => {
                let value = number(value, &text).ok_or_else(|| format!("is an amount, and `{}` is none", shown()))?;
                match currency {
                    Some(currency) => json!({"value": value, "currency": currency}),
                    None => json!({ "value": value }),
                }
            }
            "enum" => self.choice(&text).ok_or_else(|| format!("has no choice `{}`; add it in Pipedrive", shown()))?,
            "set" => {
                let one = [value.clone()];
                let values = value.as_array().map_or(&one[..], Vec::as_slice);
                let texts = values.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                let ids: Option<Vec<_>> = texts.map(|text| self.choice(&text)).collect();
                ids.ok_or_else(|| format!("has not all of the choices `{}`; add them in Pipedrive", shown()))?.into()
            }
            "user" | "org" | "people" => {
                number(value, &text).ok_or_else(|| format!("holds an id, and `{}` is none", shown()))?
            }
            "address" if !value.is_object() => json!({ "value": cut(&text, SHORT_CHARS_MAX) }),
            _ if value.is_object() => value.clone(),
            _ => on_one_line(&text, SHORT_CHARS_MAX - 1).into(),
        }))
    }

    fn choice(&self, text: &str) -> Option<Value> {
        let id = self.choices.get(&text.trim().to_lowercase()).copied();
        id.or_else(|| text.parse().ok().filter(|id| self.choices.values().any(|known| known == id))).map(Value::from)
    }
}

/// Whether it may go into a URL and a body as the code of a field.
fn is_code(code: &str) -> bool {
    !code.is_empty() && code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The day in UTC of a time, or a day as it is.
fn day(text: &str) -> Option<String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return time.to_string().split_once('T').map(|(day, _)| day.to_owned());
    }
    format!("{text}T00:00:00Z").parse::<Timestamp>().is_ok().then(|| text.to_owned())
}

fn number(value: &Value, text: &str) -> Option<Value> {
    if value.is_number() {
        return Some(value.clone());
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from)
}

fn cut(text: &str, chars_max: usize) -> &str {
    text.char_indices().nth(chars_max).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(kind: &str, value: &Value) -> Result<Option<Value>, String> {
        let choices = [("Deep Link", 7), ("Cold", 8)].map(|(label, id)| json!({"id": id, "label": label}));
        let field = json!({"field_name": " X ", "field_code": "c0de", "field_type": kind, "is_custom_field": true, "options": choices});
        let (name, custom) = Custom::read(&field).unwrap();
        assert_eq!(name, "X");
        custom.render(value, Some("EUR"))
    }

    #[test]
    fn a_value_is_written_as_its_field_wants_it() {
        let time = json!("2026-05-21T23:14:00.000Z");
        for (kind, value, expect) in [
            ("varchar", json!("a\u{0}b\nc"), json!("ab c")),
            ("varchar", json!("é".repeat(300)), json!("é".repeat(254) + "…")),
            ("varchar", json!(true), json!("true")),
            ("text", json!("a\nb"), json!("a\nb")),
            ("date", time.clone(), json!("2026-05-21")),
            ("date", json!("2026-05-21"), json!("2026-05-21")),
            ("varchar", time, json!("2026-05-21T23:14:00.000Z")),
            ("double", json!("9.5"), json!(9.5)),
            ("double", json!(9), json!(9)),
            ("monetary", json!(9.5), json!({"value": 9.5, "currency": "EUR"})),
            ("enum", json!("deep link"), json!(7)),
            ("enum", json!(8), json!(8)),
            ("set", json!(["Cold", "Deep Link"]), json!([8, 7])),
            ("address", json!("1 Main St"), json!({"value": "1 Main St"})),
        ] {
            assert_eq!(rendered(kind, &value), Ok(Some(expect)), "{kind} {value}");
        }
        assert_eq!(rendered("varchar", &json!(" ")), Ok(None));
        assert_eq!(rendered("date", &Value::Null), Ok(None));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        for (kind, value, expect) in [
            ("date", "soon", "is a date, and `soon` is none"),
            ("double", "NaN", "is a number, and `NaN` is none"),
            ("enum", "Warm", "has no choice `Warm`; add it in Pipedrive"),
            ("set", "Warm", "has not all of the choices `Warm`; add them in Pipedrive"),
        ] {
            assert_eq!(rendered(kind, &json!(value)), Err(expect.to_owned()), "{kind}");
        }
    }

    #[test]
    fn what_is_no_custom_field_or_has_a_strange_code_is_none() {
        let field = |code: &str, is_custom: bool| json!({"field_name": "X", "field_code": code, "field_type": "varchar", "is_custom_field": is_custom});
        assert_eq!(Custom::read(&field("name", false)), None);
        assert_eq!(Custom::read(&field("a&b=c", true)), None);
    }
}
