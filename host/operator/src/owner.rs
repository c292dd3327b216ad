//! Who owns what the operator makes for itself: its service account, which every way of uninstalling deletes.

use k8s_openapi::api::authentication::v1::{SelfSubjectReview, UserInfo};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PostParams;
use kube::{Api, Client};

/// The service account as the API server knows us, so that the garbage collector takes what it owns when it goes. None for
/// somebody who is no service account of this namespace, at a developer's desk for instance.
///
/// Every user may ask who he is; see
/// <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#self-subject-review>.
///
/// # Errors
/// The API server did not say.
pub(crate) async fn service_account(
    client: Client,
    namespace: &str,
) -> kube::Result<Option<OwnerReference>> {
    let reviews: Api<SelfSubjectReview> = Api::all(client);
    let review = reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await?;
    let user = review.status.and_then(|status| status.user_info);
    Ok(user.and_then(|user| reference(user, namespace)))
}

fn reference(user: UserInfo, namespace: &str) -> Option<OwnerReference> {
    let username = user.username?;
    let account = username.strip_prefix("system:serviceaccount:")?;
    let (of, name) = account.split_once(':')?;
    // An owner in another namespace is one that does not exist.
    (of == namespace).then_some(())?;
    Some(OwnerReference {
        api_version: "v1".to_owned(),
        kind: "ServiceAccount".to_owned(),
        name: name.to_owned(),
        uid: user.uid.filter(|uid| !uid.is_empty())?,
        ..OwnerReference::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(username: &str, uid: &str) -> Option<(String, String)> {
        let user = UserInfo {
            username: Some(username.to_owned()),
            uid: Some(uid.to_owned()),
            ..UserInfo::default()
        };
        reference(user, "ours").map(|owner| (owner.name, owner.uid))
    }

    #[test]
    fn only_a_service_account_of_the_same_namespace_with_its_uid_is_an_owner() {
        let account = "system:serviceaccount:ours:operator";
        assert_eq!(owner(account, "1"), Some(("operator".into(), "1".into())));
        // An impersonated account has no uid.
        assert_eq!(owner(account, ""), None);
        assert_eq!(owner("system:serviceaccount:theirs:operator", "1"), None);
        assert_eq!(owner("kubernetes-admin", "1"), None);
        assert_eq!(reference(UserInfo::default(), "ours"), None);
    }
}
