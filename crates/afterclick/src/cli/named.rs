//! What is done alike to whatever has a name: it is shown, gets a new secret, and is deleted.

use std::time::Duration;

use serde_json::json;

use super::Outcome;
use super::output::{self, cell, say};
use crate::client::Client;

/// Prints what there is at this path.
pub(crate) async fn show(client: &Client, path: &str, json: bool) -> Outcome {
    let found = client.get(path, &[]).await?;
    if json {
        output::print_json(&found);
    } else {
        output::print_members(&found);
    }
    Ok(())
}

/// Prints a new secret, which `whom` must be given while the old one is still good.
pub(crate) async fn rotate_secret(client: &Client, path: &str, overlap: Duration, whom: &str) -> Outcome {
    let body = json!({ "overlap_seconds": overlap.as_secs() });
    let answer = client.post(&format!("{path}/rotate-secret"), &body).await?;
    say(&cell(&answer, "secret"));
    eprintln!("this is the only time the secret is shown; give it to the {whom} now");
    Ok(())
}

/// Deletes what there is at this path.
pub(crate) async fn delete(client: &Client, path: &str, name: &str) -> Outcome {
    client.delete(path).await?;
    say(&format!("deleted {name}"));
    Ok(())
}
