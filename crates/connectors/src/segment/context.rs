//! Context: where something happened and with what, in the members that Segment's destinations look for.

use std::borrow::Cow;

use domain::fields::Fields;
use serde::{Serialize, Serializer};

/// Longest text in it, in bytes. The properties have the whole of it, and a message has room for little more than once all.
const TEXT_BYTES_MAX: usize = 1_024;

/// Where and with what.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Context<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Members::is_empty")]
    campaign: Members<'a>,
    #[serde(skip_serializing_if = "Members::is_empty")]
    os: Members<'a>,
    #[serde(skip_serializing_if = "Members::is_empty")]
    device: Members<'a>,
    #[serde(skip_serializing_if = "Members::is_empty")]
    app: Members<'a>,
    #[serde(skip_serializing_if = "Members::is_empty")]
    page: Members<'a>,
    #[serde(skip_serializing_if = "Members::is_empty")]
    location: Members<'a>,
    library: Library,
}

impl<'a> Context<'a> {
    pub(super) fn of(fields: &'a Fields<'_>) -> Self {
        let platform = fields.platform.as_deref();
        let os = fields.os.as_deref().or_else(|| platform.and_then(os_of_platform));
        Self {
            ip: fields.ip.as_deref().map(beginning),
            user_agent: fields.user_agent.as_deref().map(beginning),
            campaign: Members::of([
                ("name", &fields.campaign),
                ("source", &fields.channel),
                ("medium", &fields.medium),
                ("term", &fields.term),
                ("content", &fields.content),
            ]),
            os: Members(vec![("name", os.map(beginning)), ("version", fields.os_version.as_deref().map(beginning))]),
            device: Members::of([("type", &fields.device_type)]),
            app: Members::of([("version", &fields.app_version)]),
            page: Members::of([("referrer", &fields.referrer)]),
            location: Members::of([("country", &fields.country), ("region", &fields.region)]),
            library: Library { name: "afterclick", version: env!("CARGO_PKG_VERSION") },
        }
    }
}

/// As much of a text as has a place here.
fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

fn os_of_platform(platform: &str) -> Option<&'static str> {
    match platform {
        "ios" => Some("iOS"),
        "android" => Some("Android"),
        _ => None,
    }
}

#[derive(Serialize)]
struct Library {
    name: &'static str,
    version: &'static str,
}

/// An object of those members that are known.
struct Members<'a>(Vec<(&'static str, Option<&'a str>)>);

impl<'a> Members<'a> {
    fn of<const N: usize>(members: [(&'static str, &'a Option<Cow<'_, str>>); N]) -> Self {
        Self(members.iter().map(|(name, text)| (*name, text.as_deref().map(beginning))).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|(_, text)| text.is_none())
    }
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().filter_map(|(name, text)| text.map(|text| (name, text))))
    }
}
