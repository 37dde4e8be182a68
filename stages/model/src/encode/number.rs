//! A single number in another form, and the table of forms.

use catalog::kinds::train::params::Encoder as Asked;
use contract::artifact::Column;
use serde::{Deserialize, Serialize};

use super::encoder::{Encoder, Lesson, Likeness, Rows, Strip};
use super::form::Form;
use super::periodic::Periodic;
use super::piecewise::Piecewise;
use super::quantile::Quantile;
use super::robust::Robust;
use crate::cells::finite_scalar;
use crate::fault::Outcome;
use crate::onnx::cell::{Cell, flagged, missing, number};
use crate::onnx::graph::Graph;
use crate::random::Random;

/// A number in another form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Number {
    /// Which, with what was learnt.
    pub form: NumberForm,
    /// Whether training had missing cells: then the last place is theirs. A missing cell is 0 everywhere else.
    pub indicator: bool,
}

/// Declares the forms: the name of a variant, in snake case, is its name in a stored model.
macro_rules! forms {
    ($($form:ident,)*) => {
        /// How a number is encoded, with what was learnt of it.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum NumberForm {
            $(#[doc = concat!("See [`", stringify!($form), "`].")] $form($form),)*
        }

        impl NumberForm {
            /// Whether a document asks for one of the forms.
            fn asked(asked: &Asked) -> bool {
                $($form::asked(asked))||*
            }

            /// Fits the form a document asks for; `None` when it asks for an encoder of other things.
            pub fn fit(asked: &Asked, values: &[f64], random: &mut Random) -> Option<Self> {
                $(if let Some(form) = $form::fit(asked, values, random) {
                    return Some(Self::$form(form));
                })*
                None
            }

            /// What the form can do.
            pub fn form(&self) -> &dyn Form {
                match self {
                    $(Self::$form(form) => form,)*
                }
            }
        }
    };
}

forms! { Robust, Quantile, Piecewise, Periodic, }

impl Encoder for Number {
    fn fit(lesson: &mut Lesson<'_>) -> Outcome<Option<Self>> {
        let asked = &lesson.decision.encoder;
        if !NumberForm::asked(asked) {
            return Ok(None);
        }
        let numbers = lesson.data.numbers(lesson.name())?;
        finite_scalar(lesson.name(), lesson.data, &numbers.values)?;
        let present: Vec<f64> = numbers.values.iter().copied().filter(|value| !value.is_nan()).collect();
        let form = NumberForm::fit(asked, &present, lesson.random);
        Ok(form.map(|form| Self { form, indicator: numbers.missing > 0 }))
    }

    fn width(&self, _: &Column) -> u64 {
        self.form.form().width() as u64 + u64::from(self.indicator)
    }

    fn write(&self, rows: &Rows<'_>, strip: &mut Strip<'_>) -> Outcome<()> {
        let numbers = rows.data.numbers(rows.name())?;
        finite_scalar(rows.name(), rows.data, &numbers.values)?;
        let form = self.form.form();
        let width = form.width();
        for (row, value) in strip.rows().zip(&numbers.values) {
            if !value.is_nan() {
                form.write(*value, &mut row[..width]);
            } else if self.indicator {
                row[width] = 1.0;
            }
        }
        Ok(())
    }

    fn likeness(&self) -> Likeness {
        let (centre, width) = self.form.form().likeness();
        Likeness { mean: vec![centre], deviation: vec![width], indicator: self.indicator }
    }

    fn not_in_onnx(&self) -> Option<&'static str> {
        self.form.form().not_in_onnx()
    }

    fn graph(&self, graph: &mut Graph, cell: &Cell<'_>) -> String {
        let input = number(graph, cell);
        let missing = missing(graph, &input);
        let encoded = self.form.form().graph(graph, &input);
        let zero = graph.floats("zero", &[1, 1], &[0.0]);
        let filled = graph.node("Where", &[&missing, &zero, &encoded], &[]);
        flagged(graph, filled, &missing, self.indicator)
    }
}

#[cfg(test)]
mod tests {
    use catalog::kinds::train::params::{Periodic as Waves, Piecewise as Bins};

    use super::*;
    use crate::encode::spread::Spread;
    use crate::normal::normal_quantile;
    use crate::random::Purpose;

    fn random() -> Random {
        Random::new(1, Purpose::Encoders)
    }

    fn robust(spread: Spread) -> NumberForm {
        NumberForm::Robust(Robust(spread))
    }

    fn encoded(form: &NumberForm, value: f64) -> Vec<f32> {
        let mut out = vec![0.0; form.form().width()];
        form.form().write(value, &mut out);
        out
    }

    #[test]
    fn robust_scaling_is_pytabkit_s() {
        // Median 3, quartiles 2 and 4.
        let form = NumberForm::fit(&Asked::Robust, &[5.0, 1.0, 3.0, 2.0, 4.0], &mut random()).unwrap();
        assert_eq!(form, robust(Spread { centre: 3.0, factor: 0.5 }));
        assert_eq!(encoded(&form, 3.0), [0.0]);
        assert!((f64::from(encoded(&form, 9.0)[0]) - 3.0 / 2f64.sqrt()).abs() < 1e-6);
        assert!(encoded(&form, 1e12)[0] <= 3.0);
        let mostly_equal = NumberForm::fit(&Asked::Robust, &[1.0, 1.0, 1.0, 1.0, 5.0], &mut random()).unwrap();
        assert_eq!(mostly_equal, robust(Spread { centre: 1.0, factor: 0.5 }));
        let constant = NumberForm::fit(&Asked::Robust, &[7.0; 4], &mut random()).unwrap();
        assert_eq!(encoded(&constant, 100.0), [0.0]);
    }

    #[test]
    fn quantiles_make_any_distribution_normal() {
        let values: Vec<f64> = (0..101).map(|value| f64::from(value).exp()).collect();
        let form = NumberForm::fit(&Asked::Quantile(Default::default()), &values, &mut random()).unwrap();
        assert_eq!(encoded(&form, values[50]), [0.0]);
        assert!((f64::from(encoded(&form, values[90])[0]) - 1.281_551_565_544_600_4).abs() < 1e-6, "ppf(0.9)");
        assert_eq!(encoded(&form, -1.0), encoded(&form, f64::MIN));
        // Half of the values are equal: all of them are in the middle of their share.
        let tied: Vec<f64> = [0.0; 50].into_iter().chain((1..=51).map(f64::from)).collect();
        let form = NumberForm::fit(&Asked::Quantile(Default::default()), &tied, &mut random()).unwrap();
        assert!((f64::from(encoded(&form, 0.0)[0]) - normal_quantile(0.245)).abs() < 1e-6);
    }

    #[test]
    fn piecewise_counts_the_bins_come_through() {
        let values: Vec<f64> = (0..=8).map(f64::from).collect();
        let encoder = Asked::Piecewise(Bins { bins: 4 });
        let form = NumberForm::fit(&encoder, &values, &mut random()).unwrap();
        assert_eq!(form, NumberForm::Piecewise(Piecewise { edges: vec![0.0, 2.0, 4.0, 6.0, 8.0] }));
        assert_eq!(encoded(&form, 5.0), [1.0, 1.0, 0.5, 0.0]);
        assert_eq!(encoded(&form, -3.0), [0.0; 4]);
        assert_eq!(encoded(&form, 30.0), [1.0; 4]);
        let tied = NumberForm::fit(&encoder, &[1.0, 1.0, 1.0, 1.0, 9.0], &mut random()).unwrap();
        assert_eq!(tied.form().width(), 1);
        let constant = NumberForm::fit(&encoder, &[1.0], &mut random()).unwrap();
        assert_eq!(constant.form().width(), 0);
    }

    #[test]
    fn waves_follow_the_seed() {
        let encoder = Asked::Periodic(Waves { frequencies: 4, sigma: 1.0 });
        let fit =
            |seed| NumberForm::fit(&encoder, &[1.0, 2.0, 3.0], &mut Random::new(seed, Purpose::Encoders)).unwrap();
        assert_eq!(fit(1), fit(1));
        assert_ne!(fit(1), fit(2));
        let row = encoded(&fit(1), 2.0);
        assert_eq!((row.len(), row[0]), (5, 0.0));
        assert!(row[1..].iter().all(|value| value.abs() <= 1.0));
    }
}
