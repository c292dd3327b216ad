//! Events on transitions, on the resource that they are about.

use ecr_secret_core::api::{CONDITION_READY, ConditionStatus, Status};
use kube::Resource;
use kube::runtime::events::{Event, EventType, Recorder};
use tracing::warn;

/// An event's note may have 1 kB; what is cut is in the condition.
const LONGEST_NOTE: usize = 1000;

/// Publishes what `Ready` says now. That an event is lost is logged and does no other harm.
pub async fn ready<K: Resource<DynamicType = ()>>(
    recorder: &Recorder,
    resource: &K,
    status: &Status,
) {
    let Some(ready) = status.condition(CONDITION_READY) else {
        return;
    };
    let type_ = if ready.status == ConditionStatus::False {
        EventType::Warning
    } else {
        EventType::Normal
    };
    publish(
        recorder,
        resource,
        type_,
        &ready.reason,
        "Reconcile",
        &ready.message,
    )
    .await;
}

/// Publishes an event.
pub async fn publish<K: Resource<DynamicType = ()>>(
    recorder: &Recorder,
    resource: &K,
    type_: EventType,
    reason: &str,
    action: &str,
    note: &str,
) {
    let event = Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note.chars().take(LONGEST_NOTE).collect()),
        action: action.to_owned(),
        secondary: None,
    };
    if let Err(error) = recorder.publish(&event, &resource.object_ref(&())).await {
        warn!(%error, reason, "an event could not be written");
    }
}
