//! `afterclick verify`: the signature doctor.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use domain::Secret;
use domain::signature::doctor;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::output::{Paint, say};
use super::time::When;
use super::{Failure, Outcome, time};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  afterclick verify --body body.json --header 'X-Webhook-Signature: 5f2b…' --secret whsec_…\n  \
                        curl … | afterclick verify --body - --headers headers.txt\n\n\
                        The body must be the bytes as they were received: a parsed and printed copy is another body.\n\
                        Ends with 0 if the signature is genuine in any scheme, with 1 and the reason if it is not."
)]
pub(crate) struct Arguments {
    /// The raw body; `-` reads it from standard input
    #[arg(long, value_name = "FILE")]
    body: PathBuf,
    /// A header of the request; may be repeated
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// A file of headers, one per line, as `curl -D` writes them
    #[arg(long, value_name = "FILE")]
    headers: Option<PathBuf>,
    /// The secret it should be signed with; also read from `AFTERCLICK_VERIFY_SECRET`
    #[arg(long, value_name = "SECRET", env = "AFTERCLICK_VERIFY_SECRET", hide_env = true)]
    secret: String,
    /// Judge timestamps as of this time, for a request of the past [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<When>,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let body = read(&arguments.body)?;
    let mut headers = HeaderMap::new();
    if let Some(file) = &arguments.headers {
        let text = read(file)?;
        for line in String::from_utf8_lossy(&text).lines().filter(|line| is_header(line)) {
            add(&mut headers, line)?;
        }
    }
    for line in &arguments.header {
        add(&mut headers, line)?;
    }
    let now = arguments.at.map_or_else(time::now, |when| when.0);
    let diagnosis = doctor::diagnose(&headers, &body, &Secret::from(arguments.secret.as_str()), now);

    let paint = Paint::for_stdout();
    let mark = if diagnosis.is_genuine() { paint.good("✓") } else { paint.bad("✗") };
    for (index, finding) in diagnosis.findings.iter().enumerate() {
        say(&format!("{} {finding}", if index == 0 { mark.as_str() } else { " " }));
    }
    if diagnosis.is_genuine() { Ok(()) } else { Err(Failure::Told) }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let result = match path.to_str() {
        Some("-") => std::io::stdin().read_to_end(&mut bytes).map(|_| ()),
        _ => std::fs::read(path).map(|content| bytes = content),
    };
    result.map_err(|error| Failure::misused(format!("`{}` cannot be read: {error}", path.display())))?;
    Ok(bytes)
}

/// Neither a request or status line nor an empty one.
fn is_header(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default();
    line.contains(':') && !name.contains([' ', '/'])
}

fn add(headers: &mut HeaderMap, line: &str) -> Result<(), Failure> {
    let wrong = || Failure::misused(format!("`{}` is not a header; write it like `Name: value`", line.trim()));
    let (name, value) = line.split_once(':').ok_or_else(wrong)?;
    let name: HeaderName = name.trim().parse().map_err(|_| wrong())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
    headers.append(name, value);
    Ok(())
}
