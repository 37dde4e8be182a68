//! The colours of every picture and page, in the light and in the dark.

/// Name, colour in the light, colour in the dark.
pub const PALETTE: [(&str, &str, &str); 12] = [
    ("paper", "#fbfaf8", "#14171d"),
    ("card", "#fff", "#1c2028"),
    ("ink", "#1d2230", "#e5e7ec"),
    ("dim", "#6b7280", "#949baa"),
    ("line", "#e4e2dc", "#2c323d"),
    ("edge", "#9aa4b2", "#566072"),
    ("accent", "#3b6fd4", "#7aa5f8"),
    ("minus", "#d9663f", "#f08f68"),
    ("good", "#23855a", "#5cc596"),
    ("bad", "#c23a3a", "#f08080"),
    ("warn", "#b7791f", "#e0b050"),
    ("code", "#f2f0ea", "#12151a"),
];

/// Which of the two colours is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shade {
    /// For a light background.
    Light,
    /// For a dark background.
    Dark,
}

impl Shade {
    fn of(self, (_, light, dark): &(&str, &'static str, &'static str)) -> &'static str {
        match self {
            Self::Light => light,
            Self::Dark => dark,
        }
    }
}

/// The palette as custom properties, on one line.
pub fn properties(shade: Shade) -> String {
    let all: Vec<String> = PALETTE.iter().map(|colour| format!("--{}: {};", colour.0, shade.of(colour))).collect();
    format!(":root {{ {} }}", all.join(" "))
}

/// Rules with the colours themselves in place of `var(--name)`: not every program that shows SVG knows custom properties.
pub fn resolved(rules: &str, shade: Shade) -> String {
    PALETTE
        .iter()
        .fold(rules.to_owned(), |rules, colour| rules.replace(&format!("var(--{})", colour.0), shade.of(colour)))
}
