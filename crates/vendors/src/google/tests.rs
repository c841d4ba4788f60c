use super::*;
use crate::jwt::tests::signed;

const SCOPE: &str = "https://www.googleapis.com/auth/bigquery";

/// Claims that ask for a token of a scope.
pub(crate) fn claims(scope: &str) -> Value {
    let (iss, aud) = (SERVICE_ACCOUNT_EMAIL, "https://oauth2.googleapis.com/token");
    json!({ "iss": iss, "aud": aud, "scope": scope, "iat": 1_772_634_728, "exp": 1_772_638_328 })
}

/// A request for a token.
pub(crate) fn ask(assertion: &str) -> Request {
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    Request::new("POST", TOKEN_PATH, format!("grant_type={}&assertion={assertion}", grant.replace(':', "%3A")))
}

fn rs256() -> Value {
    json!({ "alg": "RS256", "typ": "JWT" })
}

#[test]
fn a_signed_assertion_buys_a_token_for_an_hour() {
    let mut tokens = Tokens::new(&[SCOPE]);
    let answer = tokens.issue(&ask(&signed(&rs256(), &claims(SCOPE))));
    assert_eq!((answer.status, answer.said_json()["expires_in"].clone()), (200, json!(3600)));
    let bearer = format!("Bearer {}", text(&answer.said_json()["access_token"]));
    let request = Request::new("POST", "/", "").with("authorization", &bearer);
    assert!(tokens.admits(&request, ""));
    assert!(!tokens.admits(&request.clone().at(LIFETIME), ""));
    tokens.revoke_all();
    assert!(!tokens.admits(&request, ""));
}

#[test]
fn an_assertion_can_be_the_token_where_it_names_the_api() {
    let tokens = Tokens::new(&[SCOPE]);
    let mut claims = claims(SCOPE);
    claims["aud"] = json!("https://bigquery.googleapis.com/");
    let request = Request::new("POST", "/", "").with("authorization", &format!("Bearer {}", signed(&rs256(), &claims)));
    assert!(tokens.admits(&request, "https://bigquery.googleapis.com/"));
    assert!(!tokens.admits(&request, "https://datamanager.googleapis.com/"));
}

#[test]
fn a_bad_assertion_buys_nothing() {
    let with = |name: &str, value: Value| {
        let mut claims = claims(SCOPE);
        claims[name] = value;
        signed(&rs256(), &claims)
    };
    let bad = [
        "x.y".to_owned(),
        signed(&json!({ "alg": "HS256" }), &claims(SCOPE)),
        with("iss", json!("somebody@else")),
        with("aud", json!("https://example.org/")),
        with("scope", json!("openid")),
        with("exp", json!(1_772_638_329)),
        with("exp", json!("1772638328")),
    ];
    for assertion in bad {
        let answer = Tokens::new(&[SCOPE]).issue(&ask(&assertion));
        assert_eq!((answer.status, answer.said_json()["error"].clone()), (400, json!("invalid_grant")));
    }
    assert_eq!(Tokens::new(&[SCOPE]).issue(&Request::new("POST", TOKEN_PATH, "")).status, 400);
}
