//! How connections to servers without URLs are secured: the same two settings for all of them.

use domain::Settings;
use domain::connector::{Field, FieldKind, ServerTls, SettingsError};

/// The switch.
pub(crate) const TLS_FIELD: Field = Field::optional(
    "tls",
    FieldKind::Switch,
    "whether connections are encrypted and the certificate checked; `false` only inside your own network",
)
.or("true");

/// Whom to trust.
pub(crate) const CA_CERTIFICATE_FIELD: Field = Field::optional(
    "ca_certificate",
    FieldKind::Text,
    "the certificate of the authority that vouches for the server, in PEM, if it is not one of the usual",
);

/// Reads both.
pub(crate) fn read(settings: &Settings) -> Result<ServerTls, SettingsError> {
    let is_on = settings.0.get("tls").and_then(serde_json::Value::as_bool).unwrap_or(true);
    match settings.text("ca_certificate") {
        Some(_) if !is_on => Err(SettingsError::new("ca_certificate", "is there although `tls` is off; leave one out")),
        Some(pem) if pem.contains("-----BEGIN CERTIFICATE-----") => Ok(ServerTls::Authority(pem.to_owned())),
        Some(_) => Err(SettingsError::new(
            "ca_certificate",
            "is no certificate in PEM; it begins with `-----BEGIN CERTIFICATE-----`",
        )),
        None if is_on => Ok(ServerTls::Public),
        None => Ok(ServerTls::None),
    }
}
