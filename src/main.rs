//! The command line; see `anomem --help`.

fn main() -> std::process::ExitCode {
    anomem::cli::main()
}
