//! The checks of the doctor, from the configuration outwards.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use domain::connector::FieldKind;
use domain::verdict::FailureReason;
use domain::{Secret, Timestamp};
use pipeline::reconcile::DestinationSpec;
use serde_json::Value;

use super::Finding;
use crate::cli::output::{cell, printable};
use crate::cli::time::now;
use crate::client::{CallError, Client};
use crate::config::{self, Config};
use crate::{master_key, random, wire};

/// A clock before this (2026-01-01) has lost its battery.
const CLOCK_EARLIEST: Timestamp = Timestamp::from_secs(1_767_225_600);
/// A clock after this (2100-01-01) is set wrong.
const CLOCK_LATEST: Timestamp = Timestamp::from_secs(4_102_444_800);
/// How many syncs are timed.
const SYNCS: usize = 32;
/// A sync slower than this costs throughput that people notice.
const SYNC_SLOW: Duration = Duration::from_millis(20);
/// How long a name may take to be resolved.
const RESOLVED_WITHIN: Duration = Duration::from_secs(5);
/// Fewer different characters than this in a secret look typed, not drawn.
const SECRET_VARIETY_MIN: usize = 10;
/// Shorter secrets than this are guessable.
const SECRET_CHARS_MIN: usize = 24;

/// What the file says: whether it could be applied, whom it sends to, how it signs.
pub(super) async fn configuration(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(error) = wire::check(config).await {
        findings.push(Finding::bad(format!("configuration: {error:#}"), "mend the file; `serve` would refuse it"));
    }
    for source in &config.sources {
        for secret in &source.secrets {
            findings.extend(weak(&format!("source {}", source.name), secret));
        }
    }
    for destination in &config.destinations {
        findings.extend(destination_findings(config, destination).await);
    }
    findings
}

async fn destination_findings(config: &Config, destination: &DestinationSpec) -> Vec<Finding> {
    let what = format!("destination {}", destination.name);
    let connectors = wire::plugins().connectors;
    let manifest =
        connectors.iter().map(|connector| connector.manifest()).find(|known| known.name == destination.connector);
    let mut findings = Vec::new();
    for field in manifest.iter().flat_map(|manifest| manifest.fields) {
        let Some(text) = destination.settings.text(field.name) else { continue };
        match field.kind {
            FieldKind::Url | FieldKind::SecretUrl => findings.push(reach(config, &what, text).await),
            // Only those that somebody here has drawn; what a vendor has given us is as good as it is.
            FieldKind::Secret if matches!(field.name, "secret" | "previous_secret") => {
                findings.extend(weak(&what, &Secret::from(text)));
            }
            _ => {}
        }
    }
    findings
}

/// Whether the guard would let deliveries go to a URL, name resolution included.
async fn reach(config: &Config, what: &str, url: &str) -> Finding {
    let guard = wire::guard(&config.server);
    let remedy = "use a public https URL; for development start with `--allow-private`, for one inner network with `--allow-cidr`";
    let target = match guard.check_url(url) {
        Ok(target) => target,
        Err(refused) => return Finding::bad(format!("{what}: {refused}"), remedy),
    };
    match guard.resolve(&target, tokio::time::Instant::now() + RESOLVED_WITHIN).await {
        Ok(_) => Finding::Good(format!("{what}: its address can be found, and deliveries may go there")),
        Err(error) if error.reason == FailureReason::AddressRefused => Finding::bad(format!("{what}: {error}"), remedy),
        Err(error) => Finding::bad(format!("{what}: {error}"), "check the URL and this machine's DNS"),
    }
}

/// A secret that somebody could guess.
fn weak(what: &str, secret: &Secret) -> Option<Finding> {
    let text = secret.expose();
    let drawn = text.strip_prefix("whsec_").unwrap_or(text);
    let variety = drawn.chars().collect::<std::collections::BTreeSet<_>>().len();
    let is_weak = drawn.chars().count() < SECRET_CHARS_MIN || variety < SECRET_VARIETY_MIN;
    is_weak.then(|| {
        Finding::bad(
            format!("{what}: its secret looks weak ({})", secret.masked()),
            "use `whsec_` and the base64 of 32 random bytes: `echo whsec_$(openssl rand -base64 32)`",
        )
    })
}

// ---------------------------------------------------------------------------------------------------------------------

/// The machine: clock, directory, disk, keys.
pub(super) fn machine(server: &config::Server) -> Vec<Finding> {
    let mut findings = vec![clock(now())];
    let dir = &server.data_dir;
    if !dir.exists() {
        findings.push(Finding::Skipped(format!(
            "data directory: `{}` is not there yet; the first start makes it",
            dir.display()
        )));
        return findings;
    }
    match sync_times(dir) {
        Ok(times) => {
            findings.push(Finding::Good(format!("data directory: `{}` can be written", dir.display())));
            findings.push(disk(&times));
            findings.push(sqlite(dir));
        }
        Err(error) => findings.push(Finding::bad(
            format!("data directory: `{}` cannot be written: {error}", dir.display()),
            "give it to the user that runs the server, or choose another `--data-dir`",
        )),
    }
    findings.push(keys(dir));
    findings
}

fn clock(now: Timestamp) -> Finding {
    if (CLOCK_EARLIEST..CLOCK_LATEST).contains(&now) {
        return Finding::Good(format!("clock: {now}"));
    }
    Finding::bad(
        format!("clock: it says {now}"),
        "set it and keep it right with NTP; signed timestamps are refused when clocks are 5 minutes apart",
    )
}

/// Whether a store on this file system would commit as it must: one is opened beside the real one, which checks.
fn sqlite(dir: &Path) -> Finding {
    let version = wire::sqlite_version();
    let opened = tempfile::Builder::new().prefix(".doctor-").tempdir_in(dir).map_err(anyhow::Error::from);
    match opened.and_then(|scratch| wire::open_store(scratch.path(), vec![random::bytes()]).map(|_| ())) {
        Ok(()) => Finding::Good(format!("SQLite {version}: accepts WAL with synchronous=FULL here")),
        Err(error) => Finding::bad(
            format!("SQLite {version}: {error:#}"),
            "put the data directory on a local file system, not on a network one",
        ),
    }
}

/// Times small durable writes in the directory, as commits are.
fn sync_times(dir: &Path) -> std::io::Result<Vec<Duration>> {
    let path = dir.join(format!(".doctor-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    let timed = (0..SYNCS)
        .map(|_| {
            let started = Instant::now();
            file.write_all(&[0; 4096])?;
            file.sync_data()?;
            Ok(started.elapsed())
        })
        .collect();
    fs::remove_file(path)?;
    timed
}

fn disk(times: &[Duration]) -> Finding {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let median = sorted[sorted.len() / 2];
    let shown = format!("disk: a sync takes {:.2} ms", median.as_secs_f64() * 1_000.0);
    if median > SYNC_SLOW {
        return Finding::bad(shown, "every answer waits for one; put the data directory on an SSD or a faster volume");
    }
    Finding::Good(shown)
}

fn keys(dir: &Path) -> Finding {
    use std::os::unix::fs::PermissionsExt as _;
    if std::env::var_os(master_key::VARIABLE).is_some() {
        return Finding::Good(format!("master key: from {}", master_key::VARIABLE));
    }
    let path = dir.join(master_key::FILE);
    match fs::metadata(&path) {
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => Finding::bad(
            format!("master key: others can read `{}`", path.display()),
            format!("run `chmod 600 {}`", path.display()),
        ),
        Ok(_) => Finding::Good("master key: beside the store, for its owner alone".to_owned()),
        Err(_) if wire::store_exists(dir) => Finding::bad(
            format!("master key: `{}` is not there, and the store's secrets are sealed with it", path.display()),
            format!("restore the file or set {}", master_key::VARIABLE),
        ),
        Err(_) => Finding::Skipped("master key: none yet; the first start makes it".to_owned()),
    }
}

// ---------------------------------------------------------------------------------------------------------------------

/// The running server, if there is one.
pub(super) async fn server(client: &Client, settings: &config::Server) -> Vec<Finding> {
    let holder = lock_holder(&settings.data_dir);
    let mut findings: Vec<_> = holder
        .iter()
        .map(|pid| Finding::Good(format!("lock: process {pid} holds the data directory, so no second one can")))
        .collect();
    findings.extend(reachable(client, holder.as_deref()).await);
    findings
}

async fn reachable(client: &Client, holder: Option<&str>) -> Vec<Finding> {
    match client.get("/readyz", &[]).await {
        Ok(_) => {
            let mut findings = vec![Finding::Good(format!("server: {} is ready", client.base()))];
            findings.push(key(client).await);
            findings.extend(lanes(client).await);
            findings
        }
        Err(CallError::Refused { detail, .. }) => {
            vec![Finding::bad(format!("server: {} is not ready: {detail}", client.base()), "look into its log")]
        }
        Err(CallError::Unreachable { reason, .. }) => match holder {
            Some(pid) => vec![Finding::bad(
                format!(
                    "server: process {pid} holds the data directory, but nobody answers at {} ({reason})",
                    client.base()
                ),
                "name its address with `--server`, or look into its log",
            )],
            None => vec![Finding::Skipped(format!("server: none is running at {}", client.base()))],
        },
    }
}

async fn key(client: &Client) -> Finding {
    if !client.has_key() {
        return Finding::Skipped("key: none given; set AFTERCLICK_ADMIN_KEY to check it".to_owned());
    }
    match client.get("/v1/key", &[]).await {
        Ok(_) => Finding::Good("key: accepted".to_owned()),
        Err(error) => Finding::bad(
            format!("key: {error}"),
            "make one with `afterclick keys create`, or start once with AFTERCLICK_ADMIN_KEY set",
        ),
    }
}

/// Destinations that get nothing at present. Without a key that may look, there is nothing to tell.
async fn lanes(client: &Client) -> Vec<Finding> {
    let listed = client.get("/v1/destinations", &[("limit", "200".to_owned())]).await.unwrap_or_default();
    listed["data"].as_array().into_iter().flatten().filter_map(closed_lane).collect()
}

fn closed_lane(destination: &Value) -> Option<Finding> {
    let (name, reason) = (cell(destination, "name"), cell(destination, "paused.reason"));
    let remedy = format!("`afterclick destinations resume {name}` goes on; until then its deliveries are held");
    match (reason.as_str(), cell(destination, "paused.message")) {
        ("", _) if cell(destination, "lane.breaker.state") == "open" => Some(Finding::bad(
            format!(
                "destination {name}: its breaker is open, since attempt after attempt failed ({})",
                cell(destination, "lane.last_attempt.reason")
            ),
            format!("it is tried again by itself; `afterclick destinations deliveries {name}` shows what went wrong"),
        )),
        ("", _) => None,
        ("manual", _) => Some(Finding::Skipped(format!("destination {name}: paused by a person; {remedy}"))),
        (_, message) => {
            let what = format!("destination {name}: paused ({reason}), {}", printable(&message));
            Some(Finding::bad(what, format!("when that is mended, {remedy}")))
        }
    }
}

/// The process that holds the data directory, if one does.
fn lock_holder(dir: &Path) -> Option<String> {
    let mut file = OpenOptions::new().read(true).open(dir.join(wire::LOCK_FILE)).ok()?;
    if file.try_lock_shared().is_ok() {
        return None;
    }
    let mut pid = String::new();
    file.read_to_string(&mut pid).ok()?;
    Some(pid.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guessable_secret_is_found_and_not_repeated() {
        for bad in ["hunter2hunter2hunter2hunter2", "whsec_short", &format!("whsec_{}", "a".repeat(44))] {
            let Some(Finding::Bad { what, .. }) = weak("source x", &Secret::from(bad)) else { panic!("{bad}") };
            assert!(!what.contains(bad), "{what}");
        }
        assert_eq!(weak("source x", &Secret::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")), None);
    }

    #[test]
    fn a_destination_that_gets_nothing_at_present_is_found() {
        let paused =
            |reason: &str| serde_json::json!({ "name": "x", "paused": { "reason": reason, "message": "no table" } });
        let Some(Finding::Bad { what, remedy }) = closed_lane(&paused("misconfigured")) else {
            panic!("it is a fault")
        };
        assert_eq!(what, "destination x: paused (misconfigured), no table");
        assert!(remedy.contains("`afterclick destinations resume x`"), "{remedy}");
        assert!(matches!(closed_lane(&paused("manual")), Some(Finding::Skipped(_))), "somebody wanted it");
        let lane =
            |state: &str| serde_json::json!({ "name": "x", "paused": null, "lane": { "breaker": { "state": state } } });
        assert!(matches!(closed_lane(&lane("open")), Some(Finding::Bad { .. })));
        assert_eq!(closed_lane(&lane("closed")), None);
    }

    #[test]
    fn a_clock_that_lost_its_battery_is_found() {
        assert!(matches!(clock(Timestamp::from_secs(0)), Finding::Bad { .. }));
        assert!(matches!(clock(Timestamp::from_secs(1_790_000_000)), Finding::Good(_)));
    }
}
