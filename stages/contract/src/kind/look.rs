//! How pictures show a kind.

/// The colour of a kind in pictures: stages of one kind look alike in every graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The hue in degrees, as in CSS: 0 is red, 120 green, 240 blue.
    pub hue: u32,
    /// The saturation in percent.
    pub saturation: u32,
}

impl Look {
    /// The saturation of a kind that asks for none of its own.
    const SATURATION: u32 = 62;

    /// A colour of this hue.
    pub const fn of_hue(hue: u32) -> Self {
        Self { hue, saturation: Self::SATURATION }
    }

    /// A colour for a kind that does not choose one: always the same for one name.
    pub fn of_name(name: &str) -> Self {
        // FNV-1a.
        let hash = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(16_777_619);
        Self::of_hue(name.bytes().fold(2_166_136_261, hash) % 360)
    }
}
