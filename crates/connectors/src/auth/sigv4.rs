//! Requests signed as Amazon wants them: Signature Version 4, by the signer of its own SDK.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use domain::connector::HttpCall;
use domain::{Secret, Timestamp};

/// Who signs, and for what.
pub(crate) struct Signer {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: Secret,
    pub(crate) session_token: Option<Secret>,
    pub(crate) region: String,
    /// Amazon's name of the service: `redshift-data`.
    pub(crate) service: &'static str,
}

impl Signer {
    /// The same call with the headers that prove who makes it. The error is for a person.
    pub(crate) fn signed(&self, mut call: HttpCall, now: Timestamp) -> Result<HttpCall, String> {
        let session_token = self.session_token.as_ref().map(|token| token.expose().to_owned());
        let secret = self.secret_access_key.expose();
        let identity = Credentials::new(&self.access_key_id, secret, session_token, None, "settings").into();
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| error.to_string())?;
        let headers = call.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let request = SignableRequest::new(call.method, &call.url, headers, SignableBody::Bytes(&call.body))
            .map_err(|error| error.to_string())?;
        let signed = sign(request, &parameters.into()).map_err(|error| error.to_string())?;
        let headers = signed.output().headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let headers: Vec<_> = headers.collect();
        call.headers.extend(headers);
        Ok(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_the_documents_is_signed_as_they_say() {
        let signer = Signer {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
            region: "us-east-1".to_owned(),
            service: "service",
        };
        let call = HttpCall {
            method: "GET",
            url: "https://example.amazonaws.com/".to_owned(),
            headers: Vec::new(),
            body: bytes::Bytes::new(),
            reply_bytes_max: 0,
        };
        // `get-vanilla` of Amazon's test suite.
        let signed = signer.signed(call, "2015-08-30T12:36:00Z".parse().unwrap()).unwrap();
        let header = |name: &str| signed.headers.iter().find(|(known, _)| known == name).unwrap().1.clone();
        assert_eq!(header("x-amz-date"), "20150830T123600Z");
        assert_eq!(
            header("authorization"),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
    }
}
