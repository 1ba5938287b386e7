// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shapes and text of an SVG picture. Colours are classes, so that they follow the reader's light or dark scheme.

use std::fmt::Write;

use crate::escape::printable;

/// What each class looks like: on light ground, then on dark. The colours of A and B can be told apart by people who see
/// few colours (M. Okabe and K. Ito, "Color universal design", 2008), and so can their shapes.
const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2328}
.small{font-size:11px;fill:#59636e}.bold{font-weight:600}
.ground{fill:#fff}.band{fill:#d1d9e0;fill-opacity:.55}
.grid{stroke:#d1d9e0}.zero{stroke:#59636e}
.mark{stroke:#1f2328;fill:#1f2328;stroke-width:2}
.bad{stroke:#c0271d;fill:#c0271d;stroke-width:2}.good{stroke:#1a7f37;fill:#1a7f37;stroke-width:2}
.open{stroke:#818b98;fill:#818b98;stroke-width:2}
.a{fill:#0072b2;fill-opacity:.75}.b{fill:#d55e00;fill-opacity:.75}
.middle-a{stroke:#0072b2;stroke-width:2}.middle-b{stroke:#d55e00;stroke-width:2}
.curve{fill:none;stroke-width:2}.dashed{stroke-dasharray:6 4}
.hue-0{stroke:#0072b2}.hue-1{stroke:#d55e00}.hue-2{stroke:#009e73}.hue-3{stroke:#cc79a7}.hue-4{stroke:#8a6d00}.hue-5{stroke:#59636e}
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}.small{fill:#9198a1}
.ground{fill:#0d1117}.band{fill:#3d444d}
.grid{stroke:#3d444d}.zero{stroke:#9198a1}
.mark{stroke:#e6edf3;fill:#e6edf3}
.bad{stroke:#ff7b72;fill:#ff7b72}.good{stroke:#3fb950;fill:#3fb950}
.open{stroke:#848d97;fill:#848d97}
.a{fill:#56b4e9}.b{fill:#e69f00}
.middle-a{stroke:#56b4e9}.middle-b{stroke:#e69f00}
.hue-0{stroke:#56b4e9}.hue-1{stroke:#e69f00}.hue-2{stroke:#2fbf91}.hue-3{stroke:#cc79a7}.hue-4{stroke:#f0e442}.hue-5{stroke:#9198a1}
}
";

/// Which end of a text stands at its place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A picture in the making. Lengths are pixels, from the left and from above.
#[derive(Debug)]
pub(super) struct Svg {
    body: String,
    width: f64,
    height: f64,
}

impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Self {
        let mut svg = Self { body: String::new(), width, height };
        svg.rect("ground", 0.0, 0.0, width, height);
        svg
    }

    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.add(format_args!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ));
    }

    pub(super) fn rect(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        self.add(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        ));
    }

    pub(super) fn circle(&mut self, class: &str, at: (f64, f64), radius: f64) {
        let (x, y) = at;
        self.add(format_args!(
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\"/>"
        ));
    }

    /// A closed shape.
    pub(super) fn shape(&mut self, class: &str, corners: &[(f64, f64)]) {
        let corners: Vec<String> = corners.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.add(format_args!("<polygon class=\"{class}\" points=\"{}\"/>", corners.join(" ")));
    }

    /// A line through these points.
    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.add(format_args!("<polyline class=\"{class}\" points=\"{}\"/>", points.join(" ")));
    }

    /// A text whose base line is at `at`.
    pub(super) fn text(&mut self, class: &str, at: (f64, f64), anchor: Anchor, text: &str) {
        let (x, y) = at;
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        self.add(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    fn add(&mut self, element: std::fmt::Arguments) {
        // Writing to a String does not fail.
        let _ = writeln!(self.body, "{element}");
    }

    /// The picture as a part of an HTML page, whose own style says what its classes look like, and which is as wide as there is
    /// room; `title` is for those who cannot see it.
    pub(super) fn finish_inline(self, title: &str) -> String {
        let Self { body, width, height } = self;
        let title = escaped(title);
        format!(
            "<svg viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{title}\">\n{body}</svg>\n"
        )
    }

    /// The picture as a file; `title` is for those who cannot see it.
    pub(super) fn finish(self, title: &str) -> String {
        let Self { body, width, height } = self;
        let title = escaped(title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n<title>{title}</title>\n\
             <style>\n{STYLE}</style>\n{body}</svg>\n"
        )
    }
}

/// Text that is no markup and holds nothing that an XML file must not have.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // The two that printable() leaves and XML 1.0 has no place for.
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}
