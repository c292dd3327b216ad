//! The syntax of names, as the API server checks it.

/// An RFC 1123 subdomain: the name of a Secret or of a service account.
pub(crate) fn is_subdomain(text: &str) -> bool {
    let part = |part: &str| {
        part.bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && part.bytes().next().is_some_and(|byte| byte != b'-')
            && !part.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(part)
}

/// A label or annotation key: `[subdomain/]name`. Kubernetes checks annotations in lower case, and so
/// allows capitals in their prefix; here both have to be lower case, which loses nothing.
pub(crate) fn is_qualified_name(key: &str) -> bool {
    let (domain, name) = match key.split_once('/') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, key),
    };
    domain.is_none_or(is_subdomain) && is_name(name)
}

/// A label's value.
pub(crate) fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_name(value)
}

/// One to 63 of `[A-Za-z0-9._-]`, with letters or digits at the ends.
fn is_name(text: &str) -> bool {
    let end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 63
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        && end(text.bytes().next())
        && end(text.bytes().next_back())
}
