//! The one style sheet, whole for a page, in part for a picture that stands alone.

use crate::palette::{Shade, properties, resolved};

const SHEET: &str = include_str!("style.css");

/// The sheet of a page.
pub fn page() -> String {
    let (light, dark) = (properties(Shade::Light), properties(Shade::Dark));
    format!("{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}\n{SHEET}")
}

/// The sheet of a picture of its own: the rules that begin with `.graph`, without custom properties.
pub fn graph() -> String {
    let rules: Vec<&str> = SHEET.lines().filter(|rule| rule.starts_with(".graph")).collect();
    let coloured: Vec<&str> = rules.iter().copied().filter(|rule| rule.contains("var(")).collect();
    let light = resolved(&rules.join("\n"), Shade::Light);
    let dark = resolved(&coloured.join("\n"), Shade::Dark);
    format!(":root {{ color-scheme: light dark }}\n{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::palette::PALETTE;

    #[test]
    fn every_colour_is_in_the_palette() {
        for part in SHEET.split("var(--").skip(1) {
            let name = part.split(')').next().unwrap_or_default();
            assert!(PALETTE.iter().any(|colour| colour.0 == name), "`{name}` has no colour");
        }
        assert!(!graph().contains("var("), "{}", graph());
    }
}
