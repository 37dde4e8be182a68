//! `cast`: columns become another type.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::columns::pattern::{Matched, find, unknown};
use catalog::params::on_error::OnError;
use catalog::steps::cast::{Cast, CastTo};
use contract::fault::Route;

use super::chain::{Link, Lost};
use super::{Input, Transform};
use crate::fault::{FaultList, Outcome};
use crate::table::convert::{convert_some, misfit, no_such_cast};
use crate::table::display::shown;

impl Transform for Cast {
    fn link<'a>(&'a self, input: &Input<'_>) -> Outcome<Link<'a>> {
        let mut faults = FaultList::default();
        let mut columns = input.columns().to_vec();
        let mut wanted: Vec<(usize, CastTo, Route)> = Vec::new();
        // Patterns first, so that a name goes before a pattern.
        let known = input.names();
        let found: Vec<_> = self.0.iter().map(|(entry, cast)| (entry, *cast, find(entry, &known))).collect();
        for (entry, dtype, matched) in found.iter().filter(|(_, _, matched)| !matches!(matched, Some(Matched::Name(_))))
        {
            match matched {
                Some(matched) => wanted
                    .extend(matched.positions().iter().map(|index| (*index, *dtype, input.route.join(entry.as_str())))),
                None => faults.add(|| unknown(entry, &known).at_key(input.route.join(entry.as_str()))),
            }
        }
        for (entry, dtype, matched) in &found {
            if let Some(Matched::Name(index)) = matched {
                wanted.retain(|(other, ..)| other != index);
                wanted.push((*index, *dtype, input.route.join(entry.as_str())));
            }
        }
        for (index, cast, _) in &wanted {
            columns[*index].dtype = cast.to;
        }
        if !faults.is_empty() {
            return Err(faults.into_vec());
        }
        let old = input.columns().to_vec();
        let lost = Arc::new(Lost::default());
        let told = Arc::clone(&lost);
        let link = Link::new(columns, move |rows, before| {
            let mut arrays = rows.columns().to_vec();
            let mut faults = FaultList::default();
            let mut missing: Vec<(usize, String)> = Vec::new();
            let mut gone: BTreeMap<usize, String> = BTreeMap::new();
            for (index, cast, route) in &wanted {
                let column = &old[*index];
                let Ok((array, wrong)) = convert_some(&arrays[*index], cast.to) else {
                    // It is the same for every piece: said with the first.
                    if before == 0 {
                        faults.add(|| no_such_cast(column, cast.to, route));
                    }
                    continue;
                };
                for row in wrong {
                    let fault =
                        || misfit(&arrays[*index], row, (before + row) as u64, column, cast.to).at(route.clone());
                    let reason = || {
                        let text = shown(&arrays[*index], row);
                        format!("`{text}` in column `{}` is not {}", column.name, cast.to.name())
                    };
                    match cast.on_error {
                        OnError::Fill => missing.push((row, reason())),
                        OnError::Fail => faults.add(fault),
                        OnError::Reject => {
                            gone.entry(row).or_insert_with(reason);
                        }
                    }
                }
                arrays[*index] = array;
            }
            told.add(before, &missing);
            faults.or((arrays, gone.into_iter().collect()))
        });
        Ok(link.losing(lost))
    }
}
