//! OpenShift's token flow: where the Cloud Credential Operator is, it is asked to set the identity up.
//!
//! The console puts the role that the administrator chose into the variable `ROLEARN`. Its operator then writes the Secret
//! `aws-ecr-cloud-credentials`, which the broker reads as any other. Without that API the role is taken directly, with the
//! projected token. See <https://docs.redhat.com/en/documentation/openshift_container_platform/4.14/html/operators/developing-operators#osdk-cco-aws-sts-enabling_osdk-token-auth>.

use std::time::Duration;

use ecr_secret_core::api::{FIELD_MANAGER, OPERATOR_NAME};
use ecr_secret_core::manifests::{
    CREDENTIALS_REQUEST_NAMESPACE, CREDENTIALS_SECRET, WORKLOAD_NAME,
};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::pinned_kind;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::{info, warn};

/// Where the projected token of the service account is mounted.
const TOKEN: &str = "/var/run/secrets/openshift/serviceaccount/token";
/// How long to wait before asking again.
const RETRY: Duration = Duration::from_mins(1);

fn kind() -> GroupVersionKind {
    GroupVersionKind::gvk("cloudcredential.openshift.io", "v1", "CredentialsRequest")
}

/// Asks for credentials of a role, until it was possible to ask or the operator stops.
pub(crate) async fn request_credentials(
    client: Client,
    namespace: String,
    role: String,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        match ask(&client, &namespace, &role).await {
            Ok(Asked::Done) => {
                info!(
                    role,
                    "asked the Cloud Credential Operator for credentials of the role"
                );
                return;
            }
            Ok(Asked::NobodyThere) => {
                info!(
                    role,
                    "there is no Cloud Credential Operator: the role is taken by the projected token"
                );
                return;
            }
            Err(error) => {
                warn!(%error, role, "the Cloud Credential Operator could not be asked for credentials; trying again");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

enum Asked {
    Done,
    NobodyThere,
}

async fn ask(client: &Client, namespace: &str, role: &str) -> kube::Result<Asked> {
    let resource: ApiResource = match pinned_kind(client, &kind()).await {
        Ok((resource, _)) => resource,
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Asked::NobodyThere),
        Err(kube::Error::Discovery(_)) => return Ok(Asked::NobodyThere),
        Err(error) => return Err(error),
    };
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), CREDENTIALS_REQUEST_NAMESPACE, &resource);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let request = credentials_request(namespace, role);
    api.patch(OPERATOR_NAME, &params, &Patch::Apply(&request))
        .await?;
    Ok(Asked::Done)
}

/// What is asked for: the calls that a token takes, for the operator's service account, into the Secret that it reads.
fn credentials_request(namespace: &str, role: &str) -> Value {
    let actions = [
        "ecr:GetAuthorizationToken",
        "ecr-public:GetAuthorizationToken",
        "sts:GetServiceBearerToken",
    ];
    json!({
        "apiVersion": "cloudcredential.openshift.io/v1",
        "kind": "CredentialsRequest",
        "metadata": { "name": OPERATOR_NAME, "namespace": CREDENTIALS_REQUEST_NAMESPACE },
        "spec": {
            "secretRef": { "name": CREDENTIALS_SECRET, "namespace": namespace },
            "serviceAccountNames": [WORKLOAD_NAME],
            "cloudTokenPath": TOKEN,
            "providerSpec": {
                "apiVersion": "cloudcredential.openshift.io/v1",
                "kind": "AWSProviderSpec",
                "statementEntries": [{ "effect": "Allow", "action": actions, "resource": "*" }],
                "stsIAMRoleARN": role,
            },
        },
    })
}
