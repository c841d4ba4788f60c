use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use peers::SegmentSdk;
use serde_json::{Value, json};

/// Takes one request, answers it with `status`, and gives its head and its body.
fn record_one(listener: &TcpListener, status: &str) -> (String, Value) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut request = Vec::new();
    loop {
        let mut bytes = [0; 4096];
        let length = stream.read(&mut bytes).unwrap();
        request.extend_from_slice(&bytes[..length]);
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Ok(body) = serde_json::from_str(body)
        {
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: 16\r\nConnection: close\r\n\r\n{{\"success\":true}}");
            stream.write_all(answer.as_bytes()).unwrap();
            return (head.to_owned(), body);
        }
    }
}

#[test]
fn what_the_sdk_sends_can_be_recorded() {
    let Some(sdk) = SegmentSdk::start() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    let recorder = thread::spawn(move || record_one(&listener, "200 OK"));
    let event = |id: &str| json!({ "type": "track", "userId": id, "event": "Deep Link Clicked", "messageId": id });
    sdk.send(&host, "a-key", &[event("one"), event("two")]).unwrap();

    let (head, body) = recorder.join().unwrap();
    assert!(head.starts_with("POST /v1/batch HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains("authorization: basic ys1rzxk6"), "{head}");
    assert_eq!(body["batch"][1]["messageId"], "two");
    assert_eq!(body["batch"].as_array().unwrap().len(), 2);
}

#[test]
fn a_refusal_is_the_sdks_own_error() {
    let Some(sdk) = SegmentSdk::start() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    let recorder = thread::spawn(move || record_one(&listener, "401 Unauthorized"));
    let event = json!({ "type": "track", "userId": "u", "event": "e" });
    let error = sdk.send(&host, "a-key", &[event]).unwrap_err().to_string();
    assert!(error.contains("401"), "{error}");
    recorder.join().unwrap();
}
