//! The one thing that only the older API does: making one record of several.

use domain::connector::{HttpCall, Reply, Token};
use url::Url;

use super::reply::{self, ItemError, Outcome, Refusal};
use super::settings::Org;
use crate::common::USER_AGENT;

/// One request to merge.
#[derive(Debug)]
pub(super) struct Merge {
    pub(super) object: &'static str,
    /// The id of the record that stays.
    pub(super) master: String,
    /// The id of the one that becomes part of it. A request takes two, and does nothing for both if one of them is gone.
    pub(super) victim: String,
}

/// The call. The session is in its body, which nobody is shown without the token being put out of it.
pub(super) fn merge(url: Url, token: Option<&Token>, merges: &[Merge]) -> HttpCall {
    let session = escaped(token.map(|token| token.secret.expose()).unwrap_or_default());
    let requests: String = merges.iter().map(request).collect();
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns=\"urn:partner.soap.sforce.com\" xmlns:so=\"urn:sobject.partner.soap.sforce.com\">\
         <soapenv:Header><SessionHeader><sessionId>{session}</sessionId></SessionHeader></soapenv:Header>\
         <soapenv:Body><merge>{requests}</merge></soapenv:Body></soapenv:Envelope>"
    );
    let headers =
        [("Content-Type", "text/xml; charset=UTF-8"), ("SOAPAction", "\"merge\""), ("User-Agent", USER_AGENT)];
    HttpCall {
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..HttpCall::post_json(url, body)
    }
    .with_long_reply()
}

fn request(merge: &Merge) -> String {
    let (object, master, victim) = (escaped(merge.object), escaped(&merge.master), escaped(&merge.victim));
    format!(
        "<request><masterRecord><so:type>{object}</so:type><so:Id>{master}</so:Id></masterRecord><recordToMergeIds>{victim}</recordToMergeIds></request>"
    )
}

/// A text inside an element.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            // No character of XML at all.
            c if c.is_control() && !matches!(c, '\t' | '\n' | '\r') => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// What became of each request, in order.
pub(super) fn outcomes(org: &Org, reply: &Reply, count: usize) -> Result<Vec<Outcome>, Refusal> {
    let text = reply.text();
    let results: Vec<_> = elements(&text, "result").map(outcome).collect();
    if reply.status == 200 && results.len() == count {
        return Ok(results);
    }
    let Some(code) = elements(&text, "faultcode").next() else { return Err(reply::refusal(org, reply)) };
    // `sf:INVALID_SESSION_ID`
    let code = code.rsplit(':').next().unwrap_or(code).to_owned();
    let message = elements(&text, "faultstring").next().map(unescaped).unwrap_or_default();
    let status = if code == "INVALID_SESSION_ID" { 401 } else { reply.status };
    Err(reply::refusal_of(org, reply, status, &[ItemError::new(code, message)]))
}

fn outcome(result: &str) -> Outcome {
    let errors = elements(result, "errors").map(|error| {
        let first = |name| elements(error, name).next().map(unescaped).unwrap_or_default();
        ItemError::new(first("statusCode"), first("message"))
    });
    let is_success = elements(result, "success").next() == Some("true");
    Outcome::of(is_success, errors.collect())
}

/// What is inside the elements of this name, one after another; of what is nested in one of the same name nothing is read,
/// and Salesforce nests none.
fn elements<'t>(text: &'t str, name: &'t str) -> impl Iterator<Item = &'t str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once('<')?;
            rest = after;
            let (tag, inside) = after.split_once('>')?;
            let tag_name = tag.split([' ', '\t', '\n', '/']).next().unwrap_or(tag);
            let local = tag_name.rsplit(':').next().unwrap_or(tag_name);
            if local != name || tag.starts_with('/') || tag.ends_with('/') {
                continue;
            }
            let (found, after) = inside.split_once(&format!("</{tag_name}>"))?;
            rest = after;
            return Some(found);
        }
    })
}

fn unescaped(text: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    entities.iter().fold(text.to_owned(), |text, (entity, c)| text.replace(entity, c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_an_element() {
        assert_eq!(escaped("a</sessionId>&\"'\u{0}"), "a&lt;/sessionId&gt;&amp;&quot;&apos; ");
        assert_eq!(unescaped(&escaped("a</b>&lt;\"'")), "a</b>&lt;\"'");
    }

    #[test]
    fn elements_are_found_under_any_prefix() {
        let text = "<a><sf:result x=\"1\"><id>1</id></sf:result><result/><results>no</results><result>2</result></a>";
        assert_eq!(elements(text, "result").collect::<Vec<_>>(), ["<id>1</id>", "2"]);
        assert_eq!(elements("<result>never ends", "result").count(), 0);
    }
}
