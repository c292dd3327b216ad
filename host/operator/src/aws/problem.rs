//! What went wrong in one attempt, before the broker adds when to try again.

use ecr_secret_core::reason::Reason;

/// The longest text of AWS that goes into a message, in characters.
const MAX_FOREIGN_TEXT: usize = 240;

/// One failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) reason: Reason,
    /// One line: the step, the object, the remedy. No secrets.
    pub(super) message: String,
    /// Whether trying again later may succeed although nobody changed anything.
    pub(super) waiting_helps: bool,
}

impl Problem {
    /// A problem with the patience that its reason usually calls for.
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        let waiting_helps = !matches!(
            reason,
            Reason::InvalidRegion
                | Reason::CredentialsMissing
                | Reason::CredentialsInvalid
                | Reason::AccessDenied
        );
        Self {
            reason,
            message: message.into(),
            waiting_helps,
        }
    }

    /// The same problem, but one that may pass by itself.
    pub(super) fn that_may_pass(self) -> Self {
        Self {
            waiting_helps: true,
            ..self
        }
    }
}

/// Makes a text of AWS or of a library fit for a status message: one line, not too long.
pub(super) fn one_line(text: &str) -> String {
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let mut short: String = line
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_FOREIGN_TEXT)
        .collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn foreign_text_becomes_one_short_line() {
        assert_eq!(one_line("\n  first\tpart \nsecond"), "first part");
        assert_eq!(one_line(&"ö".repeat(1000)).chars().count(), 241);
        assert_eq!(one_line(""), "");
    }
}
