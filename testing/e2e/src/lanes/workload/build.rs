//! An OpenShift build, with OpenShift's types and the program that its builds push with.

use super::tenant::{self, mounted};
use super::user::{User, root};
use anyhow::{Context, Result, ensure};
use serde_json::Value;

const BUILD_CONFIG: &str = "samples/build-config.yaml";

/// The sample `BuildConfig`, and a push as its build makes it.
pub(super) async fn run(user: &User<'_>) {
    let sentence = "the types of OpenShift take samples/build-config.yaml strictly, and refuse a misspelt field";
    let Some(build) = user.prove(sentence, check(user)).await else {
        return;
    };
    let sentence = "buildah pushes the build's image with the Secret that the service account builder mounts, and skopeo \
                    reads it back";
    user.prove(sentence, async {
        let secret = mounted(&user.client(), "builder").await?;
        push(user, &secret, &build).await
    })
    .await;
    let sentence = "buildah pushes it with the BuildConfig's pushSecret as well, and not without";
    user.prove(sentence, async {
        let secret = text(&build, "/spec/output/pushSecret/name")?;
        push(user, secret, &build).await?;
        let nothing = user.write("nothing.json", "{}")?;
        let image = text(&build, "/spec/output/to/name")?;
        let told = user
            .refused(&format!(
                "buildah push --tls-verify=false --authfile {} {image}",
                nothing.display()
            ))
            .await?;
        ensure!(told.contains("unauthorized"), "another trouble: {told}");
        Ok(())
    })
    .await;
}

/// The `BuildConfig` as OpenShift reads it.
async fn check(user: &User<'_>) -> Result<Value> {
    let told = user.sh(&format!("openshift-check {BUILD_CONFIG}")).await?;
    let sample = std::fs::read_to_string(root().join(BUILD_CONFIG)).context("read the sample")?;
    let misspelt = sample.replacen("pushSecret:", "pushSecrets:", 1);
    let misspelt = user.write("misspelt.yaml", &misspelt)?;
    let refusal = user
        .refused(&format!("openshift-check {}", misspelt.display()))
        .await?;
    ensure!(
        refusal.contains(r#"unknown field "spec.output.pushSecrets""#),
        "the misspelt field is not named: {refusal}"
    );
    serde_json::from_str(&told).context("read the BuildConfig as JSON")
}

/// Builds the image of the `BuildConfig`'s output and pushes it, with this Secret as OpenShift mounts it.
async fn push(user: &User<'_>, secret: &str, build: &Value) -> Result<()> {
    let image = text(build, "/spec/output/to/name")?;
    let config = tenant::value(&user.client(), secret, ".dockerconfigjson").await?;
    let config = user.write(".dockerconfigjson", &config)?;
    let access = format!("--tls-verify=false --authfile {}", config.display());
    let told = user
        .sh(&format!(
            "container=$(buildah from scratch)\n\
             buildah copy --quiet $container README.md /\n\
             buildah config --label secret={secret} $container\n\
             buildah commit --quiet --rm $container {image}\n\
             buildah push --quiet {access} --digestfile $HOME/digest {image}\n\
             skopeo inspect {access} docker://{image}"
        ))
        .await?;
    let json = told.find('{').map(|start| &told[start..]);
    let found: Value = serde_json::from_str(json.unwrap_or_default())
        .with_context(|| format!("skopeo told no JSON: {told}"))?;
    ensure!(
        found["Labels"]["secret"] == secret,
        "skopeo found another image than the one that was pushed: {found}"
    );
    Ok(())
}

fn text<'v>(value: &'v Value, pointer: &str) -> Result<&'v str> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.with_context(|| format!("the BuildConfig has no {pointer}"))
}
