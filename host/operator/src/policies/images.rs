//! Modules that are too large for a `ConfigMap`: OCI artifacts of one layer, fetched by digest.
//!
//! A tenant's reference makes the operator speak to a host, so the administrator says which hosts: the private registries of
//! ECR, and what `POLICY_REGISTRIES` adds. The client checks every byte against the digests that the reference begins.

mod credentials;
mod registries;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ecr_policy_verdict::Failed;
use ecr_secret_core::decide::Problem;
use ecr_secret_core::reason::Reason;
use futures::TryStreamExt;
use kube::Client;
use oci_client::Reference;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode as Code};
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use tokio::time::timeout;

use crate::aws::Broker;
pub use registries::Registries;

/// How long all the fetching of a module may take.
const LONGEST: Duration = Duration::from_mins(1);
/// How long a connection may take, and a pause within an answer.
const PAUSE: Duration = Duration::from_secs(10);
/// After a failure nothing is asked for so long.
const FAILURE: Duration = Duration::from_mins(1);
/// How many failures are remembered before old ones are looked for.
const REMEMBERED: usize = 1_024;

/// What to do about an image that is not there.
const NO_IMAGE: &str = "the registry has no such image; push it, or correct the digest";

/// Fetches modules.
pub struct Images {
    registries: Registries,
    broker: Broker,
    failures: Mutex<HashMap<Key, (Instant, Failed)>>,
}

/// Namespace, reference and pull Secret.
type Key = (String, String, Option<String>);

/// Which module of which registry, for whom.
pub(super) struct Asked<'a> {
    pub(super) namespace: &'a str,
    pub(super) reference: &'a str,
    pub(super) pull_secret: Option<&'a str>,
}

/// A layer that holds a module.
pub(super) struct Layer {
    /// The SHA-256 of the layer, in lower-case hex; that of the module unless it is compressed.
    pub(super) digest: String,
    image: Reference,
    descriptor: OciDescriptor,
    auth: RegistryAuth,
    protocol: ClientProtocol,
}

impl Images {
    /// Images of these registries. ECR's are opened with the operator's own tokens.
    pub fn new(registries: Registries, broker: Broker) -> Self {
        Self {
            registries,
            broker,
            failures: Mutex::default(),
        }
    }

    /// Finds the layer of a module of at most so many bytes, by its manifest.
    ///
    /// # Errors
    /// The API server could not be asked for the pull Secret. In it: what is wrong with the image.
    pub(super) async fn find(
        &self,
        client: &Client,
        asked: &Asked<'_>,
        most: usize,
    ) -> kube::Result<Result<Layer, Failed>> {
        let key = (
            asked.namespace.to_owned(),
            asked.reference.to_owned(),
            asked.pull_secret.map(str::to_owned),
        );
        if let Some(failed) = self.remembered(&key) {
            return Ok(Err(failed));
        }
        let found = self.look_up(client, asked, most).await?;
        if let Err(failed) = &found {
            self.remember(key, failed);
        }
        Ok(found)
    }

    async fn look_up(
        &self,
        client: &Client,
        asked: &Asked<'_>,
        most: usize,
    ) -> kube::Result<Result<Layer, Failed>> {
        let image: Reference = match asked.reference.parse() {
            Ok(image) => image,
            Err(error) => return Ok(Err(wrong(asked.reference, &error.to_string()))),
        };
        let host = image.registry().to_owned();
        let Some(protocol) = self.registries.protocol(&host) else {
            let why = format!(
                "the administrator does not allow the registry {host}; use another, or ask for it to be added to POLICY_REGISTRIES"
            );
            return Ok(Err(wrong(asked.reference, &why)));
        };
        let auth = match asked.pull_secret {
            Some(name) => {
                match credentials::of_secret(client, asked.namespace, name, &host).await? {
                    Ok(auth) => auth,
                    Err(why) => return Ok(Err(passing(asked.reference, &why))),
                }
            }
            None => match credentials::own(&self.broker, &host).await {
                Ok(auth) => auth,
                Err(why) => return Ok(Err(passing(asked.reference, &why))),
            },
        };
        let registry = registry(protocol.clone());
        let manifest = timeout(LONGEST, registry.pull_image_manifest(&image, &auth)).await;
        let manifest = match manifest {
            Err(_) => {
                return Ok(Err(passing(
                    asked.reference,
                    "the registry does not answer",
                )));
            }
            Ok(Err(error)) => return Ok(Err(passing(asked.reference, &said(&error)))),
            Ok(Ok((manifest, _))) => manifest,
        };
        let [descriptor] = manifest.layers.as_slice() else {
            let why = format!(
                "it has {} layers; push the module as the one layer of an artifact",
                manifest.layers.len()
            );
            return Ok(Err(wrong(asked.reference, &why)));
        };
        let size = usize::try_from(descriptor.size).unwrap_or(usize::MAX);
        if size > most {
            let message = format!(
                "image {}: the layer has {size} bytes, and a module may have {most}; build it for size",
                asked.reference
            );
            return Ok(Err(Problem::new(Reason::PolicyTooLarge, message).into()));
        }
        Ok(Ok(Layer {
            digest: descriptor.digest.trim_start_matches("sha256:").to_owned(),
            descriptor: descriptor.clone(),
            image,
            auth,
            protocol,
        }))
    }

    /// Fetches a layer.
    pub(super) async fn fetch(&self, layer: Layer, most: usize) -> Result<Vec<u8>, Failed> {
        let reference = layer.image.whole();
        let fetched = timeout(LONGEST, pull(&layer, most)).await;
        fetched
            .unwrap_or_else(|_| Err("the registry does not send it in time".to_owned()))
            .map_err(|why| passing(&reference, &why))
    }

    fn remembered(&self, key: &Key) -> Option<Failed> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, failed) = failures.get(key)?;
        (*until > Instant::now()).then(|| failed.clone())
    }

    fn remember(&self, key: Key, failed: &Failed) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if failures.len() >= REMEMBERED {
            failures.retain(|_, (until, _)| *until > now);
        }
        failures.insert(key, (now + FAILURE, failed.clone()));
    }
}

/// A client for one fetch: it keeps the credentials that it was given, which are not for the next one.
fn registry(protocol: ClientProtocol) -> oci_client::Client {
    oci_client::Client::new(ClientConfig {
        protocol,
        connect_timeout: Some(PAUSE),
        read_timeout: Some(PAUSE),
        user_agent: concat!("ecr-secret-operator/", env!("CARGO_PKG_VERSION")),
        ..ClientConfig::default()
    })
}

async fn pull(layer: &Layer, most: usize) -> Result<Vec<u8>, String> {
    let registry = registry(layer.protocol.clone());
    registry
        .store_auth_if_needed(layer.image.resolve_registry(), &layer.auth)
        .await;
    let stream = registry
        .pull_blob_stream(&layer.image, &layer.descriptor)
        .await;
    let mut stream = stream.map_err(|error| said(&error))?;
    let mut file = Vec::new();
    while let Some(chunk) = stream
        .try_next()
        .await
        .map_err(|error| strip(&error.to_string()))?
    {
        if file.len() + chunk.len() > most {
            return Err(format!(
                "it is larger than the {most} bytes that a module may have"
            ));
        }
        file.extend_from_slice(&chunk);
    }
    Ok(file)
}

/// What is wrong by what the resource says: it stays until that is changed.
fn wrong(reference: &str, why: &str) -> Failed {
    Problem::new(
        Reason::PolicyPullFailed,
        format!("image {reference:.200}: {why}"),
    )
    .into()
}

/// What may be mended elsewhere.
fn passing(reference: &str, why: &str) -> Failed {
    Failed {
        passing: true,
        ..wrong(reference, &format!("{why}; it is tried again"))
    }
}

fn said(error: &OciDistributionError) -> String {
    match error {
        OciDistributionError::AuthenticationFailure(_)
        | OciDistributionError::UnauthorizedError { .. } => {
            "the registry wants other credentials; name a pull_secret that opens it".to_owned()
        }
        OciDistributionError::ImageManifestNotFoundError(_) => NO_IMAGE.to_owned(),
        OciDistributionError::RegistryError { envelope, .. }
            if envelope
                .errors
                .iter()
                .any(|error| matches!(error.code, Code::ManifestUnknown | Code::NameUnknown)) =>
        {
            NO_IMAGE.to_owned()
        }
        other => strip(&chain(other)),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// One short line without what may be secret: the queries of addresses are signatures.
fn strip(text: &str) -> String {
    const MOST: usize = 300;
    let mut short = String::new();
    let mut secret = false;
    for character in text.chars() {
        match character {
            '?' => secret = true,
            ' ' | ')' | '"' | '\n' => secret = false,
            _ => {}
        }
        if !secret && short.len() < MOST {
            short.push(if character.is_control() {
                ' '
            } else {
                character
            });
        }
    }
    short
}

impl std::fmt::Debug for Images {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Images")
            .field("registries", &self.registries)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::strip;

    #[test]
    fn a_message_has_no_signature_and_no_second_line() {
        let text = "error sending request for url (https://bucket.s3/x?X-Amz-Signature=abc&y=z): timed\nout";
        assert_eq!(
            strip(text),
            "error sending request for url (https://bucket.s3/x): timed out"
        );
        assert!(strip(&"x".repeat(5_000)).len() <= 300);
    }
}
