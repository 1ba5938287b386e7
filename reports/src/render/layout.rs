// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines of styled text, wrapped and set beside each other.

use crate::escape::printable;

/// How a piece of text looks; only terminals with colour show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Bold,
    Dim,
    Good,
    Bad,
    Doubtful,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Good => "\x1b[1;32m",
            Self::Bad => "\x1b[1;31m",
            Self::Doubtful => "\x1b[1;33m",
        }
    }
}

/// One line; text is made printable as it is added, so no guest can reach the terminal.
#[derive(Debug, Clone, Default)]
pub(super) struct Line(Vec<(Style, String)>);

impl Line {
    pub(super) fn blank() -> Self {
        Self::default()
    }

    pub(super) fn new(style: Style, text: &str) -> Self {
        Self::default().and(style, text)
    }

    pub(super) fn plain(text: &str) -> Self {
        Self::new(Style::Plain, text)
    }

    pub(super) fn and(mut self, style: Style, text: &str) -> Self {
        self.0.push((style, printable(text).into_owned()));
        self
    }

    /// Columns taken, one for each character.
    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    fn padded(mut self, width: usize) -> Self {
        let missing = width.saturating_sub(self.width());
        self.0.push((Style::Plain, " ".repeat(missing)));
        self
    }

    pub(super) fn followed_by(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

/// `text` in lines of at most `width`, broken at blanks; longer words are cut.
pub(super) fn wrapped(style: Style, text: &str, width: usize) -> Vec<Line> {
    let width = width.max(8);
    let text = printable(text);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let mut word: Vec<char> = word.chars().collect();
        let taken = line.chars().count();
        if taken > 0 && taken + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
        }
        while word.len() > width {
            let rest = word.split_off(width);
            lines.push(word.into_iter().collect());
            word = rest;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines.iter().map(|line| Line::new(style, line)).collect()
}

/// Two blocks beside each other, the left one `left_width` wide.
pub(super) fn beside(left: Vec<Line>, right: Vec<Line>, left_width: usize) -> Vec<Line> {
    let height = left.len().max(right.len());
    let mut left = left.into_iter();
    let mut right = right.into_iter();
    (0..height)
        .map(|_| {
            let left = left.next().unwrap_or_default().padded(left_width);
            left.followed_by(right.next().unwrap_or_default())
        })
        .collect()
}

/// The lines as one text, blanks at line ends removed.
pub(super) fn write(lines: &[Line], colour: bool) -> String {
    let mut text = String::new();
    for line in lines {
        let last = line.0.iter().rposition(|(_, piece)| !piece.trim_end().is_empty());
        let shown = last.map_or(0, |last| last + 1);
        for (at, (style, piece)) in line.0[..shown].iter().enumerate() {
            let piece = if at + 1 == shown { piece.trim_end() } else { piece };
            if colour && *style != Style::Plain {
                text.push_str(style.code());
                text.push_str(piece);
                text.push_str("\x1b[0m");
            } else {
                text.push_str(piece);
            }
        }
        text.push('\n');
    }
    text
}
