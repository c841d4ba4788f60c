//! The OpenAPI 3.1 document, made from the same list of routes as the router.

use std::sync::LazyLock;

use utoipa::OpenApi as _;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ObjectBuilder, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder};

use crate::problem::{MEDIA_TYPE, ProblemDocument};

/// The document as it is served.
pub(crate) static JSON: LazyLock<String> =
    LazyLock::new(|| openapi().to_json().expect("the document is made of texts and numbers"));

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Afterclick",
        description = "What happens after the click: deep-link events come in, are durable before they are answered, and reach every matching destination.\n\nEvery error is a problem document (RFC 9457) with a stable `code`. Lists take `limit` and `cursor`. Sources, destinations and appspaces are addressed by id or by name; what belongs to another appspace is answered with 404.",
    ),
    components(schemas(ProblemDocument)),
    tags(
        (name = "intake", description = "Events come in"),
        (name = "events", description = "The log of events"),
        (name = "people", description = "Who the events are about"),
        (name = "sources", description = "Who may send"),
        (name = "destinations", description = "Who receives"),
        (name = "deliveries", description = "One event owed to one destination"),
        (name = "replays", description = "Past events, owed again"),
        (name = "administration", description = "Appspaces, keys and configuration"),
        (name = "operation", description = "The process itself"),
    ),
)]
struct Document;

/// The whole document.
pub fn openapi() -> OpenApi {
    let mut document = Document::openapi();
    for routes in [crate::intake_routes(), crate::api_routes()] {
        document.merge(routes.into_openapi());
    }
    let components = document.components.get_or_insert_default();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.security_schemes.insert("key".to_owned(), RefOr::T(bearer));
    components.parameters.insert(APPSPACE.to_owned(), RefOr::T(appspace_header()));
    for (status, meaning) in COMMON {
        components.responses.insert(format!("Problem{status}"), RefOr::T(problem(meaning)));
    }
    for (path, item) in &mut document.paths.paths {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            complete(path, operation);
        }
    }
    document
}

/// The name of the header parameter that every route with a key takes.
const APPSPACE: &str = "Appspace";

fn appspace_header() -> Parameter {
    let description = "Name or id of the appspace that an admin key acts in; `default` if it is left out. Other keys act in \
                       their own and may not say so.";
    ParameterBuilder::new()
        .name("Afterclick-Appspace")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

/// The problems that an operation can have because of what it takes, beside those it names itself.
const COMMON: [(&str, &str); 8] = [
    ("400", "The request cannot be read"),
    ("401", "The key or signature is missing or refused"),
    ("403", "The key lacks the scope"),
    ("404", "There is no such thing in this appspace"),
    ("413", "The body is too large"),
    ("415", "The body is compressed"),
    ("422", "The request can be read and asks for something impossible"),
    ("default", "Anything else: 5xx when the fault is ours"),
];

fn complete(path: &str, operation: &mut Operation) {
    // `sources.list`: the noun of the path and what the handler is called.
    let noun = path.trim_start_matches("/v1").split('/').nth(1).filter(|noun| !noun.is_empty()).unwrap_or("root");
    let noun = noun.trim_end_matches(".json");
    let verb = operation.operation_id.take().unwrap_or_default();
    operation.operation_id = Some(format!("{noun}.{verb}"));
    // A route that needs no key says `security(())`, which is an empty requirement; the empty list means the same and
    // is what tools expect.
    let is_public = operation.security.as_ref().is_some_and(|all| all.contains(&SecurityRequirement::default()));
    if is_public {
        operation.security = Some(Vec::new());
    } else {
        let appspace = RefOr::Ref(Ref::new(format!("#/components/parameters/{APPSPACE}")));
        operation.parameters.get_or_insert_default().push(appspace);
    }
    let has_parameters = operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty());
    let has_body = operation.request_body.is_some();
    for (status, response) in &mut operation.responses.responses {
        // A refusal that an operation names itself is a problem document like any other.
        if let RefOr::T(response) = response
            && status.starts_with(['4', '5'])
        {
            response.content = problem("").content;
        }
    }
    for (status, _) in COMMON {
        let applies = match status {
            "401" | "403" => !is_public,
            "404" | "400" => has_parameters || has_body,
            "413" | "415" | "422" => has_body,
            _ => true,
        };
        if applies {
            let problem = || RefOr::Ref(Ref::from_response_name(format!("Problem{status}")));
            operation.responses.responses.entry(status.to_owned()).or_insert_with(problem);
        }
    }
}

fn problem(meaning: &str) -> Response {
    let schema = Ref::from_schema_name("Problem");
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(meaning).content(MEDIA_TYPE, content).build()
}
