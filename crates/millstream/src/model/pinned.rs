//! The versions that one plan uses.
//!
//! Every statement plans with functions that look into its own `PinnedModels`. For a pipeline the crank takes the current versions
//! over before each epoch, and never within one; a query without streams keeps those it was planned with.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, ScalarUDF};
use parking_lot::RwLock;

use super::function::ModelFunction;
use super::registry::{ModelUse, ModelVersion, Models, RegisteredModel};

/// One model with the version in use.
#[derive(Clone, Debug)]
pub(crate) struct Pin {
    pub(crate) model: Arc<RegisteredModel>,
    pub(crate) version: Arc<ModelVersion>,
    /// The plan calls it.
    used: bool,
}

/// See the module's head. Cheap to clone; clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct PinnedModels(Arc<RwLock<BTreeMap<String, Pin>>>);

impl PinnedModels {
    /// All models in their current versions.
    pub(crate) fn of(models: &Models) -> Self {
        let pin = |model: Arc<RegisteredModel>| (model.name.clone(), Pin { version: model.current(), model, used: false });
        Self(Arc::new(RwLock::new(models.all().into_iter().map(pin).collect())))
    }

    pub(crate) fn get(&self, name: &str) -> Option<Pin> {
        self.0.read().get(name).cloned()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.read().keys().cloned().collect()
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Between two epochs: the current versions from now on.
    pub(crate) fn refresh(&self) {
        let outdated = |pin: &Pin| !Arc::ptr_eq(&pin.version, &pin.model.current());
        if !self.0.read().values().any(outdated) {
            return;
        }
        for pin in self.0.write().values_mut() {
            pin.version = pin.model.current();
        }
    }

    /// What a checkpoint says about the models: by name the version and its hash.
    pub(crate) fn manifest(&self) -> BTreeMap<String, serde_json::Value> {
        let entry = |pin: Pin| {
            let value = serde_json::json!({ "version": pin.version.number, "hash": pin.version.hash.to_string() });
            (pin.model.name.clone(), value)
        };
        self.used().into_iter().map(entry).collect()
    }

    /// Says to all models that the plan calls that this pipeline does.
    pub(crate) fn used_by(&self, pipeline: &str) -> Vec<ModelUse> {
        self.used().iter().map(|pin| pin.model.used_by(pipeline)).collect()
    }

    /// The models that the plan calls, with the versions in use.
    pub(crate) fn used(&self) -> Vec<Pin> {
        self.0.read().values().filter(|pin| pin.used).cloned().collect()
    }

    /// The plan with all its calls of models looking in here: those of a view were planned with the view.
    pub(crate) fn bind(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        if self.0.read().is_empty() {
            return Ok(plan);
        }
        let bound =
            plan.transform_down_with_subqueries(|node| node.map_expressions(|expr| expr.transform_down(|expr| Ok(self.bind_call(expr)))))?;
        Ok(bound.data)
    }

    fn bind_call(&self, expr: Expr) -> Transformed<Expr> {
        let Expr::ScalarFunction(call) = expr else { return Transformed::no(expr) };
        let Some(function) = call.func.inner().downcast_ref::<ModelFunction>() else {
            return Transformed::no(Expr::ScalarFunction(call));
        };
        if let Some(name) = function.model_of(&call.args)
            && let Some(pin) = self.0.write().get_mut(&name)
        {
            pin.used = true;
        }
        let func = Arc::new(ScalarUDF::from(function.looking_into(self)));
        Transformed::new(Expr::ScalarFunction(ScalarFunction { func, args: call.args }), true, TreeNodeRecursion::Continue)
    }
}

/// True if the expression calls a model.
pub(crate) fn calls_model(expr: &Expr) -> bool {
    let is_call = |expr: &Expr| matches!(expr, Expr::ScalarFunction(call) if call.func.inner().is::<ModelFunction>());
    expr.exists(|expr| Ok(is_call(expr))).unwrap_or(false)
}
