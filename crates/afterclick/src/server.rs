//! A running server: store, pipeline and listener, started and stopped in order.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use pipeline::Pipeline;
use pipeline::reconcile::Action;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::master_key::{self, MasterKey};
use crate::wire::FailureWatch;
use crate::{admin_key, wire};

/// How long what is in flight may take to finish.
pub(crate) const GRACE: Duration = Duration::from_secs(15);

/// A server that accepts requests.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    pipeline: Pipeline,
    failure: FailureWatch,
    listener: JoinHandle<()>,
    stop_listening: oneshot::Sender<()>,
}

/// Secrets from the environment. Their debug text says nothing about them.
#[derive(Default)]
pub(crate) struct Credentials {
    pub(crate) admin_key: Option<String>,
    pub(crate) master_key: Option<String>,
}

impl Credentials {
    /// Reads and checks what the environment holds, before anything is started.
    pub(crate) fn from_environment() -> Result<Self> {
        let read = |name: &str| std::env::var(name).ok();
        let credentials = Self { admin_key: read(admin_key::VARIABLE), master_key: read(master_key::VARIABLE) };
        if let Some(key) = &credentials.admin_key {
            admin_key::check(key)?;
        }
        if let Some(keys) = &credentials.master_key {
            master_key::parse_list(keys)?;
        }
        Ok(credentials)
    }
}

impl Server {
    /// Opens the store, starts the pipeline, reconciles the file and listens, in this order. Returns the admin key if
    /// one was made.
    pub(crate) async fn start(config: &Config, credentials: &Credentials) -> Result<(Self, Option<String>)> {
        let settings = &config.server;
        raise_file_limit();
        let keys = prepare_data_dir(&settings.data_dir, credentials.master_key.as_deref())?;
        let data_dir = settings.data_dir.clone();
        let (store, failure) = tokio::task::spawn_blocking(move || wire::open_store(&data_dir, keys)).await??;
        let pipeline = wire::start(store, settings).await?;
        match Self::open_doors(config, credentials, &pipeline).await {
            Ok((listener, made_key)) => Ok((Self::listen(listener, pipeline, failure, config)?, made_key)),
            Err(error) => {
                // What was written so far is worth a proper close.
                let _ = pipeline.stop(Duration::ZERO).await;
                Err(error)
            }
        }
    }

    /// What may still fail, before the first request is accepted.
    async fn open_doors(
        config: &Config,
        credentials: &Credentials,
        pipeline: &Pipeline,
    ) -> Result<(TcpListener, Option<String>)> {
        let plan = wire::reconcile(pipeline, config).await.context("the configuration cannot be applied")?;
        for step in plan.steps.iter().filter(|step| step.action != Action::Unchanged) {
            tracing::info!(object = step.object.kind(), name = %step.name, "{} from the file", done(step.action));
        }
        for (kind, name) in wire::orphans(pipeline, config)? {
            tracing::warn!(
                kind,
                name,
                "came from the file and is no longer in it; `afterclick apply {} --prune` removes it",
                config.file
            );
        }
        let listen = config.server.listen;
        let listener = TcpListener::bind(listen).await.with_context(|| {
            format!("cannot listen on `{listen}`; stop what uses it or choose another `--listen ADDRESS:PORT`")
        })?;
        let made_key = admin_key::ensure(&pipeline.registry, credentials.admin_key.as_deref()).await?;
        Ok((listener, made_key))
    }

    fn listen(listener: TcpListener, pipeline: Pipeline, failure: FailureWatch, config: &Config) -> Result<Self> {
        let address = listener.local_addr()?;
        let connections = Arc::new(api::Connections::default());
        let router = wire::router(&pipeline, &config.server, &connections);
        let (stop_listening, stopped) = oneshot::channel::<()>();
        let limits = api::ListenerLimits { grace: GRACE, ..api::ListenerLimits::default() };
        let shutdown = async move {
            // A dropped sender means the same as a sent message.
            let _ = stopped.await;
        };
        let listener = tokio::spawn(api::listener::serve(listener, router, limits, connections, shutdown));
        Ok(Self { address, pipeline, failure, listener, stop_listening })
    }

    /// Comes back when nothing may be acknowledged any more, because the store has failed for good, or nothing can be,
    /// because the listener has ended by itself.
    pub(crate) async fn failed(&mut self) -> String {
        tokio::select! {
            reason = self.failure.failed() => format!("the store failed: {reason}"),
            error = self.pipeline.dispatcher.failed() => error.to_string(),
            ended = &mut self.listener => format!("the listener ended by itself: {ended:?}"),
        }
    }

    /// Stops accepting, finishes requests and deliveries in flight within `grace`, commits and closes.
    pub(crate) async fn stop(self, grace: Duration) -> Result<()> {
        let _ = self.stop_listening.send(());
        // Requests in flight still need the store, so it is closed only when both have ended.
        let (listener, ()) = tokio::join!(self.listener, self.pipeline.dispatcher.stop(grace));
        let closed = self.pipeline.stop(Duration::ZERO).await;
        listener.context("the listener did not end well")?;
        closed.context("the store did not close well")
    }
}

/// Every connection is an open file, and many systems start processes with a low limit that they may raise themselves.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// A step of a plan once it is done, for the log.
fn done(action: Action) -> &'static str {
    match action {
        Action::Create => "created",
        Action::Update => "updated",
        Action::Delete => "deleted",
        Action::Unchanged => "left as it was",
    }
}

/// Makes the data directory, for its owner alone, and finds the keys that seal its secrets.
fn prepare_data_dir(data_dir: &Path, variable: Option<&str>) -> Result<Vec<MasterKey>> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(data_dir).with_context(|| {
        format!("cannot make the data directory `{}`; choose another `--data-dir`", data_dir.display())
    })?;
    let (keys, origin) = master_key::load(data_dir, variable, !wire::store_exists(data_dir))?;
    if let master_key::Origin::Made(path) = origin {
        tracing::warn!(
            "made `{}`, which seals the secrets of this store; keep a copy apart from backups, or set {} instead",
            path.display(),
            master_key::VARIABLE
        );
    }
    Ok(keys)
}
