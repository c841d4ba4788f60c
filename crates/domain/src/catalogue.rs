//! (being written)
/// The type of a test event.
pub const TEST: &str = "test";
/// The other name of an event type, if it has one.
pub fn alias(event_type: &str) -> Option<&'static str> {
    match event_type {
        "deferred_link.claimed" => Some("link.deferred_install"),
        "link.deferred_install" => Some("deferred_link.claimed"),
        _ => None,
    }
}
