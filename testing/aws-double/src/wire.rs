//! The shapes of the two protocols: JSON 1.1 (ECR, ECR Public) and query with XML (STS).

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde_json::json;

/// How a service speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// JSON 1.1.
    Json,
    /// The query protocol, answered in XML.
    Xml,
}

/// A refusal, before it is put into the shape of a protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(
        status: StatusCode,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
        }
    }

    /// HTTP 400.
    pub(crate) fn bad(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// HTTP 403.
    pub(crate) fn forbidden(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }
}

/// An answer without its headers.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

impl Answer {
    /// HTTP 200 in the shape of a protocol.
    pub(crate) fn good(protocol: Protocol, body: String) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: protocol.content_type(),
            body,
        }
    }

    /// The shape of a refusal.
    pub(crate) fn refused(protocol: Protocol, refusal: &Refusal, request_id: &str) -> Self {
        let Refusal {
            status,
            code,
            message,
        } = refusal;
        let body = match protocol {
            Protocol::Json => json!({ "__type": code, "message": message }).to_string(),
            Protocol::Xml => {
                let side = if status.is_server_error() {
                    "Receiver"
                } else {
                    "Sender"
                };
                let (code, message) = (escaped(code), escaped(message));
                format!(
                    "<ErrorResponse xmlns=\"{STS_NAMESPACE}\"><Error><Type>{side}</Type><Code>{code}</Code>\
                     <Message>{message}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
                )
            }
        };
        Self {
            status: *status,
            content_type: protocol.content_type(),
            body,
        }
    }

    /// Adds headers and sends it off.
    pub(crate) fn into_response(self, request_id: &str) -> Response {
        let response = Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, self.content_type)
            .header("x-amzn-requestid", request_id)
            .body(Body::from(self.body));
        response.unwrap_or_default() // cannot fail: all header values are plain ASCII
    }
}

impl Protocol {
    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/x-amz-json-1.1",
            Self::Xml => "text/xml",
        }
    }
}

const STS_NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// An STS answer: the result element with its content, already XML, and the metadata around it.
pub(crate) fn sts_response(action: &str, result: &str, request_id: &str) -> String {
    format!(
        "<{action}Response xmlns=\"{STS_NAMESPACE}\"><{action}Result>{result}</{action}Result>\
         <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
    )
}

/// One XML element with escaped text.
pub(crate) fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escaped(text))
}

/// Text as it may stand in XML; control characters that XML forbids become `?`.
fn escaped(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut out, c| {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\t' | '\n' | '\r' => out.push(c),
                c if c.is_control() => out.push('?'),
                c => out.push(c),
            }
            out
        })
}

/// A request id in the shape of a UUID, numbered.
pub(crate) fn request_id(number: u64) -> String {
    let mut id = String::from("00000000-0000-4000-8000-");
    let _ = write!(id, "{:012x}", number & 0xffff_ffff_ffff); // writing to a String cannot fail
    id
}

/// True when `text` matches a pattern in which `*` stands for any characters, as in IAM's `StringLike`.
pub(crate) fn like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|&i| rest.is_char_boundary(i))
                .any(|i| like(tail, &rest[i..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        assert!(like(
            "system:serviceaccount:ns:*",
            "system:serviceaccount:ns:operator"
        ));
        assert!(like("*", ""));
        assert!(like("a*c*e", "abcde"));
        assert!(!like("a*c", "abcd"));
        assert!(!like(
            "system:serviceaccount:ns:operator",
            "system:serviceaccount:ns:operator2"
        ));
    }

    #[test]
    fn a_message_cannot_break_out_of_xml() {
        let refusal = Refusal::forbidden("AccessDenied", "</Message><Code>x & \"y\"\u{0}");
        let answer = Answer::refused(Protocol::Xml, &refusal, "id");
        assert!(
            answer
                .body
                .contains("<Message>&lt;/Message&gt;&lt;Code&gt;x &amp; &quot;y&quot;?</Message>")
        );
    }
}
