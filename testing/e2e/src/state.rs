//! What is printed of the cluster when a proof failed.

use crate::Node;

const COMMANDS: [&[&str]; 4] = [
    &["get", "pods", "--all-namespaces", "--output=wide"],
    &[
        "get",
        "csv,installplans,subscriptions",
        "--all-namespaces",
        "--output=wide",
    ],
    &["get", "ecr", "--all-namespaces"],
    &[
        "get",
        "events",
        "--all-namespaces",
        "--sort-by=.lastTimestamp",
    ],
];
const OPERATORS: [&str; 5] = [
    "get",
    "pods",
    "--all-namespaces",
    "--selector=control-plane=controller-manager",
    "--output=jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{\"\\n\"}{end}",
];
const LINES: usize = 30;
const WIDTH: usize = 300;

/// Prints it.
pub async fn print(node: &Node) {
    if let Err(error) = node.daemons().check() {
        println!("{error:#}");
    }
    for arguments in COMMANDS {
        last_lines(node, arguments).await;
    }
    let operators = node.kubectl(&OPERATORS).await.unwrap_or_default();
    for (namespace, pod) in operators.lines().filter_map(|line| line.split_once(' ')) {
        last_lines(node, &["logs", "--namespace", namespace, pod]).await;
    }
}

async fn last_lines(node: &Node, arguments: &[&str]) {
    println!("--- kubectl {}", arguments.join(" "));
    let told = match node.kubectl(arguments).await {
        Ok(told) => told,
        Err(error) => format!("{error:#}"),
    };
    let lines: Vec<&str> = told.lines().collect();
    for line in &lines[lines.len().saturating_sub(LINES)..] {
        println!("{}", line.chars().take(WIDTH).collect::<String>());
    }
}
