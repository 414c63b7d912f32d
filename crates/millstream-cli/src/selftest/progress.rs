//! How far the pipelines have come: no life of the program may fall behind the one before.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::pipelines::PIPELINES;
use super::scenario::Scenario;

/// What is durable after a life.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The newest manifest of every pipeline's folder.
    manifests: BTreeMap<PathBuf, u64>,
    /// Bytes that readers of all sinks see.
    published: u64,
}

impl Progress {
    pub(super) fn of(scenario: &Scenario) -> Result<Self, String> {
        let mut published = 0;
        for pipeline in PIPELINES {
            for file in scenario.published_files(pipeline)? {
                published += fs::metadata(&file).map_err(|error| format!("{}: {error}", file.display()))?.len();
            }
        }
        let folders = scenario.data().join("pipelines");
        let mut manifests = BTreeMap::new();
        // Before the first pipeline there is none.
        for folder in fs::read_dir(&folders).into_iter().flatten() {
            let folder = folder.map_err(|error| error.to_string())?.path();
            let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
            let newest = names.filter_map(|name| name.strip_prefix("manifest-")?.strip_suffix(".json")?.parse().ok()).max();
            manifests.insert(folder, newest.unwrap_or_default());
        }
        Ok(Self { manifests, published })
    }

    /// Itself, unless it has fallen behind `before`.
    pub(super) fn after(self, before: &Self) -> Result<Self, String> {
        if self.published < before.published {
            return Err(format!("published rows have gone: {} bytes were there, {} are", before.published, self.published));
        }
        for (folder, newest) in &before.manifests {
            let now = self.manifests.get(folder).copied().unwrap_or_default();
            if now < *newest {
                return Err(format!("{} went back from checkpoint {newest} to {now}", folder.display()));
            }
        }
        Ok(self)
    }

    /// True if readers see more.
    pub(super) fn is_further_than(&self, before: &Self) -> bool {
        self.published > before.published
    }
}
