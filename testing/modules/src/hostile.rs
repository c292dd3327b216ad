//! Modules of people who mean no good: what each does, and what the engine has to say to it.

mod answers;
mod bombs;
mod files;
mod runs;

/// A hostile module.
pub struct Hostile {
    /// What it does, in some words.
    pub name: String,
    /// The file that is uploaded.
    pub file: Vec<u8>,
    /// The words of the engine that may be said to it, when it is loaded or when it is asked.
    pub reasons: &'static [&'static str],
}

fn hostile(name: impl Into<String>, file: Vec<u8>, reasons: &'static [&'static str]) -> Hostile {
    Hostile {
        name: name.into(),
        file,
        reasons,
    }
}

/// All of them.
pub fn corpus() -> Vec<Hostile> {
    let parts = [
        files::files(),
        files::imports(),
        files::damaged(),
        bombs::bombs(),
        bombs::sizes(),
        runs::runs(),
        answers::answers(),
    ];
    parts.into_iter().flatten().collect()
}
