use aws_double::AwsDouble;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// Method, path and body of a `curl` line as the README writes it.
fn request(line: &str, endpoint: &str) -> Request<Body> {
    let (head, body) = match line.split_once(" -d '") {
        Some((head, body)) => (head, Some(body.strip_suffix('\'').unwrap())),
        None => (line, None),
    };
    let words: Vec<&str> = head.split_whitespace().collect();
    let after = |flag| words.iter().position(|&w| w == flag).map(|i| words[i + 1]);
    let method = after("-X").unwrap_or(if body.is_some() { "POST" } else { "GET" });
    assert_eq!(
        body.is_some(),
        after("-H") == Some("\"$J\""),
        "{line}: a body needs its content type"
    );
    let path = words.iter().find_map(|w| w.strip_prefix("$D")).unwrap();
    Request::builder()
        .method(method)
        .uri(format!("{endpoint}/_double{path}"))
        .header("content-type", "application/json")
        .body(body.map_or(Body::empty(), |b| Body::from(b.to_owned())))
        .unwrap()
}

#[tokio::test]
async fn every_curl_of_the_readme_works_in_the_order_in_which_it_stands() {
    let readme = include_str!("../../README.md");
    let double = AwsDouble::start().await;
    let http = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let lines: Vec<&str> = readme
        .split('`')
        .filter(|span| span.starts_with("curl "))
        .collect();
    assert!(lines.len() >= 12, "{lines:?}");
    for line in lines {
        let answer = http
            .request(request(line, &double.endpoint()))
            .await
            .unwrap();
        let status = answer.status();
        let text = to_bytes(Body::new(answer.into_body()), 1 << 20)
            .await
            .unwrap();
        assert!(
            status.is_success(),
            "{line}: {status} {}",
            String::from_utf8_lossy(&text)
        );
    }
}
