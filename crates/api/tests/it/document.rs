//! The OpenAPI document.

use std::collections::BTreeSet;

use domain::key::Scope;
use http::Method;
use serde_json::Value;

use crate::desk::Desk;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

pub(crate) fn document() -> Value {
    serde_json::to_value(api::openapi()).unwrap()
}

pub(crate) fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                operations.push((method.to_uppercase(), path.clone(), operation.clone()));
            }
        }
    }
    operations
}

/// A path with something in the place of its parameters.
fn filled(path: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { "none" } else { part }).collect::<Vec<_>>().join("/")
}

#[tokio::test(start_paused = true)]
async fn every_operation_of_the_document_is_a_route_and_no_other_method_is() {
    let desk = Desk::new().await;
    let document = document();
    assert_eq!(desk.get("/v1/openapi.json").no_key().expect(200).await, document);
    assert!(operations(&document).len() > 45);
    for path in document["paths"].as_object().unwrap().keys() {
        for method in METHODS {
            let method: Method = method.to_uppercase().parse().unwrap();
            let answer = desk.ask(method.clone(), &filled(path)).no_key().send().await.text();
            let is_route = !answer.contains("method_not_allowed") && !answer.contains("route_not_found");
            let is_told = document["paths"][path].get(method.as_str().to_lowercase()).is_some();
            assert_eq!(is_route, is_told, "{method} {path}: {answer}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_operation_that_needs_a_key_refuses_to_go_without() {
    let desk = Desk::new().await;
    for (method, path, operation) in operations(&document()) {
        let is_public = operation["security"].as_array().is_some_and(Vec::is_empty);
        let answer = desk.ask(method.parse().unwrap(), &filled(&path)).no_key().send().await;
        let asks = answer.text().contains("key_missing");
        assert_eq!(asks, !is_public, "{method} {path}: {}", answer.text());
    }
}

#[tokio::test(start_paused = true)]
async fn every_operation_takes_exactly_the_scopes_it_tells() {
    let desk = Desk::new().await;
    let appspace = desk.pipeline.registry.default_appspace().id;
    let scopes = [("appspace", Scope::Appspace), ("publish", Scope::Publish), ("read", Scope::Read)];
    for (name, scope) in scopes {
        desk.put_key(name, scope, Some(appspace)).await;
    }
    for (method, path, operation) in operations(&document()) {
        let Some(requirement) = operation["security"].get(0) else { continue };
        let told = requirement["key"].get(0).and_then(Value::as_str);
        for (name, scope) in scopes {
            let answer = desk.ask(method.parse().unwrap(), &filled(&path)).key(name).send().await.text();
            let allowed = match told {
                Some("admin") => scope.allows(Scope::Admin),
                Some("appspace") => scope.allows(Scope::Appspace),
                Some("publish") => scope.allows(Scope::Publish),
                Some("read") => scope.allows(Scope::Read),
                Some(other) => panic!("{method} {path} tells of an unknown scope `{other}`"),
                None => true,
            };
            assert_eq!(!answer.contains("scope_missing"), allowed, "{name}: {method} {path}: {answer}");
        }
    }
}

#[test]
fn every_operation_says_what_it_is_what_it_answers_and_what_can_go_wrong() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let what = format!("{method} {path}");
        assert!(operation["summary"].as_str().is_some_and(|summary| summary.len() > 5), "{what} has no summary");
        assert!(!operation["tags"][0].is_null(), "{what} has no tag");
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{what} shares its operationId");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{what} has no success");
        assert_eq!(responses["default"]["$ref"], "#/components/responses/Problemdefault", "{what}");
        let parameters: Vec<_> = operation["parameters"].as_array().into_iter().flatten().collect();
        for part in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            let told = parameters.iter().any(|parameter| parameter["name"] == part && parameter["in"] == "path");
            assert!(told, "{what} does not tell of {part}");
        }
    }
}

#[test]
fn the_document_is_openapi_3_1_and_every_reference_leads_somewhere() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["title"], "Afterclick");
    assert_eq!(document["components"]["securitySchemes"]["key"]["scheme"], "bearer");
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("a reference inside the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    let problem = &document["components"]["schemas"]["Problem"];
    for member in ["type", "title", "status", "detail", "code"] {
        assert!(problem["required"].as_array().unwrap().contains(&Value::from(member)), "{member}");
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("$ref", Value::String(reference)) => references.push(reference.clone()),
                    _ => collect(member, references),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}
