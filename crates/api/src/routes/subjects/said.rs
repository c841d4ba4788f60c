//! Identifiers in a body: `"user_id": "42"`.

use std::fmt;

use domain::identity::identifier::{IDENTIFIER_BYTES_MAX, whole};
use domain::identity::{Identifier, IdentifierKind};
use http::StatusCode;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde_json::Value;

use crate::problem::Problem;

/// The value of an identifier: a text or, because many users have one for an id, a whole number.
#[derive(Debug, Clone)]
pub(crate) struct Said(String);

/// Reads the identifiers of a body.
pub(crate) fn identifiers(
    members: impl IntoIterator<Item = (IdentifierKind, Option<Said>)>,
) -> Result<Vec<Identifier>, Problem> {
    let said = members.into_iter().filter_map(|(kind, said)| Some((kind, said?)));
    said.map(|(kind, said)| identifier(kind, &said.0)).collect()
}

/// The address of a body: many write it among the traits.
pub(crate) fn address(said: Option<Said>, of_traits: Option<Value>) -> Result<Option<Said>, Problem> {
    let text = match of_traits {
        None => return Ok(said),
        Some(Value::String(text)) => text,
        Some(_) => return Err(Problem::unprocessable("traits.email", "`traits.email` must be an address")),
    };
    if text.trim().is_empty() {
        return Ok(said);
    }
    let email = |text: &str| Identifier::new(IdentifierKind::Email, text);
    match said {
        Some(said) if email(&said.0) != email(&text) => {
            Err(Problem::unprocessable("email", "`email` is another one here than among the `traits`; leave one out"))
        }
        said => Ok(said.or(Some(Said(text)))),
    }
}

fn identifier(kind: IdentifierKind, text: &str) -> Result<Identifier, Problem> {
    let member = kind.member();
    let invalid = |detail| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "identifier_invalid", detail).at(member);
    let identifier = Identifier::new(kind, text).ok_or_else(|| {
        invalid(format!("`{member}` must have 1 to {IDENTIFIER_BYTES_MAX} bytes, without control characters"))
    })?;
    let is_address = |text: &str| text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    if kind == IdentifierKind::Email && !is_address(identifier.value()) {
        return Err(invalid(format!("`{member}` must be an address, for example `ada@example.org`")));
    }
    if !identifier.names_somebody() {
        let value = identifier.value();
        return Err(invalid(format!(
            "`{member}` says `{value}`, which many applications send where nobody is signed in; leave it out"
        )));
    }
    Ok(identifier)
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;

        impl Visitor<'_> for TextOrNumber {
            type Value = Said;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a whole number")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Said, E> {
                Ok(Said(text.to_owned()))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Said, E> {
                Ok(Said(number.to_string()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Said, E> {
                Ok(Said(number.to_string()))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Said, E> {
                let message = "an identifier that is a number must be whole and of at most 15 digits, or of 64 bits and without a \
                               point; write it as a text";
                whole(number).map(Said).ok_or_else(|| E::custom(message))
            }
        }

        deserializer.deserialize_any(TextOrNumber)
    }
}
