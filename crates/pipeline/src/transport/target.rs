//! Targets: where a URL leads, read once by one parser and never again from its text.

use std::net::IpAddr;

use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};
use rustls_pki_types::ServerName;
use url::{Host, Url};

use super::guard::Refused;

/// Longest URL, in bytes.
pub(super) const URL_BYTES_MAX: usize = 2_048;

/// A URL that can be dialled, taken apart.
#[derive(Debug, Clone)]
pub struct Target {
    pub(super) tls: bool,
    pub(super) host: TargetHost,
    pub(super) port: u16,
    /// The value of `Host`: without a trailing dot, without the scheme's own port.
    pub(super) authority: HeaderValue,
    /// Path and query, as the request line has them.
    pub(super) origin_form: Uri,
    /// The name that the certificate must bear.
    pub(super) server_name: ServerName<'static>,
    url: Url,
}

/// A server that is named by host and port, for protocols that have no URLs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Whether what is said to it is encrypted.
    pub(super) is_private: bool,
    pub(super) host: TargetHost,
    pub(super) port: u16,
    /// The name that the certificate must bear.
    pub(super) server_name: ServerName<'static>,
}

/// The host of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TargetHost {
    /// A name in lower-case ASCII without a trailing dot, to be resolved.
    Name(String),
    /// An address written as such, in any of the spellings that URL parsers know.
    Address(IpAddr),
}

impl Target {
    /// Reads a URL. Says nothing about whether it may be dialled.
    pub(super) fn parse(text: &str) -> Result<Self, Refused> {
        if text.len() > URL_BYTES_MAX {
            return Err(Refused::TooLong);
        }
        // The parser drops tabs and line feeds and turns backslashes around, so that what a person reads is not what
        // would be dialled.
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(Refused::Characters);
        }
        let url = Url::parse(text).map_err(|_| Refused::Malformed)?;
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(Refused::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(Refused::Fragment);
        }
        let host = match url.host().ok_or(Refused::Malformed)? {
            Host::Ipv4(v4) => TargetHost::Address(v4.into()),
            Host::Ipv6(v6) => TargetHost::Address(v6.into()),
            Host::Domain(name) => TargetHost::Name(plain_name(name)?),
        };
        let port = url.port_or_known_default().filter(|&port| port != 0).ok_or(Refused::Port)?;
        let path_and_query = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Ok(Self {
            tls,
            port,
            authority: authority(&host, url.port())?,
            origin_form: PathAndQuery::try_from(path_and_query).map_err(|_| Refused::Malformed)?.into(),
            server_name: server_name(&host)?,
            host,
            url,
        })
    }

    /// The URL as the parser writes it: what to store.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Whether a connection to `other` can carry requests for this one.
    pub(super) fn shares_connections_with(&self, other: &Self) -> bool {
        self.tls == other.tls && self.port == other.port && self.host == other.host
    }
}

impl Peer {
    /// Reads a host as URLs have it: a name, an address, an IPv6 address with or without brackets.
    pub(super) fn parse(host: &str, port: u16, is_private: bool) -> Result<Self, Refused> {
        let bracketed =
            if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
        // The one reader of hosts is that of URLs, so that no spelling means something else here than there.
        let target = Target::parse(&format!("https://{bracketed}:{port}/")).map_err(|refused| match refused {
            Refused::TooLong | Refused::Port => refused,
            _ => Refused::Host,
        })?;
        let is_only_a_host = target.origin_form == "/";
        if !is_only_a_host {
            return Err(Refused::Host);
        }
        Ok(Self { is_private, host: target.host, port: target.port, server_name: target.server_name })
    }
}

fn plain_name(name: &str) -> Result<String, Refused> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() || name.len() > 253 || name.split('.').any(str::is_empty) {
        return Err(Refused::Malformed);
    }
    Ok(name.to_owned())
}

fn authority(host: &TargetHost, port: Option<u16>) -> Result<HeaderValue, Refused> {
    let host = match host {
        TargetHost::Name(name) => name.clone(),
        TargetHost::Address(IpAddr::V4(v4)) => v4.to_string(),
        TargetHost::Address(IpAddr::V6(v6)) => format!("[{v6}]"),
    };
    let authority = match port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    };
    HeaderValue::try_from(authority).map_err(|_| Refused::Malformed)
}

fn server_name(host: &TargetHost) -> Result<ServerName<'static>, Refused> {
    match host {
        TargetHost::Name(name) => ServerName::try_from(name.clone()).map_err(|_| Refused::Malformed),
        TargetHost::Address(address) => Ok(ServerName::IpAddress((*address).into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_the_url_taken_apart() {
        let target = Target::parse("https://Hooks.Example.com.:8443/a%20b?c=d").unwrap();
        assert_eq!(target.host, TargetHost::Name("hooks.example.com".to_owned()));
        assert_eq!((target.port, target.tls), (8_443, true));
        assert_eq!(target.authority, "hooks.example.com:8443");
        assert_eq!(target.origin_form.to_string(), "/a%20b?c=d");
        assert_eq!(Target::parse("https://example.com").unwrap().authority, "example.com");
        assert_eq!(Target::parse("https://[2606:4700::1]:444/").unwrap().authority, "[2606:4700::1]:444");
    }

    #[test]
    fn every_spelling_of_an_address_is_seen_as_one() {
        for host in ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "①②⑦.⓪.⓪.①", "127。0。0。1"]
        {
            let target = Target::parse(&format!("http://{host}/")).unwrap();
            assert_eq!(target.host, TargetHost::Address("127.0.0.1".parse().unwrap()), "{host}");
        }
    }

    #[test]
    fn a_peer_is_a_host_and_nothing_else() {
        let host = |text| Peer::parse(text, 5_432, true).map(|peer| peer.host);
        assert_eq!(host("DB.Example.com."), Ok(TargetHost::Name("db.example.com".to_owned())));
        assert_eq!(host("127.1"), Ok(TargetHost::Address("127.0.0.1".parse().unwrap())));
        assert_eq!(host("2606:4700::1"), Ok(TargetHost::Address("2606:4700::1".parse().unwrap())));
        assert_eq!(host("[2606:4700::1]"), Ok(TargetHost::Address("2606:4700::1".parse().unwrap())));
        for text in ["", "a/b", "a?b", "a#b", "u@a", "a:1", "a b", "a,b", "/var/run/postgresql", "a..b"] {
            assert_eq!(host(text), Err(Refused::Host), "{text}");
        }
        assert_eq!(Peer::parse("example.com", 0, true).err(), Some(Refused::Port));
    }

    #[test]
    fn what_a_person_would_misread_is_refused() {
        for (url, expect) in [
            ("https://exa\tmple.com/", Refused::Characters),
            ("https:\\\\example.com", Refused::Characters),
            (" https://example.com", Refused::Characters),
            ("https://example.com\n", Refused::Characters),
            ("https://example.com@169.254.169.254/", Refused::UserInfo),
            ("https://:pass@example.com/", Refused::UserInfo),
            ("https://example.com/#a", Refused::Fragment),
            ("ftp://example.com/", Refused::Scheme),
            ("file:///etc/passwd", Refused::Scheme),
            ("https://example.com..", Refused::Malformed),
            ("https://a..b/", Refused::Malformed),
            ("https://", Refused::Malformed),
            ("example.com", Refused::Malformed),
            ("https://[fe80::1%25eth0]/", Refused::Malformed),
            ("https://example.com:0/", Refused::Port),
        ] {
            assert_eq!(Target::parse(url).map(|target| target.url().to_owned()), Err(expect), "{url}");
        }
        assert_eq!(Target::parse(&format!("https://example.com/{}", "a".repeat(2_048))).err(), Some(Refused::TooLong));
    }
}
