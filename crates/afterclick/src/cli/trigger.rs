//! `afterclick trigger`: a signed sample event through the front door.

use std::path::PathBuf;

use clap::Args;
use domain::Secret;
use domain::signature::{Scheme, Signer, Signing};
use http::{HeaderValue, Method, header};

use super::connection::Connection;
use super::output::{cell, say};
use super::serve::{FILE_HERE, Overrides};
use super::{Failure, Outcome, block_on, event_types, time};
use crate::client::Client;
use crate::{random, wire};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  afterclick trigger link.clicked --source tolinku\n  \
                        AFTERCLICK_SOURCE_SECRET=whsec_… afterclick trigger install.tracked --source tolinku\n\n\
                        The event takes the way of a real one: it is signed, verified, stored and delivered. With a secret it is \
                        signed here and sent to `/webhooks/<source>`; without one the server signs it, which needs a key.")]
pub(crate) struct Arguments {
    /// A type of the catalogue; `afterclick event-types` lists them
    #[arg(value_name = "TYPE")]
    event_type: String,
    /// The source to send it through
    #[arg(long, default_value = "tolinku")]
    source: String,
    /// The source's secret; also read from `AFTERCLICK_SOURCE_SECRET`, else from the file
    #[arg(long, value_name = "SECRET", env = "AFTERCLICK_SOURCE_SECRET", hide_env = true)]
    secret: Option<String>,
    /// How the source is signed [default: as the file says, else body-hex]
    #[arg(long)]
    scheme: Option<String>,
    /// The file that describes the source (`AFTERCLICK_CONFIG`) [default: afterclick.toml in this directory]
    #[arg(long, value_name = "FILE", env = "AFTERCLICK_CONFIG", hide_env = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// What is needed to sign for a source.
struct Signature {
    scheme: Scheme,
    signing: Signing,
    secret: Secret,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let kind = event_types::find(&arguments.event_type)?;
    if kind.group == domain::catalogue::Group::Operational {
        let message = format!("`{}` is made by Afterclick about itself and cannot be sent", kind.event_type);
        return Err(Failure::misused(message));
    }
    let client = arguments.connection.client()?;
    let signature = signature(arguments, client.has_key())?;
    block_on(async {
        let id = if let Some(signature) = signature {
            send_signed(&client, &arguments.source, kind.event_type, &signature).await?
        } else {
            let path = format!("/v1/sources/{}/test", arguments.source);
            cell(&client.post(&path, &serde_json::json!({ "type": kind.event_type })).await?, "event")
        };
        say(&id);
        eprintln!("{} is on disk; see whom it went to with `afterclick events explain {id}`", kind.event_type);
        Ok(())
    })
}

/// Signs a sample as its sender would and sends it to the front door; returns the event's id.
async fn send_signed(
    client: &Client,
    source: &str,
    event_type: &str,
    signature: &Signature,
) -> Result<String, Failure> {
    let (now, unique) = (time::now(), u64::from_be_bytes(random::bytes()));
    let body = domain::catalogue::sample(event_type, now, unique).unwrap_or_default();
    let signer = Signer::new(signature.scheme, &signature.secret).map_err(Failure::misused)?;
    let mut headers = signer.headers(&signature.signing, &format!("msg_{unique:016x}"), now, &body);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(event_type) = HeaderValue::from_str(event_type) {
        headers.insert("x-webhook-event", event_type);
    }
    let answer = client.send(Method::POST, &format!("/webhooks/{source}"), &[], headers, body.into()).await?;
    let value = serde_json::from_slice(&answer.body).unwrap_or(serde_json::Value::Null);
    if !answer.status.is_success() {
        let detail = [cell(&value, "detail"), answer.status.to_string()].into_iter().find(|text| !text.is_empty());
        return Err(Failure::Failed(anyhow::anyhow!("{}", detail.unwrap_or_default())));
    }
    Ok(cell(&value, "id"))
}

/// Scheme and secret: from the options, else from the file; `None` if there is no secret here.
fn signature(arguments: &Arguments, has_key: bool) -> Result<Option<Signature>, Failure> {
    let mut scheme = Scheme::default();
    let mut secret = arguments.secret.clone().map(Secret::new);
    let mut signing = None;
    // A secret that is given needs no file; one that is not has to come from somewhere.
    let here = || Some(PathBuf::from(FILE_HERE)).filter(|file| secret.is_none() && file.exists());
    if let Some(file) = arguments.config.clone().or_else(here) {
        let config = match Overrides::default().load_file(Some(&file)) {
            Ok(config) => config,
            // Nobody named the file, and the server can sign: a variable of somebody else's need not be set here.
            Err(_) if arguments.config.is_none() && has_key => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let source = config.sources.iter().find(|source| source.name.as_str() == arguments.source);
        let source = source.ok_or_else(|| {
            Failure::misused(format!("`{}` describes no source named `{}`", file.display(), arguments.source))
        })?;
        scheme = source.scheme;
        secret = secret.or_else(|| source.secrets.first().cloned());
        let dialect = wire::plugins().dialects.iter().find(|dialect| dialect.manifest().name == source.kind);
        signing = dialect.map(|dialect| dialect.signing(scheme, &source.settings));
    }
    if let Some(name) = &arguments.scheme {
        scheme = Scheme::from_name(name).ok_or_else(|| {
            Failure::misused(format!("`{name}` is not a scheme; use one of {}", Scheme::NAMES.join(", ")))
        })?;
        signing = None;
    }
    let signing = signing.unwrap_or_else(|| Signing::default_for(scheme));
    Ok(secret.map(|secret| Signature { scheme, signing, secret }))
}
