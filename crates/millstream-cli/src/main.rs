//! The `millstream` binary: runs SQL scripts and prints what they give.
//!
//! Read in this order: `args` (what may be asked for), `script` (reads the SQL), `run` (drives the engine), `format` (rows to
//! text), `screen` and `status_line` (the terminal), `interrupt` (Ctrl-C), `log`; `selftest` and `serve` stand by themselves.

mod args;
mod format;
mod interrupt;
mod log;
mod quantity;
mod report;
mod run;
mod screen;
mod script;
mod selftest;
mod serve;
mod status_line;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use args::{Args, Input, Invocation};
use interrupt::Interrupts;
use screen::{Messages, Screen};

const EXIT_USAGE: u8 = 2;
const EXIT_FAILED: u8 = 1;

/// Planning a deeply nested statement recurses; the default of 2 MiB is too little for it.
const THREAD_STACK_BYTES: usize = 8 * 1024 * 1024;

fn main() -> ExitCode {
    let mut invocation = match Args::read(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(error) => {
            // Help and version come this way too, with exit code 0. A closed pipe behind them is no error.
            _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE));
        }
    };
    if invocation.inputs.is_empty() && invocation.selftest.is_none() && invocation.serve.is_none() {
        if io::stdin().is_terminal() {
            _ = io::stdout().write_all(Args::welcome().as_bytes());
            return ExitCode::SUCCESS;
        }
        invocation.inputs.push(Input::Stdin);
    }
    let messages = Messages::default();
    let screen = Screen::new(invocation.options.quiet, invocation.options.no_color, messages.clone());
    start(&invocation, screen, &messages)
}

fn start(invocation: &Invocation, mut screen: Screen, messages: &Messages) -> ExitCode {
    let scripts = match log::start(messages).and_then(|()| script::read_all(&invocation.inputs)) {
        Ok(scripts) => scripts,
        Err(message) => {
            screen.error(&message);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("millstream").thread_stack_size(THREAD_STACK_BYTES).build();
    let (runtime, interrupts) = match runtime.and_then(|runtime| Ok((runtime, Interrupts::listen()?))) {
        Ok(started) => started,
        Err(error) => {
            screen.error(&format!("cannot start: {error}"));
            return ExitCode::from(EXIT_FAILED);
        }
    };
    let code = match (&invocation.selftest, &invocation.serve) {
        (Some(selftest), _) => runtime.block_on(selftest::run(selftest, &mut screen)),
        (None, Some(serve)) => runtime.block_on(serve::run(serve, &invocation.options, &mut screen, interrupts)),
        (None, None) => runtime.block_on(run::run(invocation, &scripts, &mut screen, interrupts)),
    };
    // Work that is stuck in a blocking call must not keep the program from ending.
    runtime.shutdown_background();
    ExitCode::from(code)
}
