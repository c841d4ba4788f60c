//! What is in memory, and how it is kept consistent with itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domain::appspace::DEFAULT_APPSPACE;
use domain::key::{Key, KeyHash};
use domain::{Appspace, AppspaceId, DestinationId, SourceId};

use super::{LiveDestination, LiveSource};
use crate::route::Routes;

/// The catalog by everything it is asked by.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) appspaces: BTreeMap<AppspaceId, Appspace>,
    pub(super) sources: HashMap<SourceId, Arc<LiveSource>>,
    pub(super) destinations: HashMap<DestinationId, Arc<LiveDestination>>,
    /// The destinations of each appspace, in the order of their ids.
    pub(super) owned: HashMap<AppspaceId, BTreeMap<DestinationId, Arc<LiveDestination>>>,
    pub(super) routes: HashMap<AppspaceId, Arc<Routes>>,
    pub(super) keys: HashMap<KeyHash, Arc<Key>>,
    /// Sources by the last part of their path.
    pub(super) paths: HashMap<String, SourceId>,
}

impl Shown {
    pub(super) fn show_source(&mut self, live: LiveSource) -> Arc<LiveSource> {
        let id = live.source.id;
        if let Some(old) = self.sources.get(&id) {
            let old_name = old.source.name.as_str();
            if self.paths.get(old_name) == Some(&id) {
                self.paths.remove(old_name);
            }
        }
        self.paths.insert(id.to_string(), id);
        let in_default = self
            .appspaces
            .get(&live.source.appspace)
            .is_some_and(|appspace| appspace.name.as_str() == DEFAULT_APPSPACE);
        if in_default {
            self.paths.insert(live.source.name.to_string(), id);
        }
        let live = Arc::new(live);
        self.sources.insert(id, Arc::clone(&live));
        live
    }

    pub(super) fn own(&mut self, live: Arc<LiveDestination>) {
        let (id, appspace) = (live.destination.id, live.destination.appspace);
        self.destinations.insert(id, Arc::clone(&live));
        self.owned.entry(appspace).or_default().insert(id, live);
    }

    pub(super) fn route_again(&mut self, appspace: AppspaceId) {
        let routes = self.owned.get(&appspace).map(|owned| Routes::new(owned.values())).unwrap_or_default();
        self.routes.insert(appspace, Arc::new(routes));
    }
}
