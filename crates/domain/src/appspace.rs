//! Appspaces: tenants. An appspace owns its sources, destinations, events and keys, and sees nothing of another.

use serde::{Deserialize, Serialize};

use crate::id::AppspaceId;
use crate::name::Name;
use crate::time::Timestamp;

/// The name of the appspace that exists from the first start on.
pub const DEFAULT_APPSPACE: &str = "default";

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appspace {
    pub id: AppspaceId,
    /// Unique among all appspaces.
    pub name: Name,
    pub created_at: Timestamp,
}
