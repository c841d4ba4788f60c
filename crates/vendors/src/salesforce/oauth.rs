//! Tokens, for a client's secret or for a signed JWT.

use serde_json::json;
use url::form_urlencoded;

use super::{Salesforce, USER_ID};
use crate::answer::Answer;
use crate::jwt;
use crate::look::text;
use crate::request::Request;

pub(super) const TOKEN_PATH: &str = "/services/oauth2/token";
pub(super) const USER_PATH: &str = "/services/oauth2/userinfo";
/// Longest life of a JWT, in seconds.
const JWT_SECS_MAX: u64 = 180;
const AUDIENCES: [&str; 2] = ["https://login.salesforce.com", "https://test.salesforce.com"];

pub(super) fn issue(org: &mut Salesforce, request: &Request) -> Answer {
    let form: Vec<(String, String)> = form_urlencoded::parse(&request.body).into_owned().collect();
    let field = |name| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let checked = match field("grant_type") {
        "client_credentials" if field("client_id") != org.client_id => {
            Err(("invalid_client_id", "client identifier invalid"))
        }
        "client_credentials" if field("client_secret") != org.client_secret => {
            Err(("invalid_client", "invalid client credentials"))
        }
        "client_credentials" => Ok(()),
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => of_jwt(org, field("assertion")),
        _ => Err(("unsupported_grant_type", "grant type not supported")),
    };
    if let Err((error, description)) = checked {
        return Answer::json(400, &json!({"error": error, "error_description": description}));
    }
    org.issued += 1;
    let token = format!("{}!AQEAQ.simulated_{}", &org.org_id[..15], org.issued);
    org.sessions.push((token.clone(), request.at + org.session));
    let here = format!("http://{}", request.header("host").unwrap_or("localhost"));
    let instance = org.instance_url.clone().unwrap_or(here);
    Answer::json(
        200,
        &json!({
            "access_token": token, "instance_url": instance, "id": format!("https://login.salesforce.com/id/{}/{USER_ID}", org.org_id),
            "token_type": "Bearer", "issued_at": "1772634728441", "signature": "c2ltdWxhdGVk", "scope": "api",
        }),
    )
}

fn of_jwt(org: &Salesforce, assertion: &str) -> Result<(), (&'static str, &'static str)> {
    let claims = jwt::claims(assertion).map_err(|_| ("invalid_grant", "invalid assertion"))?;
    let life = claims["exp"].as_u64().unwrap_or(u64::MAX).saturating_sub(claims["iat"].as_u64().unwrap_or(0));
    if claims["iss"] != *org.client_id {
        Err(("invalid_client_id", "client identifier invalid"))
    } else if claims["sub"] != *org.username {
        Err(("invalid_grant", "user hasn't approved this consumer"))
    } else if !AUDIENCES.contains(&text(&claims["aud"])) {
        Err(("invalid_grant", "audience is invalid"))
    } else if life > JWT_SECS_MAX {
        Err(("invalid_grant", "invalid assertion: it expires too late"))
    } else {
        Ok(())
    }
}

pub(super) fn user_info(org: &Salesforce) -> Answer {
    Answer::json(200, &json!({"user_id": USER_ID, "organization_id": org.org_id, "preferred_username": org.username}))
}
