//! Structured logs on standard output. Nothing that is logged holds a token: secrets have a `Debug`
//! that hides them, errors are built from names and codes, and libraries that print what goes over
//! the wire are not let to, whatever the level.

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::config::LogFormat;

/// Starts logging.
///
/// # Errors
/// The directives in `level` cannot be understood.
pub fn init(format: LogFormat, level: &str) -> Result<(), String> {
    let filter = directives(level).map_err(|why| {
        format!("LOG_LEVEL: {level:?} is not a level or a list of directives: {why}; try info")
    })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stdout);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .boxed(),
        LogFormat::Text => lines.boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter.and(filter_fn(keeps_secrets))))
        .init();
    Ok(())
}

/// A lone word that is no level would be taken for the name of a target, and silence everything else.
fn directives(text: &str) -> Result<EnvFilter, String> {
    let words: Vec<&str> = text.split(',').map(str::trim).collect();
    let strange = |word: &&str| {
        !word.is_empty() && !word.contains(['=', '[', ']']) && word.parse::<LevelFilter>().is_err()
    };
    match words.iter().copied().find(strange) {
        Some(word) => Err(format!("{word} is no level")),
        // The filter itself does not understand a blank after a comma.
        None => EnvFilter::try_new(words.join(",")).map_err(|error| error.to_string()),
    }
}

/// The AWS SDK prints requests and answers below `info`, and kube prints an answer that it cannot
/// read, with the Secret in it.
fn keeps_secrets(metadata: &Metadata<'_>) -> bool {
    let most_talkative = match metadata.target() {
        "kube_client::client" => Level::ERROR,
        target if target.starts_with("aws_") => Level::INFO,
        _ => Level::TRACE,
    };
    *metadata.level() <= most_talkative
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::directives;

    #[test]
    fn levels_and_directives_are_understood() {
        for text in [
            "info",
            "TRACE",
            "off",
            "info,ecr_secret_operator=debug",
            "warn, kube_client=info",
            "info,[span{field=1}]=debug",
        ] {
            directives(text).unwrap();
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_refused_by_name() {
        for text in ["loud", "info,loud", "ecr_secret_operator=loud", "=?!"] {
            directives(text).unwrap_err();
        }
        assert!(directives("info,loud").unwrap_err().contains("loud"));
    }
}
