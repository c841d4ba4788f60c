//! A small blocking client of the API, for questions that are asked now and then.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Calls of [`Client::get_each`] that are under way together.
const AT_ONCE: usize = 32;
/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_mins(1);

/// Somebody with a key.
#[derive(Debug)]
pub struct Client {
    runtime: tokio::runtime::Runtime,
    http: HttpClient<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    key: String,
}

impl Client {
    /// A client of the server at `address`.
    pub fn new(address: SocketAddr, key: &str) -> Result<Self> {
        let http = HttpClient::builder(TokioExecutor::new()).build_http();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, http, address, key: key.to_owned() })
    }

    /// The JSON that a GET answers with.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.json("GET", path, None)
    }

    /// The JSON that a POST answers with.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.json("POST", path, Some(body))
    }

    /// The text that a GET answers with.
    pub fn text(&self, path: &str) -> Result<String> {
        let body = self.call("GET", path, None)?;
        Ok(String::from_utf8(body.into())?)
    }

    /// The bytes that a GET of each path answers with, asked for many at a time.
    pub fn get_each(&self, paths: &[String]) -> Result<Vec<Bytes>> {
        let mut answers = Vec::with_capacity(paths.len());
        for at_once in paths.chunks(AT_ONCE) {
            let calls = at_once.iter().map(|path| Ok(self.exchange(self.request("GET", path, None)?)));
            let calls = calls.collect::<Result<Vec<_>>>()?;
            answers.extend(self.runtime.block_on(async {
                let calls: Vec<_> = calls.into_iter().map(tokio::spawn).collect();
                let mut answers = Vec::with_capacity(calls.len());
                for call in calls {
                    answers.push(call.await??);
                }
                anyhow::Ok(answers)
            })?);
        }
        Ok(answers)
    }

    /// Every entry of a list, page after page.
    pub fn list(&self, path: &str) -> Result<Vec<Value>> {
        let mut entries = Vec::new();
        let mut page = path.to_owned();
        loop {
            let mut answer = self.get(&page)?;
            let data = answer["data"].as_array_mut().with_context(|| format!("`{page}` is not a list"))?;
            entries.append(data);
            let Some(next) = answer["next"].as_str() else { return Ok(entries) };
            page = format!("{path}{}cursor={next}", if path.contains('?') { '&' } else { '?' });
        }
    }

    /// The sum of all series of a metric whose name and labels start with `prefix`; 0 if there are none.
    pub fn metric(&self, prefix: &str) -> Result<f64> {
        Ok(sum_of_series(&self.text("/metrics")?, prefix))
    }

    fn json(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.call(method, path, body)?;
        if answer.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&answer)?) }
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Bytes> {
        let request = self.request(method, path, body)?;
        self.runtime.block_on(self.exchange(request))
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<http::Request<Full<Bytes>>> {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/json")
            .body(Full::new(body.map_or_else(Bytes::new, |body| body.to_string().into())))?;
        Ok(request)
    }

    fn exchange(&self, request: http::Request<Full<Bytes>>) -> impl Future<Output = Result<Bytes>> + use<> {
        let what = format!("{} `{}`", request.method(), request.uri().path());
        let http = self.http.clone();
        let exchange = async move {
            let response = http.request(request).await?;
            let status = response.status();
            anyhow::Ok((status, response.into_body().collect().await?.to_bytes()))
        };
        async move {
            let Ok(answered) = tokio::time::timeout(ANSWER_MAX, exchange).await else {
                bail!("{what} was not answered within {} s", ANSWER_MAX.as_secs());
            };
            let (status, answer) = answered.with_context(|| what.clone())?;
            ensure!(status.is_success(), "{what}: {status} {}", String::from_utf8_lossy(&answer));
            Ok(answer)
        }
    }
}

fn sum_of_series(metrics: &str, prefix: &str) -> f64 {
    let series = metrics.lines().filter(|line| line.starts_with(prefix));
    series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_the_sum_of_its_series() {
        let metrics = "# HELP a_total b\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3.5\nab_total 9\n";
        assert!((sum_of_series(metrics, "a_total{") - 5.5).abs() < f64::EPSILON);
        assert!(sum_of_series(metrics, "none").abs() < f64::EPSILON);
    }
}
