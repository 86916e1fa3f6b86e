//! The statistics page (configuration manual, "stats enable" and relatives).

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::Location;
use crate::expr::Condition;

/// `stats admin { if | unless } <cond>`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatsAdmin {
    pub condition: Option<Arc<Condition>>,
    pub location: Location,
}

/// Settings of a proxy's statistics page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatsPage {
    /// Default `/haproxy?stats`.
    pub uri: String,
    /// `None` does not refresh.
    pub refresh: Option<Duration>,
    /// `stats auth`: user and password.
    pub users: Vec<(String, String)>,
    pub realm: Option<String>,
    /// `stats scope`: only these proxies; `.` is the proxy itself.
    pub scope: Vec<String>,
    pub hide_version: bool,
    pub show_legends: bool,
    pub show_modules: bool,
    /// `stats show-node`: the name, empty for the machine's.
    pub show_node: Option<String>,
    /// `stats show-desc`: the text, empty for the global one.
    pub show_description: Option<String>,
    pub admin: Vec<StatsAdmin>,
}

impl Default for StatsPage {
    fn default() -> Self {
        Self {
            uri: "/haproxy?stats".to_owned(),
            refresh: None,
            users: Vec::new(),
            realm: None,
            scope: Vec::new(),
            hide_version: false,
            show_legends: false,
            show_modules: false,
            show_node: None,
            show_description: None,
            admin: Vec::new(),
        }
    }
}
