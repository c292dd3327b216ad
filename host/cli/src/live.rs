//! Resources of a cluster, as the operator would show them to a policy.

use ecr_policy_model::{Request, ServiceAccount};
use ecr_secret_core::api::{
    ArgoHelmRepoSecret, DEFAULT_POLICY_LABEL, EcrSecret, PolicyRef, Status,
};
use ecr_secret_core::policy_source::{PolicySource, module_of, source_of};
use ecr_secret_core::registry::{Target, resolve};
use ecr_secret_core::request::request;
use ecr_secret_core::schedule::Frequency;
use ecr_secret_core::token::{TokenWindow, seconds};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount as Account};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use crate::outcome::{Failure, Outcome, input};
use crate::resources::{Found, Listed, list_all, refused};

/// A resource, and what a policy is asked about it now.
pub(crate) struct Live {
    /// `secret/x` or `argohelmreposecret/x`.
    pub(crate) name: String,
    pub(crate) request: Request,
    pub(crate) frequency: Frequency,
    /// The AWS service and region, or why there is none.
    pub(crate) target: Result<Target, String>,
    pub(crate) window: Option<TokenWindow>,
    pub(crate) policy: Option<PolicyRef>,
    pub(crate) status: Status,
}

/// The module that decides about a resource.
pub(crate) struct LiveModule {
    pub(crate) config_map: String,
    pub(crate) file: Vec<u8>,
}

/// A namespace.
pub(crate) struct Surroundings {
    client: Client,
    namespace: String,
    accounts: Vec<ServiceAccount>,
    defaults: Vec<String>,
}

impl Surroundings {
    pub(crate) async fn of(client: &Client, namespace: &str) -> Outcome<Self> {
        let said = |what: &'static str| {
            move |error: kube::Error| {
                input(refused(
                    &format!("the {what} of namespace {namespace}"),
                    &error,
                ))
            }
        };
        let accounts: Api<Account> = Api::namespaced(client.clone(), namespace);
        let accounts = accounts
            .list_metadata(&ListParams::default())
            .await
            .map_err(said("service accounts"))?;
        let mut accounts: Vec<ServiceAccount> = accounts
            .iter()
            .map(|account| ServiceAccount {
                name: account.name_any(),
                labels: account.labels().clone().into_iter().collect(),
            })
            .collect();
        accounts.sort_by(|one, other| one.name.cmp(&other.name));
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let labelled = ListParams::default().labels(&format!("{DEFAULT_POLICY_LABEL}=true"));
        let defaults = maps
            .list_metadata(&labelled)
            .await
            .map_err(said("ConfigMaps"))?;
        Ok(Self {
            client: client.clone(),
            namespace: namespace.to_owned(),
            accounts,
            defaults: defaults.iter().map(ResourceExt::name_any).collect(),
        })
    }

    /// One resource.
    async fn live<K: Listed>(&self, resource: &K) -> Live {
        let view = resource.view();
        let frequency = Frequency::from_spec(view.frequency);
        let target = resolve(&view).map_err(|error| error.to_string());
        let region = target.as_ref().ok().map(|target| target.region.as_str());
        let status = resource.status().cloned().unwrap_or_default();
        let window = self.window(&status).await;
        let asked = request(resource, self.accounts.clone(), &frequency, region);
        let request = Request {
            now: seconds(Timestamp::now()),
            token: window.map(TokenWindow::to_model),
            ..asked
        };
        Live {
            name: format!("{}/{}", K::kind(&()).to_lowercase(), resource.name_any()),
            policy: view.policy.cloned(),
            request,
            frequency,
            target,
            window,
            status,
        }
    }

    /// One resource, of either kind.
    pub(crate) async fn live_of(&self, found: &Found) -> Live {
        match found {
            Found::Ecr(resource) => self.live(&**resource).await,
            Found::Argo(resource) => self.live(&**resource).await,
        }
    }

    /// All resources, of both kinds, by name.
    pub(crate) async fn all(&self) -> Outcome<Vec<Live>> {
        let mut lives = Vec::new();
        for resource in list_all::<EcrSecret>(&self.client, Some(&self.namespace)).await? {
            lives.push(self.live(&resource).await);
        }
        for resource in list_all::<ArgoHelmRepoSecret>(&self.client, Some(&self.namespace)).await? {
            lives.push(self.live(&resource).await);
        }
        lives.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(lives)
    }

    /// Where the module is that decides about a resource.
    pub(crate) fn source(&self, policy: Option<&PolicyRef>) -> Outcome<Option<PolicySource>> {
        source_of(policy, || self.defaults.clone())
            .map_err(|problem| Failure::No(format!("{}: {}", problem.reason, problem.message)))
    }

    /// The module that decides about a resource; none if the operator does by itself.
    pub(crate) async fn module(&self, policy: Option<&PolicyRef>) -> Outcome<Option<LiveModule>> {
        let (name, key) = match self.source(policy)? {
            None => return Ok(None),
            Some(PolicySource::ConfigMap { name, key }) => (name, key),
            Some(image @ PolicySource::Image { .. }) => {
                return Err(input(format!(
                    "the policy is {image}, which this tool does not fetch; get it with `oras pull`, and ask it by `kubectl ecr policy run --resource`"
                )));
            }
        };
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let map = maps
            .get(&name)
            .await
            .map_err(|error| input(refused(&format!("ConfigMap {name}"), &error)))?;
        let file = module_of(map, &name, key.as_deref())
            .map_err(|problem| Failure::No(format!("{}: {}", problem.reason, problem.message)))?;
        Ok(Some(LiveModule {
            config_map: name,
            file,
        }))
    }

    /// The life of the token in the Secret, as far as this user may see it. Nothing of the Secret's data is read.
    async fn window(&self, status: &Status) -> Option<TokenWindow> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let name = status.generated_secret_name.as_deref()?;
        let secret = secrets.get_metadata_opt(name).await.ok().flatten()?;
        TokenWindow::from_annotations(&secret.metadata)
    }
}
