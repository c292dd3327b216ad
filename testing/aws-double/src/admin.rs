//! The admin API under `/_double`: JSON over HTTP, next to the AWS protocols. README.md lists it.

use std::collections::BTreeMap;

use axum::extract::{Path, State as Extracted};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::config::{Role, Settings, SettingsChange};
use crate::fault::{FaultId, FaultRule, InstalledFault};
use crate::ledger::{CallRecord, Counts};
use crate::state::Shared;

/// The double's clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Clock {
    /// The time by the double's clock.
    pub(crate) now: Timestamp,
    /// How far it is ahead of the machine's clock.
    pub(crate) offset_seconds: f64,
}

/// Sets the clock to the machine's plus an offset.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetClock {
    pub(crate) offset_seconds: f64,
}

/// Moves the clock on; a negative number moves it back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Advance {
    pub(crate) seconds: f64,
}

/// A static access key id and the ARN behind it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    pub(crate) access_key_id: String,
    pub(crate) arn: String,
}

/// The answer to a new rule.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Installed {
    pub(crate) id: FaultId,
}

/// Everything at once, for people.
#[derive(Serialize)]
struct Overview {
    clock: Clock,
    settings: Settings,
    identities: BTreeMap<String, String>,
    roles: Vec<Role>,
    faults: Vec<InstalledFault>,
    counts: Counts,
}

/// A request that the admin API refuses: HTTP 400 or 404 with one line of text.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, self.1 + "\n").into_response()
    }
}

fn bad(message: impl Into<String>) -> Refused {
    Refused(StatusCode::BAD_REQUEST, message.into())
}

fn done() -> Json<BTreeMap<String, String>> {
    Json(BTreeMap::new())
}

type Done = Json<BTreeMap<String, String>>;
type Double = Extracted<Shared>;

/// The routes.
pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/_double", get(overview))
        .route("/_double/settings", get(settings).patch(change_settings))
        .route("/_double/clock", get(clock).put(set_clock))
        .route("/_double/clock/advance", post(advance))
        .route(
            "/_double/faults",
            get(faults).post(add_fault).delete(clear_faults),
        )
        .route("/_double/faults/{id}", delete(remove_fault))
        .route("/_double/identities", get(identities).post(add_identity))
        .route(
            "/_double/identities/{access_key_id}",
            delete(remove_identity),
        )
        .route("/_double/roles", get(roles).post(add_role))
        .route("/_double/counts", get(counts).delete(reset))
        .route("/_double/calls", get(calls).delete(reset))
}

fn read_clock(shared: &Shared) -> Clock {
    let state = shared.lock();
    Clock {
        now: state.now(),
        offset_seconds: state.clock_offset.as_secs_f64(),
    }
}

async fn overview(Extracted(shared): Double) -> Json<Overview> {
    let clock = read_clock(&shared);
    let state = shared.lock();
    Json(Overview {
        clock,
        settings: state.settings.clone(),
        identities: state.identities.clone(),
        roles: state.roles.values().cloned().collect(),
        faults: state.faults.list(),
        counts: state.ledger.counts(),
    })
}

async fn settings(Extracted(shared): Double) -> Json<Settings> {
    Json(shared.lock().settings.clone())
}

async fn change_settings(
    Extracted(shared): Double,
    Json(change): Json<SettingsChange>,
) -> Json<Settings> {
    let mut state = shared.lock();
    state.settings.apply(change);
    Json(state.settings.clone())
}

async fn clock(Extracted(shared): Double) -> Json<Clock> {
    Json(read_clock(&shared))
}

fn span(field: &str, seconds: f64) -> Result<SignedDuration, Refused> {
    SignedDuration::try_from_secs_f64(seconds)
        .map_err(|error| bad(format!("{field} {seconds}: {error}")))
}

async fn set_clock(
    Extracted(shared): Double,
    Json(set): Json<SetClock>,
) -> Result<Json<Clock>, Refused> {
    let offset = span("offset_seconds", set.offset_seconds)?;
    shared.lock().clock_offset = offset;
    Ok(Json(read_clock(&shared)))
}

async fn advance(
    Extracted(shared): Double,
    Json(by): Json<Advance>,
) -> Result<Json<Clock>, Refused> {
    let by = span("seconds", by.seconds)?;
    shared.lock().advance_clock(by);
    Ok(Json(read_clock(&shared)))
}

async fn faults(Extracted(shared): Double) -> Json<Vec<InstalledFault>> {
    Json(shared.lock().faults.list())
}

async fn add_fault(
    Extracted(shared): Double,
    Json(rule): Json<FaultRule>,
) -> Result<Json<Installed>, Refused> {
    rule.fault.check().map_err(bad)?;
    let id = shared.lock().faults.add(rule, tokio::time::Instant::now());
    Ok(Json(Installed { id }))
}

async fn clear_faults(Extracted(shared): Double) -> Done {
    shared.lock().faults.clear();
    done()
}

async fn remove_fault(Extracted(shared): Double, Path(id): Path<u64>) -> Result<Done, Refused> {
    if shared.lock().faults.remove(FaultId(id)) {
        return Ok(done());
    }
    Err(Refused(
        StatusCode::NOT_FOUND,
        format!("no fault {id}: it was removed or used up"),
    ))
}

async fn identities(Extracted(shared): Double) -> Json<BTreeMap<String, String>> {
    Json(shared.lock().identities.clone())
}

async fn add_identity(Extracted(shared): Double, Json(new): Json<Identity>) -> Done {
    shared.lock().identities.insert(new.access_key_id, new.arn);
    done()
}

async fn remove_identity(
    Extracted(shared): Double,
    Path(key): Path<String>,
) -> Result<Done, Refused> {
    if shared.lock().identities.remove(&key).is_some() {
        return Ok(done());
    }
    Err(Refused(
        StatusCode::NOT_FOUND,
        format!("no static identity has the access key id {key}"),
    ))
}

async fn roles(Extracted(shared): Double) -> Json<Vec<Role>> {
    Json(shared.lock().roles.values().cloned().collect())
}

async fn add_role(Extracted(shared): Double, Json(role): Json<Role>) -> Done {
    shared.lock().roles.insert(role.arn.clone(), role);
    done()
}

async fn counts(Extracted(shared): Double) -> Json<Counts> {
    Json(shared.lock().ledger.counts())
}

async fn calls(Extracted(shared): Double) -> Json<Vec<CallRecord>> {
    Json(shared.lock().ledger.calls())
}

async fn reset(Extracted(shared): Double) -> Done {
    shared.lock().ledger.reset();
    done()
}
