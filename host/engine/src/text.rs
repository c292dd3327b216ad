//! Makes text of a stranger fit to be shown: one line, bounded, without control characters.

/// The most bytes of a guest's text that an error shows.
pub(crate) const MESSAGE_BYTES: usize = 1024;

/// One line of at most `limit` bytes. Runs of white space and control characters become one space.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::with_capacity(text.len().min(limit));
    let mut space = false;
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() || is_invisible(c) {
            space = !line.is_empty();
            continue;
        }
        let room = limit.saturating_sub('…'.len_utf8());
        if line.len() + usize::from(space) + c.len_utf8() > room {
            line.push('…');
            return line;
        }
        if std::mem::take(&mut space) {
            line.push(' ');
        }
        line.push(c);
    }
    line
}

/// Characters that change how the text around them is shown: they could forge a message.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// What a guest said when it died, from its log: the message of a Rust panic, or else its last line.
pub(crate) fn last_words(log: &str) -> Option<String> {
    const PANICKED: &str = "panicked at ";
    let said = match log.rfind(PANICKED) {
        Some(start) => {
            let panic = &log[start + PANICKED.len()..];
            let end = panic
                .find("\nnote: ")
                .or_else(|| panic.find("\nstack backtrace:"));
            one_line(&panic[..end.unwrap_or(panic.len())], MESSAGE_BYTES)
        }
        None => one_line(
            log.lines().rev().find(|line| !line.trim().is_empty())?,
            MESSAGE_BYTES,
        ),
    };
    (!said.is_empty()).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_one_bounded_line() {
        assert_eq!(one_line("  a\r\n\tb\u{1b}[31mc\0 ", 100), "a b [31mc");
        assert_eq!(one_line("ab\u{202e}cd", 100), "ab cd");
        assert_eq!(one_line("", 10), "");
        let long = one_line(&"é".repeat(1000), 64);
        assert!(long.len() <= 64 && long.ends_with('…'), "{long}");
    }

    #[test]
    fn the_message_of_a_panic_is_found_in_the_log() {
        let log = "hello\n\nthread '<unnamed>' (1) panicked at src/lib.rs:10:5:\nno team\nfor you\n\
                   note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        assert_eq!(
            last_words(log).as_deref(),
            Some("src/lib.rs:10:5: no team for you")
        );
    }

    #[test]
    fn without_a_panic_the_last_line_counts() {
        assert_eq!(last_words("one\ntwo\n\n").as_deref(), Some("two"));
        assert_eq!(last_words(" \n"), None);
        assert_eq!(last_words(""), None);
    }
}
