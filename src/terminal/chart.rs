//! Curves in the terminal, drawn with Braille dots: two columns and four rows of dots a character.

use std::fmt::Write as _;

/// One curve: its name and its points.
pub struct Curve {
    /// Shown in the legend.
    pub name: String,
    /// (x, y), in any order; points that are not finite are left out.
    pub points: Vec<(f64, f64)>,
}

/// Draws curves over each other. `width` and `height` are in characters, without axes. Each curve comes
/// with a style function (colour) applied to its cells; the later curve wins where two meet.
pub fn draw(curves: &[Curve], width: usize, height: usize, style: impl Fn(usize, &str) -> String) -> String {
    let finite = || curves.iter().flat_map(|curve| &curve.points).filter(|(x, y)| x.is_finite() && y.is_finite());
    let Some(&(first_x, first_y)) = finite().next() else { return String::from("(no points)\n") };
    let (mut x0, mut x1, mut y0, mut y1) = (first_x, first_x, first_y, first_y);
    for &(x, y) in finite() {
        (x0, x1, y0, y1) = (x0.min(x), x1.max(x), y0.min(y), y1.max(y));
    }
    let span_x = if x1 > x0 { x1 - x0 } else { 1.0 };
    let span_y = if y1 > y0 { y1 - y0 } else { 1.0 };
    let (dots_x, dots_y) = (width * 2 - 1, height * 4 - 1);
    let mut cells = vec![(0u8, 0usize); width * height];
    let mut dot = |x: usize, y: usize, owner: usize| {
        let row = dots_y - y;
        let cell = &mut cells[row / 4 * width + x / 2];
        // Braille: dots 1-2-3-7 down the left, 4-5-6-8 down the right.
        let bit = [[0, 3], [1, 4], [2, 5], [6, 7]][row % 4][x % 2];
        *cell = (cell.0 | 1 << bit, owner);
    };
    for (owner, curve) in curves.iter().enumerate() {
        let mut points: Vec<(usize, usize)> = curve
            .points
            .iter()
            .filter(|(x, y)| x.is_finite() && y.is_finite())
            .map(|(x, y)| {
                let place = |value: f64, start: f64, span: f64, dots: usize| {
                    ((value - start) / span * dots as f64).round() as usize
                };
                (place(*x, x0, span_x, dots_x), place(*y, y0, span_y, dots_y))
            })
            .collect();
        points.sort_unstable();
        for pair in points.windows(2) {
            let ((xa, ya), (xb, yb)) = (pair[0], pair[1]);
            let steps = (xb - xa).max(ya.abs_diff(yb)).max(1);
            for step in 0..=steps {
                let along = |from: usize, to: usize| {
                    (from as f64 + (to as f64 - from as f64) * step as f64 / steps as f64).round() as usize
                };
                dot(along(xa, xb), along(ya, yb), owner);
            }
        }
        if let [(x, y)] = points[..] {
            dot(x, y, owner);
        }
    }
    let (top, bottom) = (super::quantity::number(y1), super::quantity::number(y0));
    let margin = top.chars().count().max(bottom.chars().count());
    let mut text = String::new();
    for row in 0..height {
        let label = if row == 0 {
            top.as_str()
        } else if row + 1 == height {
            bottom.as_str()
        } else {
            ""
        };
        let _ = write!(text, "{label:>margin$} ┤");
        for (bits, owner) in &cells[row * width..(row + 1) * width] {
            if *bits == 0 {
                text.push(' ');
            } else {
                let cell = char::from_u32(0x2800 + u32::from(*bits)).unwrap_or(' ').to_string();
                text.push_str(&style(*owner, &cell));
            }
        }
        while text.ends_with(' ') {
            text.pop();
        }
        text.push('\n');
    }
    let (left, right) = (super::quantity::number(x0), super::quantity::number(x1));
    let _ = writeln!(text, "{:margin$} └{}", "", "─".repeat(width));
    let gap = width.saturating_sub(left.len() + right.len());
    let _ = writeln!(text, "{:margin$}  {left}{:gap$}{right}", "", "");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_falling_line_goes_from_the_upper_left_to_the_lower_right() {
        let curve =
            Curve { name: "loss".into(), points: (0..=10).map(|x| (f64::from(x), f64::from(10 - x))).collect() };
        let text = draw(&[curve], 10, 4, |_, cell| cell.to_owned());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 6, "{text}");
        let column = |line: &str| line.chars().position(|c| ('\u{2801}'..='\u{28ff}').contains(&c));
        assert!(lines[0].starts_with("10 ┤"), "{text}");
        assert!(lines[3].starts_with(" 0 ┤"), "{text}");
        assert!(column(lines[0]) < column(lines[3]), "{text}");
        assert!(lines[5].trim_start().starts_with('0') && lines[5].ends_with("10"), "{text}");
    }

    #[test]
    fn nothing_to_draw_and_one_point_are_no_panic() {
        assert_eq!(draw(&[], 10, 4, |_, cell| cell.to_owned()), "(no points)\n");
        let nan = Curve { name: "nan".into(), points: vec![(0.0, f64::NAN)] };
        assert_eq!(draw(&[nan], 10, 4, |_, cell| cell.to_owned()), "(no points)\n");
        let one = Curve { name: "one".into(), points: vec![(1.0, 1.0)] };
        assert_eq!(draw(&[one], 10, 4, |_, cell| cell.to_owned()).lines().count(), 6);
    }
}
