//! Which requests to a host may pass, as a rule file says it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What of opened requests to one host may pass. Everything, where nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestRules {
    methods: BTreeSet<String>,
    paths: Vec<String>,
    max_request_bytes: Option<u64>,
    max_requests: Option<u64>,
}

/// Most patterns of one host: with 64 hosts they fit into one message to the gateway.
const MAX_PATHS: usize = 8;
/// Longest pattern, for the same reason.
const MAX_PATH: usize = 64;
/// Most methods of one host: HTTP has nine.
const MAX_METHODS: usize = 9;
/// Longest method; the longest of HTTP has seven letters.
const MAX_METHOD: usize = 16;

impl RequestRules {
    /// Checks what a file says.
    ///
    /// # Errors
    /// What is wrong: a method or a pattern that no request could meet, one within another, a budget of nothing.
    pub fn new(
        methods: &[String],
        paths: &[String],
        max_request_bytes: Option<u64>,
        max_requests: Option<u64>,
    ) -> Result<Self, String> {
        let is_method = |method: &&String| {
            (1..=MAX_METHOD).contains(&method.len()) && method.bytes().all(|byte| byte.is_ascii_uppercase())
        };
        if let Some(wrong) = methods.iter().find(|method| !is_method(method)) {
            return Err(format!("`methods`: {wrong:?} is none; methods are written as `GET`"));
        }
        if let Some(never) = methods.iter().find(|method| matches!(method.as_str(), "CONNECT" | "TRACE")) {
            return Err(format!("`methods`: {never} never passes the gateway; leave it out"));
        }
        if methods.len() > MAX_METHODS || paths.len() > MAX_PATHS {
            return Err(format!("a host has at most {MAX_METHODS} methods and {MAX_PATHS} paths"));
        }
        if let Some(wrong) = paths.iter().find(|path| !is_pattern(path)) {
            return Err(format!(
                "`paths`: no request could meet {wrong:?}; write `/v1/prices`, or `/v1/*` for all that begins so, in at \
                 most {MAX_PATH} plain characters"
            ));
        }
        for (place, one) in paths.iter().enumerate() {
            let others = paths.iter().enumerate().filter(|(other, _)| *other != place);
            if let Some((_, other)) = others.into_iter().find(|(_, other)| meets(other, one.trim_end_matches('*'))) {
                return Err(format!("`paths`: {one:?} lies within {other:?}; leave one of them out"));
            }
        }
        if max_requests == Some(0) {
            return Err("`max_requests`: with none the host is not reached; leave out the host".to_owned());
        }
        Ok(Self { methods: methods.iter().cloned().collect(), paths: paths.to_vec(), max_request_bytes, max_requests })
    }

    /// Whether everything may pass.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Why a request may not pass; none where it may. Its target is the path and what follows it.
    pub fn fault(&self, method: &str, target: &str) -> Option<String> {
        if !self.methods.is_empty() && !self.methods.contains(method) {
            return Some("its method is none of those that the host's rule names".to_owned());
        }
        if self.paths.is_empty() {
            return None;
        }
        let path = target.split('?').next().unwrap_or_default();
        if !is_plain(path) {
            return Some("its path can be read in two ways, and the host's rule names paths".to_owned());
        }
        let met = self.paths.iter().any(|pattern| meets(pattern, path));
        (!met).then(|| "its path is none of those that the host's rule names".to_owned())
    }

    /// Most bytes of the body of one request.
    pub fn max_request_bytes(&self) -> Option<u64> {
        self.max_request_bytes
    }

    /// Most requests of one task.
    pub fn max_requests(&self) -> Option<u64> {
        self.max_requests
    }
}

/// Whether a path is met: exactly, or as far as the star.
fn meets(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(begins) => path.starts_with(begins),
        None => path == pattern,
    }
}

fn is_pattern(pattern: &str) -> bool {
    let path = pattern.strip_suffix('*').unwrap_or(pattern);
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"*?#%".contains(&byte);
    pattern.len() <= MAX_PATH && path.bytes().all(fits) && is_plain(path)
}

/// Whether every reader takes it for the same path: no steps of dots, no empty ones, none hidden in an encoding.
fn is_plain(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let lower = path.to_ascii_lowercase();
    // Some servers end a step at a semicolon.
    let is_dots = |step: &str| matches!(step.split(';').next(), Some("." | ".."));
    let hides = ["%2e", "%2f", "%5c", "%25", "%00", "%3b", "\\", "//"].iter().any(|part| lower.contains(part));
    !hides && !rest.split('/').any(is_dots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(methods: &[&str], paths: &[&str]) -> Result<RequestRules, String> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        RequestRules::new(&owned(methods), &owned(paths), None, None)
    }

    #[test]
    fn requests_within_the_rules_pass_and_no_others() {
        let rules = rules(&["GET", "POST"], &["/v1/*", "/health"]).unwrap();
        for (method, target) in
            [("GET", "/v1/prices?of=bread"), ("POST", "/v1/"), ("GET", "/health"), ("GET", "/v1/a..b")]
        {
            assert_eq!(rules.fault(method, target), None, "{method} {target}");
        }
        for (method, target) in [
            ("PUT", "/v1/prices"),
            ("GET", "/"),
            ("GET", "/v1"),
            ("GET", "/health/x"),
            ("GET", "/healthy"),
            ("GET", "/V1/x"),
            ("GET", "/v1/../admin"),
            ("GET", "/v1/.."),
            ("GET", "/v1/..;x/admin"),
            ("GET", "/v1/%2e%2E/admin"),
            ("GET", "/v1/..%2fadmin"),
            ("GET", "/v1/%252e%252e/admin"),
            ("GET", "/v1/..\\admin"),
            ("GET", "/v1//x"),
            ("GET", "*"),
        ] {
            assert!(rules.fault(method, target).is_some(), "{method} {target}");
        }
        assert_eq!(RequestRules::default().fault("PUT", "/v1/../x"), None);
    }

    #[test]
    fn rules_that_nothing_could_meet_or_that_overlap_are_errors_that_say_so() {
        for (methods, paths, part) in [
            (&["get"][..], &[][..], "written as `GET`"),
            (&["CONNECT"], &[], "never passes"),
            (&[""], &[], "is none"),
            (&[], &["v1"], "no request could meet"),
            (&[], &["/a/*/b"], "no request could meet"),
            (&[], &["/a?b"], "no request could meet"),
            (&[], &["/a/../b"], "no request could meet"),
            (&[], &["/a b"], "no request could meet"),
            (&[], &["/a%41"], "no request could meet"),
            (&[], &["/v1/*", "/v1/prices"], "lies within"),
            (&[], &["/*", "/v1/*"], "lies within"),
            (&[], &["/a", "/a"], "lies within"),
        ] {
            let error = rules(methods, paths).unwrap_err();
            assert!(error.contains(part), "{methods:?} {paths:?}: {error}");
        }
        assert!(RequestRules::new(&[], &[], None, Some(0)).unwrap_err().contains("leave out the host"));
        assert!(rules(&[], &["/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8"]).is_ok());
        assert!(rules(&[], &["/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9"]).unwrap_err().contains("at most"));
        assert!(rules(&[], &[&format!("/{}", "a".repeat(63))]).is_ok());
        assert!(rules(&[], &[&format!("/{}", "a".repeat(64))]).is_err());
    }
}
