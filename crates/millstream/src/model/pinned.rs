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
pub(crate) struct PinnedModels(Arc<RwLock<Pins>>);

#[derive(Debug, Default)]
struct Pins {
    by_name: BTreeMap<String, Pin>,
    /// After a restart, until a checkpoint is sealed: the current versions that are not to be used yet, because the checkpoint before
    /// it was made with others.
    held: BTreeMap<String, Arc<ModelVersion>>,
}

impl Pins {
    /// The version to use from now on, if that is another one.
    fn next(&self, name: &str, pin: &Pin) -> Option<Arc<ModelVersion>> {
        let current = pin.model.current();
        let held = self.held.get(name).is_some_and(|held| Arc::ptr_eq(held, &current));
        (!held && !Arc::ptr_eq(&pin.version, &current)).then_some(current)
    }
}

impl PinnedModels {
    /// All models in their current versions.
    pub(crate) fn of(models: &Models) -> Self {
        let pin = |model: Arc<RegisteredModel>| (model.name.clone(), Pin { version: model.current(), model, used: false });
        Self(Arc::new(RwLock::new(Pins { by_name: models.all().into_iter().map(pin).collect(), held: BTreeMap::new() })))
    }

    pub(crate) fn get(&self, name: &str) -> Option<Pin> {
        self.0.read().by_name.get(name).cloned()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.read().by_name.keys().cloned().collect()
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Between two epochs: the current versions from now on.
    pub(crate) fn refresh(&self) {
        let next: Vec<(String, Arc<ModelVersion>)> = {
            let pins = self.0.read();
            pins.by_name.iter().filter_map(|(name, pin)| Some((name.clone(), pins.next(name, pin)?))).collect()
        };
        if next.is_empty() {
            return;
        }
        let mut pins = self.0.write();
        for (name, version) in next {
            pins.by_name.entry(name).and_modify(|pin| pin.version = version);
        }
    }

    /// After a restart: the versions of the checkpoint that the pipeline goes on from, until it has sealed one of its own or a statement
    /// asks for another. Rows that are read again are predicted as they were, whatever has become the current version since.
    pub(crate) fn go_on_with(&self, manifest: &BTreeMap<String, serde_json::Value>) -> crate::error::Result<()> {
        let mut pins = self.0.write();
        let pins = &mut *pins;
        for (name, entry) in manifest {
            // A model that is called no more.
            let (Some(pin), Some(hash)) = (pins.by_name.get_mut(name), entry["hash"].as_str()) else { continue };
            // What a learner had learned then is not kept: it goes on with what it knows now.
            if pin.model.learns() {
                continue;
            }
            let number = entry["version"].as_u64();
            let same = |version: &&Arc<ModelVersion>| Some(version.number) == number && version.hash.to_string() == hash;
            let versions = pin.model.versions();
            let Some(version) = versions.iter().find(same) else {
                let number = number.map_or_else(|| "?".to_owned(), |number| number.to_string());
                return Err(crate::error::Error::user(
                    "XX001",
                    format!(
                        "the checkpoint was made with version {number} of model {name} (sha256 {hash}), which is not there (hint: RESTORE                          PIPELINE from another checkpoint, or drop the pipeline and start it again)"
                    ),
                ));
            };
            pin.version = Arc::clone(version);
            let current = pin.model.current();
            pins.held.insert(name.clone(), current);
        }
        Ok(())
    }

    /// A checkpoint names the versions: from the next epoch on the current ones are used.
    pub(crate) fn release(&self) {
        if !self.0.read().held.is_empty() {
            self.0.write().held.clear();
        }
    }

    /// What a checkpoint says about the models: by name the version and its hash.
    pub(crate) fn manifest(&self) -> BTreeMap<String, serde_json::Value> {
        let entry = |pin: Pin| {
            let mut value = serde_json::json!({ "version": pin.version.number, "hash": pin.version.hash.to_string() });
            if let Some(tokenizer) = pin.version.tokenizer {
                value["tokenizer"] = tokenizer.to_string().into();
            }
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
        self.0.read().by_name.values().filter(|pin| pin.used).cloned().collect()
    }

    /// The plan with all its calls of models looking in here: those of a view were planned with the view.
    pub(crate) fn bind(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        if self.0.read().by_name.is_empty() {
            return Ok(plan);
        }
        let bound =
            plan.transform_down_with_subqueries(|node| node.map_expressions(|expr| expr.transform_down(|expr| Ok(self.bind_call(expr)))))?;
        Ok(bound.data)
    }

    /// The expression with all its calls of models looking in here: that of a computed column was planned with its table.
    pub(crate) fn bind_expr(&self, expr: Expr) -> Result<Expr> {
        Ok(expr.transform_down(|expr| Ok(self.bind_call(expr)))?.data)
    }

    fn bind_call(&self, expr: Expr) -> Transformed<Expr> {
        let Expr::ScalarFunction(call) = expr else { return Transformed::no(expr) };
        let Some(function) = call.func.inner().downcast_ref::<ModelFunction>() else {
            return Transformed::no(Expr::ScalarFunction(call));
        };
        if let Some(name) = function.model_of(&call.args)
            && let Some(pin) = self.0.write().by_name.get_mut(&name)
        {
            pin.used = true;
        }
        let func = Arc::new(ScalarUDF::from(function.looking_into(self)));
        Transformed::new(Expr::ScalarFunction(ScalarFunction { func, args: call.args }), true, TreeNodeRecursion::Continue)
    }
}

/// True if the expression calls a model; one of this name, where there is one.
pub(crate) fn calls_model(expr: &Expr, name: Option<&str>) -> bool {
    let is_call = |expr: &Expr| {
        let Expr::ScalarFunction(call) = expr else { return false };
        let Some(function) = call.func.inner().downcast_ref::<ModelFunction>() else { return false };
        name.is_none_or(|name| function.model_of(&call.args).is_some_and(|model| model == name))
    };
    expr.exists(|expr| Ok(is_call(expr))).unwrap_or(false)
}
