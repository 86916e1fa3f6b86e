//! The exporter's parameters, as a query string has them.

/// What is to be exported; see the module's documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Names of scopes.
    scopes: Vec<&'static str>,
    /// `metrics=`: wanted names, and unwanted ones.
    included: Vec<String>,
    excluded: Vec<String>,
    /// `no-maint`.
    pub without_maintenance: bool,
    /// `desc-labels`.
    pub description_labels: bool,
    /// `extra-counters`.
    pub extra_counters: bool,
}

const SCOPES: &[&str] = &["global", "frontend", "listener", "backend", "server", "sticktable"];

/// A parameter that means nothing: HAProxy answers 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope")]
pub struct BadQuery;

impl Default for Query {
    fn default() -> Self {
        Self {
            scopes: SCOPES.to_vec(),
            included: Vec::new(),
            excluded: Vec::new(),
            without_maintenance: false,
            description_labels: false,
            extra_counters: false,
        }
    }
}

impl Query {
    /// Reads what follows the `?` of a request's target; unknown parameters mean nothing.
    pub fn parse(text: &str) -> Result<Self, BadQuery> {
        let mut query = Self::default();
        let mut has_scope = false;
        for parameter in text.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "scope" => {
                    // The first one ends the default, which is everything.
                    if !std::mem::replace(&mut has_scope, true) {
                        query.scopes.clear();
                    }
                    match value {
                        "" => query.scopes.clear(),
                        "*" => query.scopes = SCOPES.to_vec(),
                        one => query.scopes.push(SCOPES.iter().find(|known| **known == one).ok_or(BadQuery)?),
                    }
                }
                "metrics" => {
                    for name in value.replace("%2C", ",").replace("%2c", ",").split(',') {
                        match name.strip_prefix('-') {
                            Some(name) => query.excluded.push(name.to_owned()),
                            None if name.is_empty() => {}
                            None => query.included.push(name.to_owned()),
                        }
                    }
                }
                "no-maint" => query.without_maintenance = true,
                "desc-labels" => query.description_labels = true,
                "extra-counters" => query.extra_counters = true,
                _ => {}
            }
        }
        Ok(query)
    }

    pub fn wants_scope(&self, scope: &str) -> bool {
        self.scopes.contains(&scope)
    }

    pub fn wants_metric(&self, name: &str) -> bool {
        let is = |list: &[String]| list.iter().any(|known| known == name);
        !is(&self.excluded) && (self.included.is_empty() || is(&self.included))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_add_up_and_an_empty_one_starts_over() {
        let scopes = |text| {
            Query::parse(text)
                .map(|query| SCOPES.iter().copied().filter(|s| query.wants_scope(s)).collect::<Vec<_>>())
        };
        assert_eq!(scopes("").unwrap().len(), 6);
        assert_eq!(scopes("scope=frontend&scope=backend").unwrap(), ["frontend", "backend"]);
        assert_eq!(scopes("scope=*&scope=").unwrap(), Vec::<&str>::new());
        assert_eq!(scopes("scope=&scope=global").unwrap(), ["global"]);
        assert_eq!(scopes("scope=bogus"), Err(BadQuery));
    }

    #[test]
    fn metrics_are_named_or_left_out() {
        let query = Query::parse("no-maint&metrics=haproxy_a,-haproxy_b").unwrap();
        assert!(query.without_maintenance && query.wants_metric("haproxy_a"));
        assert!(!query.wants_metric("haproxy_b") && !query.wants_metric("haproxy_c"));
        let query = Query::parse("metrics=-haproxy_b").unwrap();
        assert!(!query.wants_metric("haproxy_b") && query.wants_metric("haproxy_c"));
    }
}
