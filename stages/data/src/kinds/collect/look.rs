//! In which state the sources are that lie elsewhere.

use catalog::kinds::collect::params::{Collect, S3, Source};
use catalog::kinds::collect::{is_url, nested_role};
use contract::fault::{Fault, Faults, Route};
use contract::remote::{Freshness, Look, is_remote};
use contract::route;

use crate::fault::Outcome;
use crate::fetch::http::{self, Remote};
use crate::fetch::s3::Bucket;

/// In which state the sources are that lie elsewhere. Nothing is fetched.
///
/// # Errors
/// Servers that are down or refuse, all of them.
pub fn look(params: &Collect) -> Outcome<Vec<Look>> {
    let store = params.s3.clone().unwrap_or_default();
    let (mut looks, mut faults) = (Vec::new(), Vec::new());
    look_at(&params.from, &store, "", &route!["from"], &mut looks, &mut faults);
    if faults.is_empty() { Ok(looks) } else { Err(Faults::from(faults)) }
}

fn look_at(source: &Source, store: &S3, prefix: &str, at: &Route, looks: &mut Vec<Look>, faults: &mut Vec<Fault>) {
    let several = match source {
        Source::Concat(sources) => Some((sources, at.join("concat"))),
        Source::Join(join) => Some((&join.sources, at.join("join").join("sources"))),
        _ => None,
    };
    if let Some((sources, at)) = several {
        for (index, source) in sources.iter().enumerate() {
            look_at(source, store, &nested_role(prefix, index), &at.join(index), looks, faults);
        }
        return;
    }
    if matches!(source, Source::Postgres(_)) {
        // A database does not tell whether the answer would be another one.
        let state = serde_json::json!({});
        looks.push(Look { role: format!("{prefix}answer"), state, freshness: Freshness::Pinned });
    }
    let declared = !source.digests().is_empty();
    for place in source.places(&at.join(source.name())).into_iter().filter(|place| is_remote(place.path)) {
        if declared && place.listed && is_url(place.path) {
            continue;
        }
        let role = format!("{prefix}{}", place.role);
        match seen_now(place.path, store, &place.at) {
            Ok((state, freshness)) => looks.push(Look { role, state, freshness }),
            Err(more) => faults.extend(more),
        }
    }
}

pub(super) fn seen_now(path: &str, store: &S3, at: &Route) -> Outcome<(serde_json::Value, Freshness)> {
    if is_url(path) {
        let remote = Remote { url: path, role: String::new(), at: at.clone(), limit: 0 };
        let state = http::look(&remote)?;
        return Ok((serde_json::to_value(&state).unwrap_or_default(), state.freshness()));
    }
    let objects = Bucket::of(path, store, at.clone())?.look()?;
    Ok((serde_json::json!({ "objects": objects }), Freshness::Tells))
}
