//! Whom the operator may reach, and who may reach it.

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use super::metrics::METRICS_PORT;
use super::operator::HEALTH_PORT;
use super::{manifest, metadata, operator};
use crate::api::OPERATOR_NAME;

/// The metadata service of instances, and the agent of EKS Pod Identity, by IPv4 and IPv6. See
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html> and
/// <https://docs.aws.amazon.com/eks/latest/userguide/pod-id-agent-setup.html>.
const IDENTITIES: [&str; 4] = [
    "169.254.169.254/32",
    "169.254.170.23/32",
    "fd00:ec2::254/128",
    "fd00:ec2::23/128",
];

/// The policy, which no way of installation brings by itself: what a cluster's DNS and API server listen on is not known.
///
/// DNS is port 53, in `OpenShift`'s pods 5353. AWS' addresses change and a policy knows no names, so for it and for registries
/// the port is what can be said; 6443 is where API servers listen behind the Service `kubernetes`.
pub(super) fn policy(namespace: &str) -> Value {
    let pods = LabelSelector {
        match_labels: Some(operator::labels()),
        ..LabelSelector::default()
    };
    let block = |cidr: &str| NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: cidr.to_owned(),
            except: None,
        }),
        ..NetworkPolicyPeer::default()
    };
    let identities = NetworkPolicyEgressRule {
        ports: Some(vec![port("TCP", 80)]),
        to: Some(IDENTITIES.map(block).into()),
    };
    let dns = [53, 5353].map(|number| [port("UDP", number), port("TCP", number)]);
    manifest(&NetworkPolicy {
        metadata: metadata(OPERATOR_NAME, Some(namespace)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(pods),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            // kubelet asks from its node, and whether a policy sees that as a pod's or as nobody's differs between networks.
            ingress: Some(vec![from_all(HEALTH_PORT), from_all(METRICS_PORT)]),
            egress: Some(vec![
                to_all(dns.concat()),
                to_all(vec![port("TCP", 443), port("TCP", 6443)]),
                identities,
            ]),
        }),
    })
}

fn port(protocol: &str, number: i32) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(number)),
        protocol: Some(protocol.to_owned()),
        ..NetworkPolicyPort::default()
    }
}

fn from_all(number: i32) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        ports: Some(vec![port("TCP", number)]),
        ..NetworkPolicyIngressRule::default()
    }
}

fn to_all(ports: Vec<NetworkPolicyPort>) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        ports: Some(ports),
        ..NetworkPolicyEgressRule::default()
    }
}
