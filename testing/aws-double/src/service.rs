//! One AWS call from request to answer: find the action, count it, let faults have their way, authenticate, answer.

use std::future::pending;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, State as Extracted};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tokio::time::{Instant, sleep};

use crate::auth::{Caller, Scope, authenticate};
use crate::conn::ResetSwitch;
use crate::ecr::{Good, authorization_token};
use crate::fault::Fault;
use crate::fault_table::{FaultTarget, Mishap};
use crate::ledger::{Action, Ticket};
use crate::state::Shared;
use crate::sts::{self, Params};
use crate::wire::{Answer, Protocol, Refusal, request_id};

/// The handler of `POST /`. A double that stops resets what is under way, so that no peer waits for a ghost.
pub(crate) async fn call(
    Extracted(shared): Extracted<Shared>,
    ConnectInfo(switch): ConnectInfo<ResetSwitch>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    tokio::select! {
        response = answer(&shared, &switch, &headers, &body) => response,
        () = shared.stopped() => {
            switch.pull();
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

/// A request whose action is known.
struct Call<'a> {
    action: Action,
    protocol: Protocol,
    scope: Option<Scope>,
    session_token: Option<&'a str>,
    body: &'a [u8],
    params: Params,
    request_id: String,
}

async fn answer(
    shared: &Shared,
    switch: &ResetSwitch,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let number = {
        let mut state = shared.lock();
        state.requests += 1;
        state.requests
    };
    let request_id = request_id(number);
    let call = match Call::read(headers, body, request_id.clone()) {
        Ok(call) => call,
        Err((protocol, refusal)) => {
            return Answer::refused(protocol, &refusal, &request_id).into_response(&request_id);
        }
    };
    let (ticket, mishap) = call.arrive(shared);
    if !mishap.latency.is_zero() {
        // Even a sleep of nothing waits for the timer's next millisecond.
        sleep(mishap.latency).await;
    }
    match mishap.fault {
        Some(Fault::Hang) => return pending().await,
        Some(Fault::Reset) => {
            shared.lock().ledger.finished(&ticket, "reset", None);
            switch.pull();
            return StatusCode::OK.into_response();
        }
        _ => {}
    }
    let (answer, outcome, token) = call.resolve(shared, mishap.fault.as_ref());
    shared.lock().ledger.finished(&ticket, &outcome, token);
    answer.into_response(&request_id)
}

impl<'a> Call<'a> {
    fn read(
        headers: &'a HeaderMap,
        body: &'a [u8],
        request_id: String,
    ) -> Result<Self, (Protocol, Refusal)> {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        let (action, protocol, params) = if let Some(target) = text("x-amz-target") {
            let action = match target {
                "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken" => {
                    Action::EcrGetAuthorizationToken
                }
                "SpencerFrontendService.GetAuthorizationToken" => {
                    Action::EcrPublicGetAuthorizationToken
                }
                other => {
                    let message = format!("The double does not know the target {other}.");
                    return Err((
                        Protocol::Json,
                        Refusal::bad("UnknownOperationException", message),
                    ));
                }
            };
            (action, Protocol::Json, Params::new())
        } else {
            let params: Params = form_urlencoded::parse(body).into_owned().collect();
            let action = match params.get("Action").map(String::as_str) {
                Some("AssumeRole") => Action::AssumeRole,
                Some("AssumeRoleWithWebIdentity") => Action::AssumeRoleWithWebIdentity,
                Some("GetCallerIdentity") => Action::GetCallerIdentity,
                other => {
                    let message = format!(
                        "The double does not know the action {}.",
                        other.unwrap_or("(none)")
                    );
                    return Err((Protocol::Xml, Refusal::bad("InvalidAction", message)));
                }
            };
            (action, Protocol::Xml, params)
        };
        let session_token = text("x-amz-security-token");
        Ok(Self {
            action,
            protocol,
            scope: Scope::of(headers),
            session_token,
            body,
            params,
            request_id,
        })
    }

    /// The region of the credential scope, or `-`.
    fn region(&self) -> &str {
        self.scope.as_ref().map_or("-", |s| &s.region)
    }

    /// Counts the call and asks the fault rules.
    fn arrive(&self, shared: &Shared) -> (Ticket, Mishap) {
        let mut state = shared.lock();
        let key = self.scope.as_ref().map(|s| s.access_key_id.as_str());
        let caller = key.and_then(|key| Caller::behind(&state, key));
        let asked = match self.action {
            Action::AssumeRoleWithWebIdentity => self.params.get("RoleArn").map(String::as_str),
            _ => None,
        };
        let identity = asked
            .or(caller.as_ref().map(|c| c.arn.as_str()))
            .or(key)
            .unwrap_or("-");
        let role = caller.as_ref().and_then(|c| c.role.as_deref());
        let names = [Some(identity), key, role].into_iter().flatten().collect();
        let target = FaultTarget {
            action: self.action,
            region: self.region(),
            names,
        };
        let (now, limit) = (state.now(), state.settings.log_limit);
        let ticket = state
            .ledger
            .arrived(now, self.action, self.region(), identity, limit);
        (ticket, state.faults.judge(&target, Instant::now()))
    }

    /// The answer, what to write into the log, and the number of the token that was issued.
    fn resolve(&self, shared: &Shared, fault: Option<&Fault>) -> (Answer, String, Option<u64>) {
        let refused = |refusal: Refusal| {
            let answer = Answer::refused(self.protocol, &refusal, &self.request_id);
            (answer, refusal.code, None)
        };
        if let Some(refusal) = fault.and_then(|f| forced(f, self.protocol)) {
            return refused(refusal);
        }
        if let Some(Fault::Garbage) = fault {
            let body = "<!doctype html><p>This is not what you asked for".to_owned();
            return (
                Answer {
                    status: StatusCode::OK,
                    content_type: "text/html",
                    body,
                },
                "garbage".into(),
                None,
            );
        }
        match self.perform(shared, fault) {
            Err(refusal) => refused(refusal),
            Ok(good) => {
                let mut answer = Answer::good(self.protocol, good.body);
                if let Some(Fault::Truncated) = fault {
                    let half = answer.body.floor_char_boundary(answer.body.len() / 2);
                    answer.body.truncate(half);
                }
                (answer, fault.map_or("ok", bent).into(), good.token)
            }
        }
    }

    fn perform(&self, shared: &Shared, fault: Option<&Fault>) -> Result<Good, Refusal> {
        let mut state = shared.lock();
        let (params, id) = (&self.params, self.request_id.as_str());
        let xml = |body: String| Good { body, token: None };
        if self.action == Action::AssumeRoleWithWebIdentity {
            return sts::assume_role_with_web_identity(&mut state, params, id).map(xml);
        }
        let caller = authenticate(
            &state,
            self.protocol,
            self.action,
            self.scope.as_ref(),
            self.session_token,
        )?;
        match self.action {
            Action::AssumeRole => sts::assume_role(&mut state, &caller, params, id).map(xml),
            Action::EcrGetAuthorizationToken | Action::EcrPublicGetAuthorizationToken => {
                authorization_token(
                    &mut state,
                    self.action,
                    &caller,
                    self.region(),
                    self.body,
                    fault,
                )
            }
            Action::GetCallerIdentity | Action::AssumeRoleWithWebIdentity => {
                Ok(xml(sts::caller_identity(&caller, id)))
            }
        }
    }
}

/// The refusal that a fault forces, if it is of that kind.
fn forced(fault: &Fault, protocol: Protocol) -> Option<Refusal> {
    let json = protocol == Protocol::Json;
    match fault {
        Fault::Throttle => {
            let code = if json {
                "ThrottlingException"
            } else {
                "Throttling"
            };
            Some(Refusal::bad(code, "Rate exceeded"))
        }
        Fault::AccessDenied if json => {
            let message =
                "User is not authorized to perform: ecr:GetAuthorizationToken on resource: *";
            Some(Refusal::bad("AccessDeniedException", message))
        }
        Fault::AccessDenied => Some(Refusal::forbidden(
            "AccessDenied",
            "User is not authorized to perform this action",
        )),
        Fault::ServerError { status } => {
            let status = known(*status, 500..600).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let code = match (json, status) {
                (true, _) => "ServerException",
                (false, StatusCode::SERVICE_UNAVAILABLE) => "ServiceUnavailable",
                (false, _) => "InternalFailure",
            };
            Some(Refusal::new(status, code, "The double was told to fail."))
        }
        Fault::Error {
            status,
            code,
            message,
        } => Some(Refusal::new(
            known(*status, 400..600).unwrap_or(StatusCode::BAD_REQUEST),
            code,
            message,
        )),
        _ => None,
    }
}

fn known(status: u16, range: std::ops::Range<u16>) -> Option<StatusCode> {
    if range.contains(&status) {
        StatusCode::from_u16(status).ok()
    } else {
        None
    }
}

/// What the log says of an answer that a fault has bent.
fn bent(fault: &Fault) -> &'static str {
    match fault {
        Fault::Truncated => "truncated",
        Fault::EmptyAuthorizationData => "empty_authorization_data",
        Fault::TokenWithoutColon => "token_without_colon",
        Fault::TokenNotBase64 => "token_not_base64",
        Fault::AlreadyExpired => "already_expired",
        Fault::MissingExpiresAt => "missing_expires_at",
        _ => "ok",
    }
}
