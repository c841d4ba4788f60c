//! The two bare halves that the rows compare with: the server stack answering a POST, and the client stack making one.
//!
//! Each runs as a process of its own, so that its processor time can be read like the program's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Result, ensure};
use api::listener::{self, ListenerLimits};
use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use bench::process;
use bench::requests::{self, EVENT_TYPE};
use clap::Args;
use domain::Outlet;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;

use crate::batches;

/// Answers every POST with an empty 200 after its body has been read, through the listener of the program.
pub(crate) async fn serve() -> Result<()> {
    let router = Router::new().route("/readyz", get(|| async {})).fallback(post(|_body: Bytes| async {}));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    listener::serve(listener, router, ListenerLimits::default(), Arc::default(), std::future::pending()).await;
    Ok(())
}

/// What the bare client sends.
#[derive(Debug, Clone, Args)]
pub(crate) struct Deliveries {
    /// Where to.
    #[arg(long)]
    pub(crate) url: http::Uri,
    /// The sequence number of the first body.
    #[arg(long)]
    pub(crate) first: u64,
    #[arg(long)]
    pub(crate) count: usize,
    #[arg(long)]
    pub(crate) in_flight: usize,
}

/// Which batches the bare client makes and sends.
#[derive(Debug, Clone, Args)]
pub(crate) struct Batches {
    #[arg(long)]
    pub(crate) connector: String,
    /// The settings of the connector, as in the file.
    #[arg(long)]
    pub(crate) settings: String,
    /// The sequence number of the first body.
    #[arg(long)]
    pub(crate) first: u64,
    #[arg(long)]
    pub(crate) count: usize,
    /// Bodies in one batch.
    #[arg(long)]
    pub(crate) items: usize,
    #[arg(long)]
    pub(crate) in_flight: usize,
}

/// Makes batches as the connector does and sends them with a fixed number in flight, over kept connections.
pub(crate) async fn send_batches(batches: Batches) -> Result<()> {
    let client = client();
    let outlet: Arc<dyn Outlet> = batches::open(&batches.connector, &batches.settings)?.into();
    let next = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..batches.in_flight {
        let (client, next, outlet, batches) = (client.clone(), next.clone(), outlet.clone(), batches.clone());
        tasks.spawn(async move {
            loop {
                let begin = next.fetch_add(batches.items, Ordering::Relaxed);
                if begin >= batches.count {
                    return anyhow::Ok(());
                }
                let end = batches.count.min(begin + batches.items);
                let numbers = (begin..end).map(|index| batches.first + index as u64);
                let call = batches::render(&*outlet, numbers)?;
                let mut request = http::Request::post(&call.url);
                for (name, value) in &call.headers {
                    request = request.header(name, value);
                }
                let response = client.request(request.body(Full::new(call.body))?).await?;
                let status = response.status();
                let answer = response.into_body().collect().await?.to_bytes();
                ensure!(status.is_success(), "the answer was {status}: {}", String::from_utf8_lossy(&answer));
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    println!("{} {}", cpu_micros(), started.elapsed().as_micros());
    Ok(())
}

/// Sends the bodies with a fixed number of requests in flight, over kept connections, and records nothing.
pub(crate) async fn deliver(deliveries: Deliveries) -> Result<()> {
    let client = client();
    let next = Arc::new(AtomicUsize::new(0));
    let timestamp = requests::now().to_string();
    let mut tasks = JoinSet::new();
    for _ in 0..deliveries.in_flight {
        let (client, next, deliveries, timestamp) =
            (client.clone(), next.clone(), deliveries.clone(), timestamp.clone());
        tasks.spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= deliveries.count {
                    return anyhow::Ok(());
                }
                let body = requests::body(deliveries.first + index as u64, EVENT_TYPE, &timestamp);
                let request = http::Request::post(deliveries.url.clone())
                    .header("content-type", "application/json")
                    .header("user-agent", "bare")
                    .body(Full::new(Bytes::from(body)))?;
                let response = client.request(request).await?;
                ensure!(response.status().is_success(), "the sink answered {}", response.status());
                response.into_body().collect().await?;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    println!("{}", cpu_micros());
    Ok(())
}

fn client() -> Client<HttpConnector, Full<Bytes>> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

/// For whoever started this: the processor time of it all, in microseconds.
fn cpu_micros() -> u128 {
    process::cpu_time(std::process::id()).unwrap_or_default().as_micros()
}
