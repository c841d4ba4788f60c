//! Objects: whole files for a bucket.

use bytes::Bytes;

use super::Shown;
use crate::secret::Secret;

/// An object to put into a bucket: it is there whole or not at all, and a second put of the same key replaces it. The
/// reply has the status of the store and, when it refuses, the name of its error as [`super::Reply::code`].
#[derive(Debug, Clone)]
pub struct ObjectCall {
    pub bucket: Bucket,
    /// Without a leading slash.
    pub key: String,
    pub content_type: &'static str,
    pub body: Bytes,
    /// Whether the transport compresses the body on its way. The object is then a gzip file, not a text that a client
    /// would decompress by itself.
    pub gzip: bool,
}

/// A bucket of a store that speaks S3's protocol, and who puts objects there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// The URL of the store, without the bucket and without a slash at its end.
    pub endpoint: String,
    pub region: String,
    pub name: String,
    /// Whether the bucket is named in the path; else it is the first part of the host.
    pub by_path: bool,
    pub access_key: String,
    pub secret_key: Secret,
}

impl Bucket {
    /// Where its objects are, without a slash at the end.
    pub fn url(&self) -> String {
        let Self { endpoint, name, .. } = self;
        match endpoint.split_once("://") {
            Some((scheme, host)) if !self.by_path => format!("{scheme}://{name}.{host}"),
            _ => format!("{endpoint}/{name}"),
        }
    }
}

impl ObjectCall {
    pub(super) fn shown(&self) -> Shown {
        let body = std::str::from_utf8(&self.body)
            .map_or_else(|_| format!("({} bytes that are no text)", self.body.len()), str::to_owned);
        let mut headers = vec![("content-type".to_owned(), self.content_type.to_owned())];
        if self.gzip {
            // What is shown is what comes out again.
            headers.push(("compressed with".to_owned(), "gzip".to_owned()));
        }
        Shown { method: "PUT", url: format!("{}/{}", self.bucket.url(), self.key), headers, body }
    }
}
