//! Speaks HTTP/1.1 for a vendor.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::answer::Answer;
use crate::request::Request;
use crate::simulator::{Reaction, Shared, Vendor};

/// One connection.
pub(crate) async fn serve<V: Vendor>(stream: TcpStream, shared: Arc<Shared<V>>) {
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { react(request, &shared).await }
    });
    // An error is what a fault looks like from here: the connection closes without an answer. And a client that gives up
    // ends the connection and with it whatever is still being held.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn react<V: Vendor>(
    request: http::Request<Incoming>,
    shared: &Shared<V>,
) -> io::Result<http::Response<Full<Bytes>>> {
    let request = read(request).await?;
    let reaction = {
        let mut desk = shared.desk();
        let at = shared.now(&desk);
        desk.handle(request.at(at))
    };
    shared.tell();
    match reaction {
        Reaction::Answer(answer) => write(answer),
        Reaction::AnswerAfter(hold, answer) => {
            tokio::time::sleep(hold).await;
            write(answer)
        }
        Reaction::CloseAfter(hold) => {
            tokio::time::sleep(hold).await;
            Err(io::Error::other("closed without an answer"))
        }
    }
}

async fn read(request: http::Request<Incoming>) -> io::Result<Request> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(io::Error::other)?.to_bytes();
    let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut read = Request::new(parts.method.as_str(), target, body);
    for (name, value) in &parts.headers {
        read = read.with(name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
    }
    Ok(read)
}

fn write(answer: Answer) -> io::Result<http::Response<Full<Bytes>>> {
    let mut response = http::Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Full::new(answer.body)).map_err(io::Error::other)
}

/// More than any vendor takes.
const BODY_BYTES_MAX: usize = 64 << 20;
