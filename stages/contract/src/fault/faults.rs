//! Everything that is wrong with one thing.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::Fault;

/// Everything that is wrong with one thing, in the order in which it was found.
///
/// A function that can find several faults returns `Result<T, Faults>`; one that stops at the first returns
/// `Result<T, Fault>`, and `?` turns the one into the other.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Nothing is wrong so far.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one.
    pub fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// The value of a result; its faults are added to these.
    pub fn keep<T>(&mut self, result: Result<T, Faults>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(faults) => {
                self.0.extend(faults.0);
                None
            }
        }
    }

    /// Whether there is an error (and not only warnings).
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(Fault::is_error)
    }

    /// `value` when nothing is wrong.
    ///
    /// # Errors
    /// These faults.
    pub fn or<T>(self, value: T) -> Result<T, Faults> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }

    /// The list.
    pub fn into_vec(self) -> Vec<Fault> {
        self.0
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl From<Vec<Fault>> for Faults {
    fn from(faults: Vec<Fault>) -> Self {
        Self(faults)
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Self {
        Self(faults.into_iter().collect())
    }
}

impl Extend<Fault> for Faults {
    fn extend<I: IntoIterator<Item = Fault>>(&mut self, faults: I) {
        self.0.extend(faults);
    }
}

impl IntoIterator for Faults {
    type Item = Fault;
    type IntoIter = std::vec::IntoIter<Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl Deref for Faults {
    type Target = [Fault];

    fn deref(&self) -> &[Fault] {
        &self.0
    }
}

impl PartialEq<[Fault; 0]> for Faults {
    fn eq(&self, _: &[Fault; 0]) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> Result<u8, Fault> {
        Err(Fault::error(crate::code!("graph::cycle"), "one"))
    }

    fn both(mut faults: Faults) -> Result<u8, Faults> {
        faults.keep::<u8>(Err(Fault::warning(crate::code!("graph::cycle"), "two").into()));
        let first = one()?;
        faults.or(first)
    }

    #[test]
    fn one_fault_becomes_several_by_a_question_mark() {
        assert_eq!(both(Faults::new()).unwrap_err().len(), 1, "the first error ends it");
        let mut faults = Faults::new();
        assert!(!faults.has_errors());
        assert_eq!(faults.clone().or(3), Ok(3));
        faults.push(Fault::warning(crate::code!("graph::cycle"), "two"));
        assert!(!faults.has_errors());
        assert!(faults.or(3).is_err());
    }
}
