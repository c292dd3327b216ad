//! Compiles one policy module, as a child of a process that limits and watches it. Of no use by itself.

use std::process::ExitCode;

fn main() -> ExitCode {
    ecr_secret_engine::compile_role().unwrap_or_else(|| {
        eprintln!("policy-compiler is started by another program, and only compiles");
        ExitCode::from(2)
    })
}
