//! Arithmetic of whole numbers that never wraps: small ones are computed in 64 bits, and what does not fit these is an error.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::kernels::numeric::{add, mul, sub};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, DataFusionError, TableReference, internal_err};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, Projection,
    ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility, Window,
};
use datafusion::prelude::lit;

/// `+`, `-` or `*` of two int64 or two uint64.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Exact {
    op: Operator,
    signature: Signature,
}

impl Exact {
    fn of(op: Operator, left: Expr, right: Expr) -> Expr {
        let both = |of: DataType| TypeSignature::Exact(vec![of.clone(), of]);
        let signature = Signature::one_of(vec![both(DataType::Int64), both(DataType::UInt64)], Volatility::Immutable);
        ScalarUDF::new_from_impl(Self { op, signature }).call(vec![left, right])
    }
}

impl ScalarUDFImpl for Exact {
    fn name(&self) -> &str {
        match self.op {
            Operator::Plus => "exact_sum",
            Operator::Minus => "exact_difference",
            _ => "exact_product",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType, DataFusionError> {
        types.first().cloned().map_or_else(|| internal_err!("no operand"), Ok)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef, DataFusionError> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        let first = args.arg_fields.first().map(|field| field.data_type().clone());
        Ok(Arc::new(Field::new(self.name(), first.unwrap_or(DataType::Int64), nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let [left, right] = args.args.as_slice() else { return internal_err!("two operands are wanted") };
        let call = match self.op {
            Operator::Plus => add,
            Operator::Minus => sub,
            _ => mul,
        };
        // A scalar stays one, so that the kernels are fast.
        let scalar = |value: &datafusion::scalar::ScalarValue| value.to_scalar();
        let made: ArrayRef = match (left, right) {
            (ColumnarValue::Array(a), ColumnarValue::Array(b)) => call(a, b)?,
            (ColumnarValue::Array(a), ColumnarValue::Scalar(b)) => call(a, &scalar(b)?)?,
            (ColumnarValue::Scalar(a), ColumnarValue::Array(b)) => call(&scalar(a)?, b)?,
            (ColumnarValue::Scalar(a), ColumnarValue::Scalar(b)) => {
                let made = call(&scalar(a)?, &scalar(b)?)?;
                return Ok(ColumnarValue::Scalar(datafusion::scalar::ScalarValue::try_from_array(&made, 0)?));
            }
        };
        Ok(ColumnarValue::Array(made))
    }
}

/// Whether a function is arithmetic of this module, which is missing only where an operand is.
pub(super) fn is_exact(name: &str) -> bool {
    matches!(name, "exact_sum" | "exact_difference" | "exact_product")
}

/// All arithmetic of whole numbers in an expression as such that does not wrap.
pub(super) fn exact(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>, DataFusionError> {
    expr.transform_up(|expr| {
        let whole = |side: &Expr| side.get_type(schema).ok().filter(DataType::is_integer);
        let wide = |side: Expr, found: &DataType| match found {
            DataType::Int64 | DataType::UInt64 => side,
            _ => Expr::Cast(Cast::new(Box::new(side), DataType::Int64)),
        };
        let sides = match &expr {
            Expr::BinaryExpr(binary) => whole(&binary.left).zip(whole(&binary.right)),
            // A negation alone wraps at the least number.
            Expr::Negative(inner) if !matches!(**inner, Expr::Literal(..)) => Some(DataType::Int64).zip(whole(inner)),
            _ => None,
        };
        let Some((a, b)) = sides else { return Ok(Transformed::no(expr)) };
        let (left, op, right) = match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => (*left, op, *right),
            Expr::Negative(inner) => (lit(0_i64), Operator::Minus, *inner),
            other => return Ok(Transformed::no(other)),
        };
        // Of uint64 and signed numbers the engine makes decimals.
        let unsigned = [&a, &b].iter().filter(|side| ***side == DataType::UInt64).count();
        Ok(match op {
            Operator::Plus | Operator::Minus | Operator::Multiply if unsigned != 1 => {
                Transformed::yes(Exact::of(op, wide(left, &a), wide(right, &b)))
            }
            Operator::Divide | Operator::Modulo if unsigned == 0 => Transformed::yes(Expr::BinaryExpr(
                BinaryExpr::new(Box::new(wide(left, &a)), op, Box::new(wide(right, &b))),
            )),
            _ => Transformed::no(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))),
        })
    })
}

/// The same in all expressions of a query; sums that may be long in more digits.
pub(super) fn exact_in(plan: LogicalPlan, long_sums: bool) -> Result<LogicalPlan, DataFusionError> {
    let plan = plan.transform_up_with_subqueries(|plan| {
        let inputs = plan.inputs();
        if inputs.is_empty() {
            return Ok(Transformed::no(plan));
        }
        let schema = merge_schema(&inputs);
        let names = NamePreserver::new(&plan);
        let done = plan.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(exact(expr, &schema)?.update_data(|expr| name.restore(expr)))
        })?;
        // Types below may be others now.
        let plan = done.data.recompute_schema()?;
        Ok(Transformed::yes(if long_sums { summed(plan)? } else { plan }))
    });
    plan.data()
}

/// The sum of int64 or uint64 as one of more digits, and its type; nothing for other expressions.
fn wide_sum(expr: &Expr, schema: &DFSchema) -> Option<(Expr, DataType)> {
    let (name, argument) = match expr {
        Expr::Alias(alias) => return wide_sum(&alias.expr, schema),
        Expr::AggregateFunction(call) => (call.func.name(), call.params.args.first()?),
        Expr::WindowFunction(call) => (call.fun.name(), call.params.args.first()?),
        _ => return None,
    };
    let found = argument.get_type(schema).ok()?;
    if name != "sum" || !matches!(found, DataType::Int64 | DataType::UInt64) {
        return None;
    }
    let digits = |argument: &Expr| vec![Expr::Cast(Cast::new(Box::new(argument.clone()), DataType::Decimal128(20, 0)))];
    let wide = match expr.clone() {
        Expr::AggregateFunction(mut call) => {
            call.params.args = digits(argument);
            Expr::AggregateFunction(call)
        }
        Expr::WindowFunction(mut call) => {
            call.params.args = digits(argument);
            Expr::WindowFunction(call)
        }
        _ => return None,
    };
    Some((wide, found))
}

/// Sums of a plan in more digits, which are brought back to their type above it: one that does not fit fails there.
fn summed(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let computed = match &plan {
        LogicalPlan::Aggregate(aggregate) => &aggregate.aggr_expr,
        LogicalPlan::Window(window) => &window.window_expr,
        _ => return Ok(plan),
    };
    let Some(input) = plan.inputs().first().map(|input| input.schema().clone()) else { return Ok(plan) };
    let wide: Vec<Option<(Expr, DataType)>> = computed.iter().map(|expr| wide_sum(expr, &input)).collect();
    if wide.iter().all(Option::is_none) {
        return Ok(plan);
    }
    let fields: Vec<(Option<TableReference>, FieldRef)> =
        plan.schema().iter().map(|(table, field)| (table.cloned(), Arc::clone(field))).collect();
    let before = fields.len() - computed.len();
    let name = |at: usize| format!("\u{1}{}", fields[before + at].1.name());
    let made: Vec<Expr> = computed
        .iter()
        .zip(&wide)
        .enumerate()
        .map(|(at, (expr, wide))| wide.as_ref().map_or_else(|| expr.clone(), |(sum, _)| sum.clone().alias(name(at))))
        .collect();
    let inner = match plan {
        LogicalPlan::Aggregate(aggregate) => {
            LogicalPlan::Aggregate(Aggregate::try_new(aggregate.input, aggregate.group_expr, made)?)
        }
        LogicalPlan::Window(window) => LogicalPlan::Window(Window::try_new(made, window.input)?),
        other => return Ok(other),
    };
    let above = fields.iter().enumerate().map(|(at, (table, field))| {
        match at.checked_sub(before).and_then(|at| Some((at, wide[at].as_ref()?))) {
            Some((at, (_, found))) => {
                let column = Expr::Column(Column::new_unqualified(name(at)));
                Expr::Cast(Cast::new(Box::new(column), found.clone())).alias_qualified(table.clone(), field.name())
            }
            None => Expr::Column(Column::new(table.clone(), field.name())),
        }
    });
    Ok(LogicalPlan::Projection(Projection::try_new(above.collect(), Arc::new(inner))?))
}
