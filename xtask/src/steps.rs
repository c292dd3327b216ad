//! Named steps with their times, and a summary at the end.

use anyhow::{Result, bail};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// What became of the steps so far.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<Step>,
}

struct Step {
    name: String,
    outcome: Outcome,
    took: Duration,
}

enum Outcome {
    Good,
    Failed(String),
    Skipped(String),
}

impl Steps {
    /// Does one step. A failure is noted and does not end the run; none says that it failed.
    pub(crate) async fn run<T>(
        &mut self,
        name: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Option<T> {
        eprintln!("\n==> {name}");
        let started = Instant::now();
        let (outcome, value) = match work.await {
            Ok(value) => (Outcome::Good, Some(value)),
            Err(error) => {
                eprintln!("failed: {name}: {error:#}");
                (Outcome::Failed(format!("{error:#}")), None)
            }
        };
        self.done.push(Step {
            name: name.to_owned(),
            outcome,
            took: started.elapsed(),
        });
        value
    }

    /// Notes a step that is not done, and why.
    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        self.done.push(Step {
            name: name.to_owned(),
            outcome: Outcome::Skipped(reason.to_owned()),
            took: Duration::ZERO,
        });
    }

    /// Prints the summary.
    ///
    /// # Errors
    /// A step failed.
    pub(crate) fn finish(self) -> Result<()> {
        eprint!("\n{}", self.summary());
        let failed: Vec<_> = self
            .done
            .iter()
            .filter(|step| matches!(step.outcome, Outcome::Failed(_)))
            .map(|step| step.name.as_str())
            .collect();
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let width = self.done.iter().map(|step| step.name.len()).max();
        let width = width.unwrap_or_default();
        let mut text = String::new();
        for Step {
            name,
            outcome,
            took,
        } in &self.done
        {
            let outcome = match outcome {
                Outcome::Good => "ok".to_owned(),
                Outcome::Failed(error) => {
                    format!("FAILED  {}", error.lines().next().unwrap_or_default())
                }
                Outcome::Skipped(reason) => format!("skipped: {reason}"),
            };
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "{name:width$}  {:>7.1} s  {outcome}",
                took.as_secs_f64()
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;
    use std::future::ready;

    #[tokio::test]
    async fn one_failed_step_fails_the_run_after_all_others_were_done() {
        let mut steps = Steps::default();
        assert_eq!(steps.run("first", ready(Ok(1))).await, Some(1));
        let failed = steps
            .run::<()>("second", ready(Err(anyhow::anyhow!("no luck\nat all"))))
            .await;
        assert_eq!(failed, None);
        steps.skip("third", "not installed");
        let summary = steps.summary();
        let lines: Vec<_> = summary.lines().collect();
        assert!(lines[0].starts_with("first ") && lines[0].ends_with(" s  ok"));
        assert!(lines[1].ends_with("FAILED  no luck"), "{summary}");
        assert!(lines[2].ends_with("skipped: not installed"), "{summary}");
        assert_eq!(steps.finish().unwrap_err().to_string(), "failed: second");
    }

    #[tokio::test]
    async fn a_skipped_step_is_no_failure() {
        let mut steps = Steps::default();
        steps.skip("only", "for a reason");
        steps.finish().unwrap();
    }
}
