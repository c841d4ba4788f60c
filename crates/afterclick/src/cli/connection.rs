//! Which server a command talks to, and as whom.

use clap::Args;

use super::Failure;
use crate::client::Client;

#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// The server to talk to (`AFTERCLICK_SERVER`)
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "AFTERCLICK_SERVER",
        hide_env = true,
        default_value = "http://127.0.0.1:8400"
    )]
    pub(crate) server: String,
    /// A key of the server; also read from `AFTERCLICK_KEY`, then `AFTERCLICK_ADMIN_KEY`
    #[arg(long, global = true, value_name = "KEY", hide_env_values = true)]
    key: Option<String>,
    /// The appspace an admin key acts in (`AFTERCLICK_APPSPACE`) [default: default]
    #[arg(long, global = true, value_name = "NAME", env = "AFTERCLICK_APPSPACE", hide_env = true)]
    pub(crate) appspace: Option<String>,
}

impl Connection {
    /// The client for it.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let from_environment = |name: &str| std::env::var(name).ok().filter(|key| !key.is_empty());
        let key = self.key.clone();
        let key =
            key.or_else(|| from_environment("AFTERCLICK_KEY")).or_else(|| from_environment("AFTERCLICK_ADMIN_KEY"));
        Client::new(&self.server, key, self.appspace.clone()).map_err(Failure::Misused)
    }
}
