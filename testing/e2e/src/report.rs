//! Proofs, one line each, and the summary.

use anyhow::{Error, Result};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What was proved so far.
#[derive(Debug, Default)]
pub struct Report {
    proofs: Mutex<Vec<Proof>>,
}

#[derive(Debug)]
struct Proof {
    sentence: String,
    took: Duration,
    failure: Option<String>,
}

impl Report {
    /// Carries one proof out and prints a line about it. None says that it failed; the run goes on.
    pub async fn prove<T>(
        &self,
        sentence: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Option<T> {
        let started = Instant::now();
        let (value, failure) = match work.await {
            Ok(value) => (Some(value), None),
            Err(error) => (None, Some(told(&error))),
        };
        let proof = Proof {
            sentence: sentence.to_owned(),
            took: started.elapsed(),
            failure,
        };
        println!("{}", proof.line());
        self.proofs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(proof);
        value
    }

    /// Prints a line below the last proof: what was measured.
    pub fn note(line: &str) {
        println!("        {line}");
    }

    /// Prints how it went. True when something was proved and nothing failed.
    pub fn finish(&self) -> bool {
        let proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        let failed: Vec<&Proof> = proofs
            .iter()
            .filter(|proof| proof.failure.is_some())
            .collect();
        let took: Duration = proofs.iter().map(|proof| proof.took).sum();
        println!(
            "\n{} proved, {} failed, {} s",
            proofs.len() - failed.len(),
            failed.len(),
            took.as_secs()
        );
        for proof in &failed {
            println!("{}", proof.line());
        }
        failed.is_empty() && !proofs.is_empty()
    }
}

impl Proof {
    fn line(&self) -> String {
        let (sentence, seconds) = (&self.sentence, self.took.as_secs_f64());
        match &self.failure {
            None => format!("ok      {sentence}  {seconds:.1} s"),
            Some(failure) => format!("FAILED  {sentence}  {seconds:.1} s\n        {failure}"),
        }
    }
}

/// An error with its causes. The API server's own words are enough; kube adds all that it knows.
pub fn told(error: &Error) -> String {
    let mut words = Vec::new();
    for cause in error.chain() {
        if let Some(kube::Error::Api(status)) = cause.downcast_ref() {
            words.push(status.message.clone());
            break;
        }
        words.push(cause.to_string());
    }
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;
    use std::future::ready;

    #[tokio::test]
    async fn one_failure_fails_the_run_and_later_proofs_are_still_made() {
        let report = Report::default();
        assert!(!report.finish(), "nothing is proved yet");
        assert_eq!(report.prove("one", ready(Ok(1))).await, Some(1));
        assert!(report.finish());
        let failed = report.prove::<()>("two", ready(Err(anyhow!("no luck"))));
        assert_eq!(failed.await, None);
        assert_eq!(report.prove("three", ready(Ok(3))).await, Some(3));
        assert!(!report.finish());
    }
}
