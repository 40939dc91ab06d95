//! The functions that an expression can call, and what the planner asks besides. Built once, on first use.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::config::ConfigOptions;
use datafusion_common::datatype::DataTypeExt;
use datafusion_common::{Result, TableReference, plan_err};
use datafusion_expr::planner::{ContextProvider, ExprPlanner, TypePlanner};
use datafusion_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};
use datafusion_functions::core::planner::CoreFunctionPlanner;
use datafusion_functions::datetime::planner::DatetimeFunctionPlanner;
use datafusion_functions::unicode::planner::UnicodeFunctionPlanner;
use datafusion_sql::sqlparser::ast::DataType as SqlType;
use millstream_operators::Kind;

use super::path::{PathPlanner, get_field};
use crate::functions;

/// Everything that names can mean.
pub(super) static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);

pub(super) struct Registry {
    functions: BTreeMap<String, Arc<ScalarUDF>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
    types: Arc<dyn TypePlanner>,
    options: Arc<ConfigOptions>,
}

impl Registry {
    fn new() -> Self {
        let mut functions = BTreeMap::new();
        // Later ones replace earlier ones of the same name: ours go last.
        for function in
            datafusion_functions::all_default_functions().into_iter().chain([get_field()]).chain(functions::register())
        {
            for name in function.aliases() {
                functions.insert(name.to_lowercase(), function.clone());
            }
            functions.insert(function.name().to_lowercase(), function);
        }
        Registry {
            functions,
            planners: vec![
                Arc::new(PathPlanner),
                Arc::new(CoreFunctionPlanner::default()),
                Arc::new(DatetimeFunctionPlanner),
                Arc::new(UnicodeFunctionPlanner),
            ],
            types: Arc::new(OurTypes),
            options: Arc::new(ConfigOptions::default()),
        }
    }

    /// The function of that name, in lower case.
    pub(super) fn function(&self, name: &str) -> Option<&Arc<ScalarUDF>> {
        self.functions.get(name)
    }

    /// The names of all functions.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    pub(super) fn shared_options(&self) -> Arc<ConfigOptions> {
        self.options.clone()
    }
}

impl ContextProvider for Registry {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        plan_err!("there are no tables in an expression: {name}")
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(self.types.clone())
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.function(name).cloned()
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, _: &str) -> Option<Arc<AggregateUDF>> {
        None
    }

    fn get_window_meta(&self, _: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        self.functions.keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The types of `[schema]` as the target of a cast, by the names they have there. `timestamp` most of all: SQL's planner
/// would make it nanoseconds, which end in 2262.
#[derive(Debug)]
struct OurTypes;

impl TypePlanner for OurTypes {
    fn plan_type_field(&self, sql: &SqlType) -> Result<Option<FieldRef>> {
        let kind = match sql {
            SqlType::Timestamp(_, _) | SqlType::Datetime(_) => Kind::Timestamp,
            SqlType::String(_) | SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) => Kind::String,
            SqlType::Int32 => Kind::Int32,
            SqlType::Int64 => Kind::Int64,
            SqlType::Float64 => Kind::Float64,
            SqlType::Bool => Kind::Bool,
            SqlType::Binary(_) => Kind::Binary,
            _ => return Ok(None),
        };
        Ok(Some(kind.data_type().into_nullable_field_ref()))
    }
}
