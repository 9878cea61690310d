//! The teaching page: files that stand in the binary, and the policy that they are served under. It knows no feed.

use axum::{
    Router,
    http::{HeaderValue, header},
    response::IntoResponse as _,
    routing::get,
};

/// Path, type and text of every file; the page itself is the first.
const FILES: [(&str, &str, &str); 8] = [
    ("/", "text/html; charset=utf-8", include_str!("../page/index.html")),
    ("/page/style.css", "text/css; charset=utf-8", include_str!("../page/style.css")),
    ("/page/main.js", SCRIPT, include_str!("../page/main.js")),
    ("/page/clock.js", SCRIPT, include_str!("../page/clock.js")),
    ("/page/connect.js", SCRIPT, include_str!("../page/connect.js")),
    ("/page/screen.js", SCRIPT, include_str!("../page/screen.js")),
    ("/page/draw.js", SCRIPT, include_str!("../page/draw.js")),
    ("/page/words.js", SCRIPT, include_str!("../page/words.js")),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// What all files are served with besides their policy. Isolated from other origins the browser's clock is finer.
const FIELDS: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-cache"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// The routes of all files, for a page that connects to its own server and to those at `origins` (as in
/// `http://127.0.0.1:8601`), and to nobody else (Content Security Policy Level 3).
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(origins: &[String]) -> Router<S> {
    let policy = policy(origins);
    let serve = |routes: Router<S>, (path, kind, text): (&'static str, &'static str, &'static str)| {
        let policy = policy.clone();
        routes.route(
            path,
            get(move || {
                let policy = policy.clone();
                async move {
                    let kind = (header::CONTENT_TYPE, HeaderValue::from_static(kind));
                    ([kind, (header::CONTENT_SECURITY_POLICY, policy)], FIELDS, text).into_response()
                }
            }),
        )
    };
    FILES.into_iter().fold(Router::new(), serve)
}

fn policy(origins: &[String]) -> HeaderValue {
    let sockets =
        origins.iter().filter_map(|origin| origin.strip_prefix("http").map(|rest| format!("ws{rest}")));
    let allowed: Vec<String> = origins.iter().cloned().chain(sockets).collect();
    let text = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' {}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        allowed.join(" ")
    );
    // Origins are made of socket addresses.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_connect_to_its_lanes_only() {
        let policy = policy(&["http://127.0.0.1:8601".to_owned()]);
        let policy = policy.to_str().unwrap();
        assert!(policy.contains("connect-src 'self' http://127.0.0.1:8601 ws://127.0.0.1:8601;"), "{policy}");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn files_name_no_other_host() {
        for (path, _, text) in FILES {
            assert!(!text.contains("https://") && !text.contains("//cdn"), "{path}");
            let scripts =
                text.matches("<script").count() == text.matches("<script type=\"module\" src=").count();
            assert!(scripts && !text.contains(" style=\""), "{path} has something inline");
        }
    }
}
