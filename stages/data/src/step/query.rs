//! SQL over whole tables, by DataFusion under a bound of memory.
//!
//! One partition: rows come in one order, and sums are added in one order, however many threads there are. Rows are sorted by
//! [`super::order`], not by DataFusion: `window` and a large `group_by` hand it rows that are in order already, so that it holds a
//! group at a time. What `sql` asks for is DataFusion's: it spills what it sorts, and holds one side of a join; where that is too much,
//! both sides are sorted by their keys instead ([`Merging`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::compute::{SortOptions, max, min, take_record_batch};
use arrow::datatypes::{DataType, Int64Type, SchemaRef, UInt64Type};
use catalog::question::QueryType;
use contract::artifact::{Column, DType};
use contract::fault::{Fault, Faults, Route, Segment, suggest};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::datasource::{MemTable, TableProvider};
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder, TaskContext};
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable as _, Join, JoinType, LogicalPlan, Operator, Volatility};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{HashJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::branches::{InOrder, next};
use super::order::Key;
use crate::fault::{Outcome, kernel};
use crate::read::normal;
use crate::table::convert::convert;
use crate::table::dataset::{Table, batch, schema};
use crate::table::spill::{Keeper, Memory, size, too_little};

/// The name of the column of row numbers that rows are brought back into their order by.
pub(super) const ROW: &str = "\u{1}row";

/// Bytes of the stack of a thread that reads: each run that is merged has one.
const STACK: usize = 512 << 10;

/// How rows reach the table engine, and what happens when they need more than the bound of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way<'a> {
    /// In any order; the engine writes to scratch files what does not fit.
    Spill,
    /// As `Spill`, but neither side of a join is held: both are sorted by their keys.
    Merge,
    /// In any order; a query that does not fit fails with `data::memory`, and the caller tries another way.
    Try,
    /// In the order of these columns, missing cells last.
    Sorted(&'a [String]),
}

/// Replaces every hash join by a merge of two sorted sides, of which neither is held. It runs before the rules of the engine,
/// because one of them adds the sorts that a merge needs.
#[derive(Debug)]
struct Merging;

impl PhysicalOptimizerRule for Merging {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let merged = plan.transform_up(|plan| {
            let Some(join) = plan.downcast_ref::<HashJoinExec>() else { return Ok(Transformed::no(plan)) };
            // `NOT IN` over missing cells has rules that a merge does not know.
            if join.null_aware || join.projection.is_some() {
                return Ok(Transformed::no(plan));
            }
            let merge = SortMergeJoinExec::try_new(
                Arc::clone(join.left()),
                Arc::clone(join.right()),
                join.on().to_vec(),
                join.filter().cloned(),
                *join.join_type(),
                vec![SortOptions::default(); join.on().len()],
                join.null_equality(),
            )?;
            Ok(Transformed::yes(Arc::new(merge) as Arc<dyn ExecutionPlan>))
        });
        merged.data()
    }

    fn name(&self) -> &str {
        "merging"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Tables by name in a session of the engine.
pub(super) struct House {
    context: SessionContext,
    runtime: tokio::runtime::Runtime,
    tables: BTreeMap<String, Vec<Column>>,
    /// Whether sums may be beyond 64 bits, as far as is known.
    pub(super) long_sums: bool,
    /// Of all rows.
    bytes: u64,
}

/// Rows of a table, copied batch by batch when the engine asks for them.
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
                    // The receiver is gone when a `LIMIT` is reached or the query has failed: both end the copying.
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
    pub(super) fn new(tables: &BTreeMap<String, &Table>, memory: Option<&Memory>, way: Way<'_>) -> Outcome<Self> {
        let fail = |error: DataFusionError| kernel("opening the table engine", &error);
        let mut rows = batch_rows(tables, memory);
        let mut config = SessionConfig::new().with_target_partitions(1);
        config.options_mut().sql_parser.enable_ident_normalization = false;
        if way == Way::Merge {
            // Several sorts share the bound. Sorting in place avoids the second copy that merging in memory needs, and small batches
            // keep the merge of many spilled runs small.
            config.options_mut().execution.sort_in_place_threshold_bytes = usize::MAX;
            rows = (rows / 4).max(16);
        }
        config = config.with_batch_size(rows);
        let mut builder = RuntimeEnvBuilder::new();
        if let Some(memory) = memory {
            // A sort reserves this for the merge of its spilled runs. The default of 10 MiB is more than a small bound has.
            config = config.with_sort_spill_reservation_bytes((memory.limit / 32) as usize);
            // The engine gets a quarter: it counts what it keeps but not the batches between operators, and a table that grows is there
            // twice while it is copied.
            builder = builder.with_memory_pool(Arc::new(FairSpillPool::new((memory.limit / 4) as usize)));
            builder = if matches!(way, Way::Spill | Way::Merge) {
                builder.with_temp_file_path(memory.scratch())
            } else {
                builder.with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            };
        }
        let runtime = builder.build_arc().map_err(fail)?;
        let mut state =
            SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features();
        // The order matters: our rules come first, the engine's own rules then sort and repartition what ours have made.
        let mut rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> = vec![Arc::new(InOrder)];
        if way == Way::Merge {
            rules.push(Arc::new(Merging));
        }
        rules.extend(PhysicalOptimizer::new().rules);
        state = state.with_physical_optimizer_rules(rules);
        let context = SessionContext::new_with_state(state.build());
        for (name, table) in tables {
            let schema = table.batches.first().map_or_else(|| schema(&table.columns), RecordBatch::schema);
            let provider: Arc<dyn TableProvider> = if memory.is_some() {
                // The engine counts whole buffers, which for a mapped file is the whole file. Copies make it count only what it keeps.
                let pieces = Copies { schema: schema.clone(), batches: table.batches.clone(), rows };
                let streaming = StreamingTable::try_new(schema, vec![Arc::new(pieces)]).map_err(fail)?;
                let order = match way {
                    Way::Sorted(names) => names
                        .iter()
                        .map(|name| Sort::new(datafusion::prelude::ident(name.as_str()), true, false))
                        .collect(),
                    _ => Vec::new(),
                };
                Arc::new(if order.is_empty() { streaming } else { streaming.with_sort_order(order) })
            } else {
                Arc::new(MemTable::try_new(schema, vec![table.batches.clone()]).map_err(fail)?)
            };
            let reference = datafusion::common::TableReference::bare(name.as_str());
            context.register_table(reference, provider).map_err(fail)?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .thread_stack_size(STACK)
            .build()
            .map_err(|error| kernel("starting the table engine", &error))?;
        let bytes = tables.values().flat_map(|table| &table.batches).map(size).sum();
        let tables = tables.iter().map(|(name, table)| (name.clone(), table.columns.clone())).collect();
        Ok(Self { context, runtime, tables, long_sums: true, bytes })
    }

    pub(super) fn plan(&self, text: &str, at: &Route) -> Outcome<DataFrame> {
        let wrong = |error: DataFusionError| vec![self.explain(text, &error).at(at.clone())];
        // What the parser would accept and we refuse comes first; then the plan is checked for chance, for texts compared with numbers,
        // and only then rewritten, so that messages show the query as it is written.
        refused(text).map_err(|fault| Faults::from(fault.at(at.clone())))?;
        let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let frame = self.runtime.block_on(self.context.sql_with_options(text, options)).map_err(wrong)?;
        deterministic(frame.logical_plan()).map_err(|fault| Faults::from(fault.at(at.clone())))?;
        comparable(text, frame.logical_plan()).map_err(|fault| Faults::from(fault.at(at.clone())))?;
        let (state, plan) = frame.into_parts();
        let frame = DataFrame::new(state, super::whole::exact_in(plan, self.long_sums).map_err(wrong)?);
        // Types are only coerced (and refused) by the analyser.
        self.context.state().optimize(frame.logical_plan()).map_err(wrong)?;
        Ok(frame)
    }

    /// What a query gives. The branches of a union have one type only after the analyser.
    fn columns(&self, frame: &DataFrame, at: &Route) -> Outcome<Vec<Column>> {
        let plan = self.context.state().optimize(frame.logical_plan());
        let schema = plan.map_or_else(|_| frame.schema().clone(), |plan| plan.schema().as_ref().clone());
        normal::columns(schema.as_arrow(), "the query").map_err(|faults| placed(faults, at))
    }

    /// Whether tables are joined, be it for a subquery.
    pub(super) fn joins(&self, frame: &DataFrame) -> bool {
        let plan = self.context.state().optimize(frame.logical_plan());
        let joins = plan.map(|plan| plan.exists(|node| Ok(matches!(node, LogicalPlan::Join(_)))));
        matches!(joins, Ok(Ok(true)))
    }

    fn explain(&self, text: &str, error: &DataFusionError) -> Fault {
        if let DataFusionError::SchemaError(error, _) = error.find_root()
            && let SchemaError::FieldNotFound { field, valid_fields } = error.as_ref()
        {
            let known: Vec<&str> = valid_fields.iter().map(|field| field.name.as_str()).collect();
            let all: Vec<&str> = self.tables.values().flatten().map(|column| column.name.as_str()).collect();
            let known = if known.is_empty() { all } else { known };
            let fault =
                Fault::error(contract::code!("data::unknown_column"), format!("there is no column `{}`", field.name));
            return match suggest(&field.name, known) {
                Some(help) => fault.help(help),
                None => fault.help("the query has no such table column; text goes in single quotes"),
            };
        }
        let message = error.find_root().to_string();
        if let Some(name) = message.split("table 'datafusion.public.").nth(1).and_then(|rest| rest.split('\'').next()) {
            let fault = Fault::error(contract::code!("data::unknown_table"), format!("there is no table `{name}`"));
            let help = suggest(name, self.tables.keys().map(String::as_str));
            return fault.help(
                help.unwrap_or_else(|| "the rows so far are `data`; other tables are inputs of the stage".into()),
            );
        }
        if let Some(name) = message.split("able function '").nth(1).and_then(|rest| rest.split('\'').next()) {
            return Fault::error(contract::code!("data::unknown_table"), format!("there is no table `{name}(…)`"))
                .help("a query reads `data` and the other inputs of the stage; files are read by a `collect` stage");
        }
        super::expression::explain_query(text, error)
    }

    pub(super) fn run(
        &self,
        frame: DataFrame,
        columns: Option<Vec<Column>>,
        memory: &Memory,
        at: &Route,
    ) -> Outcome<Table> {
        let fail = |error: DataFusionError| {
            let text = error.find_root().to_string();
            let line = text.lines().next().unwrap_or_default().to_owned();
            if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) {
                let name = match at.0.last() {
                    Some(Segment::Key(name)) => name.as_str(),
                    _ => "sql",
                };
                let help = match name {
                    "group_by" => ", or take fewer columns: the rows of one group are held for `median` and `distinct`",
                    _ => {
                        ", or aggregate or filter before: what `median`, `array_agg` and `NOT IN` see is held, a join is not"
                    }
                };
                return vec![too_little(&format!("`{name}`"), self.bytes * 3, memory, help).at(at.clone())];
            }
            let help = if line.contains("verflow") || line.contains("is out of range") {
                "what is computed has more digits than its type: `CAST(x AS DOUBLE)` before it has no such end"
            } else {
                "exclude such rows first, or use `TRY_CAST` and `CASE WHEN`"
            };
            vec![
                Fault::error(
                    contract::code!("data::expression_value"),
                    format!("the query has no value for some row: {line}"),
                )
                .help(help)
                .at(at.clone()),
            ]
        };
        let known = match columns {
            Some(columns) => columns,
            None => self.columns(&frame, at)?,
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
            Ok::<(), Faults>(())
        })?;
        keeper.finish()
    }
}

/// A batch of the engine's in our types; tensors pass as they are.
fn own(rows: &RecordBatch, columns: &[Column], before: usize) -> Outcome<RecordBatch> {
    let arrays: Vec<ArrayRef> = rows
        .columns()
        .iter()
        .zip(columns)
        .map(|(array, column)| {
            if array.data_type() == &crate::table::dataset::arrow_type(column) {
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

fn placed(faults: Faults, at: &Route) -> Faults {
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

/// Words that begin a statement which is no query.
const STATEMENTS: [&str; 18] = [
    "alter", "analyze", "call", "copy", "create", "delete", "describe", "drop", "execute", "explain", "grant",
    "insert", "merge", "prepare", "set", "show", "truncate", "update",
];

/// Refuses what is no query, and what the engine would read and not do.
fn refused(text: &str) -> Result<(), Fault> {
    // What cannot be cut into words is said by the parser.
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, text).tokenize() else { return Ok(()) };
    let mut words = tokens.iter().filter_map(|token| match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_lowercase()),
        _ => None,
    });
    let Some(first) = words.next() else { return Ok(()) };
    if STATEMENTS.contains(&first.as_str()) {
        return Err(Fault::error(contract::code!("data::expression"), format!("`{first}` is no query")).help(
            "the step gives the rows of one query: `SELECT carrier, count(*) AS flights FROM data GROUP BY carrier`",
        ));
    }
    if words.any(|word| word == "tablesample") {
        return Err(Fault::error(contract::code!("data::expression"), "`tablesample` is not carried out")
            .help("the step `sample` takes some of the rows, by a seed: `sample: { share: 0.1 }`"));
    }
    Ok(())
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
        Some(name) => Err(Fault::error(
            contract::code!("data::not_row_wise"),
            format!("`{name}` depends on the clock or on chance"),
        )
        .help(
            "a result that changes by itself cannot be kept: write the date as a constant, and use the step `sample`",
        )),
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
    let at = contract::route!["sql"];
    let house = House::new(&empty.iter().map(|(name, table)| (name.clone(), table)).collect(), None, Way::Spill)?;
    let frame = house.plan(text, &at)?;
    let columns = house.columns(&frame, &at)?;
    let told = Told { tables };
    let columns: Vec<Column> = columns
        .into_iter()
        .enumerate()
        .map(|(at, column)| {
            let nullable = column.shape.is_empty() && told.missing(frame.logical_plan(), at);
            Column { nullable, ..column }
        })
        .collect();
    let Origin { rows, beside, mixed } = Origin::of(frame.logical_plan());
    let there = |name: &&String| columns.iter().any(|column| column.name == **name);
    let mixed: Vec<String> = mixed.iter().filter(there).cloned().collect();
    Ok(QueryType { columns, rows: rows.into_iter().collect(), beside: beside.into_iter().collect(), mixed })
}

/// Where cells may be missing, as far as the plan of a query and what is known of its tables tell.
struct Told<'a> {
    tables: &'a BTreeMap<String, Vec<Column>>,
}

impl Told<'_> {
    /// Whether cells of a column of a plan's result may be missing. Where nothing says so, they may.
    fn missing(&self, plan: &LogicalPlan, at: usize) -> bool {
        let one = |plan: &LogicalPlan| self.missing(plan, at);
        match plan {
            LogicalPlan::TableScan(scan) => {
                let position = scan.projection.as_ref().map_or(Some(at), |taken| taken.get(at).copied());
                let columns = self.tables.get(scan.table_name.table());
                let column = position.and_then(|position| columns?.get(position));
                column.is_none_or(|column| column.nullable)
            }
            LogicalPlan::Filter(filter) => {
                let column = filter.input.schema().columns().get(at).cloned();
                let asked = column.is_some_and(|column| demands(&filter.predicate, &column));
                !asked && one(&filter.input)
            }
            LogicalPlan::Sort(sort) => one(&sort.input),
            LogicalPlan::Limit(limit) => one(&limit.input),
            LogicalPlan::SubqueryAlias(alias) => one(&alias.input),
            LogicalPlan::Repartition(pieces) => one(&pieces.input),
            LogicalPlan::Subquery(query) => one(&query.subquery),
            LogicalPlan::Distinct(Distinct::All(input)) => one(input),
            LogicalPlan::Union(union) => union.inputs.iter().any(|input| one(input)),
            LogicalPlan::Projection(projection) => {
                projection.expr.get(at).is_none_or(|expr| self.lacks(expr, &projection.input))
            }
            LogicalPlan::Join(join) => self.joined(join, at),
            LogicalPlan::Aggregate(aggregate) => match aggregate.group_expr.get(at) {
                Some(Expr::GroupingSet(_)) => true,
                Some(expr) => self.lacks(expr, &aggregate.input),
                None => aggregate.aggr_expr.get(at - aggregate.group_expr.len()).is_none_or(|expr| !counts(expr)),
            },
            LogicalPlan::Window(window) => {
                let before = window.input.schema().fields().len();
                match at.checked_sub(before) {
                    None => one(&window.input),
                    Some(at) => window.window_expr.get(at).is_none_or(|expr| !counts(expr)),
                }
            }
            _ => true,
        }
    }

    /// A side that may have no partner has missing cells then.
    fn joined(&self, join: &Join, at: usize) -> bool {
        let left = join.left.schema().fields().len();
        let (left_stays, right_stays) = match join.join_type {
            JoinType::Inner => (true, true),
            JoinType::Left => (true, false),
            JoinType::Right => (false, true),
            JoinType::LeftSemi | JoinType::LeftAnti => return self.missing(&join.left, at),
            JoinType::RightSemi | JoinType::RightAnti => return self.missing(&join.right, at),
            _ => return true,
        };
        // What is compared in an inner join is there.
        let column = join.schema.columns().get(at).cloned();
        let equal = join.join_type == JoinType::Inner
            && join.on.iter().any(|(a, b)| {
                [a, b].iter().any(|expr| matches!(expr, Expr::Column(one) if Some(one) == column.as_ref()))
            });
        let stays = if at < left { left_stays } else { right_stays };
        let inside = || if at < left { self.missing(&join.left, at) } else { self.missing(&join.right, at - left) };
        !equal && (!stays || inside())
    }

    /// Whether what an expression gives for rows of a plan may be missing. A broken number that is computed may be NaN, which is.
    fn lacks(&self, expr: &Expr, input: &LogicalPlan) -> bool {
        let whole = |expr: &Expr| expr.get_type(input.schema()).is_ok_and(|found| !found.is_floating());
        match expr {
            Expr::Alias(alias) => self.lacks(&alias.expr, input),
            Expr::Column(column) => input.schema().index_of_column(column).map_or(true, |at| self.missing(input, at)),
            Expr::Literal(value, _) => value.is_null(),
            Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsNotUnknown(_)
            | Expr::Exists(_) => false,
            Expr::Not(inner) | Expr::Negative(inner) => self.lacks(inner, input),
            // A cast that does not fit ends the query.
            Expr::Cast(cast) => self.lacks(&cast.expr, input),
            Expr::BinaryExpr(binary) => {
                let sides = self.lacks(&binary.left, input) || self.lacks(&binary.right, input);
                let judged = expr.get_type(input.schema()).is_ok_and(|found| found == DataType::Boolean);
                sides || !(judged || whole(expr))
            }
            Expr::Between(between) => {
                [&between.expr, &between.low, &between.high].iter().any(|expr| self.lacks(expr, input))
            }
            Expr::InList(list) => self.lacks(&list.expr, input) || list.list.iter().any(|expr| self.lacks(expr, input)),
            Expr::Like(like) => self.lacks(&like.expr, input) || self.lacks(&like.pattern, input),
            Expr::Case(case) => {
                let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
                case.else_expr.is_none() || results.into_iter().any(|expr| self.lacks(expr, input))
            }
            Expr::ScalarFunction(call) if super::whole::is_exact(call.func.name()) => {
                call.args.iter().any(|expr| self.lacks(expr, input))
            }
            Expr::ScalarFunction(call) if call.func.name() == "coalesce" => {
                call.args.iter().all(|expr| self.lacks(expr, input))
            }
            _ => true,
        }
    }
}

/// Whether a condition holds of no row whose cell of this column is missing.
fn demands(condition: &Expr, column: &datafusion::common::Column) -> bool {
    let is = |expr: &Expr| matches!(expr, Expr::Column(one) if one == column);
    match condition {
        Expr::IsNotNull(inner) => is(inner),
        Expr::Between(between) => !between.negated && is(&between.expr),
        Expr::InList(list) => !list.negated && is(&list.expr),
        Expr::BinaryExpr(binary) => match binary.op {
            Operator::And => demands(&binary.left, column) || demands(&binary.right, column),
            Operator::Or => demands(&binary.left, column) && demands(&binary.right, column),
            Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
                is(&binary.left) || is(&binary.right)
            }
            _ => false,
        },
        _ => false,
    }
}

/// Whether an expression over many rows is a number of rows, which is never missing.
fn counts(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => counts(&alias.expr),
        Expr::AggregateFunction(call) => call.func.name() == "count",
        Expr::WindowFunction(call) => matches!(call.fun.name(), "count" | "row_number" | "rank" | "dense_rank"),
        _ => false,
    }
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

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A column in a function: NaN is a missing cell.
pub(super) fn present(column: &Column) -> String {
    let name = quoted(&column.name);
    if column.dtype.is_float() { format!("CASE WHEN isnan({name}) THEN NULL ELSE {name} END") } else { name }
}

/// The sum of a column, over rows that `over` says: true counts as 1.
pub(super) fn sum(column: &Column, over: &str) -> String {
    let cell = present(column);
    let cell = if column.dtype == DType::Bool { format!("CAST({cell} AS BIGINT)") } else { cell };
    format!("sum({cell}) {over}")
}

/// Whether the sum of whole numbers in some of these columns may be beyond int64.
pub(super) fn long(table: &Table, columns: &[&Column]) -> bool {
    let beyond = |name: &str| {
        let Some(at) = table.columns.iter().position(|column| column.name == name) else { return true };
        let most = |array: &ArrayRef| match array.data_type() {
            DataType::Int64 => {
                let cells = array.as_primitive::<Int64Type>();
                let ends = [min(cells), max(cells)];
                ends.into_iter().flatten().map(|end| u128::from(end.unsigned_abs())).max()
            }
            _ => max(array.as_primitive::<UInt64Type>()).map(u128::from),
        };
        table.pieces(at).iter().filter_map(most).max().unwrap_or_default() * table.rows() as u128 > i64::MAX as u128
    };
    columns.iter().any(|column| matches!(column.dtype, DType::Int64 | DType::UInt64) && beyond(&column.name))
}

/// What a sum that does not fit is called: the plan adds int64 up in more digits ([`super::whole`]), and fails at the end.
pub(super) fn not_fitting(faults: Faults, sums: &[&str], at: &Route) -> Faults {
    let beyond = |fault: &Fault| {
        fault.code == contract::code!("data::expression_value") && fault.message.contains("is out of range")
    };
    if sums.is_empty() || !faults.iter().any(beyond) {
        return faults;
    }
    let names: Vec<String> = sums.iter().map(|name| format!("`{name}`")).collect();
    Faults::from(
        Fault::error(
            contract::code!("data::expression_value"),
            format!("a sum has more digits than a whole number of 64 bits: {}", names.join(" or ")),
        )
        .help("`cast` the column to float64 before, which has 16 digits and no such end")
        .at(at.clone()),
    )
}

pub(super) fn named<'a>(columns: &'a [Column], name: &str) -> Option<&'a Column> {
    columns.iter().find(|column| column.name == name)
}

pub(super) fn names(columns: &[Column]) -> Vec<&str> {
    columns.iter().map(|column| column.name.as_str()).collect()
}

/// Columns of a table alone, in the order in which they are asked for.
#[derive(Default)]
pub(super) struct Narrow(pub(super) Vec<usize>);

impl Narrow {
    pub(super) fn take(&mut self, position: usize) {
        if !self.0.contains(&position) {
            self.0.push(position);
        }
    }

    /// Where a column of the whole table stands here.
    pub(super) fn place(&self, position: usize) -> usize {
        self.0.iter().position(|taken| *taken == position).unwrap_or_default()
    }

    pub(super) fn of(&self, table: &Table) -> Outcome<Table> {
        let columns: Vec<Column> = self.0.iter().map(|at| table.columns[*at].clone()).collect();
        let batches = table
            .batches
            .iter()
            .map(|rows| batch(&columns, self.0.iter().map(|at| rows.column(*at).clone()).collect()));
        Ok(Table { batches: batches.collect::<Outcome<_>>()?, columns })
    }
}

pub(super) fn ascending(columns: impl IntoIterator<Item = usize>) -> Vec<Key> {
    columns.into_iter().map(|column| Key { column, descending: false, nan_missing: false }).collect()
}

#[cfg(test)]
mod tests {
    use contract::artifact::DType;

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
    fn a_query_keeps_what_is_never_missing() {
        let gappy = |name: &str, dtype| Column { nullable: true, ..Column::new(name, dtype) };
        let columns = || {
            vec![
                Column::new("k", DType::Int64),
                Column::new("label", DType::String),
                Column::new("x", DType::Float64),
                gappy("g", DType::String),
            ]
        };
        let tables = [("data".to_owned(), columns()), ("more".to_owned(), columns())].into();
        for (text, there) in [
            ("select * from data", "k label x"),
            ("select label, x as y, k + 1 as n from data order by k limit 3", "label y n"),
            ("select distinct label, x / 2 as y from data where x > 0", "label"),
            ("select * from data where g is not null and x > 0", "k label x g"),
            ("select g from data where g = 'a' or g in ('b')", "g"),
            ("select g from data where g <> 'a' or k = 1", ""),
            ("select coalesce(g, 'none') as g, case when k > 1 then 'a' else 'b' end as c from data", "g c"),
            ("select case when k > 1 then 'a' end as c, try_cast(label as bigint) as n from data", ""),
            ("select data.label, more.label as l from data join more using (k)", "label l"),
            ("select data.label, more.label as l from data left join more on data.k = more.k", "label"),
            ("select data.label, more.label as l from data full join more on data.k = more.k", ""),
            ("select label, count(*) as n, sum(k) as s from data group by label", "label n"),
            ("select label, row_number() over (order by k) as n, lag(k) over (order by k) as p from data", "label n"),
            ("select label from data union all select g from data", ""),
            ("with d as (select * from data) select d.label from d where exists (select 1 from more)", "label"),
            ("select label, (select max(k) from more) as m from data", "label"),
            ("select * from (select label from data) t", "label"),
        ] {
            let found = type_of(text, &tables).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
            let never = found.columns.iter().filter(|column| !column.nullable).map(|column| column.name.as_str());
            assert_eq!(never.collect::<Vec<_>>().join(" "), there, "{text}");
        }
    }

    #[test]
    fn whole_numbers_are_typed_as_they_are_computed() {
        let tables = [("data".to_owned(), vec![Column::new("y", DType::Int32), Column::new("s", DType::Int8)])].into();
        for (text, columns) in [
            ("select y * y as c, s + s, -s as n from data", "c:int64 data.s + data.s:int64 n:int64"),
            ("select y, s from data union all select y + 1, s from data", "y:int64 s:int8"),
            ("select s, sum(y * y) as c, sum(y) over () as w from data group by s, y", "s:int8 c:int64 w:int64"),
        ] {
            let found = type_of(text, &tables).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
            let found = found.columns.iter().map(|column| format!("{}:{}", column.name, column.dtype.name()));
            assert_eq!(found.collect::<Vec<_>>().join(" "), columns, "{text}");
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
