//! The `dropsonde` command: everything it does is in the library.

use std::process::ExitCode;

/// A sweep is many small allocations of many connections; glibc's allocator is a fifth slower at it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    dropsonde::cli::run(std::env::args_os())
}
