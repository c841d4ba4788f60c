//! Converting a lead: an account and a contact are made of it, and nobody can write it any more.

use serde_json::{Map, Value, json};

use super::Salesforce;
use super::schema::CONVERTED_STATUS;
use super::words::{self, Refusal};
use crate::answer::Answer;
use crate::look::{list, text};
use crate::request::Request;

/// What a lead became.
pub(super) struct Made {
    pub(super) contact: String,
    account: String,
}

/// `actions/standard/convertLead`, which is answered with 400 if any input fails, and with a result for each.
pub(super) fn action(org: &mut Salesforce, request: &Request) -> Result<Answer, Refusal> {
    let body = request.json().map_err(|message| words::unreadable(&message))?;
    let mut has_failed = false;
    let mut results = Vec::new();
    for input in list(&body["inputs"]) {
        let lead = text(&input["leadId"]);
        let result = match org.convert_lead(lead, text(&input["convertedStatus"])) {
            Ok(made) => json!({
                "actionName": "convertLead", "errors": null, "isSuccess": true,
                "outputValues": {"accountId": made.account, "contactId": made.contact, "leadId": lead, "opportunityId": null},
            }),
            Err(refusal) => {
                has_failed = true;
                json!({
                    "actionName": "convertLead", "isSuccess": false, "outputValues": null,
                    "errors": [{"statusCode": refusal.code, "message": refusal.message, "fields": []}],
                })
            }
        };
        results.push(result);
    }
    Ok(Answer::json(if has_failed { 400 } else { 200 }, &Value::Array(results)))
}

impl Salesforce {
    pub(super) fn convert_lead(&mut self, lead: &str, status: &str) -> Result<Made, Refusal> {
        let refused = |code: &'static str, message: &str| Err(Refusal::new(400, code, message));
        if !self.can_convert {
            return refused("INSUFFICIENT_ACCESS", "insufficient access rights on object: Convert Leads is needed");
        }
        if status != CONVERTED_STATUS {
            return refused("INVALID_STATUS", "invalid convertedStatus");
        }
        let Some(row) = self.whole(lead).filter(|_| lead.starts_with("00Q")) else {
            return refused("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id");
        };
        if row.get("IsConverted") == Some(&json!(true)) {
            return refused("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead");
        }
        let account = self.put("Account", Map::from_iter([("Name".to_owned(), row["Company"].clone())]));
        // What the contact has a field for, it gets.
        let names = self.visible("Contact").into_iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        let own = row.iter().filter(|(name, _)| names.contains(name) && !self.is_key(name));
        let mut contact: Map<String, Value> = own.map(|(name, value)| (name.clone(), value.clone())).collect();
        contact.insert("AccountId".to_owned(), json!(account));
        let contact = self.put("Contact", contact);
        for (name, value) in [
            ("IsConverted", json!(true)),
            ("ConvertedContactId", json!(contact)),
            ("ConvertedAccountId", json!(account)),
            ("Status", json!(status)),
        ] {
            self.write(lead, name, value);
        }
        self.conversions.push(lead.to_owned());
        Ok(Made { contact, account })
    }

    fn is_key(&self, name: &str) -> bool {
        self.fields.get("Contact").and_then(|fields| fields.get(name)).is_some_and(|field| field.is_unique)
    }
}
