//! The settings of the connector, and which of them belong to which provider.

use domain::Settings;
use domain::connector::{Field, FieldKind, SettingsError};

use super::cap::PER_DAY_MAX;

pub(super) const FIELDS: &[Field] = &[
    Field::required(
        "provider",
        FieldKind::Choice { of: &["smtp", "resend", "postmark", "sendgrid"] },
        "who carries the mail; `smtp` is any mail server",
    ),
    Field::required(
        "from",
        FieldKind::Text,
        "the sender, like `Acme <hello@acme.example>`; the provider must know the address or its domain as yours",
    ),
    Field::optional("reply_to", FieldKind::Text, "where answers go, if not to the sender"),
    Field::optional(
        "to",
        FieldKind::Template,
        "the address to mail to, like `{{ data.customer.email }}`; an event for which it comes out empty is skipped",
    )
    .or("{{ data.email or data.user_email }}"),
    Field::optional(
        "recipients",
        FieldKind::List,
        "fixed addresses in place of `to`, for mail to a team; all of them are on the same mail",
    ),
    Field::optional(
        "subject",
        FieldKind::Template,
        "the subject; also of campaigns whose template has none of its own",
    ),
    Field::optional("text", FieldKind::Template, "the mail as plain text, for events whose campaign has no template"),
    Field::optional(
        "html",
        FieldKind::Template,
        "the mail as HTML, for events whose campaign has no template; values in it are escaped",
    ),
    Field::optional(
        "template",
        FieldKind::Text,
        "a template of the provider, by its id or alias, for events whose campaign has none",
    ),
    Field::optional(
        "templates",
        FieldKind::Mapping,
        "templates by campaign: the id of one of the provider's, or an object of `subject`, `text`, `html` or \
         `template`",
    ),
    Field::optional("choose", FieldKind::Template, "what names the template of an event")
        .or("{{ data.campaign or data.utm_campaign }}"),
    Field::optional(
        "dynamic_data",
        FieldKind::Mapping,
        "what templates of the provider are filled with, next to `campaign_name` and `deep_link_content`",
    ),
    Field::optional(
        "unsubscribe",
        FieldKind::Template,
        "the URL or `mailto:` address behind the mail program's button for unsubscribing",
    ),
    Field::optional(
        "per_recipient_per_day",
        FieldKind::Integer { min: 1, max: PER_DAY_MAX },
        "most mails to one address in a day (UTC); what is beyond that is skipped",
    ),
    Field::optional("api_key", FieldKind::Secret, "the API key of Resend or SendGrid, or the server token of Postmark"),
    Field::optional("region", FieldKind::Choice { of: &["us", "eu"] }, "where the SendGrid account is").or("us"),
    Field::optional("stream", FieldKind::Text, "Postmark's message stream").or("outbound"),
    Field::optional("api_url", FieldKind::Url, "another server that speaks the provider's API"),
    Field::optional("host", FieldKind::Text, "the mail server, like `smtp.acme.example`"),
    Field::optional(
        "port",
        FieldKind::Integer { min: 1, max: 65_535 },
        "its port; otherwise 587, 465 or 25 as `tls` says",
    ),
    Field::optional(
        "tls",
        FieldKind::Choice { of: &["starttls", "implicit", "none"] },
        "how the connection is encrypted; `none` is for a relay on your own network",
    )
    .or("starttls"),
    Field::optional("user", FieldKind::Text, "the user name for the mail server, if it wants one"),
    Field::optional("password", FieldKind::Secret, "the password of that user"),
    Field::optional(
        "token_url",
        FieldKind::Url,
        "where tokens are to be had, for a server that takes them (XOAUTH2) in place of a password",
    ),
    Field::optional("client_id", FieldKind::Text, "the client that asks for tokens"),
    Field::optional("client_secret", FieldKind::Secret, "its secret"),
    Field::optional("scope", FieldKind::Text, "what the tokens are for, like `https://outlook.office365.com/.default`"),
    Field::optional(
        "ca_certificate",
        FieldKind::Text,
        "the certificate of the authority that vouches for the mail server, in PEM, if it is not one of the usual",
    ),
];

/// Settings that only some providers have.
const BELONGING: &[(&str, &[&str])] = &[
    ("api_key", &["resend", "postmark", "sendgrid"]),
    ("api_url", &["resend", "postmark", "sendgrid"]),
    ("template", &["resend", "postmark", "sendgrid"]),
    ("dynamic_data", &["resend", "postmark", "sendgrid"]),
    ("region", &["sendgrid"]),
    ("stream", &["postmark"]),
    ("host", &["smtp"]),
    ("port", &["smtp"]),
    ("tls", &["smtp"]),
    ("user", &["smtp"]),
    ("password", &["smtp"]),
    ("token_url", &["smtp"]),
    ("client_id", &["smtp"]),
    ("client_secret", &["smtp"]),
    ("scope", &["smtp"]),
    ("ca_certificate", &["smtp"]),
];

/// Refuses settings that would have no effect: whoever wrote them expects one.
pub(super) fn check_belonging(settings: &Settings) -> Result<(), SettingsError> {
    let provider = settings.text("provider").unwrap_or_default();
    let lost = BELONGING.iter().find(|(name, of)| settings.0.contains_key(*name) && !of.contains(&provider));
    match lost {
        None => Ok(()),
        Some((name, of)) => {
            let of = of.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ");
            let message =
                format!("belongs to the provider {of}, not to `{provider}`; take it out or change `provider`");
            Err(SettingsError::new(*name, message))
        }
    }
}

/// A setting that this provider cannot be without.
pub(super) fn needed<'s>(settings: &'s Settings, name: &str) -> Result<&'s str, SettingsError> {
    let help = FIELDS.iter().find(|field| field.name == name).map(|field| field.help).unwrap_or_default();
    let text = settings.text(name).map(str::trim).filter(|text| !text.is_empty());
    text.ok_or_else(|| SettingsError::new(name, format!("is missing; {help}")))
}

/// The key, which ends up in a header.
pub(super) fn api_key(settings: &Settings) -> Result<String, SettingsError> {
    let key = needed(settings, "api_key")?;
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SettingsError::new("api_key", "holds a space or a character that no key has; copy it again"));
    }
    Ok(key.to_owned())
}

/// The provider's server without a slash at its end.
pub(super) fn api_url(settings: &Settings, usual: &str) -> Result<String, SettingsError> {
    let Some(text) = settings.text("api_url") else { return Ok(usual.to_owned()) };
    let url = crate::common::url::parse(text).map_err(|message| SettingsError::new("api_url", message))?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}
