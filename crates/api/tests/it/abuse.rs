//! Whatever is sent, the answer is never a failure of ours. Every member, parameter and path of the document is tried
//! with values that have broken servers before; `truth` holds each answer against the document meanwhile.

use http::Method;
use serde_json::{Map, Value, json};

use crate::desk::{Desk, SECRET};
use crate::document::{document, operations};

fn nasty_values() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e308),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(""),
        json!("\u{0}"),
        json!("a\r\nx: y"),
        json!("../../etc/passwd"),
        json!("{{ data }}"),
        json!("data.x[".to_owned() + &"(".repeat(300)),
        json!("9999-12-31T23:59:59.999Z"),
        json!("-009999-01-01T00:00:00Z"),
        json!("é".repeat(5_000)),
        json!([]),
        json!([null]),
        json!([[], {}, "*", "a.*"]),
        json!({}),
        json!({ "": null, "url": 1, "secret": [], "headers": { "Host": "x", "\r\n": "y" } }),
        json!({ "from": "9999-12-31T23:59:59Z", "to": "0000-01-01T00:00:00Z" }),
    ]
}

/// A body that is accepted, as far as its required members go.
fn base(schema: &Value) -> Map<String, Value> {
    let value = |name: &str| match name {
        "connector" => json!("webhook"),
        "kind" => json!("tolinku"),
        "scope" => json!("read"),
        "destination" => json!("orders"),
        "from" => json!("2026-03-01T00:00:00Z"),
        "event" => json!("link.clicked"),
        "data" => json!({}),
        _ => json!("a"),
    };
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    required.map(|name| (name.to_owned(), value(name))).collect()
}

/// The schema of an operation's body, and the names of its members.
fn body_members(document: &Value, operation: &Value) -> Option<(Value, Vec<String>)> {
    let mut schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    loop {
        let choice = schema["oneOf"].as_array().and_then(|choices| choices.iter().find(|c| c["type"] != "null"));
        match (schema["$ref"].as_str(), choice) {
            (Some(reference), _) => schema = document.pointer(&reference[1..])?,
            (None, Some(choice)) => schema = choice,
            (None, None) => break,
        }
    }
    Some((schema.clone(), schema["properties"].as_object()?.keys().cloned().collect()))
}

fn filled(path: &str, value: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { value } else { part }).collect::<Vec<_>>().join("/")
}

#[tokio::test(start_paused = true)]
async fn no_member_of_a_body_makes_the_server_fail() {
    let desk = Desk::new().await;
    desk.destination("orders").await;
    let document = document();
    let mut tried = 0;
    for (method, path, operation) in operations(&document) {
        let Some((schema, members)) = body_members(&document, &operation) else { continue };
        let settings = json!({ "url": "https://example.com/", "secret": SECRET });
        for member in &members {
            for value in nasty_values() {
                let mut body = base(&schema);
                if members.iter().any(|name| name == "connector") {
                    body.insert("settings".to_owned(), settings.clone());
                }
                body.insert(member.clone(), value);
                check(&desk, &method, &filled(&path, "orders"), &Value::Object(body)).await;
                tried += 1;
            }
        }
        for value in nasty_values() {
            check(&desk, &method, &filled(&path, "orders"), &value).await;
        }
    }
    assert!(tried > 1_000, "{tried}");
}

async fn check(desk: &Desk, method: &str, path: &str, body: &Value) {
    let method: Method = method.parse().unwrap();
    let answer = desk.ask(method.clone(), path).json(body).send().await;
    assert!(answer.status.as_u16() < 500, "{method} {path} with {body}: {}", answer.text());
}

#[tokio::test(start_paused = true)]
async fn no_parameter_and_no_path_makes_the_server_fail() {
    const TEXTS: [&str; 14] = [
        "",
        "%00",
        "%20",
        "-1",
        "0",
        "18446744073709551616",
        "1e9",
        "null",
        "%27%20OR%201=1--",
        "%25",
        "%F0%9F%98%80",
        "9999-12-31T23:59:59.999Z",
        "-009999-01-01T00:00:00Z",
        "AQAAAAAAAAAA",
    ];
    let desk = Desk::new().await;
    desk.destination("orders").await;
    for (method, path, operation) in operations(&document()) {
        for text in TEXTS {
            check(&desk, &method, &filled(&path, text), &json!({})).await;
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                if let (Some(name), Some("query")) = (parameter["name"].as_str(), parameter["in"].as_str()) {
                    check(&desk, &method, &format!("{}?{name}={text}", filled(&path, "orders")), &json!({})).await;
                }
            }
        }
    }
}
