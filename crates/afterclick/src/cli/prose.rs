//! Prose for a terminal: paragraphs of Markdown in lines that fit.

/// Longest line, in characters.
const LINE_CHARS_MAX: usize = 100;

/// Paragraphs and list items in lines that fit; code and what stands in tables stays as it is.
pub(crate) fn reflowed(markdown: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut paragraph = String::new();
    let mut is_code = false;
    for line in markdown.trim().lines() {
        let is_fence = line.starts_with("```");
        let stands_alone = is_code || is_fence || line.is_empty() || line.starts_with('|');
        if stands_alone || line.starts_with("- ") {
            lines.append(&mut wrapped(&std::mem::take(&mut paragraph)));
        }
        if stands_alone {
            lines.push(line.to_owned());
        } else {
            paragraph.push_str(if paragraph.is_empty() { "" } else { " " });
            paragraph.push_str(line.trim());
        }
        is_code ^= is_fence;
    }
    lines.append(&mut wrapped(&paragraph));
    lines
}

/// A text in lines that fit.
pub(crate) fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= LINE_CHARS_MAX => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_broken_anew_and_code_is_left_alone() {
        let long = "word ".repeat(30);
        let text = format!("One\ntwo.\n\n- item\n  goes on\n- other\n\n```\na  b\n\nc\n```\n{long}");
        let lines = reflowed(&text);
        let expect = ["One two.", "", "- item goes on", "- other", "", "```", "a  b", "", "c", "```"];
        assert_eq!(lines[..10], expect);
        assert!(lines.len() == 12 && lines.iter().all(|line| line.chars().count() <= LINE_CHARS_MAX));
    }
}
