//! Paths into structs: `user.id`, `user['id']`, to any depth.
//!
//! Owns `get_field` in the form used here. DataFusion's own hands out the inner column as it lies there; Arrow allows
//! values to lie under a struct that is null, and those must not come to light. So the nulls of every struct on the way
//! are laid over the answer.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, make_array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{DFSchema, Result, ScalarValue, TableReference, exec_err, plan_err};
use datafusion_expr::planner::{ExprPlanner, PlannerResult, RawFieldAccessExpr};
use datafusion_expr::{
    ColumnarValue, Expr, GetFieldAccess, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit,
};

use super::names::missing_field;
use super::output;

/// The function `get_field(struct, 'name')`.
pub(super) fn get_field() -> Arc<ScalarUDF> {
    static GET_FIELD: LazyLock<Arc<ScalarUDF>> =
        LazyLock::new(|| Arc::new(ScalarUDF::from(GetField { signature: Signature::any(2, Volatility::Immutable) })));
    GET_FIELD.clone()
}

/// Plans dots and brackets as calls of [`get_field`].
#[derive(Debug)]
pub(super) struct PathPlanner;

impl ExprPlanner for PathPlanner {
    fn plan_compound_identifier(
        &self,
        field: &Field,
        qualifier: Option<&TableReference>,
        nested_names: &[String],
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let column = Expr::Column(datafusion_common::Column::from((qualifier, field)));
        let path = nested_names.iter().fold(column, |of, name| get_field().call(vec![of, lit(name.clone())]));
        Ok(PlannerResult::Planned(path))
    }

    fn plan_field_access(&self, access: RawFieldAccessExpr, _: &DFSchema) -> Result<PlannerResult<RawFieldAccessExpr>> {
        match access.field_access {
            GetFieldAccess::NamedStructField { name } => {
                Ok(PlannerResult::Planned(get_field().call(vec![access.expr, lit(name)])))
            }
            _ => plan_err!("elements of a list cannot be taken one by one; brackets take the name of a field: a['b']"),
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct GetField {
    signature: Signature,
}

impl ScalarUDFImpl for GetField {
    fn name(&self) -> &str {
        "get_field"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        plan_err!("the type of a field depends on its name")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let of = &args.arg_fields[0];
        let Some(name) = args.scalar_arguments[1].and_then(|name| name.try_as_str().flatten()) else {
            return plan_err!("the name of a field has to be written out: a['b']");
        };
        let DataType::Struct(fields) = of.data_type() else {
            return plan_err!("`{}` has no field `{name}`: it is {}", of.name(), output::name(of.data_type()));
        };
        match fields.iter().find(|field| field.name() == name) {
            Some(field) => {
                let nullable = of.is_nullable() || field.is_nullable();
                Ok(Arc::new(Field::new(name, field.data_type().clone(), nullable)))
            }
            None => plan_err!("{}", missing_field(of.name(), fields, name)),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let ColumnarValue::Scalar(name) = &args.args[1] else {
            return exec_err!("the name of a field has to be written out");
        };
        let name = name.try_as_str().flatten().unwrap_or_default();
        match &args.args[0] {
            ColumnarValue::Array(of) => Ok(ColumnarValue::Array(field_of(of, name)?)),
            ColumnarValue::Scalar(of) => {
                let field = field_of(&of.to_array()?, name)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&field, 0)?))
            }
        }
    }
}

fn field_of(of: &ArrayRef, name: &str) -> Result<ArrayRef> {
    let Some(of) = of.as_struct_opt() else { return exec_err!("there is no field `{name}` in {}", of.data_type()) };
    let Some(inner) = of.column_by_name(name) else { return exec_err!("the struct has no field `{name}`") };
    if of.null_count() == 0 || inner.data_type() == &DataType::Null {
        return Ok(inner.clone());
    }
    let nulls = NullBuffer::union(of.nulls(), inner.nulls());
    Ok(make_array(inner.to_data().into_builder().nulls(nulls).build()?))
}
