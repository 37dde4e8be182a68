//! The pipeline at hand: its file, its folder, its store, the programs beside this one.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use cache::Store;
use contract::kind::Kinds;
use schemas::{LoadOptions, Loaded};

use super::failure::Failure;

/// Which pipeline.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct FileArgs {
    /// The pipeline's file. Default: `pipeline.yaml` here or in the nearest folder above.
    #[arg(short, long, value_name = "FILE", global = false)]
    pub file: Option<PathBuf>,
    /// Lay one of the file's `profiles` over it.
    #[arg(short = 'p', long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Override a value: `--set vars.epochs=3`, `--set stages.model.batch_size=32`.
    #[arg(long = "set", value_name = "ROUTE=VALUE")]
    pub set: Vec<String>,
}

/// A pipeline file and its surroundings.
pub struct Project {
    /// The file, as found.
    pub file: PathBuf,
    /// The folder it stands in: relative paths start here.
    pub root: PathBuf,
    profile: Option<String>,
    /// The kinds.
    pub(super) registry: Arc<Kinds>,
}

impl Project {
    /// The pipeline named by `--file`, or the nearest one from here upwards.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(args: &FileArgs) -> Result<Self, Failure> {
        let file = match &args.file {
            Some(path) if path.is_dir() => in_folder(path).unwrap_or_else(|| path.join("pipeline.yaml")),
            Some(path) => path.clone(),
            None => nearest_file().ok_or_else(|| {
                Failure::user(
                    contract::code!("cli::no_pipeline"),
                    "there is no `pipeline.yaml` here or in any folder above",
                    "start one with `pipeline init`, or name a file with `--file`",
                )
            })?,
        };
        let absolute = std::path::absolute(&file).unwrap_or_else(|_| file.clone());
        let mut root = absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
        // Paths of a document that begin with the project's own are told by it, from wherever it is called.
        if root.components().any(|part| part == Component::ParentDir)
            && let Ok(real) = root.canonicalize()
        {
            root = real;
        }
        Ok(Self { file, root, profile: args.profile.clone(), registry: Arc::new(catalog::kinds()) })
    }

    /// As [`Project::find`], where the first positional argument may be the pipeline's file
    /// (`pipeline run pipeline.yaml`); it is then taken out of `names`.
    ///
    /// # Errors
    /// When there is no pipeline.
    pub fn find_with(args: &FileArgs, names: &mut Vec<String>) -> Result<Self, Failure> {
        if args.file.is_none()
            && let Some(first) = names.first()
            && (first.ends_with(".yaml") || first.ends_with(".yml") || Path::new(first).is_dir())
        {
            let file = PathBuf::from(names.remove(0));
            return Self::find(&FileArgs { file: Some(file), ..args.clone() });
        }
        Self::find(args)
    }

    /// Reads the file; faults are inside.
    pub fn read(&self, set: &[String]) -> Loaded {
        let options = LoadOptions { profile: self.profile.clone(), set: set.to_vec(), ..LoadOptions::default() };
        schemas::load(&self.file, &options, &self.registry)
    }

    /// Where the store is.
    pub fn store_folder(&self) -> PathBuf {
        self.root.join(".pipeline")
    }

    /// Opens the store.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn store(&self) -> Result<Arc<Store>, Failure> {
        Ok(Arc::new(Store::open(&self.store_folder())?))
    }
}

fn in_folder(folder: &Path) -> Option<PathBuf> {
    ["pipeline.yaml", "pipeline.yml"].into_iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

fn nearest_file() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    let found = here.ancestors().find_map(in_folder)?;
    // Shown as people would type it, where that is simple.
    Some(found.strip_prefix(&here).map(Path::to_path_buf).unwrap_or(found))
}
