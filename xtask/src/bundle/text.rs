//! What people read before they install.

/// One line.
pub(super) const SUMMARY: &str =
    "Keeps Amazon ECR credentials fresh in Secrets, and links them to service accounts.";

/// The page in the console and on `OperatorHub`, as Markdown.
pub(super) const DESCRIPTION: &str = "\
Amazon ECR gives registry tokens that live for 12 hours. This operator fetches them, writes them into Secrets, links these to
service accounts and renews them in time.

## What you get
* `Secret` (`ecr.mobb.redhat.com`): a `kubernetes.io/dockerconfigjson` Secret for pulls and for builds that push.
* `ArgoHelmRepoSecret`: an Argo CD repository Secret for Helm charts in ECR.
* Links to service accounts, for pulls (`imagePullSecrets`) and for OpenShift's builds (`secrets`).
* Optional policies: a small WebAssembly module in a ConfigMap decides how a Secret is named, who gets it and when it is renewed.
* Conditions, events, metrics, alerts with runbooks.

## Before you install
Give the operator an AWS identity that may call `ecr:GetAuthorizationToken`: a role by OpenShift's STS flow (the console asks for
its ARN), or the Secret `aws-ecr-cloud-credentials` in the operator's namespace with the key `credentials`. See the documentation.

## Upgrading from v0.6.0
Resources and Secrets stay as they are and go on working. A Secret that is generated from now on belongs to its resource, and goes
with it.
";
