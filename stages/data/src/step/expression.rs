//! SQL conditions over the columns of a table: parsed, checked and evaluated by DataFusion, one row at a time.
//!
//! Only what is a function of the row is allowed: no aggregates, no windows, no other tables, nothing that depends on the clock
//! or on chance. Names are taken as written (`Sale_Price` is not `sale_price`); names with other characters
//! go in double quotes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, prep_null_mask_filter};
use arrow::datatypes::{DataType, Field, Schema};
use contract::artifact::{Column, DType};
use contract::fault::{Fault, Route, nearest, suggest};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, SchemaError};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, Volatility};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::read::normal::scalar;
use crate::table::dataset::schema;
use crate::table::display::shown;

/// An expression that fits its columns.
pub struct Expression {
    physical: Arc<dyn PhysicalExpr>,
    /// What it gives.
    pub data_type: DataType,
    /// Whether a row can be without a value, as far as the columns and the expression tell.
    pub missing: bool,
}

impl Expression {
    /// Parses and types an expression.
    ///
    /// # Errors
    /// What is wrong, with the character it is at where that is known.
    pub fn new(text: &str, columns: &[Column]) -> Result<Self, Fault> {
        let mut config = SessionConfig::new();
        config.options_mut().sql_parser.enable_ident_normalization = false;
        let context = SessionContext::new_with_config(config);
        let wrong = |error| explain(text, columns, &error);
        let df_schema = DFSchema::try_from(schema(columns)).map_err(wrong)?;
        let expr = context.parse_sql_expr(text, &df_schema).map_err(wrong)?;
        check(text, &expr)?;
        comparable(text, &expr, &df_schema)?;
        patterns(&expr)?;
        let expr = simplified(&context, expr, &df_schema).map_err(wrong)?;
        let physical = context.create_physical_expr(expr, &df_schema).map_err(wrong)?;
        let data_type = physical.data_type(df_schema.as_arrow()).map_err(wrong)?;
        // The schema of batches takes any cell for one that may be missing; the columns know better.
        let strict: Vec<Field> = columns
            .iter()
            .zip(df_schema.as_arrow().fields())
            .map(|(column, field)| field.as_ref().clone().with_nullable(column.nullable))
            .collect();
        let missing = data_type.is_floating() || physical.nullable(&Schema::new(strict)).unwrap_or(true);
        Ok(Self { physical, data_type, missing })
    }

    /// The type a column of its values has.
    ///
    /// # Errors
    /// Lists, intervals and other values that no column holds.
    pub fn dtype(&self, text: &str) -> Result<DType, Fault> {
        scalar(&self.data_type).ok_or_else(|| {
            Fault::error(
                contract::code!("data::expression"),
                format!("`{text}` gives {}, which no column holds", self.data_type),
            )
            .help("make a number, a text, a date or true/false of it")
        })
    }

    /// Its value for each row.
    ///
    /// # Errors
    /// What only the values tell: a division by zero, a number that does not fit.
    pub fn values(&self, batch: &RecordBatch) -> Result<ArrayRef, String> {
        let value = self.physical.evaluate(batch).and_then(|value| value.into_array(batch.num_rows()));
        value.map_err(|error| first_line(&error))
    }
}

/// An expression that is true or false and fits its columns.
pub struct Condition(Expression);

impl Condition {
    /// Parses and types a condition.
    ///
    /// # Errors
    /// What is wrong, with the character it is at where that is known.
    pub fn new(text: &str, columns: &[Column]) -> Result<Self, Fault> {
        let expression = Expression::new(text, columns).map_err(|fault| meant(fault, CONDITION))?;
        match &expression.data_type {
            DataType::Boolean | DataType::Null => Ok(Self(expression)),
            other => {
                let name = scalar(other).map_or_else(|| other.to_string(), |dtype| dtype.name().to_owned());
                Err(Fault::error(
                    contract::code!("data::filter_type"),
                    format!("`{text}` is {name}, not true or false"),
                )
                .help("compare it with something: `body_mass_g > 3000`, `sex = 'male'`, `x IS NOT NULL`"))
            }
        }
    }

    /// Which rows it is true for; rows for which it is unknown are not.
    ///
    /// # Errors
    /// What only the values tell: a division by zero, a number that does not fit.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, String> {
        let array = self.0.values(batch)?;
        let array = cast(&array, &DataType::Boolean).map_err(|error| error.to_string())?;
        let array = array.as_boolean();
        Ok(if array.nulls().is_some() { prep_null_mask_filter(array) } else { array.clone() })
    }
}

/// Some functions (`coalesce`, `nvl`) exist only as what the simplifier rewrites them to.
fn simplified(context: &SessionContext, expr: Expr, schema: &DFSchema) -> Result<Expr, DataFusionError> {
    let state = context.state();
    let around = SimplifyContext::builder()
        .with_schema(Arc::new(schema.clone()))
        .with_config_options(Arc::clone(state.config_options()))
        .build();
    let simplifier = ExprSimplifier::new(around);
    // What a sum of small numbers is compared with is coerced to its new type in the second round.
    let expr = super::whole::exact(simplifier.coerce(expr, schema)?, schema)?.data;
    simplifier.simplify(simplifier.coerce(expr, schema)?)
}

/// Refuses what is not a function of the row.
fn check(text: &str, expr: &Expr) -> Result<(), Fault> {
    let mut found = None;
    let _ = expr.apply(|node| {
        let problem = match node {
            Expr::AggregateFunction(call) => Some(("is over many rows", call.func.name().to_owned())),
            Expr::WindowFunction(call) => Some(("is over many rows", call.fun.name().to_owned())),
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) => {
                Some(("reads another table", "select".to_owned()))
            }
            Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => {
                Some(("depends on the clock or on chance", call.func.name().to_owned()))
            }
            Expr::Placeholder(placeholder) => Some(("has no value", placeholder.id.clone())),
            Expr::ScalarVariable(_, names) => Some(("has no value", names.join("."))),
            _ => None,
        };
        Ok(match problem {
            Some(problem) => {
                found = Some(problem);
                TreeNodeRecursion::Stop
            }
            None => TreeNodeRecursion::Continue,
        })
    });
    let Some((why, what)) = found else { return Ok(()) };
    let at =
        find(&text.to_lowercase(), &what.to_lowercase()).map_or_else(String::new, |at| format!(" (character {at})"));
    Err(Fault::error(contract::code!("data::not_row_wise"), format!("`{what}`{at} {why}"))
        .help("an expression may use the columns of one row, constants, and functions of them"))
}

const COMPARISONS: [Operator; 8] = [
    Operator::Eq,
    Operator::NotEq,
    Operator::Lt,
    Operator::LtEq,
    Operator::Gt,
    Operator::GtEq,
    Operator::IsDistinctFrom,
    Operator::IsNotDistinctFrom,
];

/// Refuses to compare cells of text with numbers or dates: the engine would read each text as one, and fail at the
/// first that is none.
pub(super) fn comparable(text: &str, expr: &Expr, schema: &DFSchema) -> Result<(), Fault> {
    let mut found = None;
    let mut pair = |a: &Expr, b: &Expr| {
        // A text that is written out is read once, here.
        let typed =
            |side: &Expr| side.get_type(schema).ok().map(|data_type| (data_type, matches!(side, Expr::Literal(..))));
        let (Some((a_type, a_fixed)), Some((b_type, b_fixed))) = (typed(a), typed(b)) else { return };
        let (side, fixed, other) = match (a_type.is_string(), b_type.is_string()) {
            (true, false) => (a, a_fixed, b_type),
            (false, true) => (b, b_fixed, a_type),
            _ => return,
        };
        if !fixed && (other.is_numeric() || other.is_temporal()) {
            found.get_or_insert((side.to_string(), other));
        }
    };
    let _ = expr.apply(|node| {
        match node {
            Expr::BinaryExpr(binary) if COMPARISONS.contains(&binary.op) => pair(&binary.left, &binary.right),
            Expr::Between(between) => {
                [&between.low, &between.high].into_iter().for_each(|side| pair(&between.expr, side))
            }
            Expr::InList(list) => list.list.iter().for_each(|side| pair(&list.expr, side)),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    let Some((side, other)) = found else { return Ok(()) };
    let what = match scalar(&other) {
        Some(DType::Date | DType::Datetime) => "a date".to_owned(),
        _ => "a number".to_owned(),
    };
    Err(Fault::error(contract::code!("data::expression"), format!("`{text}` compares `{side}`, which is text, with {what}"))
        .help("text goes in single quotes: `carrier = 'UA'`; `TRY_CAST(x AS DOUBLE)` makes a number of text, missing where it is none"))
}

/// Refuses patterns that are none, which would fail on the first row.
pub(super) fn patterns(expr: &Expr) -> Result<(), Fault> {
    let mut found = Ok(());
    let _ = expr.apply(|node| {
        found = match node {
            Expr::BinaryExpr(binary) if is_pattern(binary.op) => pattern_in(&binary.right),
            Expr::ScalarFunction(call) if call.func.name().starts_with("regexp_") => match call.args.as_slice() {
                [_, pattern, ..] => pattern_in(pattern),
                _ => Ok(()),
            },
            _ => Ok(()),
        };
        Ok(if found.is_ok() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    found
}

fn is_pattern(op: Operator) -> bool {
    use Operator::{RegexIMatch, RegexMatch, RegexNotIMatch, RegexNotMatch};
    matches!(op, RegexMatch | RegexIMatch | RegexNotMatch | RegexNotIMatch)
}

/// A pattern that is written out is one.
fn pattern_in(pattern: &Expr) -> Result<(), Fault> {
    let Expr::Literal(value, _) = pattern else { return Ok(()) };
    match value.try_as_str().flatten() {
        Some(text) => super::pattern::pattern(text, None).map(drop),
        None => Ok(()),
    }
}

/// An expression without a value for some of these rows: the first of them (found by `one`, which tries a single row), with its cells
/// in the columns that the expression names.
pub(super) fn no_value(
    text: &str,
    error: &str,
    rows: &RecordBatch,
    before: usize,
    columns: &[Column],
    one: impl Fn(&RecordBatch) -> Option<String>,
    route: &Route,
) -> Fault {
    // All rows before `low` have a value.
    let (mut low, mut high) = (0, rows.num_rows());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if one(&rows.slice(low, middle - low)).is_some() { high = middle } else { low = middle }
    }
    let first = (low < rows.num_rows()).then(|| one(&rows.slice(low, 1))).flatten();
    let (row, error) = match &first {
        Some(error) => (format!("row {}", before + low + 1), error.as_str()),
        None => ("some row".to_owned(), error),
    };
    let words: Vec<&str> = text.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    let used =
        |column: &Column| words.contains(&column.name.as_str()) || text.contains(&format!("\"{}\"", column.name));
    let cells: Vec<String> = columns
        .iter()
        .zip(rows.columns())
        .filter(|(column, _)| first.is_some() && used(column))
        .map(|(column, array)| format!("`{}` is {}", column.name, shown(array, low)))
        .collect();
    let cells = if cells.is_empty() { String::new() } else { format!(" (there {})", cells.join(", ")) };
    let help = if error.contains("verflow") {
        "what is computed has more digits than int64: `CAST(x AS DOUBLE)` in it has no such end"
    } else {
        "exclude such rows first: `CASE WHEN x <> 0 THEN y / x > 1 ELSE false END`, `TRY_CAST(x AS DOUBLE)`"
    };
    Fault::error(contract::code!("data::expression_value"), format!("`{text}` has no value for {row}{cells}: {error}"))
        .help(help)
        .at(route.clone())
}

fn first_line(error: &DataFusionError) -> String {
    let text = error.find_root().to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

/// The help for an expression that is not read, by what it is for.
const VALUE: &str = "write an SQL expression: `body_mass_g / 1000`, `coalesce(sex, 'unknown')`; names with spaces or dots go in double quotes";
const CONDITION: &str =
    "write an SQL condition: `body_mass_g > 3000 AND sex IS NOT NULL`; names with spaces or dots go in double quotes";
const QUERY: &str = "write an SQL query: `SELECT carrier, count(*) AS flights FROM data GROUP BY carrier`; names with spaces or dots go in double quotes";

/// A fault in a whole query in our words.
pub(super) fn explain_query(text: &str, error: &DataFusionError) -> Fault {
    meant(explain(text, &[], error), QUERY)
}

fn meant(fault: Fault, help: &str) -> Fault {
    if fault.help.as_deref() == Some(VALUE) { fault.help(help) } else { fault }
}

/// A fault of DataFusion's in our words.
fn explain(text: &str, columns: &[Column], error: &DataFusionError) -> Fault {
    match error.find_root() {
        DataFusionError::SchemaError(error, _) => match error.as_ref() {
            SchemaError::FieldNotFound { field, .. } => {
                let name = match &field.relation {
                    Some(relation) => format!("{relation}.{}", field.name),
                    None => field.name.clone(),
                };
                unknown(text, &name, columns)
            }
            other => misfit(text, &other.to_string()),
        },
        DataFusionError::SQL(error, _) => {
            let message = error.to_string();
            let message = message.trim_start_matches("sql parser error: ");
            let (what, place) = message.split_once(" at Line: ").unwrap_or((message, ""));
            let at = place.split_once("Column: ").and_then(|(line, column)| {
                let line: usize = line.trim_end_matches([',', ' ']).parse().ok()?;
                let digits: String = column.chars().take_while(char::is_ascii_digit).collect();
                let before: usize = text.lines().take(line.checked_sub(1)?).map(|line| line.chars().count() + 1).sum();
                Some(format!(" at character {}", before + digits.parse::<usize>().ok()?))
            });
            let at = at.unwrap_or_default();
            Fault::error(
                contract::code!("data::expression"),
                format!("the expression cannot be read{at}: {}", lower_first(what)),
            )
            .help(VALUE)
        }
        other => misfit(text, &other.to_string()),
    }
}

fn unknown(text: &str, name: &str, columns: &[Column]) -> Fault {
    let names = || columns.iter().map(|column| column.name.as_str());
    let at = find(text, name).map_or_else(String::new, |at| format!(", at character {at}"));
    let fault = Fault::error(contract::code!("data::unknown_column"), format!("there is no column `{name}`{at}"));
    // What stands in double quotes and is no column was probably meant to be text.
    if text.contains(&format!("\"{name}\"")) && nearest(name, names()).is_none() {
        return fault.help(format!("text goes in single quotes: `'{name}'`; double quotes are for column names"));
    }
    match suggest(name, names()) {
        Some(help) => fault.help(help),
        None => fault,
    }
}

fn misfit(text: &str, message: &str) -> Fault {
    let line = message.lines().next().unwrap_or_default();
    if let Some(rest) = line.split("Invalid function '").nth(1) {
        let name = rest.split('\'').next().unwrap_or_default();
        let at = find(text, name).map_or_else(String::new, |at| format!(", at character {at}"));
        let meant = rest.split("Did you mean '").nth(1).and_then(|rest| rest.split('\'').next());
        let near = meant.filter(|meant| nearest(name, [*meant]).is_some());
        let help = near.map_or_else(
            || "functions are those of SQL: `abs`, `round`, `lower`, `substr`, `date_part`, `regexp_like` …".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        return Fault::error(contract::code!("data::unknown_function"), format!("there is no function `{name}`{at}"))
            .help(help);
    }
    let line = ["Error during planning: ", "This feature is not implemented: ", "Schema error: "]
        .iter()
        .fold(line, |line, prefix| line.trim_start_matches(prefix));
    Fault::error(
        contract::code!("data::expression"),
        format!("`{text}` does not fit the columns: {}", lower_first(line)),
    )
    .help("compare numbers with numbers and text with text in single quotes; `CAST(x AS DOUBLE)` converts")
}

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) if !text.starts_with("SQL") => first.to_lowercase().chain(characters).collect(),
        _ => text.to_owned(),
    }
}

/// The character (from 1) at which a word stands.
fn find(text: &str, word: &str) -> Option<usize> {
    let part = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word)
        .find(|(at, _)| !part(text[..*at].chars().next_back()) && !part(text[at + word.len()..].chars().next()))
        .map(|(at, _)| text[..at].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, StringArray};

    use super::*;
    use crate::table::dataset::batch;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("Body_Mass", DType::Float64),
            Column::new("sex", DType::String),
            Column::new("year of.birth", DType::Int64),
        ]
    }

    fn rows() -> RecordBatch {
        batch(
            &columns(),
            vec![
                Arc::new(Float64Array::from(vec![Some(1.5), None, Some(3.5)])),
                Arc::new(StringArray::from(vec![Some("m"), Some("f"), None])),
                Arc::new(Int64Array::from(vec![2007, 2008, 2009])),
            ],
        )
        .unwrap()
    }

    fn kept(text: &str) -> Vec<bool> {
        let condition = Condition::new(text, &columns()).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
        condition.evaluate(&rows()).unwrap().iter().map(Option::unwrap).collect()
    }

    #[test]
    fn conditions_are_true_or_not() {
        assert_eq!(kept("Body_Mass > 1"), [true, false, true]);
        assert_eq!(kept("Body_Mass > 1 AND sex IS NOT NULL"), [true, false, false]);
        assert_eq!(kept("\"year of.birth\" >= 2008 OR sex = 'm'"), [true, true, true]);
        assert_eq!(kept("upper(sex) IN ('M', 'X')"), [true, false, false]);
        assert_eq!(kept("sex LIKE 'm%'"), [true, false, false]);
        assert_eq!(kept("abs(Body_Mass - 2) < 1"), [true, false, false]);
        assert_eq!(kept("CASE WHEN sex = 'm' THEN false ELSE true END"), [false, true, true]);
        assert_eq!(kept("NULL"), [false, false, false]);
        assert_eq!(
            kept("\"year of.birth\" = '2008'"),
            [false, true, false],
            "a text that is written out can be a number"
        );
        assert_eq!(kept("true"), [true, true, true]);
    }

    fn fault(text: &str) -> Fault {
        match Condition::new(text, &columns()) {
            Ok(_) => panic!("`{text}` was accepted"),
            Err(fault) => fault,
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let unknown = fault("sex = 'm' AND body_mass > 3");
        assert_eq!(unknown.code, "data::unknown_column");
        assert_eq!(unknown.message, "there is no column `body_mass`, at character 15");
        assert_eq!(unknown.help.as_deref(), Some("did you mean `Body_Mass`?"));
        let unknown = fault("sex = \"male\"");
        assert_eq!(
            unknown.help.as_deref(),
            Some("text goes in single quotes: `'male'`; double quotes are for column names")
        );
        let syntax = fault("Body_Mass > > 3");
        assert_eq!(syntax.code, "data::expression");
        assert!(syntax.message.contains("at character 13"), "{}", syntax.message);
        for text in ["", "sex =", "Body_Mass > 3)", "sex = 'm", "SELECT 1", "sex = 'm'; DROP TABLE x"] {
            assert_eq!(fault(text).code, "data::expression", "{text}");
        }
        assert_eq!(fault("Body_Mass + 1").code, "data::filter_type");
        let helped = |fault: Fault| fault.help.unwrap_or_default();
        assert!(helped(fault("sex =")).contains("SQL condition"));
        let value = |text: &str| Expression::new(text, &columns()).err().map(helped).unwrap_or_default();
        assert!(value("Body_Mass +* 2").contains("SQL expression"), "{}", value("Body_Mass +* 2"));
        for (text, with) in [
            ("sex > 3", "with a number"),
            ("Body_Mass < sex", "with a number"),
            ("upper(sex) IN (1, 2)", "with a number"),
            ("sex BETWEEN DATE '2013-01-01' AND DATE '2014-01-01'", "with a date"),
        ] {
            let fault = fault(text);
            assert!(fault.code == "data::expression" && fault.message.contains(with), "{text}: {fault:?}");
        }
        for text in [
            "Body_Mass > (SELECT 1)",
            "sum(Body_Mass) > 1",
            "now() > '2013-01-01'",
            "random() < 0.5",
            "EXISTS (SELECT 1)",
        ] {
            let fault = fault(text);
            assert!(["data::not_row_wise", "data::expression"].contains(&fault.code.as_str()), "{text}: {fault:?}");
            assert!(fault.help.is_some(), "{text}");
        }
    }

    #[test]
    fn whether_a_value_can_be_missing_follows_from_the_columns() {
        let mut columns = columns();
        columns[1].nullable = true;
        let missing = |text: &str| Expression::new(text, &columns).unwrap().missing;
        assert!(!missing("\"year of.birth\" > 2008") && !missing("Body_Mass > 3") && !missing("sex IS NULL"));
        assert!(missing("sex = 'm'") && missing("Body_Mass * 2"), "what is not a number is missing");
        assert!(!missing("CASE WHEN sex = 'm' THEN 1 ELSE 0 END") && missing("CASE WHEN sex = 'm' THEN 1 END"));
    }

    #[test]
    fn patterns_are_compiled_with_the_expression() {
        for text in ["regexp_like(sex, '[')", "sex ~ '['", "regexp_replace(sex, '(', '') = 'm'"] {
            assert_eq!(fault(text).code, "data::pattern", "{text}");
        }
        assert!(Condition::new("regexp_like(sex, '[mf]')", &columns()).is_ok());
    }

    #[test]
    fn a_division_by_zero_is_said() {
        let condition = Condition::new("1 / (\"year of.birth\" - 2008) > 0", &columns()).unwrap();
        assert!(condition.evaluate(&rows()).unwrap_err().to_lowercase().contains("divide by zero"));
    }
}
