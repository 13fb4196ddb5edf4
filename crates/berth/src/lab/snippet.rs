//! A message with the place in a file that it is about.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use berth_lifecycle::Severity;

/// What a message says.
pub(crate) struct Message<'a> {
    pub(crate) severity: Severity,
    pub(crate) id: &'a str,
    pub(crate) title: &'a str,
    /// What stands under the caret.
    pub(crate) label: &'a str,
    /// What to do.
    pub(crate) help: Option<&'a str>,
    /// More about it.
    pub(crate) note: Option<&'a str>,
}

/// Renders a message about a part of a text; with colours, which the printer drops where they are not wanted.
pub(crate) fn render(message: &Message<'_>, file: &str, text: &str, span: &Range<usize>) -> String {
    let level = match message.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let (window, line, span) = window(text, span);
    let mut group = level.primary_title(message.title).id(message.id).element(
        Snippet::source(window)
            .line_start(line)
            .path(file)
            .annotation(AnnotationKind::Primary.span(span).label(message.label)),
    );
    if let Some(note) = message.note {
        group = group.element(Level::NOTE.message(note));
    }
    if let Some(help) = message.help {
        group = group.element(Level::HELP.message(help));
    }
    let mut rendered = Renderer::styled().render(&[group]);
    rendered.push('\n');
    rendered
}

/// The line on which a part begins, its number, and the part within it. The file may be long, and a part that goes on for
/// many lines is shown by its first one.
fn window<'a>(text: &'a str, span: &Range<usize>) -> (&'a str, usize, Range<usize>) {
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let mut end = span.end.clamp(start, line_end);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let number = text[..line_start].matches('\n').count() + 1;
    (
        text[line_start..line_end].trim_end_matches('\r'),
        number,
        start - line_start..end.max(start) - line_start,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_shown_by_its_first_line() {
        let text = "one\ntwo öhm\nthree";
        assert_eq!(window(text, &(8..14)), ("two öhm", 2, 4..8));
        assert_eq!(window(text, &(9..9)), ("two öhm", 2, 4..4), "not within a character");
        assert_eq!(window(text, &(99..120)), ("three", 3, 5..5));
        assert_eq!(window("", &(0..0)), ("", 1, 0..0));
    }
}
