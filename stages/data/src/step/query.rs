//! SQL over whole tables, by DataFusion under a bound of memory, spilling to the stage's scratch folder.
//!
//! One partition: rows come in one order, and sums are added in one order, however many threads there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use catalog::params::preprocess::{Aggregate, GroupBy, Window, WindowFunction};
use catalog::pattern::select;
use catalog::question::QueryType;
use catalog::steps::tables::{read, windowed};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::datasource::{MemTable, TableProvider};
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, Volatility};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use engine::artifact::{Column, DType};
use engine::error::{Fault, Route, suggest};

use crate::convert::convert;
use crate::dataset::{Table, batch, schema};
use crate::fault::{Outcome, kernel};
use crate::source::normal;
use crate::spill::{Keeper, Memory, size};

/// The name of the column of row numbers that queries of ours order by.
const ROW: &str = "\u{1}row";

/// Tables by name, ready for questions.
struct House {
    context: SessionContext,
    runtime: tokio::runtime::Runtime,
    tables: BTreeMap<String, Vec<Column>>,
}

/// Rows as copies of their own, made when they are asked for.
#[derive(Debug)]
struct Copies {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    rows: usize,
}

impl PartitionStream for Copies {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), 2);
        let (out, batches, rows) = (builder.tx(), self.batches.clone(), self.rows);
        builder.spawn_blocking(move || {
            for batch in batches {
                for start in (0..batch.num_rows()).step_by(rows) {
                    let end = batch.num_rows().min(start + rows) as u64;
                    let copy = take_record_batch(&batch, &UInt64Array::from_iter_values(start as u64..end));
                    if out.blocking_send(copy.map_err(DataFusionError::from)).is_err() {
                        return Ok(());
                    }
                }
            }
            Ok(())
        });
        builder.build()
    }
}

/// Rows of a batch inside the engine: 8192, fewer when they are so wide that a few batches would fill the memory.
fn batch_rows(tables: &BTreeMap<String, &Table>, memory: Option<&Memory>) -> usize {
    let Some(memory) = memory else { return 8192 };
    let width = |table: &Table| table.batches.iter().map(size).sum::<u64>() / table.rows().max(1) as u64;
    let widest = tables.values().map(|table| width(table)).max().unwrap_or_default().max(1);
    usize::try_from(memory.limit / 128 / widest).unwrap_or(8192).clamp(16, 8192)
}

impl House {
    /// `keeps` says that the rows themselves are kept for long (to be sorted), not only what is computed from them.
    fn new(tables: &BTreeMap<String, &Table>, memory: Option<&Memory>, keeps: bool) -> Outcome<Self> {
        let fail = |error: DataFusionError| kernel("opening the table engine", &error);
        let rows = batch_rows(tables, memory);
        let mut config = SessionConfig::new().with_target_partitions(1).with_batch_size(rows);
        config.options_mut().sql_parser.enable_ident_normalization = false;
        let mut builder = RuntimeEnvBuilder::new();
        if let Some(memory) = memory {
            // What a sort keeps for merging its spilled runs; the default of 10 MiB is more than a small bound has.
            config = config.with_sort_spill_reservation_bytes((memory.limit / 16) as usize);
            // Half of the bound: rows held before and after a query need the rest.
            builder = builder
                .with_memory_pool(Arc::new(FairSpillPool::new((memory.limit / 2) as usize)))
                .with_temp_file_path(memory.scratch());
        }
        let runtime = builder.build_arc().map_err(fail)?;
        let context = SessionContext::new_with_config_rt(config, runtime);
        for (name, table) in tables {
            let schema = table.batches.first().map_or_else(|| schema(&table.columns), RecordBatch::schema);
            // The engine counts whole buffers, of a mapped file the whole file: what it may keep is copied piece by piece.
            let counted: u64 = table.batches.iter().map(|rows| rows.get_array_memory_size() as u64).sum();
            let provider: Arc<dyn TableProvider> = match memory {
                Some(memory) if keeps && counted > memory.limit / 8 => {
                    let pieces = Copies { schema: schema.clone(), batches: table.batches.clone(), rows };
                    Arc::new(StreamingTable::try_new(schema, vec![Arc::new(pieces)]).map_err(fail)?)
                }
                _ => Arc::new(MemTable::try_new(schema, vec![table.batches.clone()]).map_err(fail)?),
            };
            let reference = datafusion::common::TableReference::bare(name.as_str());
            context.register_table(reference, provider).map_err(fail)?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| kernel("starting the table engine", &error))?;
        let tables = tables.iter().map(|(name, table)| (name.clone(), table.columns.clone())).collect();
        Ok(Self { context, runtime, tables })
    }

    fn plan(&self, text: &str, at: &Route) -> Outcome<DataFrame> {
        let wrong = |error: DataFusionError| vec![self.explain(text, &error).at(at.clone())];
        let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let frame = self.runtime.block_on(self.context.sql_with_options(text, options)).map_err(wrong)?;
        deterministic(frame.logical_plan()).map_err(|fault| vec![fault.at(at.clone())])?;
        comparable(text, frame.logical_plan()).map_err(|fault| vec![fault.at(at.clone())])?;
        // Types are only coerced (and refused) by the analyser.
        self.context.state().optimize(frame.logical_plan()).map_err(wrong)?;
        Ok(frame)
    }

    fn explain(&self, text: &str, error: &DataFusionError) -> Fault {
        if let DataFusionError::SchemaError(error, _) = error.find_root()
            && let SchemaError::FieldNotFound { field, valid_fields } = error.as_ref()
        {
            let known: Vec<&str> = valid_fields.iter().map(|field| field.name.as_str()).collect();
            let all: Vec<&str> = self.tables.values().flatten().map(|column| column.name.as_str()).collect();
            let known = if known.is_empty() { all } else { known };
            let fault = Fault::error("data::unknown_column", format!("there is no column `{}`", field.name));
            return match suggest(&field.name, known) {
                Some(help) => fault.help(help),
                None => fault.help("the query has no such table column; text goes in single quotes"),
            };
        }
        let message = error.find_root().to_string();
        if let Some(name) = message.split("table 'datafusion.public.").nth(1).and_then(|rest| rest.split('\'').next()) {
            let fault = Fault::error("data::unknown_table", format!("there is no table `{name}`"));
            let help = suggest(name, self.tables.keys().map(String::as_str));
            return fault.help(
                help.unwrap_or_else(|| "the rows so far are `data`; other tables are inputs of the stage".into()),
            );
        }
        super::expression::explain(text, &[], error)
    }

    fn run(&self, frame: DataFrame, columns: Option<Vec<Column>>, memory: &Memory, at: &Route) -> Outcome<Table> {
        let fail = |error: DataFusionError| {
            let text = error.find_root().to_string();
            let line = text.lines().next().unwrap_or_default().to_owned();
            if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) {
                return vec![
                    Fault::error("data::memory", "the query needs more memory than the stage may use")
                        .help("give it more: `resources: { memory: 4GiB }`, or aggregate or filter before joining")
                        .at(at.clone()),
                ];
            }
            vec![
                Fault::error("data::expression_value", format!("the query has no value for some row: {line}"))
                    .help("exclude such rows first, or use `TRY_CAST` and `CASE WHEN`")
                    .at(at.clone()),
            ]
        };
        let known = match columns {
            Some(columns) => columns,
            None => normal::columns(frame.schema().as_arrow(), "the query").map_err(|faults| placed(faults, at))?,
        };
        let mut keeper = Keeper::new(known.clone(), memory);
        self.runtime.block_on(async {
            use datafusion::physical_plan::ExecutionPlanProperties as _;
            let plan = frame.create_physical_plan().await.map_err(fail)?;
            debug_assert_eq!(plan.output_partitioning().partition_count(), 1);
            let mut stream = datafusion::physical_plan::execute_stream(plan, self.context.task_ctx()).map_err(fail)?;
            let mut before = 0;
            while let Some(rows) = next(&mut stream).await {
                let rows = rows.map_err(fail)?;
                let rows = own(&rows, &known, before)?;
                before += rows.num_rows();
                keeper.push(rows)?;
            }
            Ok::<(), Vec<Fault>>(())
        })?;
        keeper.finish()
    }
}

async fn next(stream: &mut SendableRecordBatchStream) -> Option<Result<RecordBatch, DataFusionError>> {
    std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await
}

/// A batch of the engine's in our types; tensors pass as they are.
fn own(rows: &RecordBatch, columns: &[Column], before: usize) -> Outcome<RecordBatch> {
    let arrays: Vec<ArrayRef> = rows
        .columns()
        .iter()
        .zip(columns)
        .map(|(array, column)| {
            if array.data_type() == &crate::dataset::arrow_type(column) {
                Some(array.clone())
            } else {
                convert(array, column.dtype).ok()
            }
        })
        .collect::<Option<Vec<_>>>()
        .unwrap_or_default();
    if arrays.len() == columns.len() {
        return batch(columns, arrays);
    }
    normal::rows(rows, columns, "the query", before)
}

fn placed(faults: Vec<Fault>, at: &Route) -> Vec<Fault> {
    faults.into_iter().map(|fault| Fault { route: Some(at.clone()), place: None, ..fault }).collect()
}

/// Refuses texts that would be read as numbers, and patterns that are none.
fn comparable(text: &str, plan: &LogicalPlan) -> Result<(), Fault> {
    let mut found = Ok(());
    let _ = plan.apply_with_subqueries(|node| {
        let inputs = node.inputs();
        let schema = match inputs.as_slice() {
            [one] => one.schema(),
            _ => node.schema(),
        };
        for expr in node.expressions() {
            found = super::expression::comparable(text, &expr, schema).and(super::expression::patterns(&expr));
            if found.is_err() {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// Refuses what depends on the clock or on chance: the result would be cached as if it did not.
fn deterministic(plan: &LogicalPlan) -> Result<(), Fault> {
    let mut found = None;
    let _ = plan.apply_with_subqueries(|node| {
        let _ = node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::ScalarFunction(call) = expr
                    && call.func.signature().volatility != Volatility::Immutable
                {
                    found = Some(call.func.name().to_owned());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        });
        Ok(TreeNodeRecursion::Continue)
    });
    match found {
        None => Ok(()),
        Some(name) => Err(Fault::error("data::not_row_wise", format!("`{name}` depends on the clock or on chance"))
            .help("a result that changes by itself cannot be kept: write the date as a constant, and use the step `sample`")),
    }
}

/// What a query gives over tables of these columns, and where its rows and cells come from.
///
/// # Errors
/// A query that is not read, or that does not fit the tables.
pub fn type_of(text: &str, tables: &BTreeMap<String, Vec<Column>>) -> Outcome<QueryType> {
    let empty: BTreeMap<String, Table> = tables
        .iter()
        .map(|(name, columns)| (name.clone(), Table { columns: columns.clone(), batches: Vec::new() }))
        .collect();
    let at = engine::route!["sql"];
    let house = House::new(&empty.iter().map(|(name, table)| (name.clone(), table)).collect(), None, false)?;
    let frame = house.plan(text, &at)?;
    let columns = normal::columns(frame.schema().as_arrow(), "the query").map_err(|faults| placed(faults, &at))?;
    let columns: Vec<Column> =
        columns.into_iter().map(|column| Column { nullable: column.shape.is_empty(), ..column }).collect();
    let Origin { rows, beside, mixed } = Origin::of(frame.logical_plan());
    let there = |name: &&String| columns.iter().any(|column| column.name == **name);
    let mixed: Vec<String> = mixed.iter().filter(there).cloned().collect();
    Ok(QueryType { columns, rows: rows.into_iter().collect(), beside: beside.into_iter().collect(), mixed })
}

/// Where the rows of a plan's result come from.
#[derive(Default)]
struct Origin {
    /// Tables whose rows may be among them.
    rows: BTreeSet<String>,
    /// Tables whose cells were joined to them, or came out of a subquery.
    beside: BTreeSet<String>,
    /// Columns made from other rows by a window function.
    mixed: BTreeSet<String>,
}

impl Origin {
    fn of(plan: &LogicalPlan) -> Self {
        let mut origin = match plan {
            LogicalPlan::TableScan(scan) => {
                Self { rows: [scan.table_name.table().to_owned()].into(), ..Self::default() }
            }
            LogicalPlan::Join(join) => Self::join(Self::of(&join.left), Self::of(&join.right), join.join_type),
            _ => plan.inputs().into_iter().map(Self::of).fold(Self::default(), Self::with),
        };
        origin.subqueries(plan);
        origin.name(plan);
        origin
    }

    fn with(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        self.beside.extend(other.beside);
        self.mixed.extend(other.mixed);
        self
    }

    /// The rows are those of the side that holds `data`; of the others only cells come in. Without `data` they are both's. A
    /// side that is only looked into brings nothing.
    fn join(left: Self, right: Self, how: JoinType) -> Self {
        let (lead, other) = match how {
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => return left,
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => return right,
            _ if left.rows.contains("data") => (left, right),
            _ if right.rows.contains("data") => (right, left),
            _ => return left.with(right),
        };
        let beside = lead.beside.into_iter().chain(other.beside).chain(other.rows).collect();
        Self { rows: lead.rows, beside, mixed: lead.mixed.into_iter().chain(other.mixed).collect() }
    }

    /// A subquery that gives a value brings cells of its tables.
    fn subqueries(&mut self, plan: &LogicalPlan) {
        for expr in plan.expressions() {
            let _ = expr.apply(|expr| {
                if let Expr::ScalarSubquery(query) = expr {
                    let inner = Self::of(&query.subquery);
                    self.beside.extend(inner.rows.into_iter().chain(inner.beside));
                }
                Ok(TreeNodeRecursion::Continue)
            });
        }
    }

    /// Follows mixed columns to their names in a plan's result.
    fn name(&mut self, plan: &LogicalPlan) {
        let fields = plan.schema().fields();
        let mixes = |mixed: &BTreeSet<String>, expr: &Expr| {
            expr.column_refs().iter().any(|column| mixed.contains(&column.name))
        };
        let made: Vec<&Expr> = match plan {
            LogicalPlan::Window(window) => {
                let numbers =
                    |expr: &Expr| matches!(expr, Expr::WindowFunction(call) if call.fun.name() == "row_number");
                let before = fields.len() - window.window_expr.len();
                let made = window.window_expr.iter().zip(fields.iter().skip(before));
                self.mixed.extend(made.filter(|(expr, _)| !numbers(expr)).map(|(_, field)| field.name().clone()));
                return;
            }
            LogicalPlan::Projection(projection) => projection.expr.iter().collect(),
            LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.iter().chain(&aggregate.aggr_expr).collect(),
            _ => return,
        };
        let named = made.iter().zip(fields).filter(|(expr, _)| mixes(&self.mixed, expr));
        self.mixed = named.map(|(_, field)| field.name().clone()).collect();
    }
}

/// Carries a query out.
///
/// # Errors
/// As [`columns_of`], and what only values tell.
pub fn sql(text: &str, tables: &BTreeMap<String, &Table>, memory: &Memory, at: &Route) -> Outcome<Table> {
    let house = House::new(tables, Some(memory), true)?;
    let frame = house.plan(text, at)?;
    house.run(frame, None, memory, at)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A column in a function: NaN is a missing cell.
fn present(column: &Column) -> String {
    let name = quoted(&column.name);
    if column.dtype.is_float() { format!("CASE WHEN isnan({name}) THEN NULL ELSE {name} END") } else { name }
}

/// A column to be added up: true counts as 1.
fn summand(column: &Column) -> String {
    let cell = present(column);
    if column.dtype == DType::Bool { format!("CAST({cell} AS BIGINT)") } else { cell }
}

fn named<'a>(columns: &'a [Column], name: &str) -> Option<&'a Column> {
    columns.iter().find(|column| column.name == name)
}

fn names(columns: &[Column]) -> Vec<&str> {
    columns.iter().map(|column| column.name.as_str()).collect()
}

/// `group_by`: the keys and the aggregates, sorted by the keys (missing ones last). `made` are the columns as the catalog types them.
///
/// # Errors
/// As the catalog's.
pub fn group_by(options: &GroupBy, table: &Table, made: Vec<Column>, memory: &Memory, at: &Route) -> Outcome<Table> {
    let keys = select(&options.by, &names(&table.columns), &at.join("by"))?;
    let keys: Vec<String> = keys.into_iter().map(|index| quoted(&table.columns[index].name)).collect();
    let mut selected = keys.clone();
    for (name, aggregate) in &options.aggregates {
        let column = read(aggregate).and_then(|(_, name)| named(&table.columns, name));
        let cell = column.map(present).unwrap_or_default();
        let call = match aggregate {
            Aggregate::Count => "count(*)".to_owned(),
            Aggregate::Distinct(_) => format!("count(DISTINCT {cell})"),
            Aggregate::Sum(_) => format!("sum({})", column.map(summand).unwrap_or_default()),
            Aggregate::Mean(_) => format!("avg(CAST({cell} AS DOUBLE))"),
            Aggregate::Median(_) => format!("median(CAST({cell} AS DOUBLE))"),
            Aggregate::Std(_) => format!("stddev_samp(CAST({cell} AS DOUBLE))"),
            Aggregate::Min(_) => format!("min({cell})"),
            Aggregate::Max(_) => format!("max({cell})"),
            Aggregate::First(_) => format!("first_value({cell})"),
            Aggregate::Last(_) => format!("last_value({cell})"),
        };
        selected.push(format!("{call} AS {}", quoted(name)));
    }
    let order: Vec<String> = keys.iter().map(|key| format!("{key} ASC NULLS LAST")).collect();
    let text =
        format!("SELECT {} FROM data GROUP BY {} ORDER BY {}", selected.join(", "), keys.join(", "), order.join(", "));
    let house = House::new(&[("data".to_owned(), table)].into(), Some(memory), false)?;
    let frame = house.plan(&text, at)?;
    house.run(frame, Some(made), memory, at)
}

/// The table with a column of row numbers behind the others.
fn numbered(table: &Table) -> Outcome<Table> {
    let mut before = 0i64;
    let mut batches = Vec::with_capacity(table.batches.len());
    let mut fields: Vec<Arc<Field>> = schema(&table.columns).fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(ROW, arrow::datatypes::DataType::Int64, false)));
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    for rows in &table.batches {
        let count = rows.num_rows() as i64;
        let mut arrays = rows.columns().to_vec();
        arrays.push(Arc::new(Int64Array::from_iter_values(before..before + count)));
        before += count;
        batches.push(RecordBatch::try_new(schema.clone(), arrays).map_err(|error| kernel("numbering rows", &error))?);
    }
    Ok(Table { columns: table.columns.clone(), batches })
}

/// `window`: the columns so far and the computed ones, rows in their order.
///
/// # Errors
/// As the catalog's.
pub fn window(options: &Window, table: &Table, made: Vec<Column>, memory: &Memory, at: &Route) -> Outcome<Table> {
    let known = names(&table.columns);
    let list = |entries: &Option<_>, key: &str| -> Outcome<Vec<String>> {
        match entries {
            Some(entries) => {
                let positions = select(entries, &known, &at.join(key))?;
                Ok(positions.into_iter().map(|index| quoted(known[index])).collect())
            }
            None => Ok(Vec::new()),
        }
    };
    let by = list(&options.by, "by")?;
    let mut order = list(&options.order, "order")?;
    order.push(quoted(ROW));
    let by = if by.is_empty() { String::new() } else { format!("PARTITION BY {} ", by.join(", ")) };
    let order = order.iter().map(|key| format!("{key} ASC NULLS LAST")).collect::<Vec<_>>().join(", ");
    let plain = format!("OVER ({by}ORDER BY {order})");
    let from = options.rows.map_or_else(|| "UNBOUNDED".to_owned(), |rows| (rows - 1).to_string());
    let framed = format!("OVER ({by}ORDER BY {order} ROWS BETWEEN {from} PRECEDING AND CURRENT ROW)");
    let mut selected: Vec<String> = known.iter().map(|name| quoted(name)).collect();
    for (name, function) in &options.columns {
        let column = windowed(function).and_then(|(_, name)| named(&table.columns, name));
        let cell = column.map(present).unwrap_or_default();
        let wide = if column.is_some_and(|column| column.dtype.is_float()) { "DOUBLE" } else { "BIGINT" };
        let call = match function {
            WindowFunction::Number => format!("CAST(row_number() {plain} AS BIGINT)"),
            WindowFunction::Lag(_) => format!("lag({cell}) {plain}"),
            WindowFunction::Lead(_) => format!("lead({cell}) {plain}"),
            WindowFunction::Difference(_) => format!("CAST({cell} AS {wide}) - CAST(lag({cell}) {plain} AS {wide})"),
            WindowFunction::Count(_) => format!("count({cell}) {framed}"),
            WindowFunction::Sum(_) => format!("sum({}) {framed}", column.map(summand).unwrap_or_default()),
            WindowFunction::Mean(_) => format!("avg(CAST({cell} AS DOUBLE)) {framed}"),
            WindowFunction::Min(_) => format!("min({cell}) {framed}"),
            WindowFunction::Max(_) => format!("max({cell}) {framed}"),
        };
        selected.push(format!("{call} AS {}", quoted(name)));
    }
    let text = format!("SELECT {} FROM data ORDER BY {}", selected.join(", "), quoted(ROW));
    let numbered = numbered(table)?;
    let house = House::new(&[("data".to_owned(), &numbered)].into(), Some(memory), true)?;
    let frame = house.plan(&text, at)?;
    house.run(frame, Some(made), memory, at)
}

/// `sort`: equal rows keep their order, missing cells come last.
///
/// # Errors
/// Columns that are not there.
pub fn sort(by: &[usize], descending: bool, table: &Table, memory: &Memory, at: &Route) -> Outcome<Table> {
    let direction = if descending { "DESC" } else { "ASC" };
    let mut order: Vec<String> =
        by.iter().map(|index| format!("{} {direction} NULLS LAST", present(&table.columns[*index]))).collect();
    order.push(quoted(ROW));
    let selected: Vec<String> = table.columns.iter().map(|column| quoted(&column.name)).collect();
    let text = format!("SELECT {} FROM data ORDER BY {}", selected.join(", "), order.join(", "));
    let numbered = numbered(table)?;
    let house = House::new(&[("data".to_owned(), &numbered)].into(), Some(memory), true)?;
    let frame = house.plan(&text, at)?;
    house.run(frame, Some(table.columns.clone()), memory, at)
}

#[cfg(test)]
mod tests {
    use engine::artifact::DType;

    use super::*;

    fn read(text: &str) -> (String, String, String) {
        let columns = || vec![Column::new("k", DType::Int64), Column::new("x", DType::Float64)];
        let tables = [("data".to_owned(), columns()), ("more".to_owned(), columns())].into();
        let found = type_of(text, &tables).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
        (found.rows.join(" "), found.beside.join(" "), found.mixed.join(" "))
    }

    #[test]
    fn a_query_says_where_its_rows_and_cells_come_from() {
        for (text, rows, beside, mixed) in [
            ("select * from data", "data", "", ""),
            ("select * from more", "more", "", ""),
            ("select k, x + 1 as y from data where x > 0 order by k limit 3", "data", "", ""),
            ("select * from data union all select * from more", "data more", "", ""),
            ("with m as (select * from more) select * from data union select * from m", "data more", "", ""),
            ("select data.*, more.x as z from data join more using (k)", "data", "more", ""),
            ("select data.*, more.x as z from more left join data on data.k = more.k", "data", "more", ""),
            ("select * from data where k in (select k from more)", "data", "", ""),
            ("select k, avg(x) as z from data group by k", "data", "", ""),
            ("select *, x - (select avg(x) from data) as z from data", "data", "data", ""),
            (
                "select data.*, m.a from data join (select k, avg(x) as a from data group by k) m on m.k = data.k",
                "data",
                "data",
                "",
            ),
            ("select *, (x - avg(x) over ()) / stddev(x) over () as z from data", "data", "", "z"),
            (
                "with w as (select k, avg(x) over (partition by k) as a from data) select k, a * 2 as b from w",
                "data",
                "",
                "b",
            ),
            ("select *, row_number() over (order by k) as n from data", "data", "", ""),
        ] {
            let expected = (rows.to_owned(), beside.to_owned(), mixed.to_owned());
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn a_query_that_reads_texts_as_numbers_is_refused() {
        let tables = [("data".to_owned(), vec![Column::new("t", DType::String)])].into();
        for (text, code) in [
            ("select * from data where t > 1", "data::expression"),
            ("select * from data where regexp_like(t, '[')", "data::pattern"),
        ] {
            assert_eq!(type_of(text, &tables).unwrap_err()[0].code, code, "{text}");
        }
    }
}
