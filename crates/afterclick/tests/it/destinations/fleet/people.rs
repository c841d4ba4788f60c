//! What people read: chats, and the hooks of automations that end in a message.

use vendors::catch_hook::{CatchHook, Tool};
use vendors::discord::Discord;
use vendors::slack::Slack;
use vendors::teams::Teams;
use vendors::{Fault, Faults, Vendor as _};

use super::super::traffic::Event;
use super::{FEW, Member, Promise, section, seldom, with_pages};

const MESSAGE: &str = "*{{ type }}* {{ data.campaign }} {{ data.mark }}";

pub(super) fn slack(seed: u64) -> Member {
    let simulator = Slack::new().start(with_pages(rude(seed)));
    let settings = [("url", &*simulator.hook_url()), ("host_check", "false"), ("text", MESSAGE)];
    let config = section("slack", "slack", FEW, &settings);
    Member::simulated("slack", config, simulator).gets(Event::is_loud).promises(Promise::AtLeastOnce)
}

pub(super) fn discord(seed: u64) -> Member {
    let simulator = Discord::new().start(with_pages(rude(seed)).with(Fault::PartialFailure, 20));
    let settings = [("url", &*simulator.hook_url()), ("host_check", "false"), ("text", MESSAGE)];
    let config = section("discord", "discord", FEW, &settings);
    Member::simulated("discord", config, simulator).gets(Event::is_loud).promises(Promise::AtLeastOnce)
}

pub(super) fn teams(seed: u64) -> Member {
    let simulator = Teams::new().start(rude(seed));
    let settings = [("url", &*simulator.hook_url()), ("host_check", "false"), ("text", MESSAGE)];
    let config = section("teams", "teams", FEW, &settings);
    Member::simulated("teams", config, simulator).gets(Event::is_loud).promises(Promise::AtLeastOnce)
}

pub(super) fn zapier(seed: u64) -> Member {
    let simulator = CatchHook::new(Tool::Zapier).start(rude(seed));
    let config = section("zapier", "zapier", FEW, &[("url", &simulator.hook_url())]);
    Member::simulated("zapier", config, simulator).gets(Event::is_loud).promises(Promise::AtLeastOnce)
}

/// So few messages must meet more faults than others to meet any, and not so many that with the vendors' limits the breaker opens.
fn rude(seed: u64) -> Faults {
    seldom(seed).with(Fault::ServerError(502), 100)
}
