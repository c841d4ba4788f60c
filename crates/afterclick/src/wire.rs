//! Where the rooms are joined: the only file that names a backend, the list of senders and the list of vendors.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use pipeline::reconcile::{self, Action, Desired, Plan, ReconcileError};
use pipeline::transport::{Guard, Transports};
use pipeline::{Clock, Pipeline, PipelineOptions, Plugins, Registry, RegistryError};
use storage::Store;
use storage::memory::MemoryStore;
use storage::sqlite::{self, SqliteOptions, SqliteStore, Vault};

use crate::config::{self, Config, Problem, Problems};
use crate::master_key::MasterKey;

pub(crate) use storage::sqlite::FailureWatch;

/// Every sender and vendor this program knows.
pub(crate) fn plugins() -> Plugins {
    let native = sources::by_name("tolinku").expect("the built-in senders are in the list");
    Plugins { dialects: sources::ALL, native, connectors: connectors::ALL }
}

/// The file inside a data directory that a running server holds locked.
pub(crate) const LOCK_FILE: &str = sqlite::LOCK_FILE;

/// The version of the SQLite that is built in.
pub(crate) fn sqlite_version() -> &'static str {
    sqlite::version()
}

/// Whether a data directory holds a store already.
pub(crate) fn store_exists(data_dir: &Path) -> bool {
    data_dir.join(sqlite::DATABASE_FILE).exists()
}

/// Opens the store of a data directory, which stays locked as long as it is open.
///
/// Blocking: it reads what memory must know.
pub(crate) fn open_store(data_dir: &Path, keys: Vec<MasterKey>) -> Result<(Arc<dyn Store>, FailureWatch)> {
    let (store, watch) = SqliteStore::open(SqliteOptions::new(data_dir, Vault::new(keys)))?;
    Ok((Arc::new(store), watch))
}

/// Copies the store of a data directory to a file, also beside a running server.
pub(crate) fn backup(data_dir: &Path, to: &Path) -> Result<()> {
    sqlite::backup(data_dir, to).with_context(|| format!("cannot copy `{}`", data_dir.display()))
}

/// The opener of outward connections, as the configuration allows them.
pub(crate) fn guard(server: &config::Server) -> Guard {
    Guard::new(server.allow_private, server.allow_cidrs.clone())
}

/// Starts everything between the listener and the store.
pub(crate) async fn start(store: Arc<dyn Store>, server: &config::Server) -> Result<Pipeline> {
    let clock = Arc::new(Clock::system());
    let transport = Transports::start(guard(server), Arc::clone(&clock), &[])?;
    let options = PipelineOptions { retention: server.retention, ..PipelineOptions::default() };
    Ok(Pipeline::start(store, clock, plugins(), transport, options).await?)
}

/// The HTTP API over a pipeline.
pub(crate) fn router(pipeline: &Pipeline, server: &config::Server, connections: &Arc<api::Connections>) -> Router {
    api::router(api::ApiState::new(pipeline, guard(server), Arc::clone(connections)))
}

/// Makes the catalog match the file, as `apply` does.
pub(crate) async fn reconcile(pipeline: &Pipeline, config: &Config) -> Result<Plan> {
    let plan = reconcile::plan(&pipeline.registry, &guard(&config.server), desired(config))?;
    reconcile::apply(&pipeline.registry, &plan).await?;
    Ok(plan)
}

/// What came from the file before and is no longer in it: kind and name.
pub(crate) fn orphans(pipeline: &Pipeline, config: &Config) -> Result<Vec<(&'static str, String)>> {
    let pruned = Desired { prune: true, ..desired(config) };
    let plan = reconcile::plan(&pipeline.registry, &guard(&config.server), pruned)?;
    let gone = plan.steps.iter().filter(|step| step.action == Action::Delete);
    Ok(gone.map(|step| (step.object.kind(), step.name.to_string())).collect())
}

/// Checks a configuration as applying it to an empty server would. Each object by itself first, so that all that is wrong
/// is told at once.
pub(crate) async fn check(config: &Config) -> Result<()> {
    let registry = Registry::load(Arc::new(MemoryStore::new()), Arc::new(Clock::system()), plugins()).await?;
    let guard = guard(&config.server);
    let sources = config.sources.iter().map(|one| Desired { sources: vec![one.clone()], ..Desired::default() });
    let destinations =
        config.destinations.iter().map(|one| Desired { destinations: vec![one.clone()], ..Desired::default() });
    let mut problems = Problems::of(config.file.clone());
    for alone in sources.chain(destinations) {
        if let Err(error) = reconcile::plan(&registry, &guard, alone.clone()) {
            // What an open guard lets pass is refused for where it goes, and whoever runs the server can open it.
            let is_private = reconcile::plan(&registry, &Guard::new(true, Vec::new()), alone).is_ok();
            let remedy = if is_private { PRIVATE_REMEDY } else { "" };
            problems.push(Problem::new(line_of(config, &error), format!("{error}{remedy}")));
        }
    }
    if !problems.is_empty() {
        return Err(problems.into());
    }
    reconcile::plan(&registry, &guard, desired(config))?;
    Ok(())
}

/// What to do about a target that is not public.
const PRIVATE_REMEDY: &str = "; write a public `https://` one, or say under `[server]` which networks are yours \
                              (`allow_cidrs = [\"10.1.0.0/16\"]`) or, for development, `allow_private = true`";

/// Where in the file stands what is refused: at the key itself, else at the name of its section.
fn line_of(config: &Config, error: &ReconcileError) -> Option<usize> {
    let (ReconcileError::NameTaken { noun, name }
    | ReconcileError::Repeated { noun, name }
    | ReconcileError::Refused { noun, name, .. }) = error;
    let ReconcileError::Refused { error: refused, .. } = error else {
        return config.line_of(&format!("{noun}.{name}.name"));
    };
    let key = match refused {
        RegistryError::Settings(wrong) => {
            format!("settings.{}", wrong.field.split('.').next().unwrap_or_default())
        }
        RegistryError::SecretCount | RegistryError::Secret(_) => "secrets".to_owned(),
        RegistryError::Filter(_) => "when".to_owned(),
        RegistryError::Concurrency => "concurrency".to_owned(),
        RegistryError::Rate => "rate".to_owned(),
        _ => "name".to_owned(),
    };
    config.line_of(&format!("{noun}.{name}.{key}")).or_else(|| config.line_of(&format!("{noun}.{name}.name")))
}

fn desired(config: &Config) -> Desired {
    Desired { sources: config.sources.clone(), destinations: config.destinations.clone(), prune: false }
}
