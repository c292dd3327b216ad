//! `policy check` and `policy inspect`: what a module is, before anybody uploads it.

use ecr_policy_model::Request;
use ecr_policy_verdict::check_settings;

use super::{Loaded, load_file, no};
use crate::command_line::{Check, Module};
use crate::outcome::{Failure, Outcome};
use crate::screen;

pub(super) fn check(arguments: &Check) -> Outcome {
    let loaded = load_file(&arguments.module)?;
    describe(&loaded)?;
    // The request says little, but whatever the policy answers shows what a run takes.
    let run = loaded.policy.run(&Request::default());
    let limits = &loaded.engine.options().limits;
    print!(
        "a run, and loading, use:\n{}",
        screen::usage(&run.usage, limits)
    );
    if let Some(settings) = &arguments.settings {
        check_settings(&loaded.policy, &loaded.source, settings).map_err(|failed| no(&failed))?;
        println!("settings    {}", screen::good("accepted"));
    }
    println!("the operator takes this module");
    Ok(())
}

pub(super) fn inspect(arguments: &Module) -> Outcome {
    describe(&load_file(arguments)?)
}

fn describe(loaded: &Loaded) -> Outcome {
    let policy = &loaded.policy;
    let about = policy.describe().map_err(|error| {
        Failure::No(format!(
            "{}: it does not describe itself: {error}",
            loaded.source
        ))
    })?;
    println!("policy      {} {}", about.name, about.version);
    if !about.summary.is_empty() {
        println!("summary     {}", about.summary);
    }
    println!("interface   {}", policy.interface());
    println!(
        "size        {} bytes, {} bytes of machine code",
        policy.module_bytes(),
        policy.code_bytes()
    );
    println!("sha256      {}", policy.digest());
    println!("settings    {}", about.settings_schema);
    Ok(())
}
