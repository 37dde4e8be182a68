//! `split_column`: a text column becomes several.

use contract::fault::Faults;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringBuilder};
use catalog::steps::split_column::SplitColumn;
use regex::Regex;

use super::chain::Link;
use super::pattern::pattern;
use super::{Input, Transform};
use crate::fault::Outcome;

impl Transform for SplitColumn {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let after = input.typed()?;
        let route = input.route.clone();
        let index = input.one(&self.column)?;
        let groups = Some(self.into.len());
        let pattern = self.pattern.as_deref().map(|text| pattern(text, groups));
        let pattern = pattern.transpose().map_err(|fault| Faults::from(fault.at(route.join("pattern"))))?;
        Ok(Link::new(after, move |rows, _| {
            let mut arrays = rows.columns().to_vec();
            let parts = parts(&arrays[index], self.into.len(), self.by.as_deref(), pattern.as_ref());
            if !self.keep {
                arrays.remove(index);
            }
            arrays.extend(parts);
            Ok((arrays, Vec::new()))
        }))
    }
}

/// The parts of texts, one array for each: at a separator (the last takes the rest) or the groups of a pattern.
fn parts(array: &ArrayRef, count: usize, by: Option<&str>, pattern: Option<&Regex>) -> Vec<ArrayRef> {
    let mut builders: Vec<StringBuilder> = (0..count).map(|_| StringBuilder::new()).collect();
    for text in array.as_string::<i32>().iter() {
        let found: Vec<Option<&str>> = match (text, by, pattern) {
            (Some(text), Some(by), _) => text.splitn(count, by).map(Some).collect(),
            (Some(text), None, Some(pattern)) => pattern.captures(text).map_or_else(Vec::new, |groups| {
                groups.iter().skip(1).map(|group| group.map(|group| group.as_str())).collect()
            }),
            _ => Vec::new(),
        };
        for (index, builder) in builders.iter_mut().enumerate() {
            builder.append_option(found.get(index).copied().flatten());
        }
    }
    builders.into_iter().map(|mut builder| Arc::new(builder.finish()) as ArrayRef).collect()
}
