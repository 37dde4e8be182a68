//! What is wrong with the parameters of `split` whatever the data.

use contract::fault::Fault;
use contract::route;

use super::params::Split;
use crate::params::typed::is_identifier;

/// All faults of the parameters.
pub(super) fn check(params: &Split) -> Vec<Fault> {
    let mut faults = Vec::new();
    let named = params.ratios.keys().map(|part| (part, route!["ratios", part.as_str()]));
    let cut = params.cuts.keys().map(|part| (part, route!["cuts", part.as_str()]));
    let stated =
        params.by.iter().flat_map(|by| by.parts.keys()).map(|part| (part, route!["by", "parts", part.as_str()]));
    for (part, at) in named.chain(cut).chain(stated).filter(|(part, _)| !is_identifier(part)) {
        faults.push(
            Fault::error(contract::code!("split::part_name"), format!("`{part}` cannot be the name of a part"))
                .help("use letters, digits and `_`, beginning with a letter: it is written as `parts.name`")
                .at_key(at),
        );
    }
    let ways = [
        ("ratios", !params.ratios.is_empty()),
        ("folds", params.folds.is_some()),
        ("cuts", !params.cuts.is_empty()),
        ("by", params.by.is_some()),
    ];
    let ways: Vec<&str> = ways.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
    match ways.as_slice() {
        [_] => {}
        [] => faults.push(
            Fault::error(contract::code!("split::one_part"), "nothing says how to divide the rows")
                .help("for example `ratios: { train: 0.8, test: 0.2 }`, `folds: 5`, or `time` with `cuts`")
                .at(route![]),
        ),
        [first, second, ..] => faults.push(
            Fault::error(
                contract::code!("split::two_ways"),
                format!("`{first}` and `{second}` are two ways to divide the rows"),
            )
            .help("keep one of them")
            .at(route![*second]),
        ),
    }
    let clash = |left: (&str, bool), right: (&str, bool), help: &str| {
        (left.1 && right.1).then(|| {
            Fault::error(contract::code!("split::two_ways"), format!("`{}` does not go with `{}`", right.0, left.0))
                .help(help)
                .at(route![right.0])
        })
    };
    let one_rule = "rows follow one rule: shares of a class and groups, time, or a column that says the part";
    let at_many_times = "rows that stay together may lie at many times, where a cut between two times would divide them: drop \
                         duplicates in a `preprocess` before, or divide by `group` without `time`";
    let no_cut =
        "a cut in time decides where every row goes, so that shares of a class cannot be kept: leave one of them out";
    let time = ("time", params.time.is_some());
    let by = ("by", params.by.is_some());
    let grouped = [("group", params.group.is_some()), ("together", params.together.is_some())];
    let stratify = ("stratify", params.stratify.is_some());
    faults.extend(clash(time, stratify, no_cut));
    faults.extend(clash(by, stratify, one_rule));
    faults.extend(clash(by, time, one_rule));
    faults.extend(clash(
        time,
        ("folds", params.folds.is_some()),
        "use `ratios` or `cuts`, whose parts follow each other in time",
    ));
    for group in grouped {
        faults.extend(clash(time, group, at_many_times));
        faults.extend(clash(by, group, one_rule));
    }
    if !params.cuts.is_empty() && params.time.is_none() {
        faults.push(
            Fault::error(contract::code!("split::cuts_of_what"), "`cuts` needs `time`: the column they are points of")
                .help("for example `time: date` with `cuts: { test: 2013-11-01 }`")
                .at(route!["cuts"]),
        );
    }
    if params.cuts.contains_key("train") {
        faults.push(
            Fault::error(contract::code!("split::part_name"), "`train` is what is earlier than all cuts")
                .help("give `validation` and `test` the times they begin at")
                .at_key(route!["cuts", "train"]),
        );
    }
    if ways.first() != Some(&"ratios") {
        return faults;
    }
    for (part, ratio) in &params.ratios {
        let at = route!["ratios", part.as_str()];
        if ratio.is_nan() || *ratio <= 0.0 {
            faults.push(
                Fault::error(contract::code!("split::ratio"), format!("the share of `{part}` is {ratio}"))
                    .help("every share is larger than 0; leave the part out instead")
                    .at(at),
            );
        }
    }
    if params.ratios.len() < 2 {
        faults.push(
            Fault::error(contract::code!("split::one_part"), "a split has at least two parts")
                .help("for example `ratios: { train: 0.8, test: 0.2 }`")
                .at(route!["ratios"]),
        );
    } else {
        let sum: f64 = params.ratios.values().sum();
        if sum.is_nan() || (sum - 1.0).abs() > 1e-9 {
            let shown = (sum * 1e9).round() / 1e9;
            faults.push(
                Fault::error(contract::code!("split::ratios"), format!("the shares sum to {shown}, not to 1"))
                    .help(match params.ratios.iter().next_back() {
                        Some((part, ratio)) if ratio + 1.0 - sum > 0.0 => {
                            format!("with `{part}: {}` they would", ((ratio + 1.0 - sum) * 1e9).round() / 1e9)
                        }
                        _ => "give each part a share of the rows, for example 0.7, 0.15 and 0.15".to_owned(),
                    })
                    .at(route!["ratios"]),
            );
        }
    }
    faults
}
