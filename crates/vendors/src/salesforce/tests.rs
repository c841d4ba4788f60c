use serde_json::json;

use super::*;
use crate::faults::Faults;
use crate::jwt::tests::signed;
use crate::probe;

const UPSERT: &str = "/services/data/v66.0/composite/sobjects/Lead/Key__c";

fn salesforce() -> Salesforce {
    Salesforce::new().with_key("Lead", "Key__c").with_field("Lead", "When__c", Kind::DateTime).with_field(
        "Lead",
        "Worth__c",
        Kind::Currency,
    )
}

/// An organisation with a session, and what it was sent.
struct Trial {
    org: Salesforce,
    book: Book,
    bearer: String,
}

impl Trial {
    fn of(mut org: Salesforce) -> Self {
        let body = "grant_type=client_credentials&client_id=consumer-key&client_secret=consumer-secret";
        let answer = org.answer(&Request::new("POST", oauth::TOKEN_PATH, body), &mut Book::default());
        let bearer = format!("Bearer {}", text(&answer.said_json()["access_token"]));
        Self { org, book: Book::default(), bearer }
    }

    fn ask(&mut self, method: &str, target: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request::new(method, target, body).with("authorization", &self.bearer);
        self.org.answer(&request, &mut self.book)
    }

    /// The code of each record of an upsert, empty for those that are there now.
    fn upsert(&mut self, records: &Value) -> Vec<String> {
        let said = self.ask("PATCH", UPSERT, &json!({ "allOrNone": false, "records": records })).said_json();
        codes(&said)
    }

    fn code(&mut self, method: &str, target: &str, body: &Value) -> (u16, String) {
        let answer = self.ask(method, target, body);
        (answer.status, text(&answer.said_json()[0]["errorCode"]).to_owned())
    }
}

fn codes(results: &Value) -> Vec<String> {
    let results = results.as_array().unwrap_or_else(|| panic!("{results}"));
    results.iter().map(|result| text(&result["errors"][0]["statusCode"]).to_owned()).collect()
}

fn lead(key: &str, more: &Value) -> Value {
    let mut lead =
        json!({ "attributes": { "type": "Lead" }, "Key__c": key, "LastName": "Lovelace", "Company": "Unknown" });
    lead.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    lead
}

#[test]
fn a_secret_buys_a_session_and_the_session_makes_a_lead_over_http() {
    let simulator = salesforce().start(Faults::none());
    let body = "grant_type=client_credentials&client_id=consumer-key&client_secret=consumer-secret";
    let reply = probe::send(simulator.address(), &Request::new("POST", oauth::TOKEN_PATH, body)).unwrap();
    let token: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(token["instance_url"], simulator.url());
    assert!(token.get("expires_in").is_none() && text(&token["id"]).ends_with(USER_ID));
    let records = json!({ "allOrNone": false, "records": [lead("sub_1", &json!({}))] });
    let request = Request::new("PATCH", UPSERT, records.to_string());
    assert_eq!(probe::send(simulator.address(), &request).unwrap().status, 401);
    let request = request.with("authorization", &format!("Bearer {}", text(&token["access_token"])));
    assert!(probe::send(simulator.address(), &request).unwrap().body.contains(r#""created":true"#));
    simulator.book(|book| assert_eq!(book.stored_keys(), ["sub_1"]));
    assert_eq!(simulator.vendor(|org| org.lines()), ["Lovelace"]);
}

#[test]
fn tokens_are_refused_in_salesforces_words_and_end_without_a_word() {
    let mut org = salesforce();
    let mut error = |body: &str| {
        let answer = org.answer(&Request::new("POST", oauth::TOKEN_PATH, body.to_owned()), &mut Book::default());
        (answer.status, text(&answer.said_json()["error"]).to_owned())
    };
    let of = |id: &str, secret: &str| format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    assert_eq!(error(&of("x", "y")), (400, "invalid_client_id".to_owned()));
    assert_eq!(error(&of("consumer-key", "y")), (400, "invalid_client".to_owned()));
    assert_eq!(error("grant_type=password"), (400, "unsupported_grant_type".to_owned()));
    let mut of_jwt = |subject: &str, life: u64| {
        let claims = json!({
            "iss": "consumer-key", "sub": subject, "aud": "https://login.salesforce.com", "iat": 1_772_634_728,
            "exp": 1_772_634_728 + life,
        });
        let assertion = signed(&json!({ "alg": "RS256" }), &claims);
        error(&format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}")).0
    };
    let user = "afterclick@acme.example";
    assert_eq!([of_jwt(user, 180), of_jwt(user, 181), of_jwt("nobody", 180)], [200, 400, 400]);

    let mut trial = Trial::of(salesforce());
    let request = Request::new("GET", "/services/data/v66.0/limits", "").with("authorization", &trial.bearer);
    let late = request.clone().at(Duration::from_hours(2));
    assert_eq!([request, late].map(|request| trial.org.answer(&request, &mut trial.book).status), [200, 401]);
}

#[test]
fn each_record_of_a_collection_is_judged_for_itself() {
    let mut trial = Trial::of(salesforce());
    trial.org.validation = Some(|_, record| (record.get("Phone") == Some(&json!("666"))).then_some("no"));
    let records = json!([
        lead("a", &json!({})),
        lead("b", &json!({ "LastName": null })),
        lead("c", &json!({ "FirstName": "x".repeat(41) })),
        lead("d", &json!({ "Email": "nobody" })),
        lead("e", &json!({ "When__c": "yesterday" })),
        lead("f", &json!({ "Status": "Closed - Converted" })),
        lead("g", &json!({ "Phone": "666" })),
        lead("h", &json!({ "When__c": "2026-03-04T14:35:22.887Z", "Worth__c": 1.5 })),
    ]);
    let expect = [
        "",
        "REQUIRED_FIELD_MISSING",
        "STRING_TOO_LONG",
        "INVALID_EMAIL_ADDRESS",
        "JSON_PARSER_ERROR",
        "INVALID_STATUS",
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "",
    ];
    assert_eq!(trial.upsert(&records), expect);
    assert_eq!((trial.org.records("Lead").len(), trial.book.refused.len()), (2, 6));
}

#[test]
fn a_record_may_be_somebody_elses_and_an_owner_nobody() {
    let mut trial = Trial::of(Salesforce { inactive_owners: vec!["005left".to_owned()], ..salesforce() });
    trial.upsert(&json!([lead("a", &json!({ "OwnerId": USER_ID })), lead("b", &json!({}))]));
    let id = text(&trial.org.records("Lead")[0]["Id"]).to_owned();
    trial.org.private.insert(id);
    let records = json!([
        lead("a", &json!({})),
        lead("b", &json!({ "OwnerId": "005nobody" })),
        lead("c", &json!({ "OwnerId": "005left" })),
        lead("d", &json!({ "RecordTypeId": "012nothing" })),
    ]);
    let expect = [
        "INSUFFICIENT_ACCESS_OR_READONLY",
        "INVALID_CROSS_REFERENCE_KEY",
        "INACTIVE_OWNER_OR_USER",
        "INVALID_CROSS_REFERENCE_KEY",
    ];
    assert_eq!(trial.upsert(&records), expect);
}

#[test]
fn an_answer_may_be_empty_though_what_was_asked_is_done() {
    let mut trial = Trial::of(Salesforce { hollow_every: Some(2), ..salesforce() });
    let body = |key: &str| json!({ "records": [lead(key, &json!({}))] });
    let answers = ["a", "b"].map(|key| trial.ask("PATCH", UPSERT, &body(key)));
    assert_eq!(answers.each_ref().map(|answer| (answer.status, answer.said().is_empty())), [(200, false), (200, true)]);
    assert_eq!(trial.org.records("Lead").len(), 2);
}

#[test]
fn a_key_is_one_record_however_often_it_comes_and_once_in_a_call() {
    let mut trial = Trial::of(salesforce());
    assert_eq!(trial.upsert(&json!([lead("a", &json!({ "Phone": "1" }))])), [""]);
    assert_eq!(trial.upsert(&json!([{ "attributes": { "type": "Lead" }, "Key__c": "a", "Phone": "2" }])), [""]);
    let leads = trial.org.records("Lead");
    assert_eq!((leads.len(), &leads[0]["Phone"], &leads[0]["LastName"]), (1, &json!("2"), &json!("Lovelace")));
    assert_eq!((trial.book.stored.len(), trial.book.duplicates.len()), (1, 1));
    assert_eq!(trial.upsert(&json!([lead("b", &json!({})), lead("b", &json!({}))])), ["DUPLICATE_VALUE"; 2]);
    let partial =
        Request::new("PATCH", UPSERT, json!({ "records": [lead("c", &json!({})), lead("d", &json!({}))] }).to_string());
    let partial = Request { partial_failure: true, ..partial.with("authorization", &trial.bearer) };
    assert_eq!(codes(&trial.org.answer(&partial, &mut trial.book).said_json()), ["", "UNABLE_TO_LOCK_ROW"]);
}

#[test]
fn a_call_is_refused_whole_for_a_field_that_cannot_be_seen() {
    let mut trial = Trial::of(salesforce());
    let body = |more: &Value| json!({ "records": [lead("a", &json!({})), lead("b", more)] });
    for (more, code) in [
        (json!({ "Nope__c": "x" }), "INVALID_FIELD"),
        (json!({ "Worth__c": "1.5" }), "JSON_PARSER_ERROR"),
        (json!({ "id": "00Q5g0000000001AAV" }), "INVALID_FIELD"),
        (json!({ "attributes": { "type": "Nope" } }), "INVALID_TYPE"),
    ] {
        assert_eq!(trial.code("PATCH", UPSERT, &body(&more)), (400, code.to_owned()), "{more}");
    }
    let by_name = "/services/data/v66.0/composite/sobjects/Lead/LastName";
    assert_eq!(trial.code("PATCH", by_name, &body(&json!({}))), (404, "NOT_FOUND".to_owned()));
    assert!(trial.org.records("Lead").is_empty());
}

#[test]
fn a_new_field_is_seen_by_nobody_until_a_permission_set_says_so() {
    let mut trial = Trial::of(Salesforce::new());
    let field = |metadata: &Value| json!({ "FullName": "Lead.Key__c", "Metadata": metadata });
    let text = field(&json!({ "type": "Text", "label": "Key", "length": 120, "externalId": true, "unique": true }));
    let path = "/services/data/v66.0/tooling/sobjects/CustomField";
    assert_eq!(trial.code("POST", path, &field(&json!({ "type": "Text", "label": "Key" }))).0, 400);
    assert_eq!(trial.ask("POST", path, &text).status, 201);
    assert_eq!(trial.code("POST", path, &text), (400, "DUPLICATE_DEVELOPER_NAME".to_owned()));
    let lead = json!({ "records": [lead("a", &json!({}))] });
    assert_eq!(trial.code("PATCH", UPSERT, &lead).1, "INVALID_FIELD");
    let part = |name: &str, object: &str, body: Value| json!({ "method": "POST", "url": format!("/services/data/v66.0/sobjects/{object}"), "referenceId": name, "body": body });
    let permission = |field: &str| json!({ "ParentId": "@{set.id}", "SobjectType": "Lead", "Field": field, "PermissionsRead": true, "PermissionsEdit": true });
    let give = |field: &str| {
        json!({ "allOrNone": true, "compositeRequest": [
            part("set", "PermissionSet", json!({ "Name": "Ours", "Label": "Ours" })),
            part("field", "FieldPermissions", permission(field)),
            part("user", "PermissionSetAssignment", json!({ "AssigneeId": USER_ID, "PermissionSetId": "@{set.id}" })),
        ] })
    };
    let composite = "/services/data/v66.0/composite";
    // One that fails takes the others with it.
    trial.ask("POST", composite, &give("Lead.Nope__c"));
    assert!(trial.org.records("PermissionSet").is_empty());
    trial.ask("POST", composite, &give("Lead.Key__c"));
    assert_eq!(codes(&trial.ask("PATCH", UPSERT, &lead).said_json()), [""]);
    let query = "/services/data/v66.0/query?q=SELECT+Field+FROM+FieldPermissions+WHERE+Parent.Name+=+'Ours'+AND+PermissionsEdit+=+true";
    assert_eq!(trial.ask("GET", query, &Value::Null).said_json()["records"][0]["Field"], "Lead.Key__c");
}

#[test]
fn a_duplicate_rule_warns_or_blocks() {
    for (rule, allowed) in [(DuplicateRule::Alert, ""), (DuplicateRule::Block, "DUPLICATES_DETECTED")] {
        let mut trial = Trial::of(salesforce());
        trial.org.duplicate_rule = Some(rule);
        trial.upsert(&json!([lead("a", &json!({ "Email": "ada@x.org" }))]));
        let again = json!({ "records": [lead("b", &json!({ "Email": "Ada@x.org" }))] });
        let said = trial.ask("PATCH", UPSERT, &again).said_json();
        assert_eq!(codes(&said), ["DUPLICATES_DETECTED"]);
        let found = &said[0]["errors"][0]["duplicateResut"]["matchResults"][0]["matchRecords"][0]["record"];
        assert_eq!(found["Id"], trial.org.records("Lead")[0]["Id"]);
        let request = Request::new("PATCH", UPSERT, again.to_string()).with("authorization", &trial.bearer);
        let request = request.with("sforce-duplicate-rule-header", "allowSave=true");
        assert_eq!(codes(&trial.org.answer(&request, &mut trial.book).said_json()), [allowed]);
    }
}

#[test]
fn a_lead_is_converted_by_the_action_and_then_nobody_writes_it() {
    let mut trial = Trial::of(salesforce());
    trial.upsert(&json!([lead("a", &json!({ "Email": "ada@x.org" }))]));
    let id = trial.org.records("Lead")[0]["Id"].clone();
    let action = "/services/data/v66.0/actions/standard/convertLead";
    let input = |status: &str| json!({ "inputs": [{ "leadId": id, "convertedStatus": status }] });
    assert_eq!(trial.ask("POST", action, &input("Open - Not Contacted")).status, 400);
    let made = trial.ask("POST", action, &input("Closed - Converted")).said_json();
    assert_eq!(made[0]["isSuccess"], true);
    let contact = &trial.org.records("Contact")[0];
    assert_eq!((&contact["Id"], &contact["Email"]), (&made[0]["outputValues"]["contactId"], &json!("ada@x.org")));
    assert_eq!(trial.upsert(&json!([lead("a", &json!({}))])), ["CANNOT_UPDATE_CONVERTED_LEAD"]);
    assert_eq!(trial.ask("POST", action, &input("Closed - Converted")).status, 400);
    let by_key = "/services/data/v66.0/sobjects/Lead/Key__c/a?fields=Id,ConvertedContactId";
    let read = trial.ask("GET", by_key, &Value::Null).said_json();
    assert_eq!(read["ConvertedContactId"], contact["Id"]);
    assert_eq!(trial.code("GET", "/services/data/v66.0/sobjects/Lead/Key__c/b%2Fc", &Value::Null).0, 404);
}

#[test]
fn records_are_merged_by_soap_with_the_session_in_the_envelope() {
    let mut trial = Trial::of(salesforce());
    trial.upsert(&json!([lead("a", &json!({})), lead("b", &json!({})), lead("c", &json!({}))]));
    let ids: Vec<_> = trial.org.records("Lead").iter().map(|lead| text(&lead["Id"]).to_owned()).collect();
    let session = trial.bearer.trim_start_matches("Bearer ").to_owned();
    let mut merge = |session: &str| {
        let body = format!(
            "<e:Envelope><e:Header><u:sessionId>{session}</u:sessionId></e:Header><e:Body><u:merge><u:request><u:masterRecord>\
             <s:type>Lead</s:type><s:Id>{}</s:Id></u:masterRecord><u:recordToMergeIds>{}</u:recordToMergeIds><u:recordToMergeIds>{}\
             </u:recordToMergeIds></u:request></u:merge></e:Body></e:Envelope>",
            ids[0], ids[1], ids[2]
        );
        let request = Request::new("POST", "/services/Soap/u/66.0", body).with("content-type", "text/xml");
        let answer = trial.org.answer(&request.with("soapaction", "merge"), &mut trial.book);
        (answer.status, answer.said().to_owned())
    };
    let (status, said) = merge("00D!nobody");
    assert!(status == 500 && said.contains("<faultcode>sf:INVALID_SESSION_ID</faultcode>"), "{said}");
    assert!(merge(&session).1.contains("<success>true</success>"));
    assert!(merge(&session).1.contains("<statusCode>ENTITY_IS_DELETED</statusCode>"));
    assert_eq!((trial.org.records("Lead").len(), trial.org.merges().len()), (1, 2));
}

#[test]
fn the_calls_of_a_day_are_counted_told_and_come_to_an_end() {
    let mut trial = Trial::of(Salesforce { api_limit: 2, ..salesforce() });
    let limits = "/services/data/v66.0/limits";
    let header = |answer: &Answer| {
        answer.headers.iter().find(|(name, _)| *name == "sforce-limit-info").map(|(_, value)| value.clone())
    };
    let answer = trial.ask("GET", limits, &Value::Null);
    assert_eq!(header(&answer).as_deref(), Some("api-usage=1/2"));
    trial.ask("GET", limits, &Value::Null);
    assert_eq!(trial.code("GET", limits, &Value::Null), (403, "REQUEST_LIMIT_EXCEEDED".to_owned()));
    let words = trial.org.words(Fault::RateLimit { retry_after_s: 3 }, &Request::new("GET", "/", "")).unwrap();
    assert_eq!((words.status, text(&words.said_json()[0]["errorCode"])), (403, "REQUEST_LIMIT_EXCEEDED"));
}
