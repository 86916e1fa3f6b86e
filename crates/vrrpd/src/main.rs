//! Entry point of vrrpd: command line, configuration, becoming a daemon; everything else is in the library.

use std::process::ExitCode;

use vrrpd::{
    admin::client,
    cli::{self, CliError, Command},
    daemon, reader,
};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == reader::ARGUMENT) {
        return ExitCode::from(reader::main(words.next().as_ref().and_then(|word| word.to_str())));
    }
    match cli::parse(std::env::args_os().skip(1)) {
        Ok(Command::Print(text)) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Ok(Command::Test(options, file)) => daemon::test(&options, file.as_deref()),
        Ok(Command::Ctl(request)) => client::run(&request),
        Ok(Command::Run(options)) => daemon::run(options),
        Err(error) => {
            let help = if matches!(error, CliError::Ctl(_)) { "vrrpd ctl help" } else { "vrrpd --help" };
            complain(&format!("vrrpd: {error}\nTry '{help}'."));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the answer to --help, --version and --signum")]
fn print(text: &str) {
    println!("{}", text.trim_end());
}

#[expect(clippy::print_stderr, reason = "there is no log before the command line is understood")]
fn complain(text: &str) {
    eprintln!("{text}");
}
