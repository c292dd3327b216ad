//! Who may read the metrics: whoever the API server says may `get` the path `/metrics`.
//!
//! As kube-rbac-proxy does it, without another container: the bearer token is reviewed (`TokenReview`), then the user's access
//! (`SubjectAccessReview`). See <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#webhook-token-authentication>.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use sha2::{Digest, Sha256};
use tracing::warn;

/// An answer counts for so long, so that a scrape every few seconds is no load.
const KEPT: Duration = Duration::from_mins(1);
/// How many answers are kept.
const ANSWERS: usize = 256;

/// Asks the API server who may read, and remembers it for a minute.
pub struct Access {
    client: Client,
    answers: Mutex<HashMap<[u8; 32], (Instant, StatusCode)>>,
}

impl Access {
    /// Access by this API server.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            answers: Mutex::default(),
        }
    }

    /// `OK`, or the status to refuse with.
    async fn check(&self, token: &str, path: &str) -> StatusCode {
        let key: [u8; 32] = Sha256::digest(format!("{path}\n{token}")).into();
        if let Some(answer) = self.remembered(&key) {
            return answer;
        }
        match self.ask(token, path).await {
            Ok(answer) => {
                self.remember(key, answer);
                answer
            }
            Err(error) => {
                warn!(%error, "nobody could be asked who may read the metrics; allow this operator to create tokenreviews and subjectaccessreviews");
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    async fn ask(&self, token: &str, path: &str) -> kube::Result<StatusCode> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                ..TokenReviewSpec::default()
            },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let status = reviews
            .create(&PostParams::default(), &review)
            .await?
            .status;
        let Some(user) = status
            .filter(|status| status.authenticated == Some(true))
            .and_then(|status| status.user)
        else {
            return Ok(StatusCode::UNAUTHORIZED);
        };
        let accesses: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let answer = accesses
            .create(&PostParams::default(), &access(user, path))
            .await?;
        Ok(match answer.status {
            Some(status) if status.allowed => StatusCode::OK,
            _ => StatusCode::FORBIDDEN,
        })
    }

    fn remembered(&self, key: &[u8; 32]) -> Option<StatusCode> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, answer) = answers.get(key)?;
        (*until > Instant::now()).then_some(*answer)
    }

    fn remember(&self, key: [u8; 32], answer: StatusCode) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if answers.len() >= ANSWERS {
            answers.retain(|_, (until, _)| *until > now);
        }
        // Whoever sends many different tokens is asked about each time, and takes no memory.
        if answers.len() < ANSWERS {
            answers.insert(key, (now + KEPT, answer));
        }
    }
}

fn access(user: UserInfo, path: &str) -> SubjectAccessReview {
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: user.username,
            uid: user.uid,
            groups: user.groups,
            extra: user.extra,
            non_resource_attributes: Some(NonResourceAttributes {
                path: Some(path.to_owned()),
                verb: Some("get".to_owned()),
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}

/// Lets a request through, or refuses it.
pub async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let token = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let status = match token {
        Some(token) => access.check(token.trim(), request.uri().path()).await,
        None => StatusCode::UNAUTHORIZED,
    };
    match status {
        StatusCode::OK => next.run(request).await,
        StatusCode::UNAUTHORIZED => {
            (status, [(header::WWW_AUTHENTICATE, "Bearer")], "send the token of a service account\n").into_response()
        }
        StatusCode::FORBIDDEN => (status, "this user may not get /metrics; bind it to the ClusterRole ecr-secret-operator-metrics-reader\n").into_response(),
        _ => (status, "the API server could not be asked; see the operator's log\n").into_response(),
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}
