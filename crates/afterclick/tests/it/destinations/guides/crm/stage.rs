//! A vendor and the program with the file of the guide to CRMs, and the steps that the guide takes with them.

use domain::signature::Scheme;
use serde_json::{Value, json};
use vendors::hubspot::HubSpot;
use vendors::pipedrive::Pipedrive;
use vendors::salesforce::Salesforce;
use vendors::{Faults, Simulator, Vendor as _};

use super::GUIDE;
use crate::destinations::guides::start;
use crate::support::Server;

/// A vendor, and the program with the file of the guide, which speaks to it.
pub(super) struct Stage<V> {
    pub(super) vendor: Simulator<V>,
    pub(super) server: Server,
    pub(super) name: &'static str,
}

pub(super) fn hubspot() -> Stage<HubSpot> {
    let vendor = HubSpot::new().without_limit().start(Faults::none());
    let host = format!("settings.host = \"{}\"\nsettings.access_token", vendor.url());
    let here = [("settings.access_token", &*host), ("connector = \"hubspot\"", &soon("hubspot"))];
    let server = start("crm-hubspot", &[("HUBSPOT_ACCESS_TOKEN", "access-token")], &here);
    Stage { vendor, server, name: "hubspot" }
}

pub(super) fn salesforce() -> Stage<Salesforce> {
    let vendor = Salesforce::new().without_limit().start(Faults::none());
    let url = vendor.url();
    let here = [("https://acme.my.salesforce.com", &*url), ("connector = \"salesforce\"", &soon("salesforce"))];
    let login = [("SALESFORCE_CLIENT_ID", "consumer-key"), ("SALESFORCE_CLIENT_SECRET", "consumer-secret")];
    let server = start("crm-salesforce", &login, &here);
    Stage { vendor, server, name: "salesforce" }
}

pub(super) fn pipedrive() -> Stage<Pipedrive> {
    let vendor = Pipedrive::new().without_limit().start(Faults::none());
    let host = format!("settings.host = \"{}\"", vendor.url());
    let here = [("settings.domain = \"acme\"", &*host), ("connector = \"pipedrive\"", &soon("pipedrive"))];
    let server = start("crm-pipedrive", &[("PIPEDRIVE_API_TOKEN", "api-token")], &here);
    Stage { vendor, server, name: "pipedrive" }
}

/// A second is long for a test.
fn soon(connector: &str) -> String {
    format!("connector = \"{connector}\"\nbatch.wait = \"20ms\"")
}

impl<V: Send + 'static> Stage<V> {
    /// The steps of the guide before anything is sent.
    pub(super) fn prepared(&self, makes: &str, sends: &str) {
        self.server.run(&["destinations", "provision", self.name, "--yes"]).ended(0).prints(makes);
        self.server.run(&["destinations", "provision", self.name, "--yes"]).ended(0).says("nothing to do");
        let before = self.vendor.book(|book| book.stored.len());
        let preview = ["destinations", "preview", self.name, "--type", "referral.completed"];
        self.server.run(&preview).ended(0).prints(sends);
        assert_eq!(self.vendor.book(|book| book.stored.len()), before, "a preview sends nothing");
    }

    /// An event of the platform's, so many minutes after nine.
    pub(super) fn tell(&self, minute: u32, event_type: &str, data: &Value) -> String {
        let at = format!("2026-05-21T09:{minute:02}:00.000Z");
        let body = json!({ "event": event_type, "timestamp": at, "data": data }).to_string();
        let answer = self.server.post("tolinku", Scheme::BodyHex, "", body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.json());
        answer.json()["id"].as_str().expect("an id").to_owned()
    }

    pub(super) fn click(&self) {
        let click = json!({
            "click_id": "c-1", "prefix": "go", "token": "summer-promo", "campaign": "instagram-story-may",
            "channel": "instagram",
        });
        self.tell(10, "link.clicked", &click);
    }

    pub(super) fn install(&self) -> String {
        self.tell(14, "install.tracked", &json!({ "click_id": "c-1", "install_id": "i-4711", "platform": "ios" }))
    }

    /// As the guide says it by hand.
    pub(super) fn identify(&self) {
        let said = "identify --install i-4711 --user user_456 --email ada@example.org";
        assert!(GUIDE.contains(said), "the guide does not show `{said}`");
        let mut said: Vec<&str> = said.split(' ').collect();
        said.extend(["--name", "Ada Lovelace", "--trait", "job_title=Countess"]);
        self.server.run(&said).ended(0);
    }

    /// Somebody completes a referral.
    pub(super) fn completion(&self, user: &str) -> String {
        let data = json!({
            "referred_user_id": user, "referrer_id": "user-abc123", "revenue": 49.99, "currency": "EUR",
        });
        self.tell(32, "referral.completed", &data)
    }

    /// Somebody signs up by a referral.
    pub(super) fn referral(&self, user: &str) -> String {
        self.tell(20, "referral.created", &json!({ "referred_user_id": user, "referrer_id": "user-abc123" }))
    }

    pub(super) fn message(&self, event: &str, state: &str) -> String {
        self.server.delivery(event, state).to_string()
    }
}
