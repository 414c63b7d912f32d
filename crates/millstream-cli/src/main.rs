//! The `millstream` binary: an interactive shell, and a runner of SQL scripts.
//!
//! Read in this order: `args` (what may be asked for), `script` (reads the SQL), `run` (drives the engine), `format` (rows to
//! text), `screen` and `status_line` (the terminal), `interrupt` (Ctrl-C), `log`; `shell` is the interactive shell; `selftest` and
//! `serve` stand by themselves.

mod args;
mod completions;
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
mod shell;
mod status_line;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use args::{Args, Input, Invocation};
use interrupt::Interrupts;
use screen::{Messages, Screen};
use script::Script;
use tokio::runtime::Runtime;

const EXIT_USAGE: u8 = 2;
const EXIT_FAILED: u8 = 1;

/// Planning a deeply nested statement recurses; the default of 2 MiB is too little for it. With two more than planning asks for, it
/// needs no stack of its own.
const THREAD_STACK_BYTES: usize = 10 * 1024 * 1024;

fn main() -> ExitCode {
    let mut invocation = match Args::read(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(error) => {
            // Help and version come this way too, with exit code 0. A closed pipe behind them is no error.
            _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE));
        }
    };
    if let Some(text) = &invocation.printed {
        // A closed pipe is no error.
        _ = io::stdout().write_all(text);
        return ExitCode::SUCCESS;
    }
    let has_no_input = invocation.inputs.is_empty() && invocation.selftest.is_none() && invocation.serve.is_none();
    if has_no_input && !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
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
    let code = match runtime {
        Ok(runtime) => {
            let code = run_on(&runtime, invocation, &scripts, &mut screen);
            // Work that is stuck in a blocking call must not keep the program from ending.
            runtime.shutdown_background();
            code
        }
        Err(error) => Err(error),
    };
    match code {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            screen.error(&format!("cannot start: {error}"));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// Does what was asked for.
fn run_on(runtime: &Runtime, invocation: &Invocation, scripts: &[Script], screen: &mut Screen) -> io::Result<u8> {
    let options = &invocation.options;
    if let Some(selftest) = &invocation.selftest {
        return Ok(runtime.block_on(selftest::run(selftest, screen)));
    }
    if let Some(serve) = &invocation.serve {
        let interrupts = Interrupts::listen()?;
        return Ok(runtime.block_on(serve::run(serve, options, screen, interrupts)));
    }
    if scripts.is_empty() {
        return Ok(shell::run(options, runtime, screen));
    }
    let has_commands = |script: &Script| shell::has_commands(&script.sql);
    if options.connect.is_some() || !invocation.resumes && scripts.iter().any(has_commands) {
        return Ok(shell::run_scripts(options, scripts, runtime, screen));
    }
    Ok(runtime.block_on(run::run(invocation, scripts, screen, Interrupts::listen()?)))
}
