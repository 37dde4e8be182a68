//! What a model sees: which columns, in what order, and how each becomes numbers.
//!
//! Static checks decide from inferred columns, the worker from the columns of the data it was given; both call
//! [`decide`]. What an encoder *learns* (means, vocabularies) is not decided here but fitted on the training part.

use std::collections::BTreeMap;

use contract::artifact::{Column, DType, Role};
use contract::fault::{Fault, Faults, Route};
use contract::route;
use serde::{Deserialize, Serialize};

use crate::columns::pattern::{self, Matched};
use crate::network::{Table, product, shown};
use crate::params::encoder::{Encoder, Feature};

/// More distinct values than this in a `one_hot` column are worth a warning: most likely it is a name or an id.
const MANY_VALUES: u64 = 1000;

/// Most values of an `embedding` column. An index is one number of a float32 row, which holds whole numbers exactly up to here,
/// less the two for values never seen and for missing cells.
pub const MOST_EMBEDDED: u64 = (1 << 24) - 2;

/// One column a model sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The raw column.
    pub column: Column,
    /// How it becomes numbers; never [`Encoder::Auto`].
    pub encoder: Encoder,
}

impl Decision {
    /// How many numbers one cell becomes; `None` when the number of distinct values is not known.
    ///
    /// `identity`: one for each element. `standard`: one for each element, and a scalar column with missing cells has an
    /// indicator more. `one_hot`: one for each value, and one for missing cells when there are any. `embedding`: one, the index of
    /// the vector that [`Decision::table`] holds. The others as their options say, and an indicator. What counts is what the fit sees, which may be less than the type knows of (see
    /// [`Decision::exact`]).
    pub fn width(&self) -> Option<u64> {
        let indicator = u64::from(self.column.nullable);
        match &self.encoder {
            Encoder::Auto | Encoder::Identity => Some(product(&self.column.shape)),
            Encoder::Standard if self.column.shape.is_empty() => Some(1 + indicator),
            Encoder::Standard => Some(product(&self.column.shape)),
            Encoder::OneHot if self.column.dtype == DType::Bool => Some(2 + indicator),
            Encoder::OneHot => self.column.classes.as_ref().map(|classes| classes.count + indicator),
            Encoder::Robust | Encoder::Quantile(_) => Some(1 + indicator),
            Encoder::Piecewise(options) => Some(u64::from(options.bins) + indicator),
            Encoder::Periodic(options) => Some(u64::from(options.frequencies) + 1 + indicator),
            Encoder::Embedding(_) => Some(1),
            Encoder::Hashed(options) => Some(u64::from(options.buckets) + indicator),
            // One for each class of the target, which is not looked at here.
            Encoder::Target(_) => None,
            Encoder::Cyclic => Some(cyclic_width(self.column.dtype) + indicator),
            Encoder::TfIdf(options) => Some(u64::from(options.buckets)),
        }
    }

    /// The vectors of an embedded column whose index stands at `position`; `None` for other encoders, and while the number of
    /// distinct values is not known.
    pub fn table(&self, position: u64) -> Option<Table> {
        let Encoder::Embedding(options) = &self.encoder else { return None };
        let known = self.column.classes.as_ref().map(|classes| classes.count);
        let count = known.or((self.column.dtype == DType::Bool).then_some(2))?;
        let values = count.saturating_add(1 + u64::from(self.column.nullable));
        Some(Table { position, values, dimensions: options.dimensions(count) })
    }

    /// Whether [`Decision::width`] and [`Decision::table`] are certain before the encoder is fitted.
    pub fn exact(&self) -> bool {
        match self.encoder {
            Encoder::OneHot | Encoder::Embedding(_) | Encoder::Piecewise(_) | Encoder::Target(_) => false,
            Encoder::Identity | Encoder::Auto | Encoder::TfIdf(_) => true,
            _ => !(self.column.shape.is_empty() && self.column.nullable),
        }
    }
}

/// How many numbers `cyclic` makes of a date: its place in time, and sine and cosine of month, day of the month, of the week
/// and of the year; of a date with time also of the hour.
pub fn cyclic_width(dtype: DType) -> u64 {
    if dtype == DType::Datetime { 11 } else { 9 }
}

/// All columns a model sees, in the order in which their encodings are joined.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// At least one.
    pub columns: Vec<Decision>,
    /// Worth knowing; routes relative to the stage's mapping.
    #[serde(skip)]
    pub warnings: Vec<Fault>,
}

impl Features {
    /// The image a model sees when its only feature is one tensor column of rank 3: `[channels, height, width]`.
    pub fn image(&self) -> Option<&[u64]> {
        match self.columns.as_slice() {
            [one] if one.column.shape.len() == 3 => Some(&one.column.shape),
            _ => None,
        }
    }

    /// Shape of one encoded row: the image, or `[width]`; `None` while a width is not known.
    pub fn input(&self) -> Option<Vec<u64>> {
        if let Some(image) = self.image() {
            return Some(image.to_vec());
        }
        let widths: Option<Vec<u64>> = self.columns.iter().map(Decision::width).collect();
        Some(vec![widths?.iter().fold(0, |sum: u64, width| sum.saturating_add(*width))])
    }

    /// The vectors of the embedded columns, in order; `None` while a number of values or a width before one is not known.
    pub fn tables(&self) -> Option<Vec<Table>> {
        let mut tables = Vec::new();
        let mut position = Some(0u64);
        for decision in &self.columns {
            if matches!(decision.encoder, Encoder::Embedding(_)) {
                tables.push(decision.table(position?)?);
            }
            position = position.zip(decision.width()).map(|(position, width)| position.saturating_add(width));
        }
        Some(tables)
    }

    /// Whether [`Features::input`] and [`Features::tables`] are certain before the encoders are fitted.
    pub fn exact(&self) -> bool {
        self.columns.iter().all(Decision::exact)
    }

    /// The raw columns.
    pub fn raw(&self) -> Vec<Column> {
        self.columns.iter().map(|decision| decision.column.clone()).collect()
    }
}

/// Decides what a model sees.
///
/// Without `features` it is every column of the role `feature` but the target, in the order of the data. With it, entries
/// keep their order; an entry that names a column already taken changes its encoder only. A pattern never takes the
/// target, nor a column of another role than `feature`.
///
/// # Errors
/// All faults, with routes that start at `features`: unknown columns, the target among the features, a column that cannot be
/// encoded (as said, or at all), nothing left.
pub fn decide(features: Option<&[Feature]>, columns: &[Column], target: &str) -> Result<Features, Faults> {
    let mut faults = Vec::new();
    let mut warnings = Vec::new();
    let chosen = match features {
        None => columns
            .iter()
            .enumerate()
            .filter(|(_, column)| column.name != target && column.role == Role::Feature)
            .map(|(position, _)| Choice { position, encoder: Encoder::Auto, route: None })
            .collect(),
        Some(entries) => choose(entries, columns, target, &mut faults, &mut warnings),
    };
    let mut decided = Vec::new();
    for choice in &chosen {
        let column = &columns[choice.position];
        match encode(column, &choice.encoder) {
            Ok(encoder) => {
                let decision = Decision { column: column.clone(), encoder };
                let count = column.classes.as_ref().map_or(0, |classes| classes.count);
                if let Some(fault) = too_many_to_embed(&decision, count) {
                    faults.push(placed(fault, choice.route.as_ref()));
                }
                if let Some(fault) = crowded(&decision) {
                    warnings.push(placed(fault, choice.route.as_ref()));
                }
                decided.push(decision);
            }
            Err(fault) => faults.push(placed(*fault, choice.route.as_ref())),
        }
    }
    if chosen.is_empty() && faults.is_empty() {
        let fault = Fault::error(contract::code!("features::none"), "no column is left for the model to see")
            .help("besides the target there must be a column with the role `feature`");
        faults.push(if features.is_some() { fault.at(route!["features"]) } else { fault });
    }
    if faults.is_empty() { Ok(Features { columns: decided, warnings }) } else { Err(Faults::from(faults)) }
}

/// A column taken, and what took it.
struct Choice {
    position: usize,
    encoder: Encoder,
    route: Option<Route>,
}

fn choose(
    entries: &[Feature],
    columns: &[Column],
    target: &str,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) -> Vec<Choice> {
    // What a column was encoded with by its name.
    let mut named: BTreeMap<usize, Encoder> = BTreeMap::new();
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let mut chosen: Vec<Choice> = Vec::new();
    let mut at: BTreeMap<usize, usize> = BTreeMap::new();
    let mut take = |position: usize, encoder: &Encoder, route: &Route| {
        let choice = Choice { position, encoder: encoder.clone(), route: Some(route.clone()) };
        match at.get(&position) {
            Some(index) => chosen[*index] = choice,
            None => {
                at.insert(position, chosen.len());
                chosen.push(choice);
            }
        }
    };
    for (index, entry) in entries.iter().enumerate() {
        let base = route!["features", index];
        let listed: Vec<(&str, Route)> = match entry {
            Feature::Pattern(pattern) => vec![(pattern.as_str(), base.clone())],
            Feature::Encoded(encoded) => {
                let base = base.join("columns");
                (0..encoded.columns.0.len())
                    .map(|i| (encoded.columns.0[i].as_str(), pattern::entry_route(&encoded.columns, i, &base)))
                    .collect()
            }
        };
        let encoder = match entry {
            Feature::Pattern(_) => Encoder::Auto,
            Feature::Encoded(encoded) => encoded.encode.clone(),
        };
        for (text, route) in listed {
            match pattern::find(text, &names) {
                None => faults.push(pattern::unknown(text, &names).at(route)),
                Some(Matched::Name(position)) if columns[position].name == target => faults.push(
                    Fault::error(
                        contract::code!("leakage::target_among_features"),
                        format!("`{target}` is the target and among the features"),
                    )
                    .help(format!("remove `{target}` from `features`: the model would be given the answer"))
                    .at(route),
                ),
                Some(Matched::Name(position)) if !usable(&columns[position]) => faults.push(
                    Fault::error(
                        contract::code!("features::role"),
                        format!("`{}` has the role `{}` and is never a feature", text, role(&columns[position])),
                    )
                    .help(format!(
                        "remove it from `features`, or give `{text}` the role `feature` where it is collected"
                    ))
                    .at(route),
                ),
                Some(Matched::Name(position)) => {
                    let encodes = matches!(entry, Feature::Encoded(_));
                    let before = encodes.then(|| named.insert(position, encoder.clone())).flatten();
                    warnings.extend(replaced(text, before.as_ref(), &encoder).map(|fault| fault.at(route.clone())));
                    take(position, &encoder, &route);
                }
                Some(Matched::Pattern(positions)) => {
                    let free = |at: &&usize| columns[**at].name != target && usable(&columns[**at]);
                    for position in positions.iter().filter(free) {
                        take(*position, &encoder, &route);
                    }
                }
            }
        }
    }
    chosen
}

fn usable(column: &Column) -> bool {
    column.role == Role::Feature
}

fn role(column: &Column) -> &'static str {
    match column.role {
        Role::Feature => "feature",
        Role::Target => "target",
        Role::Id => "id",
        Role::Ignore => "ignore",
    }
}

/// The encoder of a column: what was asked for where it fits, what its type suggests for `auto`.
///
/// # Errors
/// `features::encoder` when it does not fit, `features::unencodable` when nothing does.
pub fn encode(column: &Column, asked: &Encoder) -> Result<Encoder, Box<Fault>> {
    let tensor = !column.shape.is_empty();
    let numeric = column.dtype.is_numeric();
    let number = !tensor && (numeric || column.dtype == DType::Bool);
    let date = !tensor && matches!(column.dtype, DType::Date | DType::Datetime);
    let name = &column.name;
    let wrong = |help: String| {
        Err(Box::new(
            Fault::error(
                contract::code!("features::encoder"),
                format!("`{}` cannot encode `{name}`, which is {}", asked.name(), column.type_name()),
            )
            .help(help),
        ))
    };
    match asked {
        Encoder::Auto if numeric => Ok(Encoder::Standard),
        Encoder::Auto if !tensor && matches!(column.dtype, DType::String | DType::Bool) => Ok(Encoder::OneHot),
        Encoder::Auto if date => Ok(Encoder::Cyclic),
        Encoder::Auto => Err(Box::new(
            Fault::error(
                contract::code!("features::unencodable"),
                format!("`{name}` is {}, which no encoder turns into numbers", column.type_name()),
            )
            .help("leave it out of `features`, drop it in a `preprocess` stage, or give it the role `ignore`"),
        )),
        Encoder::Identity | Encoder::Standard if numeric || number => Ok(asked.clone()),
        Encoder::Identity => wrong("`identity` wants numbers; text has `one_hot`".to_owned()),
        Encoder::Standard => wrong("`standard` wants numbers; text has `one_hot`".to_owned()),
        Encoder::Robust | Encoder::Quantile(_) | Encoder::Piecewise(_) | Encoder::Periodic(_) if number => {
            Ok(asked.clone())
        }
        Encoder::Robust | Encoder::Quantile(_) | Encoder::Piecewise(_) | Encoder::Periodic(_) => wrong(format!(
            "`{}` wants a column of single numbers; tensors have `standard`, text has `one_hot`, dates have `cyclic`",
            asked.name()
        )),
        Encoder::Cyclic if date => Ok(Encoder::Cyclic),
        Encoder::Cyclic => wrong("`cyclic` wants dates; `cast` the column to `date` or `datetime` before".to_owned()),
        Encoder::TfIdf(_) if !tensor && column.dtype == DType::String => Ok(asked.clone()),
        Encoder::TfIdf(_) => wrong("`tf_idf` wants text".to_owned()),
        Encoder::OneHot | Encoder::Embedding(_) | Encoder::Hashed(_) | Encoder::Target(_) if tensor => {
            wrong(format!("a tensor of {} has `standard` or `identity`", shown(&column.shape)))
        }
        Encoder::OneHot | Encoder::Embedding(_) | Encoder::Hashed(_) | Encoder::Target(_)
            if column.dtype.is_float() =>
        {
            wrong("cast it to an integer or a string first, or use `standard`".to_owned())
        }
        Encoder::OneHot | Encoder::Embedding(_) | Encoder::Hashed(_) | Encoder::Target(_)
            if column.dtype == DType::Binary =>
        {
            wrong("drop it, or cast it first".to_owned())
        }
        Encoder::OneHot | Encoder::Embedding(_) | Encoder::Hashed(_) | Encoder::Target(_) => Ok(asked.clone()),
    }
}

/// The fault of an `embedding` column of more distinct values than have an index.
pub fn too_many_to_embed(decision: &Decision, count: u64) -> Option<Fault> {
    if !matches!(decision.encoder, Encoder::Embedding(_)) || count <= MOST_EMBEDDED {
        return None;
    }
    let name = &decision.column.name;
    Some(
        Fault::error(
            contract::code!("features::too_many_values"),
            format!("`{name}` has {count} distinct values, `embedding` has room for {MOST_EMBEDDED}"),
        )
        .help(format!(
            "if `{name}` names rows, give it the role `id` where it is collected; else use `encode: hashed`"
        )),
    )
}

/// A column has one encoder: a second one for the same name takes the place of the first.
fn replaced(name: &str, before: Option<&Encoder>, encoder: &Encoder) -> Option<Fault> {
    let before = before.filter(|before| *before != encoder)?;
    let (old, new) = (before.name(), encoder.name());
    Some(
        Fault::warning(contract::code!("features::encoded_twice"), format!("`{name}` is encoded twice: `{new}` takes the place of `{old}`"))
            .help(format!(
                "name it once; to give a model both, copy the column in a `preprocess` before: `derive: {{ {name}_2: {name} }}`"
            )),
    )
}

fn crowded(decision: &Decision) -> Option<Fault> {
    let count = decision.column.classes.as_ref()?.count;
    if decision.encoder != Encoder::OneHot || count <= MANY_VALUES {
        return None;
    }
    let name = &decision.column.name;
    Some(
        Fault::warning(
            contract::code!("features::many_values"),
            format!("`{name}` has {count} distinct values, each of which becomes an input"),
        )
        .help(format!(
            "if `{name}` names rows, give it the role `id` where it is collected; else `encode: embedding`, `hashed` or `target` needs fewer inputs"
        )),
    )
}

fn placed(fault: Fault, route: Option<&Route>) -> Fault {
    match route {
        Some(route) => fault.at(route.clone()),
        None => fault,
    }
}

#[cfg(test)]
mod tests;
