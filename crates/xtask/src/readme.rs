//! The README's commands, so that a reader's first two minutes are tested like everything else.
//!
//! Every line that begins with `cargo ` in a block without a language, or of `sh`, is run.

/// The commands of the README, in order.
pub(crate) fn commands(markdown: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let (mut in_block, mut in_shell) = (false, false);
    for line in markdown.lines() {
        match line.trim().strip_prefix("```") {
            Some(language) => {
                in_shell = !in_block && matches!(language, "" | "sh");
                in_block = !in_block;
            }
            None if in_shell && line.starts_with("cargo ") => commands.push(without_comment(line).to_owned()),
            None => {}
        }
    }
    // This very run is the command; running it again would never end.
    commands.retain(|command| !command.starts_with("cargo xtask"));
    commands
}

/// The command as it can be checked: `demo` runs until interrupted, so it is asked to end after its first round.
pub(crate) fn as_a_check(command: &str) -> String {
    if command.ends_with(" demo") { format!("{command} --once") } else { command.to_owned() }
}

fn without_comment(line: &str) -> &str {
    line.split_once(" #").map_or(line, |(command, _)| command).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_lines_of_shell_blocks_are_the_commands() {
        let readme = "# T\n```sh\ncargo run --release -- demo   # starts it\ncurl x\ncargo xtask test\n```\n\
                      ```toml\ncargo no\n```\ncargo neither\n```\ncargo build\n```\n";
        assert_eq!(commands(readme), ["cargo run --release -- demo", "cargo build"]);
    }

    #[test]
    fn the_demo_is_asked_to_end() {
        assert_eq!(as_a_check("cargo run --release -- demo"), "cargo run --release -- demo --once");
        assert_eq!(as_a_check("cargo build"), "cargo build");
    }
}
