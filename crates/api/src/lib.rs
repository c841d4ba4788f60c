//! The HTTP side of Afterclick: every route on this screen, its handler in `routes/<noun>.rs`.
//!
//! [`router`] is the whole API over a pipeline, [`openapi()`] describes it (both come from the same list, so they
//! cannot drift), and [`listener::serve`] puts it on a socket. What a handler may do stands in its arguments: see
//! `auth`. Every error is a problem document: see `problem`.

mod auth;
mod extract;
mod list;
pub mod listener;
mod masked;
mod openapi;
mod problem;
mod routes;
mod shell;
mod state;
mod wire;

use axum::Router;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use listener::{Connections, ListenerLimits};
pub use openapi::openapi;
pub use problem::Problem;
pub use state::ApiState;

use routes::{
    appspaces, config, connectors, dead_letters, deliveries, destinations, event_types, events, identify, journeys,
    keys, replays, root, sources, subjects, webhooks,
};

/// The API over a pipeline.
pub fn router(state: ApiState) -> Router {
    let (api, _) = api_routes().split_for_parts();
    let (intake, _) = intake_routes().split_for_parts();
    // What comes in through `intake` passes no layer at all: it is the hot path.
    shell::around(api)
        .merge(intake)
        .fallback(problem::route_not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .with_state(state)
}

fn intake_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(webhooks::receive)) //                                         /webhooks/{source}
        .routes(routes!(root::health)) //                                              /healthz
}

fn api_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(root::index)) //                                               /
        .routes(routes!(root::ready)) //                                               /readyz
        .routes(routes!(root::metrics)) //                                             /metrics
        .routes(routes!(root::document)) //                                            /v1/openapi.json
        // events
        .routes(routes!(events::publish, events::list)) //                             /v1/events
        .routes(routes!(events::get)) //                                               /v1/events/{event}
        .routes(routes!(events::body)) //                                              …/body
        .routes(routes!(events::explain::explain)) //                                  …/explain
        .routes(routes!(event_types::list)) //                                         /v1/event-types
        // people
        .routes(routes!(identify::identify)) //                                        /v1/identify
        .routes(routes!(subjects::get, subjects::erase::erase)) //                     /v1/subjects/{key}
        .routes(routes!(subjects::unlink::unlink)) //                                  …/unlink
        .routes(routes!(journeys::get)) //                                             /v1/journeys/{key}
        // sources
        .routes(routes!(sources::create, sources::list)) //                            /v1/sources
        .routes(routes!(sources::get, sources::change, sources::delete)) //            /v1/sources/{source}
        .routes(routes!(sources::secrets::rotate_secret)) //                           …/rotate-secret
        .routes(routes!(sources::trial::test)) //                                      …/test
        .routes(routes!(sources::quarantine::quarantined)) //                          …/quarantine
        .routes(routes!(connectors::source_kinds)) //                                  /v1/source-kinds
        // destinations
        .routes(routes!(destinations::create, destinations::list)) //                  /v1/destinations
        .routes(routes!(destinations::get, destinations::change, destinations::delete)) // …/{destination}
        .routes(routes!(destinations::act::rotate_secret)) //                          …/rotate-secret
        .routes(routes!(destinations::act::pause)) //                                  …/pause
        .routes(routes!(destinations::act::resume)) //                                 …/resume
        .routes(routes!(destinations::trial::test)) //                                 …/test
        .routes(routes!(destinations::preview::preview)) //                            …/preview
        .routes(routes!(destinations::provision::provision)) //                        …/provision
        .routes(routes!(deliveries::list_of_destination)) //                           …/deliveries
        .routes(routes!(connectors::list)) //                                          /v1/connectors
        // deliveries
        .routes(routes!(deliveries::list)) //                                          /v1/deliveries
        .routes(routes!(deliveries::get)) //                                           /v1/deliveries/{delivery}
        .routes(routes!(deliveries::act::retry)) //                                    …/retry
        .routes(routes!(deliveries::act::cancel)) //                                   …/cancel
        .routes(routes!(deliveries::act::resend)) //                                   …/resend
        .routes(routes!(dead_letters::list)) //                                        /v1/dead-letters
        .routes(routes!(dead_letters::redrive)) //                                     …/redrive
        // replays
        .routes(routes!(replays::create, replays::list)) //                            /v1/replays
        .routes(routes!(replays::get)) //                                              /v1/replays/{replay}
        .routes(routes!(replays::cancel)) //                                           …/cancel
        // administration
        .routes(routes!(config::apply)) //                                             /v1/config
        .routes(routes!(appspaces::create, appspaces::list)) //                        /v1/appspaces
        .routes(routes!(appspaces::get)) //                                            /v1/appspaces/{appspace}
        .routes(routes!(keys::create, keys::list)) //                                  /v1/keys
        .routes(routes!(keys::revoke)) //                                              /v1/keys/{key}
        .routes(routes!(keys::whoami)) //                                              /v1/key
}
