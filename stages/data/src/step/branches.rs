//! The branches of a union one after the other.
//!
//! DataFusion gives each branch as a partition and takes rows from whichever has some: their order would be another in each run.

use std::fmt::Formatter;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
    ReplaceChildrenOptions,
};

/// All partitions of a plan as one, the first first.
#[derive(Debug)]
struct Branches {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl Branches {
    fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let mut equal = input.equivalence_properties().clone();
        equal.clear_orderings();
        equal.clear_per_partition_constants();
        let properties = PlanProperties::new(
            equal,
            Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self { input, properties: Arc::new(properties) }
    }

    fn over(children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self::new(input))),
            Err(children) => internal_err!("branches of {} plans", children.len()),
        }
    }
}

impl DisplayAs for Branches {
    fn fmt_as(&self, _: DisplayFormatType, out: &mut Formatter<'_>) -> std::fmt::Result {
        write!(out, "Branches")
    }
}

impl ExecutionPlan for Branches {
    fn name(&self) -> &'static str {
        "Branches"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion, DataFusionError>,
    ) -> Result<TreeNodeRecursion, DataFusionError> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        Self::over(children)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        Self::over(children)
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream, DataFusionError> {
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.schema(), 1);
        let (out, input) = (builder.tx(), Arc::clone(&self.input));
        builder.spawn(async move {
            for branch in 0..input.output_partitioning().partition_count() {
                let mut rows = input.execute(branch, Arc::clone(&context))?;
                while let Some(rows) = next(&mut rows).await {
                    // Nobody wants more: a limit is reached.
                    if out.send(Ok(rows?)).await.is_err() {
                        return Ok(());
                    }
                }
            }
            Ok(())
        });
        Ok(builder.build())
    }
}

/// Puts the branches of every union one after the other. Before all rules that look at partitions.
#[derive(Debug)]
pub(super) struct InOrder;

impl PhysicalOptimizerRule for InOrder {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let plan = plan.transform_up(|plan| {
            Ok(match plan.downcast_ref::<UnionExec>() {
                Some(_) => Transformed::yes(Arc::new(Branches::new(plan)) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(plan),
            })
        });
        plan.data()
    }

    fn name(&self) -> &str {
        "in_order"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The next rows of a stream.
pub(super) async fn next(stream: &mut SendableRecordBatchStream) -> Option<Result<RecordBatch, DataFusionError>> {
    std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await
}
