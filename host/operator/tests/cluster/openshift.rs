//! OpenShift's token flow, against the API of its Cloud Credential Operator.

use std::time::Duration;

use ecr_secret_core::manifests::{
    CREDENTIALS_REQUEST_NAMESPACE, WORKLOAD_NAME, credentials_request_rules,
};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::support::{SOON, Stage, eventually};

const ROLE: &str = "arn:aws:iam::123456789012:role/ecr-secret-operator";

/// The kind, with the fields that the published CRD has (github.com/openshift/cloud-credential-operator, manifests).
fn definition() -> Value {
    let text = json!({ "type": "string" });
    let spec = json!({
        "type": "object",
        "required": ["secretRef"],
        "properties": {
            "cloudTokenPath": text,
            "providerSpec": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            "secretRef": { "type": "object", "properties": { "name": text, "namespace": text } },
            "serviceAccountNames": { "type": "array", "items": text },
        },
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": "credentialsrequests.cloudcredential.openshift.io" },
        "spec": {
            "group": "cloudcredential.openshift.io",
            "scope": "Namespaced",
            "names": { "kind": "CredentialsRequest", "plural": "credentialsrequests" },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": spec } } },
            }],
        },
    })
}

async fn apply<K>(api: &Api<K>, name: &str, object: &Value)
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let params = PatchParams::apply("test").force();
    api.patch(name, &params, &Patch::Apply(object))
        .await
        .unwrap();
}

/// What OLM grants by the bundle.
async fn grant(stage: &Stage) {
    let name = format!("{}-credentials-request", stage.namespace);
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": name }, "rules": credentials_request_rules(),
    });
    apply(&Api::<ClusterRole>::all(stage.client.clone()), &name, &role).await;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
        "subjects": [{ "kind": "ServiceAccount", "name": WORKLOAD_NAME, "namespace": stage.namespace }],
    });
    let bindings: Api<ClusterRoleBinding> = Api::all(stage.client.clone());
    apply(&bindings, &name, &binding).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_in_rolearn_is_asked_of_the_cloud_credential_operator_in_words_that_its_api_takes() {
    let mut stage = Stage::prepare().await;
    let definition = definition();
    let name = definition["metadata"]["name"].as_str().unwrap();
    let definitions: Api<CustomResourceDefinition> = Api::all(stage.client.clone());
    apply(&definitions, name, &definition).await;
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": CREDENTIALS_REQUEST_NAMESPACE },
    });
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    apply(&namespaces, CREDENTIALS_REQUEST_NAMESPACE, &namespace).await;
    let kind = GroupVersionKind::gvk("cloudcredential.openshift.io", "v1", "CredentialsRequest");
    let requests: Api<DynamicObject> = Api::namespaced_with(
        stage.client.clone(),
        CREDENTIALS_REQUEST_NAMESPACE,
        &ApiResource::from_gvk(&kind),
    );
    eventually(Duration::from_secs(20), "the API is served", || async {
        requests.list(&kube::api::ListParams::default()).await.ok()
    })
    .await;
    grant(&stage).await;

    let role = ("ROLEARN".to_owned(), ROLE.to_owned());
    stage.setup.environment.push(role);
    // Again after a restart, since what is there is what is wanted.
    for _ in 0..2 {
        let mut operator = stage.start().await;
        let request = eventually(SOON, "credentials are requested", || async {
            requests.get("ecr-secret-operator").await.ok()
        })
        .await;
        let spec = &request.data["spec"];
        let provider = &spec["providerSpec"];
        assert_eq!(
            spec["secretRef"],
            json!({ "name": "aws-ecr-cloud-credentials", "namespace": stage.namespace })
        );
        assert_eq!(spec["serviceAccountNames"], json!([WORKLOAD_NAME]));
        assert_eq!(
            spec["cloudTokenPath"],
            "/var/run/secrets/openshift/serviceaccount/token"
        );
        assert_eq!(provider["kind"], "AWSProviderSpec");
        assert_eq!(provider["stsIAMRoleARN"], ROLE);
        let actions = &provider["statementEntries"][0]["action"];
        assert_eq!(actions[0], "ecr:GetAuthorizationToken");
        eventually(SOON, "it is logged", || async {
            let log = operator.log();
            log.contains("asked the Cloud Credential Operator")
                .then_some(())
        })
        .await;
        assert!(operator.terminate(SOON).await.unwrap().success());
    }
}
