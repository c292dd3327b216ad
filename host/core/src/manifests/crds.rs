//! The CRDs, as loose as stored resources need them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps,
};
use kube::CustomResourceExt;

use crate::api::{ArgoHelmRepoSecret, EcrSecret};

/// The CRDs of both kinds.
///
/// The derive macros demand a spec. The original operator did not, and a resource without one may be
/// stored: a CRD that refuses it would block the upgrade of everybody who has one. So neither the
/// spec nor any field of the original is required, and null is as good as absent.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![EcrSecret::crd(), ArgoHelmRepoSecret::crd()];
    for crd in &mut crds {
        let schemas = crd
            .spec
            .versions
            .iter_mut()
            .filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
        schemas.for_each(loosen);
    }
    crds
}

fn loosen(schema: &mut JSONSchemaProps) {
    schema.required = None;
    schema.title = None;
    let spec = schema
        .properties
        .as_mut()
        .and_then(|properties| properties.get_mut("spec"));
    if let Some(spec) = spec {
        spec.nullable = Some(true);
        // Defaults of Rust: the API server would write them into stored objects.
        for field in spec.properties.iter_mut().flatten().map(|(_, field)| field) {
            field.default = None;
        }
        for name in ["service_accounts", "adopt", "suspend"] {
            if let Some(field) = spec
                .properties
                .as_mut()
                .and_then(|fields| fields.get_mut(name))
            {
                field.nullable = Some(true);
            }
        }
    }
    let status = schema
        .properties
        .as_mut()
        .and_then(|properties| properties.get_mut("status"));
    if let Some(status) = status {
        for field in status
            .properties
            .iter_mut()
            .flatten()
            .map(|(_, field)| field)
        {
            field.default = None;
        }
    }
}
