//! Privacy on the command line: `HOW=FIELDS`, for example `drop=user_agent,phone`.

use domain::Privacy;
use serde_json::Value;

use super::Failure;

/// `--privacy` options over what holds now. Of each field the last word counts; what is not named stays.
pub(super) fn over(options: &[String], current: &Value) -> Result<Option<Value>, Failure> {
    if options.is_empty() {
        return Ok(None);
    }
    let mut privacy: Privacy = serde_json::from_value(current.clone()).unwrap_or_default();
    for option in options {
        let (how, fields) =
            option.split_once('=').filter(|(_, fields)| !fields.is_empty()).ok_or_else(|| misused(option))?;
        for field in fields.split(',').map(str::trim) {
            let (name, length) = match field.split_once(':') {
                Some((name, length)) => (name, Some(length.parse::<u8>().map_err(|_| misused(option))?)),
                None => (field, None),
            };
            privacy.drop.remove(name);
            privacy.hash.remove(name);
            privacy.truncate.remove(name);
            let name = name.to_owned();
            match (how, length) {
                ("drop", None) => privacy.drop.extend([name]),
                ("hash", None) => privacy.hash.extend([name]),
                ("truncate", Some(length)) => privacy.truncate.extend([(name, length)]),
                ("keep", None) => {}
                _ => return Err(misused(option)),
            }
        }
    }
    Ok(Some(serde_json::to_value(privacy)?))
}

fn misused(option: &str) -> Failure {
    Failure::misused(format!(
        "`{option}` says nothing about privacy; write `drop=user_agent`, `hash=email`, `truncate=ip:24` or `keep=email`"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(options: &[&str], current: &Value, expect: &Value) {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        assert_eq!(over(&options, current).ok().flatten().as_ref(), Some(expect), "{options:?}");
    }

    #[test]
    fn of_each_field_the_last_word_counts_and_the_rest_stays() {
        check(
            &["drop=user_agent, phone", "hash=email", "truncate=ip:24,name:1"],
            &Value::Null,
            &json!({ "drop": ["phone", "user_agent"], "hash": ["email"], "truncate": { "ip": 24, "name": 1 } }),
        );
        let current = json!({ "drop": ["ip", "phone"], "hash": ["email"] });
        check(
            &["truncate=ip:24"],
            &current,
            &json!({ "drop": ["phone"], "hash": ["email"], "truncate": { "ip": 24 } }),
        );
        check(&["keep=ip,phone,email"], &current, &json!({}));
        assert!(over(&[], &current).is_ok_and(|wish| wish.is_none()));
    }

    #[test]
    fn what_cannot_be_read_is_told_with_what_can() {
        for option in ["ip", "drop=", "drop=ip:24", "truncate=ip", "truncate=ip:many", "truncate=ip:300", "forget=ip"] {
            assert!(matches!(over(&[option.to_owned()], &Value::Null), Err(Failure::Misused(_))), "{option}");
        }
    }
}
