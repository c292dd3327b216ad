//! `ecr-secret-operator doctor`: what AWS says to this operator, asked from where it runs and with what it has.

use std::fmt::Write as _;

use ecr_secret_core::registry::RegistryKind;

use crate::aws::{Broker, BrokerOptions, Environment, Freshness, TokenKey};

/// Asks AWS who this is and for a token of each region. One line a question; whether all went well.
pub async fn doctor(regions: &[String]) -> (String, bool) {
    let broker = Broker::new(BrokerOptions::new(Environment::of_process()));
    let mut report = String::new();
    let mut good = true;
    let mut tell = |answer: Result<String, String>| {
        let (word, text) = match answer {
            Ok(text) => ("ok", text),
            Err(text) => {
                good = false;
                ("BAD", text)
            }
        };
        // Writing to a String does not fail.
        let _ = writeln!(report, "{word:4} {text}");
    };
    let caller = broker.caller(regions.first().map(String::as_str)).await;
    tell(caller.map_err(|failure| failure.to_string()));
    for region in regions {
        let key = TokenKey {
            region: region.clone(),
            kind: RegistryKind::Private,
        };
        let token = broker.token(&key, Freshness::ANY).await;
        tell(match token {
            Ok(token) => Ok(format!(
                "{region}: GetAuthorizationToken gives a token until {:.0}",
                token.expires_at()
            )),
            Err(failure) => Err(format!("{region}: {failure}")),
        });
    }
    (report, good)
}
