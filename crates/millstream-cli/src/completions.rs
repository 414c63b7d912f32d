//! `millstream completions SHELL` and `millstream man`: both are made from the definition of the command line.

use std::io;

use clap_complete::Shell;

use crate::args::Args;

/// The script that makes a command shell complete this program's words.
pub(crate) fn completions(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::definition(), "millstream", &mut text);
    text
}

/// The manual page.
pub(crate) fn man() -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    clap_mangen::Man::new(Args::definition()).render(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_name_what_there_is() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = String::from_utf8(completions(shell)).unwrap();
            assert!(text.contains("memory-limit") && text.contains("selftest"), "{shell}");
        }
        let page = String::from_utf8(man().unwrap()).unwrap();
        assert!(page.contains(".TH") && page.contains("memory\\-limit"), "{page}");
    }
}
