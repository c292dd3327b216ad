//! What the reader of the demo sees: headings, commands, what they print, and how long a wait has lasted.

use anyhow::{Result, anyhow};
use std::fmt::{Display, Write as _};
use std::io::{IsTerminal, Write as _};
use std::time::{Duration, Instant};
use tokio::time::{interval, sleep, timeout};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often a reader without a terminal hears that a wait goes on.
const LINE_EVERY: u64 = 10;

const BOLD: &str = "1";
const CYAN: &str = "36";
const DIM: &str = "2";

/// Standard output as a page that is read from top to bottom.
pub(super) struct Screen {
    terminal: bool,
    colours: bool,
    started: Instant,
    steps: Vec<Step>,
}

struct Step {
    title: String,
    started: Instant,
}

impl Screen {
    pub(super) fn new() -> Self {
        let terminal = std::io::stdout().is_terminal();
        // https://no-color.org
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            terminal,
            colours: terminal && !plain,
            started: Instant::now(),
            steps: Vec::new(),
        }
    }

    /// Begins a step, and so ends the one before.
    pub(super) fn step(&mut self, title: &str) {
        println!("\n{}", self.paint(BOLD, title));
        self.steps.push(Step {
            title: title.to_owned(),
            started: Instant::now(),
        });
    }

    /// A sentence for the reader.
    #[expect(
        clippy::unused_self,
        reason = "all that is shown goes through the screen"
    )]
    pub(super) fn say(&self, text: impl Display) {
        println!("  {text}");
    }

    /// A command, as one would type it.
    pub(super) fn command(&self, command: &str) {
        println!("  {}", self.paint(CYAN, &format!("$ {command}")));
    }

    /// What a command printed.
    #[expect(
        clippy::unused_self,
        reason = "all that is shown goes through the screen"
    )]
    pub(super) fn output(&self, text: &str) {
        for line in text.trim_end().lines() {
            println!("    {line}");
        }
    }

    /// Waits for `work`, and says so when it takes longer than a second.
    pub(super) async fn watch<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        let mut seconds = interval(Duration::from_secs(1));
        seconds.tick().await;
        let mut passed = 0;
        tokio::pin!(work);
        loop {
            tokio::select! {
                value = &mut work => {
                    if self.terminal && passed > 0 {
                        print!("\r\x1b[K");
                    }
                    return value;
                }
                _ = seconds.tick() => {
                    passed += 1;
                    self.waiting(what, passed);
                }
            }
        }
    }

    fn waiting(&self, what: &str, seconds: u64) {
        if self.terminal {
            print!(
                "\r\x1b[K  {}",
                self.paint(DIM, &format!("waiting for {what}, {seconds} s"))
            );
            // A terminal that is gone is told by the next line that matters.
            let _ = std::io::stdout().flush();
        } else if seconds == 1 {
            println!("  waiting for {what}");
        } else if seconds.is_multiple_of(LINE_EVERY) {
            println!("  waiting for {what}, {seconds} s");
        }
    }

    /// Asks `probe` again and again until it gives a value. Its errors say what was seen instead.
    ///
    /// # Errors
    /// When `limit` is over, with `what` and the last thing seen.
    pub(super) async fn wait_for<T>(
        &self,
        what: &str,
        limit: Duration,
        mut probe: impl AsyncFnMut() -> Result<T>,
    ) -> Result<T> {
        let mut last = anyhow!("no answer");
        let work = async {
            loop {
                match probe().await {
                    Ok(value) => return value,
                    Err(error) => last = error,
                }
                sleep(LOOK_EVERY).await;
            }
        };
        let result = self.watch(what, timeout(limit, work)).await;
        result.map_err(|_| {
            let limit = limit.as_secs();
            anyhow!("waited {limit} s for {what}; last seen: {last:#}")
        })
    }

    /// The steps with their times, and the whole.
    pub(super) fn times(&self) -> String {
        let now = Instant::now();
        let ends = self.steps.iter().skip(1).map(|step| step.started);
        let rows = self.steps.iter().zip(ends.chain([now]));
        let width = self.steps.iter().map(|step| step.title.len()).max();
        let width = width.unwrap_or_default();
        let mut text = String::new();
        let mut row = |title: &str, time: Duration| {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{title:width$} {:>6.1} s", time.as_secs_f64());
        };
        for (step, end) in rows {
            row(&step.title, end - step.started);
        }
        row("all", now - self.started);
        text
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Words as a shell reads them.
pub(super) fn shell_line(words: &[&str]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    let quoted = words.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            (*word).to_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use anyhow::bail;

    #[test]
    fn words_are_quoted_where_a_shell_would_take_them_apart() {
        let line = shell_line(&["kubectl", "-p", r#"{"a":1}"#, "it's", ""]);
        assert_eq!(line, r#"kubectl -p '{"a":1}' 'it'\''s' ''"#);
    }

    #[tokio::test]
    async fn a_wait_ends_with_the_first_value_or_tells_what_was_seen_last() {
        let screen = Screen::new();
        let mut asked = 0;
        let second = screen.wait_for("the second", Duration::from_mins(1), async || {
            asked += 1;
            if asked == 2 {
                Ok(asked)
            } else {
                bail!("only {asked}")
            }
        });
        assert_eq!(second.await.unwrap(), 2);
        let never = screen.wait_for::<()>("ever", Duration::ZERO, async || bail!("nothing"));
        let error = never.await.unwrap_err().to_string();
        assert_eq!(error, "waited 0 s for ever; last seen: nothing");
    }

    #[test]
    fn every_step_ends_where_the_next_begins() {
        let mut screen = Screen::new();
        screen.step("first");
        screen.step("second");
        let times = screen.times();
        let titles: Vec<_> = times
            .lines()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        assert_eq!(titles, ["first", "second", "all"]);
    }
}
