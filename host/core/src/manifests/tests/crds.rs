#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};

use super::documents;
use crate::manifests::{crds, crds_yaml};

fn schema(crd: &CustomResourceDefinition) -> JSONSchemaProps {
    crd.spec.versions[0]
        .schema
        .clone()
        .unwrap()
        .open_api_v3_schema
        .unwrap()
}

fn property(schema: &JSONSchemaProps, name: &str) -> JSONSchemaProps {
    schema.properties.as_ref().unwrap()[name].clone()
}

#[test]
fn the_names_are_the_originals() {
    let names: Vec<_> = crds()
        .into_iter()
        .map(|crd| {
            (
                crd.metadata.name.unwrap(),
                crd.spec.names.kind,
                crd.spec.scope,
                crd.spec.versions[0].name.clone(),
            )
        })
        .collect();
    let expected = [
        ("secrets.ecr.mobb.redhat.com", "Secret"),
        (
            "argohelmreposecrets.ecr.mobb.redhat.com",
            "ArgoHelmRepoSecret",
        ),
    ];
    assert_eq!(
        names,
        expected.map(|(name, kind)| (
            name.to_owned(),
            kind.to_owned(),
            "Namespaced".to_owned(),
            "v1alpha1".to_owned()
        ))
    );
    let short: Vec<_> = crds()
        .into_iter()
        .map(|crd| {
            (
                crd.spec.names.short_names.unwrap(),
                crd.spec.names.categories.unwrap(),
            )
        })
        .collect();
    assert_eq!(
        short,
        [
            (vec!["ecrsec".to_owned()], vec!["ecr".to_owned()]),
            (vec!["argoecr".to_owned()], vec!["ecr".to_owned()])
        ]
    );
}

#[test]
fn nothing_that_the_original_stored_becomes_invalid() {
    for crd in crds() {
        let schema = schema(&crd);
        let (spec, status) = (property(&schema, "spec"), property(&schema, "status"));
        for object in [&schema, &spec, &status] {
            assert_eq!(
                (&object.required, &object.x_kubernetes_validations),
                (&None, &None)
            );
            assert_eq!(object.type_.as_deref(), Some("object"));
        }
        let registry = if crd.spec.names.kind == "Secret" {
            "ecr_registry"
        } else {
            "url"
        };
        for name in ["generated_secret_name", registry, "frequency", "region"] {
            let mut field = property(&spec, name);
            assert!(field.description.take().is_some());
            assert_eq!(
                field,
                JSONSchemaProps {
                    type_: Some("string".into()),
                    nullable: Some(true),
                    ..JSONSchemaProps::default()
                },
                "{name}"
            );
        }
        for (name, format) in [("phase", None), ("lastUpdatedTime", Some("date-time"))] {
            let mut field = property(&status, name);
            field.description = None;
            assert_eq!(
                field,
                JSONSchemaProps {
                    type_: Some("string".into()),
                    nullable: Some(true),
                    format: format.map(str::to_owned),
                    ..JSONSchemaProps::default()
                },
                "{name}"
            );
        }
    }
}

#[test]
fn the_api_server_writes_no_defaults_into_stored_resources() {
    for crd in crds() {
        for part in ["spec", "status"] {
            let part = property(&schema(&crd), part);
            assert_eq!(part.default, None);
            assert!(
                part.properties
                    .unwrap()
                    .values()
                    .all(|field| field.default.is_none())
            );
        }
    }
}

#[test]
fn new_fields_are_checked_by_the_api_server() {
    let spec = property(&schema(&crds()[0]), "spec");
    let policy = property(&spec, "policy");
    assert_eq!(
        policy.x_kubernetes_validations.as_ref().unwrap()[0].rule,
        "!has(self.key) || has(self.config_map)"
    );
    assert_eq!(
        property(&policy, "sha256").pattern.unwrap(),
        "^[0-9a-f]{64}$"
    );
    let settings = property(&policy, "settings");
    assert_eq!(
        (
            settings.x_kubernetes_preserve_unknown_fields,
            settings.additional_properties
        ),
        (Some(true), None)
    );
    let accounts = property(&spec, "service_accounts");
    assert_eq!(
        (accounts.max_items, accounts.x_kubernetes_list_map_keys),
        (Some(500), Some(vec!["name".to_owned()]))
    );
    let conditions = property(&property(&schema(&crds()[0]), "status"), "conditions");
    assert_eq!(conditions.x_kubernetes_list_map_keys.unwrap(), ["type"]);
}

fn undescribed(path: &str, schema: &JSONSchemaProps, found: &mut Vec<String>) {
    if schema.description.is_none() {
        found.push(path.to_owned());
    }
    for (name, field) in schema.properties.iter().flatten() {
        undescribed(&format!("{path}.{name}"), field, found);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        undescribed(&format!("{path}[]"), items, found);
    }
}

#[test]
fn every_field_is_described() {
    let mut found = Vec::new();
    for crd in crds() {
        undescribed(&crd.spec.names.kind, &schema(&crd), &mut found);
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn kubectl_shows_the_columns_of_the_contract() {
    for crd in crds() {
        let columns = crd.spec.versions[0]
            .additional_printer_columns
            .clone()
            .unwrap();
        let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "Secret",
                "Registry",
                "Ready",
                "Reason",
                "Expires",
                "Next refresh",
                "Policy",
                "Age"
            ]
        );
        // A column of type date shows a time in the future as <invalid>.
        assert!(
            columns
                .iter()
                .all(|column| (column.type_ == "date") == (column.name == "Age"))
        );
    }
}

#[test]
fn the_crds_survive_yaml_and_stay_small_enough_for_client_side_apply() {
    let read: Vec<CustomResourceDefinition> = documents(&crds_yaml())
        .into_iter()
        .map(|document| serde_json::from_value(document).unwrap())
        .collect();
    assert_eq!(read, crds());
    assert!(crds_yaml().len() < 100_000);
}
