//! The allocator of policies: TLSF, in a form made for small modules.
//!
//! The standard library's would make a policy of 18 KB one of 26. A policy allocates some dozens of small values in a
//! memory that is thrown away after the answer, so speed is no reason. What is freed is used again nevertheless:
//! a loop that allocates does not run out of memory.
//!
//! On `wasm32-unknown-unknown` only: elsewhere C code allocates what is freed here, and the other way round.

#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();
