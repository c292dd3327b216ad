//! `e2e --image FILE`: proves on a real node what the operator promises. `cargo xtask e2e` builds the image and calls it.

use clap::Parser;
use e2e::world::Arguments;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = if arguments.inside {
        e2e::world::prove_all(&arguments).await
    } else {
        e2e::network::run_inside(&arguments).await
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
