//! The older API, as far as it merges: the session is in the head of the envelope.

use super::words::Refusal;
use super::{Salesforce, words};
use crate::answer::Answer;
use crate::book::Book;
use crate::request::Request;

/// Most requests of a call, and most records that one merges into another.
const REQUESTS_MAX: usize = 200;
const VICTIMS_MAX: usize = 2;

pub(super) fn answer(org: &mut Salesforce, request: &Request, book: &mut Book) -> Answer {
    let envelope = String::from_utf8_lossy(&request.body).into_owned();
    let is_soap = request.header("soapaction").is_some()
        && request.header("content-type").is_some_and(|kind| kind.starts_with("text/xml"));
    if !is_soap {
        return fault("SOAP-ENV:Client", "it is no SOAP call");
    }
    if !org.admits(first(&envelope, "sessionId").as_deref(), request.at) {
        return expired();
    }
    if let Err(refusal) = org.take_call(request.at) {
        return fault(&format!("sf:{}", refusal.code), &refusal.message);
    }
    // What a request is called is not looked at: clients differ.
    let requests = ["request", "mergeRequests"].map(|name| all(&envelope, name)).concat();
    if requests.is_empty() || requests.len() > REQUESTS_MAX {
        return fault("sf:MALFORMED_QUERY", "1 to 200 requests to merge");
    }
    let results: String = requests.iter().map(|request| result(&merge(org, request, book))).collect();
    envelope_of(200, &format!("<mergeResponse>{results}</mergeResponse>"))
}

fn merge(org: &mut Salesforce, request: &str, book: &mut Book) -> Result<String, Refusal> {
    let malformed = |message: &str| Refusal::new(400, "MALFORMED_ID", message);
    let (object, master) = (first(request, "type").unwrap_or_default(), first(request, "Id").unwrap_or_default());
    let victims = all(request, "recordToMergeIds");
    if !matches!(object.as_str(), "Lead" | "Contact") || victims.is_empty() || victims.len() > VICTIMS_MAX {
        return Err(malformed("an object that can be merged, and one or two records"));
    }
    for id in std::iter::once(&master).chain(&victims) {
        let row = org.rows.get(id).ok_or_else(|| malformed("invalid id"))?;
        if row.object != object || victims.contains(&master) {
            return Err(malformed("records of one object, each once"));
        }
        if row.is_deleted {
            return Err(Refusal::new(400, "ENTITY_IS_DELETED", "entity is deleted"));
        }
        if org.private.contains(id) {
            return Err(words::no_access());
        }
        if row.fields.get("IsConverted") == Some(&true.into()) {
            return Err(Refusal::new(400, "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead"));
        }
    }
    for victim in victims {
        org.delete(&victim);
        book.flag(victim.clone(), master.clone().into(), "merged");
        org.merges.push((victim, master.clone()));
    }
    Ok(master)
}

fn result(merged: &Result<String, Refusal>) -> String {
    match merged {
        Ok(id) => format!("<result><id>{id}</id><success>true</success></result>"),
        Err(refusal) => format!(
            "<result><errors><message>{}</message><statusCode>{}</statusCode></errors><id xsi:nil=\"true\"/>\
             <success>false</success></result>",
            escaped(&refusal.message),
            refusal.code
        ),
    }
}

pub(super) fn expired() -> Answer {
    let refusal = words::expired();
    fault(&format!("sf:{}", refusal.code), &format!("{}: {}", refusal.code, refusal.message))
}

fn fault(code: &str, message: &str) -> Answer {
    let message = escaped(message);
    envelope_of(
        500,
        &format!("<soapenv:Fault><faultcode>{code}</faultcode><faultstring>{message}</faultstring></soapenv:Fault>"),
    )
}

fn envelope_of(status: u16, body: &str) -> Answer {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope \
         xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns=\"urn:partner.soap.sforce.com\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
    );
    let mut answer = Answer::text(status, text);
    answer.headers = vec![("content-type", "text/xml; charset=utf-8".to_owned())];
    answer
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn first(text: &str, name: &str) -> Option<String> {
    all(text, name).into_iter().next()
}

/// What is inside the elements of this name, whatever their prefix.
fn all(text: &str, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((tag, inside)) = after.split_once('>') else { break };
        rest = inside;
        let tag_name = tag.split(' ').next().unwrap_or_default();
        if tag_name.rsplit(':').next() == Some(name)
            && !tag.starts_with('/')
            && let Some((content, after)) = inside.split_once(&format!("</{tag_name}>"))
        {
            let content = content.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
            found.push(content.replace("&apos;", "'").replace("&amp;", "&"));
            rest = after;
        }
    }
    found
}
