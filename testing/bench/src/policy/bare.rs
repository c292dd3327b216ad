//! The same guest on wasmtime with nothing around it: no fuel, no clock, no limits, no checks.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use ecr_policy_model::Request;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

use super::{RUNS, WARM_UP};

mod bindings {
    #![allow(missing_docs, clippy::pedantic, reason = "generated")]
    wasmtime::component::bindgen!({ path: "../../wit", world: "policy" });
}

use bindings::exports::mobb::ecr_policy::decide::Request as Asked;
use bindings::mobb::ecr_policy::types::{ResourceInfo, ResourceKind};

/// A new instance and a call each; the times, sorted.
pub(super) fn measure(module: &[u8], request: &Request) -> Result<Vec<Duration>> {
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(
        PoolingAllocationConfig::default(),
    ));
    let engine = Engine::new(&config).map_err(|error| anyhow!("{error:#}"))?;
    let component = Component::new(&engine, module).map_err(|error| anyhow!("{error:#}"))?;
    let linker = Linker::<()>::new(&engine);
    let prepared = linker
        .instantiate_pre(&component)
        .and_then(bindings::PolicyPre::new);
    let prepared = prepared.map_err(|error| anyhow!("{error:#}"))?;
    let asked = asked(request);
    let mut times = Vec::with_capacity(RUNS);
    for run in 0..WARM_UP + RUNS {
        let started = Instant::now();
        let mut store = Store::new(&engine, ());
        let answer = prepared.instantiate(&mut store).and_then(|policy| {
            policy
                .mobb_ecr_policy_decide()
                .call_evaluate(&mut store, &asked)
        });
        drop(store);
        if run >= WARM_UP {
            times.push(started.elapsed());
        }
        let answer = answer.map_err(|error| anyhow!("{error:#}"))?;
        answer.map_err(|refusal| anyhow!("the guest refuses: {refusal:?}"))?;
    }
    times.sort_unstable();
    Ok(times)
}

fn asked(request: &Request) -> Asked {
    let resource = &request.resource;
    Asked {
        now: request.now,
        resource: ResourceInfo {
            kind: ResourceKind::Secret,
            name: resource.name.clone(),
            namespace: resource.namespace.clone(),
            uid: resource.uid.clone(),
            labels: Vec::new(),
            annotations: Vec::new(),
            registry: resource.registry.clone(),
            region: resource.region.clone(),
            generated_secret_name: resource.generated_secret_name.clone(),
            frequency_seconds: resource.frequency_seconds,
            service_accounts: Vec::new(),
        },
        service_accounts: Vec::new(),
        token: None,
        settings: request.settings.clone(),
    }
}
