//! Every name that users, tools and stored objects may depend on.

/// The API group of both kinds.
pub const GROUP: &str = "ecr.mobb.redhat.com";
/// The served and stored version of both kinds.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of both kinds.
pub const API_VERSION: &str = "ecr.mobb.redhat.com/v1alpha1";
/// The operator's name: field manager, event reporter, lease.
pub const OPERATOR_NAME: &str = "ecr-secret-operator";
/// The manager under which the operator writes Secrets, status and service accounts.
pub const FIELD_MANAGER: &str = OPERATOR_NAME;
/// The Lease that replicas compete for, in the operator's own namespace.
pub const LEASE_NAME: &str = OPERATOR_NAME;
/// The user name of every ECR token.
pub const ECR_USER: &str = "AWS";

/// Labels and annotations with this prefix are the operator's: a policy cannot set them.
pub const RESERVED_PREFIX: &str = "ecr.mobb.redhat.com/";

/// On a resource, set by users: any new value forces one refresh.
pub const REFRESH_REQUESTED_AT: &str = "ecr.mobb.redhat.com/refresh-requested-at";
/// Label of a `ConfigMap`, set by users to `"true"`: the policy of every resource of the namespace
/// that names none.
pub const DEFAULT_POLICY_LABEL: &str = "ecr.mobb.redhat.com/default-policy";

/// The label that says which tool made an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The label that makes Argo CD read a Secret, and what it reads it as.
pub const ARGO_SECRET_TYPE: &str = "argocd.argoproj.io/secret-type";
/// The value of [`ARGO_SECRET_TYPE`] on a repository Secret.
pub const ARGO_REPOSITORY: &str = "repository";

/// On a generated Secret: when its token was issued, RFC 3339.
pub const TOKEN_ISSUED_AT: &str = "ecr.mobb.redhat.com/token-issued-at";
/// On a generated Secret: when its token dies, RFC 3339.
pub const TOKEN_EXPIRES_AT: &str = "ecr.mobb.redhat.com/token-expires-at";
/// On a generated Secret: digest of what it was rendered for, see [`crate::render::inputs_digest`].
pub const INPUTS: &str = "ecr.mobb.redhat.com/inputs";
/// On a generated Secret: the last good decision, as JSON.
pub const DECISION: &str = "ecr.mobb.redhat.com/decision";
/// On a generated Secret: the [`REFRESH_REQUESTED_AT`] that its token answers.
pub const REFRESH_REQUEST: &str = "ecr.mobb.redhat.com/refresh-request";
/// On a service account: the ledger of what the operator linked, see [`crate::links`].
pub const LINKED: &str = "ecr.mobb.redhat.com/linked";
