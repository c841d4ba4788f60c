//! A desk to ask from: the whole API over the memory store, a simulated clock and a made-up network.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{ApiState, Connections};
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use domain::connector::{Call, Reply};
use domain::key::{Key, KeyHash, Scope};
use domain::signature::{Scheme, Signer, Signing};
use domain::{AppspaceId, DestinationId, KeyId, Secret, Timestamp};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use pipeline::transport::{Guard, TransportError};
use pipeline::{Clock, Pipeline, PipelineOptions, Plugins, Transport};
use serde_json::{Value, json};
use storage::memory::MemoryStore;
use tower::ServiceExt as _;

use crate::truth;

pub(crate) const START: Timestamp = Timestamp::from_secs(1_772_634_728);
pub(crate) const SECRET: &str = "whsec_dGVzdF9zZWNyZXRfMzJfYnl0ZXNfbG9uZ19rZXkhISE=";
pub(crate) const ADMIN: &str = "ack_admin-key-of-the-tests-0000000000000000";

/// A network in which every receiver gives the same answer, after those that were put down for it.
#[derive(Debug)]
pub(crate) struct Network {
    status: AtomicU16,
    first: Mutex<VecDeque<Bytes>>,
}

impl Network {
    pub(crate) fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// The next calls succeed with these bodies.
    pub(crate) fn answer_first(&self, bodies: &[&str]) {
        self.first.lock().unwrap().extend(bodies.iter().map(|body| Bytes::copy_from_slice(body.as_bytes())));
    }
}

#[async_trait]
impl Transport for Network {
    async fn exchange(&self, _: DestinationId, _: Call, _: Duration) -> Result<Reply, TransportError> {
        let (status, body) = match self.first.lock().unwrap().pop_front() {
            Some(body) => (200, body),
            None => (self.status.load(Ordering::SeqCst), Bytes::from_static(b"seen")),
        };
        Ok(Reply { status, code: None, headers: Vec::new(), body, received_at: START })
    }
}

pub(crate) struct Desk {
    pub(crate) router: Router,
    pub(crate) pipeline: Pipeline,
    pub(crate) network: Arc<Network>,
}

impl Desk {
    /// A desk with an admin key and nothing else.
    pub(crate) async fn new() -> Self {
        let network = Arc::new(Network { status: AtomicU16::new(200), first: Mutex::default() });
        let plugins = Plugins {
            dialects: sources::ALL,
            native: sources::by_name("generic").expect("the native dialect"),
            connectors: connectors::ALL,
        };
        let pipeline = Pipeline::start(
            Arc::new(MemoryStore::new()),
            Arc::new(Clock::simulated(START, 7)),
            plugins,
            Arc::clone(&network) as Arc<dyn Transport>,
            PipelineOptions::default(),
        )
        .await
        .unwrap();
        let guard = Guard::new(false, Vec::new());
        let router = api::router(ApiState::new(&pipeline, guard, Arc::new(Connections::default())));
        let desk = Self { router, pipeline, network };
        desk.put_key(ADMIN, Scope::Admin, None).await;
        desk
    }

    pub(crate) async fn put_key(&self, text: &str, scope: Scope, appspace: Option<AppspaceId>) -> KeyId {
        let now = self.pipeline.clock.now();
        let id = KeyId::mint(now, self.pipeline.clock.random());
        let key = Key {
            id,
            appspace,
            scope,
            label: "test".to_owned(),
            hash: KeyHash::of(text),
            tail: "0000".to_owned(),
            created_at: now,
            expires_at: None,
        };
        self.pipeline.registry.put_key(key).await.unwrap();
        id
    }

    pub(crate) fn ask(&self, method: Method, path: &str) -> Ask<'_> {
        let headers = HeaderMap::new();
        Ask { desk: self, method, path: path.to_owned(), headers, body: Bytes::new() }.key(ADMIN)
    }

    pub(crate) fn get(&self, path: &str) -> Ask<'_> {
        self.ask(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str, body: impl Into<Value>) -> Ask<'_> {
        self.ask(Method::POST, path).json(&body.into())
    }

    pub(crate) fn patch(&self, path: &str, body: impl Into<Value>) -> Ask<'_> {
        self.ask(Method::PATCH, path).json(&body.into())
    }

    pub(crate) fn delete(&self, path: &str) -> Ask<'_> {
        self.ask(Method::DELETE, path)
    }

    /// A source `tolinku` that signs with [`SECRET`].
    pub(crate) async fn source(&self) -> Value {
        let body = json!({ "name": "tolinku", "kind": "tolinku", "secrets": [SECRET] });
        self.post("/v1/sources", body).expect(201).await
    }

    /// A webhook destination with this name.
    pub(crate) async fn destination(&self, name: &str) -> Value {
        let settings = json!({ "url": "https://example.com/hooks", "secret": SECRET });
        let body = json!({ "name": name, "connector": "webhook", "settings": settings, "retry": [] });
        self.post("/v1/destinations", body).expect(201).await
    }

    /// Publishes a click, different for each number, and returns its id.
    pub(crate) async fn publish(&self, number: u32) -> String {
        let answer = self.post("/v1/events", click(number)).expect(202).await;
        answer["id"].as_str().unwrap().to_owned()
    }

    /// A webhook signed with [`SECRET`].
    pub(crate) fn webhook(&self, source: &str, body: impl Into<Bytes>) -> Ask<'_> {
        let body = body.into();
        let signer = Signer::new(Scheme::BodyHex, &Secret::new(SECRET)).unwrap();
        let headers = signer.headers(&Signing::default_for(Scheme::BodyHex), "", START, &body);
        Ask { desk: self, method: Method::POST, path: format!("/webhooks/{source}"), headers, body }
    }

    /// Lets simulated time pass until an answer is as it should be.
    pub(crate) async fn until(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..1_000 {
            let answer = self.get(path).expect(200).await;
            if is_so(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{path} never became what it should be: {}", self.get(path).expect(200).await);
    }
}

/// A request to come.
#[must_use]
pub(crate) struct Ask<'d> {
    desk: &'d Desk,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Ask<'_> {
    pub(crate) fn key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    pub(crate) fn no_key(mut self) -> Self {
        self.headers.remove("authorization");
        self
    }

    pub(crate) fn appspace(self, appspace: &str) -> Self {
        self.header("afterclick-appspace", appspace)
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into();
        self
    }

    pub(crate) fn raw(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) async fn send(self) -> Answer {
        let (method, path) = (self.method.clone(), self.path.clone());
        let mut request = Request::new(Body::from(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.path.parse().unwrap();
        *request.headers_mut() = self.headers;
        let response = self.desk.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        if method != Method::HEAD {
            truth::check(method.as_str(), &path, parts.status.as_u16(), &body);
        }
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Sends it and reads the JSON of an answer with this status.
    pub(crate) async fn expect(self, status: u16) -> Value {
        let what = format!("{} {}", self.method, self.path);
        let answer = self.send().await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    /// Sends it and reads a problem with this status and code.
    pub(crate) async fn problem(self, status: u16, code: &str) -> Value {
        let what = format!("{} {}", self.method, self.path);
        let answer = self.send().await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{what}");
        let problem: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(problem["code"], code, "{what}: {problem}");
        assert_eq!(problem["status"], status, "{what}");
        for member in ["type", "title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{what}: {problem}");
        }
        problem
    }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A click, different for each number.
pub(crate) fn click(number: u32) -> Value {
    json!({ "event": "link.clicked", "timestamp": "2026-03-04T14:32:08.441Z", "data": { "token": format!("t{number}") } })
}

/// The text of a member.
pub(crate) fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_else(|| panic!("{member} is no text in {value}")).to_owned()
}
