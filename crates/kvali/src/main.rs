fn main() -> std::process::ExitCode {
    kvali::run()
}
