//! How far a data set is from a reference, from the two profiles alone: what monitoring asks of the data it sees.

use super::document::{Document, Drift, Numbers, Variable};
use super::sketch::quantile::{quantile, share};

/// Population stability index above which a column has changed, by the usual rule.
pub const CHANGED: f64 = 0.2;
/// From this difference of the shares of missing cells on, a column has changed, too.
pub const MISSING: f64 = 0.05;
/// Bins of numbers.
const BINS: usize = 10;
/// The least share of a bin: an empty one must not give infinity.
const LEAST: f64 = 1e-4;
/// Categories compared by themselves.
const CATEGORIES: usize = 50;

/// Every column that both have, in the order of the data.
pub fn drift(data: &Document, reference: &Document) -> Vec<Drift> {
    let pairs = data.variables.iter().filter_map(|now| {
        let then = reference.variables.iter().find(|then| then.name == now.name)?;
        Some((now, then))
    });
    pairs.filter_map(|(now, then)| column(now, then)).collect()
}

fn column(now: &Variable, then: &Variable) -> Option<Drift> {
    let gone = |variable: &Variable| variable.missing as f64 / variable.rows.max(1) as f64;
    let mut drift = Drift {
        column: now.name.clone(),
        psi: 0.0,
        ks: None,
        chi_square: None,
        p: None,
        missing: (gone(then), gone(now)),
        new: Vec::new(),
        change: String::new(),
    };
    match (&now.numbers, &then.numbers) {
        (Some(mine), Some(theirs)) => numbers(mine, theirs, &mut drift)?,
        (None, None) => categories(now, then, &mut drift)?,
        _ => return None,
    }
    drift.change = change(now, then);
    Some(drift)
}

/// What has changed most, in words.
fn change(now: &Variable, then: &Variable) -> String {
    let mut changes = Vec::new();
    if let (Some((from, to)), Some((since, until))) = (&now.span, &then.span) {
        changes.push(format!("{from} to {to}, the reference {since} to {until}"));
    } else if let (Some(mine), Some(theirs)) = (&now.numbers, &then.numbers) {
        changes.push(format!("the mean was {}, is {}", short(theirs.moments.mean), short(mine.moments.mean)));
    } else if let (Some(mine), Some(theirs)) = (&now.frequent, &then.frequent) {
        let share = |values: &[(String, u64)], wanted: &str, variable: &Variable| {
            let count = values.iter().find(|(value, _)| value == wanted).map_or(0, |(_, count)| *count);
            count as f64 / (variable.rows - variable.missing).max(1) as f64
        };
        let known = theirs
            .values
            .iter()
            .chain(mine.values.iter().filter(|(value, _)| share(&theirs.values, value, then) == 0.0));
        let mut moved: Vec<(&str, f64, f64)> = known
            .map(|(value, _)| (value.as_str(), share(&theirs.values, value, then), share(&mine.values, value, now)))
            .filter(|(_, before, after)| (before - after).abs() >= 0.005)
            .collect();
        moved.sort_by(|a, b| (b.1 - b.2).abs().total_cmp(&(a.1 - a.2).abs()).then(a.0.cmp(b.0)));
        let told = moved
            .iter()
            .take(3)
            .map(|(value, before, after)| format!("`{value}` was {:.1} %, is {:.1} %", before * 100.0, after * 100.0));
        changes.extend(told);
    }
    let (before, after) = (then.missing as f64 / then.rows.max(1) as f64, now.missing as f64 / now.rows.max(1) as f64);
    if (before - after).abs() >= MISSING {
        changes.push(format!("missing were {:.1} %, are {:.1} %", before * 100.0, after * 100.0));
    }
    changes.join("; ")
}

/// A number with four digits that tell something.
fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let digits = (3 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn numbers(now: &Numbers, then: &Numbers, drift: &mut Drift) -> Option<()> {
    let (mine, theirs) = (now.sketch.steps(), then.sketch.steps());
    if mine.is_empty() || theirs.is_empty() {
        return None;
    }
    let mut edges: Vec<f64> = (1..BINS).filter_map(|bin| quantile(&theirs, bin as f64 / BINS as f64)).collect();
    edges.dedup();
    let shares = |steps: &[(f64, f64)]| {
        let mut below = 0.0;
        let mut shares = Vec::with_capacity(edges.len() + 1);
        for upto in edges.iter().map(|edge| share(steps, *edge)).chain([1.0]) {
            shares.push(upto - below);
            below = upto;
        }
        shares
    };
    drift.psi = psi(&shares(&theirs), &shares(&mine));
    let at = mine.iter().chain(&theirs).map(|(value, _)| *value);
    let ks = at.map(|value| (share(&mine, value) - share(&theirs, value)).abs()).fold(0.0, f64::max);
    let (n, m) = (now.moments.count as f64, then.moments.count as f64);
    drift.ks = Some(ks);
    drift.p = Some(kolmogorov((n * m / (n + m)).sqrt() * ks));
    Some(())
}

fn categories(now: &Variable, then: &Variable, drift: &mut Drift) -> Option<()> {
    let (mine, theirs) = (now.frequent.as_ref()?, then.frequent.as_ref()?);
    let (n, m) = ((now.rows - now.missing) as f64, (then.rows - then.missing) as f64);
    // Of columns whose values are nearly all different, every value would be new.
    if n == 0.0 || m == 0.0 || theirs.error > 0 || then.distinct as f64 > 0.5 * m {
        return None;
    }
    let count = |values: &[(String, u64)], wanted: &str| {
        values.iter().find(|(value, _)| value == wanted).map_or(0, |(_, count)| *count) as f64
    };
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (value, counted) in theirs.values.iter().take(CATEGORIES) {
        before.push(*counted as f64);
        after.push(count(&mine.values, value));
    }
    before.push(m - before.iter().sum::<f64>());
    after.push(n - after.iter().sum::<f64>());
    let shares = |counts: &[f64], total: f64| counts.iter().map(|count| count / total).collect::<Vec<f64>>();
    drift.psi = psi(&shares(&before, m), &shares(&after, n));
    // Pearson's χ² of the table of two rows.
    let (mut chi, mut used) = (0.0, 0.0);
    for (b, a) in before.iter().zip(&after).filter(|(b, a)| *b + *a > 0.0) {
        let (expected_b, expected_a) = ((b + a) * m / (n + m), (b + a) * n / (n + m));
        chi += (b - expected_b).powi(2) / expected_b + (a - expected_a).powi(2) / expected_a;
        used += 1.0;
    }
    drift.chi_square = Some(chi);
    drift.p = (used > 1.0).then(|| upper_gamma((used - 1.0) / 2.0, chi / 2.0));
    let new = mine.values.iter().filter(|(value, _)| count(&theirs.values, value) == 0.0);
    drift.new = new.take(20).map(|(value, _)| value.clone()).collect();
    Some(())
}

/// The population stability index of two lists of shares.
pub fn psi(expected: &[f64], actual: &[f64]) -> f64 {
    let pairs = expected.iter().zip(actual).map(|(e, a)| (e.max(LEAST), a.max(LEAST)));
    pairs.map(|(e, a)| (a - e) * (a / e).ln()).sum()
}

/// The upper tail of Kolmogorov's distribution.
pub fn kolmogorov(x: f64) -> f64 {
    if x < 0.2 {
        return 1.0;
    }
    let terms = (1..=100).map(f64::from);
    let sum: f64 = terms.map(|k| if k % 2.0 == 1.0 { 1.0 } else { -1.0 } * (-2.0 * k * k * x * x).exp()).sum();
    (2.0 * sum).clamp(0.0, 1.0)
}

/// The regularised upper incomplete gamma function Q(a, x): series below a + 1, continued fraction above (Press et al.,
/// Numerical Recipes, 6.2).
pub fn upper_gamma(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let front = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-16 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return (1.0 - front * sum).clamp(0.0, 1.0);
    }
    let mut b = x + 1.0 - a;
    let mut c = 1e300;
    let mut d = 1.0 / b;
    let mut h = d;
    for i in 1..10_000 {
        let i = f64::from(i);
        let an = -i * (i - a);
        b += 2.0;
        d = 1.0 / (an * d + b);
        c = b + an / c;
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    (front * h).clamp(0.0, 1.0)
}

/// ln Γ (Lanczos, g = 7, nine terms).
fn ln_gamma(x: f64) -> f64 {
    const C: [f64; 9] = [
        0.999_999_999_999_809_9,
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        return (std::f64::consts::PI / (std::f64::consts::PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let sum: f64 = C[0] + C.iter().enumerate().skip(1).map(|(i, c)| c / (x + i as f64)).sum::<f64>();
    let t = x + 7.5;
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_those_of_the_tables() {
        // χ² tables: 3.841459 with 1 degree of freedom and 18.307038 with 10 are exceeded with probability 0.05.
        assert!((upper_gamma(0.5, 3.841_458_820_694_124 / 2.0) - 0.05).abs() < 1e-9);
        assert!((upper_gamma(5.0, 18.307_038_053_275_146 / 2.0) - 0.05).abs() < 1e-9);
        // Q(1, x) is e^−x.
        assert!((upper_gamma(1.0, 0.3) - (-0.3f64).exp()).abs() < 1e-12);
        // Kolmogorov's 5 % point is 1.3581.
        assert!((kolmogorov(1.358_098_6) - 0.05).abs() < 1e-6);
        assert_eq!(kolmogorov(0.0), 1.0);
    }

    #[test]
    fn the_index_is_that_of_the_formula() {
        assert_eq!(psi(&[0.5, 0.5], &[0.5, 0.5]), 0.0);
        let expected = (0.75 - 0.5) * 1.5f64.ln() + (0.25 - 0.5) * 0.5f64.ln();
        assert!((psi(&[0.5, 0.5], &[0.75, 0.25]) - expected).abs() < 1e-12);
        assert!(psi(&[1.0, 0.0], &[0.0, 1.0]).is_finite());
    }
}
