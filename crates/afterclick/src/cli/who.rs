//! Identifiers on the command line: `--user 42 --install i-7`.

use clap::Args;
use serde_json::{Map, Value};

#[derive(Debug, Args)]
pub(super) struct Who {
    /// The account in the app
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// An address
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// One installation of the app
    #[arg(long, value_name = "ID")]
    install: Option<String>,
    /// One click on a link
    #[arg(long, value_name = "ID")]
    click: Option<String>,
    /// An id of somebody who is not signed in
    #[arg(long, value_name = "ID")]
    anonymous: Option<String>,
    /// The code of a referral
    #[arg(long, value_name = "CODE")]
    referral: Option<String>,
}

impl Who {
    /// The members of a body that were given.
    pub(super) fn body(&self) -> Map<String, Value> {
        let members = [
            ("user_id", &self.user),
            ("email", &self.email),
            ("install_id", &self.install),
            ("click_id", &self.click),
            ("anonymous_id", &self.anonymous),
            ("referral_code", &self.referral),
        ];
        members.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.clone()?.into()))).collect()
    }
}
