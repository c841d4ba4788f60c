//! Checks signatures as Amazon does: version 4, in the `Authorization` header.

use ring::digest::{SHA256, digest};
use ring::hmac;

use crate::request::Request;

/// Who may sign, and for what.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) region: String,
    pub(crate) service: &'static str,
}

impl Credentials {
    /// What is wrong with a request's signature.
    pub(crate) fn check(&self, request: &Request) -> Result<(), &'static str> {
        let header = request.header("authorization").and_then(|header| header.strip_prefix("AWS4-HMAC-SHA256 "));
        let header = header.ok_or("Missing Authentication Token")?;
        let part = |name: &str| {
            let parts = header.split(',').filter_map(|part| part.trim().split_once('='));
            parts.into_iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
        };
        let time = request.header("x-amz-date").ok_or("the date is missing")?;
        let date = time.split('T').next().unwrap_or_default();
        let scope = format!("{date}/{}/{}/aws4_request", self.region, self.service);
        if part("Credential") != format!("{}/{scope}", self.access_key_id) {
            return Err("the credential is not of this key, day, region and service");
        }
        let signed: Vec<&str> = part("SignedHeaders").split(';').collect();
        if !signed.contains(&"host") || !signed.contains(&"x-amz-date") {
            return Err("host and date must be signed");
        }
        let canonical = canonical_request(request, &signed).ok_or("a signed header is missing")?;
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex_of(canonical.as_bytes()));
        let signature = hex::decode(part("Signature")).map_err(|_| "the signature is not hex")?;
        hmac::verify(&self.key(date), to_sign.as_bytes(), &signature)
            .map_err(|_| "The request signature we calculated does not match the signature you provided.")
    }

    fn key(&self, date: &str) -> hmac::Key {
        let first = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{}", self.secret_access_key).as_bytes());
        [date, &self.region, self.service, "aws4_request"]
            .into_iter()
            .fold(first, |key, part| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref()))
    }
}

fn canonical_request(request: &Request, signed: &[&str]) -> Option<String> {
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    let mut query: Vec<&str> = query.split('&').collect();
    query.sort_unstable();
    let mut headers = String::new();
    for name in signed {
        let value = request.header(name)?.split_whitespace().collect::<Vec<_>>().join(" ");
        headers += &[name, ":", &value, "\n"].concat();
    }
    let lines =
        [&request.method, request.path(), &query.join("&"), &headers, &signed.join(";"), &hex_of(&request.body)];
    Some(lines.join("\n"))
}

fn hex_of(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The same request with a signature of these credentials.
    pub(crate) fn signed(request: Request, credentials: &Credentials) -> Request {
        let (time, date) = ("20260304T143208Z", "20260304");
        let request = request.with("host", "redshift-data.example").with("x-amz-date", time);
        let names = ["host", "x-amz-date"];
        let canonical = canonical_request(&request, &names).unwrap();
        let scope = format!("{date}/{}/{}/aws4_request", credentials.region, credentials.service);
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex_of(canonical.as_bytes()));
        let signature = hex::encode(hmac::sign(&credentials.key(date), to_sign.as_bytes()));
        let credential = format!("{}/{scope}", credentials.access_key_id);
        let header =
            format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host;x-amz-date, Signature={signature}");
        request.with("authorization", &header)
    }

    #[test]
    fn amazons_own_example_is_taken_and_a_touched_one_is_not() {
        let credentials = Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            region: "us-east-1".to_owned(),
            service: "service",
        };
        let header = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                      SignedHeaders=host;x-amz-date, \
                      Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        let request = Request::new("GET", "/", "")
            .with("host", "example.amazonaws.com")
            .with("x-amz-date", "20150830T123600Z")
            .with("authorization", header);
        assert_eq!(credentials.check(&request), Ok(()));
        let touched = Request { body: "x".into(), ..request };
        assert!(credentials.check(&touched).is_err());
        assert_eq!(credentials.check(&Request::new("GET", "/", "")), Err("Missing Authentication Token"));
    }
}
