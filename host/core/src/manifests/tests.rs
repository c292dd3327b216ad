#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
mod crds;

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use serde::Deserialize;
use serde_json::json;

use super::*;

fn documents(yaml: &str) -> Vec<Value> {
    serde_norway::Deserializer::from_str(yaml)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

fn find<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    documents
        .iter()
        .find(|document| document["kind"] == kind)
        .unwrap()
}

fn grants(rules: &[k8s_openapi::api::rbac::v1::PolicyRule]) -> Vec<String> {
    rules
        .iter()
        .map(|rule| {
            let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default().join(",");
            let names = rule
                .resource_names
                .as_ref()
                .map_or_else(String::new, |names| format!(" named {}", names.join(",")));
            format!(
                "{}/{}{names}: {}",
                list(&rule.api_groups),
                list(&rule.resources),
                rule.verbs.join(",")
            )
        })
        .collect()
}

#[test]
fn the_permissions_are_these_and_no_more() {
    assert_eq!(
        grants(&tenant_rules()),
        [
            "ecr.mobb.redhat.com/secrets,argohelmreposecrets: get,list,watch",
            "ecr.mobb.redhat.com/secrets/status,argohelmreposecrets/status: patch",
            "/secrets: get,list,watch,create,patch,delete",
            "/serviceaccounts: get,list,watch,patch",
            "/configmaps: get,list,watch",
            "events.k8s.io/events: create,patch",
        ]
    );
    assert_eq!(
        grants(&lease_rules()),
        [
            "coordination.k8s.io/leases: create",
            "coordination.k8s.io/leases named ecr-secret-operator: get,update"
        ]
    );
    assert_eq!(
        grants(&metrics_auth_rules()),
        [
            "authentication.k8s.io/tokenreviews: create",
            "authorization.k8s.io/subjectaccessreviews: create"
        ]
    );
    assert_eq!(
        grants(&credentials_request_rules()),
        [
            "cloudcredential.openshift.io/credentialsrequests: create",
            "cloudcredential.openshift.io/credentialsrequests named ecr-secret-operator: get,patch"
        ]
    );
}

#[test]
fn every_role_is_bound_to_the_operators_service_account() {
    for scope in [
        Scope::Cluster,
        Scope::Namespaces(vec!["a".into(), "b".into()]),
    ] {
        let documents = documents(&rbac_yaml(&scope));
        for pair in documents.chunks(2) {
            let [role, binding] = pair else {
                panic!("a role without binding")
            };
            assert_eq!(
                binding["roleRef"],
                json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": role["kind"], "name": role["metadata"]["name"] })
            );
            assert_eq!(binding["metadata"], role["metadata"]);
            let account = json!([{ "kind": "ServiceAccount", "name": "ecr-secret-operator-controller-manager", "namespace": "ecr-secret-operator" }]);
            assert_eq!(binding["subjects"], account);
        }
    }
}

#[test]
fn an_operator_of_some_namespaces_gets_nothing_cluster_wide() {
    let documents = documents(&rbac_yaml(&Scope::Namespaces(vec!["a".into(), "b".into()])));
    let places: BTreeSet<_> = documents
        .iter()
        .map(|role| {
            (
                role["kind"].as_str().unwrap(),
                role["metadata"]["namespace"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = ["a", "b", "ecr-secret-operator"]
        .into_iter()
        .flat_map(|namespace| [("Role", namespace), ("RoleBinding", namespace)]);
    assert_eq!(places, expected.collect());
}

#[test]
fn the_installation_is_complete_and_in_order() {
    let kinds: Vec<_> = documents(&install_yaml("example.com/operator:1"))
        .iter()
        .map(|document| document["kind"].as_str().unwrap().to_owned())
        .collect();
    let expected = "CustomResourceDefinition CustomResourceDefinition Namespace ClusterRole ClusterRoleBinding Role RoleBinding ClusterRole ClusterRole ClusterRole ClusterRoleBinding ClusterRole Service ServiceAccount Deployment";
    assert_eq!(kinds.join(" "), expected);
}

fn deployment(installation: &Installation) -> Deployment {
    let documents = documents(&installation.operator_yaml());
    let written = find(&documents, "Deployment");
    let read: Deployment = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(
        serde_json::to_value(&read).unwrap(),
        *written,
        "every field is one that the API knows"
    );
    read
}

#[test]
fn the_deployment_keeps_the_originals_names_mounts_and_variables() {
    let deployment = deployment(&Installation {
        image: "example.com/operator:1".into(),
        ..Installation::default()
    });
    assert_eq!(
        deployment.metadata.name.as_deref(),
        Some("ecr-secret-operator-controller-manager")
    );
    assert_eq!(
        deployment.metadata.namespace.as_deref(),
        Some("ecr-secret-operator")
    );
    let pod = deployment.spec.unwrap().template.spec.unwrap();
    assert_eq!(
        pod.service_account_name.as_deref(),
        Some("ecr-secret-operator-controller-manager")
    );
    let container = serde_json::to_value(&pod.containers[0]).unwrap();
    assert_eq!(container["image"], "example.com/operator:1");
    let variable = |name: &str| {
        container["env"]
            .as_array()
            .unwrap()
            .iter()
            .find(|variable| variable["name"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(
        variable("AWS_CONFIG_FILE")["value"],
        "/var/run/secrets/aws/credentials"
    );
    assert_eq!(variable("WATCH_NAMESPACE")["value"], "");
    for (name, key) in [
        ("AWS_ACCESS_KEY_ID", "aws_access_key_id"),
        ("AWS_SECRET_ACCESS_KEY", "aws_secret_access_key"),
    ] {
        let expected = json!({ "name": "aws-ecr-cloud-credentials", "key": key, "optional": true });
        assert_eq!(variable(name)["valueFrom"]["secretKeyRef"], expected);
    }
    let mount = |path: &str| {
        let name = container["volumeMounts"]
            .as_array()
            .unwrap()
            .iter()
            .find(|mount| mount["mountPath"] == path)
            .unwrap()["name"]
            .clone();
        serde_json::to_value(
            pod.volumes
                .iter()
                .flatten()
                .find(|volume| volume.name == name)
                .unwrap(),
        )
        .unwrap()
    };
    let credentials = json!({ "secretName": "aws-ecr-cloud-credentials", "optional": true, "items": [{ "key": "credentials", "path": "credentials" }] });
    assert_eq!(mount("/var/run/secrets/aws")["secret"], credentials);
    let token = json!([{ "serviceAccountToken": { "audience": "openshift", "path": "token" } }]);
    assert_eq!(
        mount("/var/run/secrets/openshift/serviceaccount")["projected"]["sources"],
        token
    );
    assert_eq!(
        container["readinessProbe"]["httpGet"],
        json!({ "path": "/readyz", "port": "health" })
    );
    assert_eq!(
        container["livenessProbe"]["httpGet"],
        json!({ "path": "/healthz", "port": "health" })
    );
    let ports = json!([{ "name": "https-metrics", "containerPort": 8443 }, { "name": "health", "containerPort": 8081 }]);
    assert_eq!(container["ports"], ports);
}

#[test]
fn the_deployment_keeps_the_originals_selector_which_cannot_be_changed() {
    let spec = deployment(&Installation::default()).spec.unwrap();
    assert_eq!(
        serde_json::to_value(&spec.selector).unwrap(),
        json!({ "matchLabels": { "control-plane": "controller-manager" } })
    );
    // What else selects the pods, the Service for instance, can be exact.
    assert_eq!(spec.template.metadata.unwrap().labels, Some(labels()));
}

#[test]
fn the_pod_is_allowed_where_pod_security_is_restricted() {
    let pod = deployment(&Installation::default())
        .spec
        .unwrap()
        .template
        .spec
        .unwrap();
    let (pod_context, context) = (
        pod.security_context.unwrap(),
        pod.containers[0].security_context.clone().unwrap(),
    );
    assert_eq!(pod_context.run_as_non_root, Some(true));
    assert_eq!(pod_context.seccomp_profile.unwrap().type_, "RuntimeDefault");
    // OpenShift chooses the user.
    assert_eq!(pod_context.run_as_user, None);
    assert_eq!(
        (
            context.allow_privilege_escalation,
            context.read_only_root_filesystem
        ),
        (Some(false), Some(true))
    );
    assert_eq!(context.capabilities.unwrap().drop.unwrap(), ["ALL"]);
}

#[test]
fn an_installation_can_live_elsewhere_and_watch_less() {
    let installation = Installation {
        namespace: "tools".into(),
        image: "i:1".into(),
        scope: Scope::Namespaces(vec!["a".into(), "b".into()]),
    };
    let documents = documents(&installation.install_yaml());
    for document in &documents {
        let namespace = document["metadata"]["namespace"].as_str().unwrap_or("none");
        assert!(["tools", "a", "b", "none"].contains(&namespace));
    }
    assert_eq!(find(&documents, "Namespace")["metadata"]["name"], "tools");
    let container = &find(&documents, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        container["env"][0],
        json!({ "name": "WATCH_NAMESPACE", "value": "a,b" })
    );
}

#[test]
fn the_network_policy_is_about_the_pods_of_the_deployment_and_their_ports() {
    let policy = &documents(&network_policy_yaml())[0];
    let selector = &policy["spec"]["podSelector"]["matchLabels"];
    assert_eq!(*selector, json!(labels()));
    let open: Vec<&Value> = policy["spec"]["ingress"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| &rule["ports"][0]["port"])
        .collect();
    assert_eq!(open, [8081, 8443]);
    // Not to everybody: any pod may serve clear text.
    let identities = &policy["spec"]["egress"][2];
    assert_eq!(
        identities["ports"],
        json!([{ "port": 80, "protocol": "TCP" }])
    );
    assert_eq!(identities["to"].as_array().unwrap().len(), 4);
}
