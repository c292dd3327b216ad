//! A client of the admin API, for a double in another process.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::admin::{Advance, Clock, Identity, Installed, SetClock};
use crate::config::{Role, Settings, SettingsChange};
use crate::fault::{FaultId, FaultRule, InstalledFault};
use crate::ledger::{CallRecord, Counts};

/// Why a double could not be told something.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing answers there.
    #[error("{method} {url}: {problem}; is the AWS double running?")]
    Unreachable {
        /// HTTP method.
        method: Method,
        /// Full address.
        url: String,
        /// What went wrong on the way.
        problem: String,
    },
    /// The double refuses.
    #[error("{method} {url}: the AWS double refuses with HTTP {status}: {message}")]
    Refused {
        /// HTTP method.
        method: Method,
        /// Full address.
        url: String,
        /// HTTP status.
        status: u16,
        /// What the double says.
        message: String,
    },
    /// Something answers that is not a double of this version.
    #[error("{method} {url}: the answer is not that of an AWS double: {source}")]
    Garbled {
        /// HTTP method.
        method: Method,
        /// Full address.
        url: String,
        /// Where the JSON breaks.
        source: serde_json::Error,
    },
}

/// Answers are small; more than this is not a double's.
const ANSWER_LIMIT: usize = 64 << 20;

/// Speaks the admin API. Every method fails with a [`ClientError`] when the double is away or refuses.
#[derive(Clone, Debug)]
pub struct DoubleClient {
    endpoint: String,
    http: Client<HttpConnector, Body>,
}

impl DoubleClient {
    /// A client for the double at `http://host:port`. Nothing is sent yet.
    pub fn new(endpoint: impl Into<String>) -> Self {
        let endpoint = endpoint.into().trim_end_matches('/').to_owned();
        Self {
            endpoint,
            http: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let url = format!("{}/_double/{path}", self.endpoint);
        let unreachable = |problem: String| ClientError::Unreachable {
            method: method.clone(),
            url: url.clone(),
            problem,
        };
        let garbled = |source| ClientError::Garbled {
            method: method.clone(),
            url: url.clone(),
            source,
        };
        let body = match body {
            Some(body) => Body::from(serde_json::to_vec(body).map_err(garbled)?),
            None => Body::empty(),
        };
        let request = Request::builder()
            .method(method.clone())
            .uri(&url)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|e| unreachable(e.to_string()))?;
        let answer = self
            .http
            .request(request)
            .await
            .map_err(|e| unreachable(e.to_string()))?;
        let status = answer.status();
        let bytes = to_bytes(Body::new(answer.into_body()), ANSWER_LIMIT)
            .await
            .map_err(|e| unreachable(e.to_string()))?;
        if !status.is_success() {
            let message = String::from_utf8_lossy(&bytes).trim().to_owned();
            return Err(ClientError::Refused {
                method,
                url,
                status: status.as_u16(),
                message,
            });
        }
        serde_json::from_slice(&bytes).map_err(garbled)
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.send(Method::GET, path, None::<&()>).await
    }

    async fn write(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<(), ClientError> {
        self.send::<IgnoredAny>(method, path, body)
            .await
            .map(|_| ())
    }

    /// As [`crate::AwsDouble::set_fault`]; a number out of range is refused.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_fault(&self, rule: impl Into<FaultRule>) -> Result<FaultId, ClientError> {
        let installed: Installed = self
            .send(Method::POST, "faults", Some(&rule.into()))
            .await?;
        Ok(installed.id)
    }

    /// As [`crate::AwsDouble::clear_fault`]; a fault that is no longer there is refused.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn clear_fault(&self, id: FaultId) -> Result<(), ClientError> {
        self.write(Method::DELETE, &format!("faults/{}", id.0), None::<&()>)
            .await
    }

    /// As [`crate::AwsDouble::clear_faults`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn clear_faults(&self) -> Result<(), ClientError> {
        self.write(Method::DELETE, "faults", None::<&()>).await
    }

    /// As [`crate::AwsDouble::faults`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn faults(&self) -> Result<Vec<InstalledFault>, ClientError> {
        self.read("faults").await
    }

    /// As [`crate::AwsDouble::set_token_life`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_token_life(&self, life: Duration) -> Result<(), ClientError> {
        self.change_settings(&SettingsChange {
            token_life: Some(life),
            ..SettingsChange::default()
        })
        .await
        .map(|_| ())
    }

    /// As [`crate::AwsDouble::settings`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn settings(&self) -> Result<Settings, ClientError> {
        self.read("settings").await
    }

    /// As [`crate::AwsDouble::change_settings`]; gives the settings that are in force then.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn change_settings(&self, change: &SettingsChange) -> Result<Settings, ClientError> {
        self.send(Method::PATCH, "settings", Some(change)).await
    }

    /// As [`crate::AwsDouble::now`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn now(&self) -> Result<Timestamp, ClientError> {
        self.read::<Clock>("clock").await.map(|clock| clock.now)
    }

    /// As [`crate::AwsDouble::advance_clock`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn advance_clock(&self, by: Duration) -> Result<(), ClientError> {
        self.write(
            Method::POST,
            "clock/advance",
            Some(&Advance {
                seconds: by.as_secs_f64(),
            }),
        )
        .await
    }

    /// As [`crate::AwsDouble::set_clock_offset`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_clock_offset(&self, offset: SignedDuration) -> Result<(), ClientError> {
        self.write(
            Method::PUT,
            "clock",
            Some(&SetClock {
                offset_seconds: offset.as_secs_f64(),
            }),
        )
        .await
    }

    /// As [`crate::AwsDouble::counts`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn counts(&self) -> Result<Counts, ClientError> {
        self.read("counts").await
    }

    /// As [`crate::AwsDouble::calls`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn calls(&self) -> Result<Vec<CallRecord>, ClientError> {
        self.read("calls").await
    }

    /// As [`crate::AwsDouble::reset_counts`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn reset_counts(&self) -> Result<(), ClientError> {
        self.write(Method::DELETE, "counts", None::<&()>).await
    }

    /// As [`crate::AwsDouble::add_static_identity`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn add_static_identity(
        &self,
        access_key_id: &str,
        arn: &str,
    ) -> Result<(), ClientError> {
        let new = Identity {
            access_key_id: access_key_id.to_owned(),
            arn: arn.to_owned(),
        };
        self.write(Method::POST, "identities", Some(&new)).await
    }

    /// As [`crate::AwsDouble::remove_static_identity`]; an unknown one is refused.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn remove_static_identity(&self, access_key_id: &str) -> Result<(), ClientError> {
        self.write(
            Method::DELETE,
            &format!("identities/{access_key_id}"),
            None::<&()>,
        )
        .await
    }

    /// As [`crate::AwsDouble::add_role`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn add_role(&self, role: &Role) -> Result<(), ClientError> {
        self.write(Method::POST, "roles", Some(role)).await
    }
}
