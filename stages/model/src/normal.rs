//! Quantiles of the normal distribution.

/// The inverse of the normal distribution (Wichura 1988, algorithm AS 241, PPND16), of shares kept within 1e-7 of 0 and 1.
pub fn normal_quantile(share: f64) -> f64 {
    /// Coefficients from the highest power down.
    fn polynomial(coefficients: [f64; 8], x: f64) -> f64 {
        coefficients.into_iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
    }
    let share = share.clamp(1e-7, 1.0 - 1e-7);
    let q = share - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        let above = polynomial(
            [
                2.509_080_928_730_122_7e3,
                3.343_057_558_358_813e4,
                6.726_577_092_700_87e4,
                4.592_195_393_154_987e4,
                1.373_169_376_550_946e4,
                1.971_590_950_306_551_3e3,
                1.331_416_678_917_843_8e2,
                3.387_132_872_796_366_5,
            ],
            r,
        );
        let below = polynomial(
            [
                5.226_495_278_852_854e3,
                2.872_908_573_572_194_3e4,
                3.930_789_580_009_271e4,
                2.121_379_430_158_66e4,
                5.394_196_021_424_751e3,
                6.871_870_074_920_579e2,
                4.231_333_070_160_091e1,
                1.0,
            ],
            r,
        );
        return q * above / below;
    }
    let r = (-libm::log(if q < 0.0 { share } else { 1.0 - share })).sqrt();
    // Shares are kept within 1e-7 of 0 and 1, where r is at most 4.02: the third pair of polynomials, for r > 5, has no use.
    let far = {
        let r = r - 1.6;
        polynomial(
            [
                7.745_450_142_783_414e-4,
                2.272_384_498_926_918_4e-2,
                2.417_807_251_774_506e-1,
                1.270_458_252_452_368_4,
                3.647_848_324_763_204_5,
                5.769_497_221_460_691,
                4.630_337_846_156_546,
                1.423_437_110_749_683_5,
            ],
            r,
        ) / polynomial(
            [
                1.050_750_071_644_416_9e-9,
                5.475_938_084_995_345e-4,
                1.519_866_656_361_645_7e-2,
                1.481_039_764_274_800_8e-1,
                6.897_673_349_851e-1,
                1.676_384_830_183_803_8,
                2.053_191_626_637_759,
                1.0,
            ],
            r,
        )
    };
    if q < 0.0 { -far } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `scipy.stats.norm.ppf`.
    #[test]
    fn normal_quantiles_are_scipy_s() {
        for (share, expected) in [
            (0.5, 0.0),
            (0.975, 1.959_963_984_540_054),
            (0.3, -0.524_400_512_708_041),
            (0.001, -3.090_232_306_167_813_5),
            (1e-7, -5.199_337_582_187_471),
            (0.0, -5.199_337_582_187_471),
        ] {
            assert!((normal_quantile(share) - expected).abs() < 1e-9, "{share}: {}", normal_quantile(share));
        }
    }
}
