//! The paths of sources: which files they are, what each is called, what of them enters a key.

use contract::fault::Route;
use contract::kind::FileInput;
use contract::remote::is_remote;
use contract::route;
use serde_json::Value;

use super::params::{Delimited, Postgres, S3, Source};
use crate::columns::pattern::entry_route;
use crate::params::shape::OneOrMany;

/// Whether a path is a URL: one whose content can be declared.
pub fn is_url(path: &str) -> bool {
    path.starts_with("https://") || path.starts_with("http://")
}

/// The role of one of several paths: their order is the order of rows, so it is part of it.
pub fn path_role(paths: usize, index: usize) -> String {
    if paths == 1 { "data".to_owned() } else { format!("data.{index:06}") }
}

/// Takes the paths out of a source's canonical parameters, wherever they are in it.
pub(super) fn strip(source: &mut Value) {
    let Some((name, options)) = source.as_object_mut().and_then(|source| source.iter_mut().next()) else { return };
    match (name.as_str(), options) {
        ("concat", Value::Array(sources)) => sources.iter_mut().for_each(strip),
        ("join", options) => {
            options["sources"].as_array_mut().into_iter().flatten().for_each(strip);
        }
        (_, Value::Object(options)) => {
            let path = options.remove("path");
            options.remove("images");
            // How one gets in is not what one gets.
            options.remove("password_env");
            options.remove("tls");
            if let Some(labels) = options.get_mut("labels") {
                match labels {
                    Value::Object(labels) => drop(labels.remove("path")),
                    _ => drop(options.remove("labels")),
                }
            }
            let paths: Vec<Value> = match path {
                Some(Value::Array(paths)) => paths,
                Some(one) => vec![one],
                None => Vec::new(),
            };
            let folders: Vec<Value> = paths
                .iter()
                .filter_map(Value::as_str)
                .map(|path| Value::Array(fixed_partitions(path).into_iter().map(Value::String).collect()))
                .collect();
            if folders.iter().any(|folders| folders.as_array().is_some_and(|folders| !folders.is_empty())) {
                options.insert("partitions".into(), Value::Array(folders));
            }
        }
        _ => {}
    }
}

/// The folders like `year=2024` in a path (which may name a folder itself), before its first wildcard.
pub(super) fn fixed_partitions(path: &str) -> Vec<String> {
    path.split('/')
        .take_while(|part| !part.contains(['*', '?']))
        .filter(|part| part.split_once('=').is_some_and(|(key, _)| !key.is_empty()))
        .map(str::to_owned)
        .collect()
}

/// Where the files of the `index`-th of several sources begin their roles.
pub fn nested_role(prefix: &str, index: usize) -> String {
    format!("{prefix}{index:03}/")
}

pub(super) fn nested(source: &Source, at: &Route) -> Option<(Vec<Source>, Route)> {
    match source {
        Source::Concat(sources) => Some((sources.clone(), at.join("concat"))),
        Source::Join(join) => Some((join.sources.clone(), at.join("join").join("sources"))),
        _ => None,
    }
}

pub(super) fn formats_of(source: &Source, prefix: &str, formats: &mut Vec<(String, &'static str)>) {
    match source {
        Source::Images(_) | Source::Texts(_) | Source::Sqlite(_) | Source::Postgres(_) => {}
        Source::Npy(_) | Source::Npz(_) => {}
        _ => match nested(source, &route![]) {
            Some((sources, _)) => sources
                .iter()
                .enumerate()
                .for_each(|(index, source)| formats_of(source, &nested_role(prefix, index), formats)),
            None => formats.push((prefix.to_owned(), source.name())),
        },
    }
}

pub(super) fn files_of(source: &Source, s3: Option<&S3>, prefix: &str, at: &Route, files: &mut Vec<FileInput>) {
    if let Some((sources, at)) = nested(source, at) {
        for (index, source) in sources.iter().enumerate() {
            files_of(source, s3, &nested_role(prefix, index), &at.join(index), files);
        }
        return;
    }
    let base = at.join(source.name());
    if let Source::Postgres(Postgres { host, port, database, user, query, .. }) = source {
        let path = format!("postgres://{user}@{host}:{port}/{database}#{query}");
        files.push(FileInput { role: format!("{prefix}answer"), path, glob: false, route: base.join("query") });
    }
    let declared = !source.digests().is_empty();
    let outside = source.places(&base).into_iter().filter(|place| !(declared && place.listed && is_url(place.path)));
    files.extend(outside.map(|place| FileInput {
        role: format!("{prefix}{}", place.role),
        path: elsewhere(place.path, s3),
        glob: place.listed && place.path.contains(['*', '?']) && !is_remote(place.path),
        route: place.at,
    }));
}

/// A path with everything that tells which source it is: the same bucket's name may be in two stores.
pub(super) fn elsewhere(path: &str, s3: Option<&S3>) -> String {
    let Some(s3) = s3.filter(|_| path.starts_with("s3://")) else { return path.to_owned() };
    let said = |value: &Option<String>| value.clone().unwrap_or_default();
    format!("{path}#{} {}", said(&s3.endpoint), said(&s3.region))
}

/// Whether anything of a source is fetched from elsewhere.
pub(super) fn remote(source: &Source) -> bool {
    match source {
        Source::Concat(sources) => sources.iter().any(remote),
        Source::Join(join) => join.sources.iter().any(remote),
        Source::Postgres(_) => true,
        _ => any_path(source, &is_remote),
    }
}

/// A path in the options of a source.
#[derive(Debug)]
pub struct Place<'a> {
    /// What its file is called among those of the source.
    pub role: String,
    /// A path, a URL, an object.
    pub path: &'a str,
    /// Where it is written.
    pub at: Route,
    /// Whether it is one of [`Source::paths`]: then it may be a pattern or a folder, and a URL may have a digest.
    pub listed: bool,
}

impl Source {
    /// Every path it reads, in order; `base` is where its options are written.
    pub fn places(&self, base: &Route) -> Vec<Place<'_>> {
        let mut places = Vec::new();
        if let Some(paths) = self.paths() {
            let at = base.join("path");
            places.extend(paths.iter().enumerate().map(|(index, path)| Place {
                role: path_role(paths.0.len(), index),
                path,
                at: entry_route(paths, index, &at),
                listed: true,
            }));
        }
        let single: Vec<(&str, &String, &str)> = match self {
            Self::Idx(idx) => {
                let labels = idx.labels.iter().map(|path| ("labels", path, "labels"));
                std::iter::once(("images", &idx.images, "images")).chain(labels).collect()
            }
            Self::Images(images) => {
                let labels = images.0.labels.iter().map(|labels| ("labels", &labels.0.path, "labels"));
                std::iter::once(("images", &images.0.path, "path")).chain(labels).collect()
            }
            Self::Texts(texts) => vec![("texts", &texts.0.path, "path")],
            Self::Sqlite(sqlite) => vec![("database", &sqlite.path, "path")],
            Self::Npy(npy) => npy.0.labels.iter().map(|path| ("labels", path, "labels")).collect(),
            _ => Vec::new(),
        };
        places.extend(single.into_iter().map(|(role, path, key)| Place {
            role: role.to_owned(),
            path,
            at: base.join(key),
            listed: false,
        }));
        places
    }

    /// The name it has under `from:`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Csv(_) => "csv",
            Self::Tsv(_) => "tsv",
            Self::Jsonl(_) => "jsonl",
            Self::Parquet(_) => "parquet",
            Self::Arrow(_) => "arrow",
            Self::Idx(_) => "idx",
            Self::Images(_) => "images",
            Self::Texts(_) => "texts",
            Self::Npy(_) => "npy",
            Self::Npz(_) => "npz",
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
            Self::Concat(_) => "concat",
            Self::Join(_) => "join",
        }
    }

    /// The files it reads rows from, one below the other; `None` for sources of another make.
    pub fn paths(&self) -> Option<&OneOrMany<String>> {
        Some(match self {
            Self::Csv(options) | Self::Tsv(options) => &options.0.path,
            Self::Jsonl(files) | Self::Arrow(files) => &files.0.path,
            Self::Npz(files) => &files.0.path,
            Self::Parquet(files) => &files.0.path,
            Self::Npy(files) => &files.0.path,
            _ => return None,
        })
    }

    /// What URLs are declared to hold, in their order.
    pub fn digests(&self) -> &[String] {
        let digests = match self {
            Self::Csv(options) | Self::Tsv(options) => options.0.digest.as_ref(),
            Self::Jsonl(files) | Self::Arrow(files) => files.0.digest.as_ref(),
            Self::Npz(files) => files.0.digest.as_ref(),
            Self::Parquet(files) => files.0.digest.as_ref(),
            Self::Npy(files) => files.0.digest.as_ref(),
            _ => None,
        };
        digests.map_or(&[], |digests| digests.0.as_slice())
    }

    /// Which files of an archive are wanted.
    pub fn inside(&self) -> Option<&OneOrMany<String>> {
        match self {
            Self::Csv(options) | Self::Tsv(options) => options.0.inside.as_ref(),
            Self::Jsonl(files) | Self::Arrow(files) => files.0.inside.as_ref(),
            Self::Npz(files) => files.0.inside.as_ref(),
            Self::Parquet(files) => files.0.inside.as_ref(),
            Self::Npy(files) => files.0.inside.as_ref(),
            _ => None,
        }
    }
}

/// The delimiter and the quote as bytes, once [`Kind::stage`] has settled them.
pub fn separators(options: &Delimited, default: u8) -> (u8, u8) {
    let byte = |text: &str| text.as_bytes().first().copied();
    (options.delimiter.as_deref().and_then(byte).unwrap_or(default), byte(&options.quote).unwrap_or(b'"'))
}

/// Whether a path of a source, or of those in it, is as wanted.
pub(super) fn any_path(source: &Source, wanted: &dyn Fn(&str) -> bool) -> bool {
    match source {
        Source::Concat(sources) => sources.iter().any(|source| any_path(source, wanted)),
        Source::Join(join) => join.sources.iter().any(|source| any_path(source, wanted)),
        _ => source.places(&Route::root()).iter().any(|place| wanted(place.path)),
    }
}
