//! What is wrong with the parameters of `collect` whatever the files hold.

use contract::fault::{Fault, Route};
use contract::route;

use super::params::{Collect, Delimited, Postgres, Source};
use super::source::{Place, is_url};
use crate::columns::pattern::entry_route;
use crate::params::on_error::OnError;
use crate::params::shape::OneOrMany;

/// Writes out the defaults that depend on other parameters, and finds what no schema can.
pub(super) fn settle(params: &mut Collect) -> Vec<Fault> {
    let mut faults = Vec::new();
    settle_source(&mut params.from, &route!["from"], &mut faults);
    settle_s3(params, &mut faults);
    settle_fill(&params.from, params.on_error, &mut faults);
    for (name, options) in &params.columns {
        if options.unit.as_ref().is_some_and(|unit| unit.trim().is_empty()) {
            faults.push(
                Fault::error(contract::code!("collect::unit"), format!("the unit of `{name}` is empty"))
                    .help("write what its numbers are counted in, such as `mile`, or leave `unit` out")
                    .at(route!["columns", name.as_str(), "unit"]),
            );
        }
    }
    if let Some(annotators) = &params.annotators
        && annotators.columns.0.is_empty()
    {
        faults.push(
            Fault::error(contract::code!("collect::no_annotator"), "no column of an annotator is named")
                .help("name them, or a pattern: `columns: rater_*`")
                .at(route!["annotators", "columns"]),
        );
    }
    faults
}

/// An address must be one.
fn settle_s3(params: &Collect, faults: &mut Vec<Fault>) {
    let Some(s3) = &params.s3 else { return };
    let good = |endpoint: &&String| {
        let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
        host.is_some_and(|host| !host.is_empty() && !host.contains(['@', '?', '#']))
    };
    if s3.endpoint.as_ref().filter(|endpoint| !good(endpoint)).is_some() {
        faults.push(
            Fault::error(contract::code!("collect::url"), "`endpoint` is not the address of a store")
                .help("it looks like `https://minio.example.org:9000`; credentials belong into the environment")
                .at(route!["s3", "endpoint"]),
        );
    }
}

/// Pixels are a tensor, and no cell of a tensor is missing.
fn settle_fill(source: &Source, on_error: OnError, faults: &mut Vec<Fault>) {
    match source {
        Source::Concat(sources) => sources.iter().for_each(|source| settle_fill(source, on_error, faults)),
        Source::Join(join) => join.sources.iter().for_each(|source| settle_fill(source, on_error, faults)),
        Source::Images(images) if on_error == OnError::Fill && images.0.decode => faults.push(
            Fault::error(
                contract::code!("collect::fill_images"),
                "an image that cannot be read cannot be filled: pixels are never missing",
            )
            .help("write `on_error: reject`, which leaves such images out, or `decode: false` to keep their bytes")
            .at(route!["on_error"]),
        ),
        _ => {}
    }
}

fn settle_source(source: &mut Source, at: &Route, faults: &mut Vec<Fault>) {
    let base = at.join(source.name());
    match source {
        Source::Csv(options) => settle_delimited(&mut options.0, ",", &base, faults),
        Source::Tsv(options) => settle_delimited(&mut options.0, "\t", &base, faults),
        Source::Texts(options) => settle_encoding(options.0.encoding.as_deref(), &base, faults),
        Source::Sqlite(options) if options.query.trim().is_empty() => faults.push(
            Fault::error(contract::code!("collect::no_query"), "`query` is empty")
                .help("write a `select`, for example `select * from measurements`")
                .at(base.join("query")),
        ),
        Source::Postgres(postgres) => settle_postgres(postgres, &base, faults),
        Source::Concat(sources) => settle_all(sources, &base, faults),
        Source::Join(join) => {
            if join.on.0.is_empty() {
                faults.push(
                    Fault::error(contract::code!("collect::no_key"), "no key column is named")
                        .help("name the columns that must be equal: `on: id`")
                        .at(base.join("on")),
                );
            }
            settle_all(&mut join.sources, &base.join("sources"), faults);
        }
        _ => {}
    }
    if let Some(paths) = source.paths() {
        faults.extend(no_path(paths, &base));
    }
    settle_digests(source, &base, faults);
}

fn settle_all(sources: &mut [Source], at: &Route, faults: &mut Vec<Fault>) {
    if sources.len() < 2 {
        faults.push(
            Fault::error(contract::code!("collect::one_source"), "several sources are wanted here")
                .help("list two or more, as in `concat: [{ csv: a.csv }, { jsonl: b.jsonl }]`, or name the one under `from:`")
                .at(at.clone()),
        );
    }
    for (index, source) in sources.iter_mut().enumerate() {
        settle_source(source, &at.join(index), faults);
    }
}

fn settle_postgres(options: &Postgres, base: &Route, faults: &mut Vec<Fault>) {
    if options.query.trim().is_empty() {
        faults.push(
            Fault::error(contract::code!("collect::no_query"), "`query` is empty")
                .help("write a `select`, for example `select * from measurements order by id`")
                .at(base.join("query")),
        );
    }
    for (key, text) in [("host", &options.host), ("database", &options.database), ("user", &options.user)] {
        if text.trim().is_empty() || (key == "host" && text.contains("://")) {
            faults.push(
                Fault::error(contract::code!("collect::database"), format!("`{key}` does not name one"))
                    .help("as in `postgres: { host: db.example.org, database: shop, user: reader, query: ... }`")
                    .at(base.join(key)),
            );
        }
    }
    let name = &options.password_env;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        faults.push(
            Fault::error(
                contract::code!("collect::password"),
                "`password_env` is not the name of an environment variable",
            )
            .help("name the variable that holds the password, not the password: `password_env: SHOP_PASSWORD`")
            .at(base.join("password_env")),
        );
    }
}

/// Digests are declared for all URLs or for none, and addresses hold no secrets.
fn settle_digests(source: &Source, base: &Route, faults: &mut Vec<Fault>) {
    let urls = source.paths().map_or(0, |paths| paths.iter().filter(|path| is_url(path)).count());
    let digests = source.digests();
    for (index, digest) in digests.iter().enumerate() {
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            faults.push(
                Fault::error(
                    contract::code!("collect::digest"),
                    format!("`{digest}` is not `sha256:` and 64 hex digits"),
                )
                .help("`sha256sum FILE` prints them")
                .at(base.join("digest").join(index)),
            );
        }
    }
    if urls != digests.len() && !digests.is_empty() {
        faults.push(
            Fault::error(contract::code!("collect::digest"), format!("{urls} URLs have {} digests", digests.len()))
                .help("declare the content of every URL or of none: `{ path: https://..., digest: sha256:... }`; `sha256sum` prints it")
                .at(base.join("digest")),
        );
    }
    for Place { path, at, listed, .. } in source.places(base) {
        if is_url(path) {
            let host = path.split('/').nth(2).unwrap_or_default();
            if host.contains('@') || host.is_empty() {
                faults.push(
                    Fault::error(contract::code!("collect::url"), "a URL has no server, or a user and a password in it")
                        .help("secrets do not belong into a pipeline; files that need a login are fetched by a `command` stage")
                        .at(at),
                );
            }
        } else if let Some(rest) = path.strip_prefix("s3://") {
            let (bucket, key) = rest.split_once('/').unwrap_or_default();
            if bucket.is_empty() || bucket.contains(['*', '?', '@', ':']) || key.is_empty() {
                faults.push(
                    Fault::error(
                        contract::code!("collect::url"),
                        format!("`{path}` does not name a bucket and objects in it"),
                    )
                    .help("write `s3://bucket/folder/*.csv`; the store's address is said under `s3: { endpoint: ... }`")
                    .at(at),
                );
            } else if !listed && (key.contains(['*', '?']) || key.ends_with('/')) {
                let help = match source {
                    Source::Images(_) | Source::Texts(_) => {
                        "pack the folder (`.zip`, `.tar.zst`) and name that one object"
                    }
                    _ => "name one object",
                };
                faults.push(
                    Fault::error(
                        contract::code!("collect::url"),
                        format!("`{path}` names many objects, and `{}` reads one", source.name()),
                    )
                    .help(help)
                    .at(at),
                );
            }
        }
    }
}

fn settle_encoding(encoding: Option<&str>, base: &Route, faults: &mut Vec<Fault>) {
    if let Some(name) = encoding
        && name.trim().is_empty()
    {
        faults.push(
            Fault::error(contract::code!("collect::encoding"), "`encoding` is empty")
                .help("name one, such as `latin-1`, or leave it out for UTF-8")
                .at(base.join("encoding")),
        );
    }
}

fn settle_delimited(options: &mut Delimited, default: &str, base: &Route, faults: &mut Vec<Fault>) {
    settle_encoding(options.encoding.as_deref(), base, faults);
    let delimiter = options.delimiter.get_or_insert_with(|| default.to_owned()).clone();
    for (key, what) in [("delimiter", &delimiter), ("quote", &options.quote)] {
        if what.len() != 1 || what.starts_with(['\n', '\r']) {
            faults.push(
                Fault::error(
                    contract::code!("collect::separator"),
                    format!("`{key}` is {what:?}, which is not one ASCII character"),
                )
                .help(format!(
                    "use a single character of one byte, such as {}",
                    if key == "quote" { "`'`" } else { "`;`" }
                ))
                .at(base.join(key)),
            );
        }
    }
    if delimiter == options.quote {
        faults.push(
            Fault::error(
                contract::code!("collect::separator"),
                format!("`delimiter` and `quote` are both {delimiter:?}"),
            )
            .help("a field could not be told from a quoted one: choose another `quote`")
            .at(base.join("quote")),
        );
    }
}

fn no_path(paths: &OneOrMany<String>, base: &Route) -> Vec<Fault> {
    let at = base.join("path");
    let mut faults = Vec::new();
    if paths.0.is_empty() {
        faults.push(
            Fault::error(contract::code!("collect::no_path"), "no file is named")
                .help("name at least one file")
                .at(at.clone()),
        );
    }
    for (index, path) in paths.iter().enumerate() {
        if path.trim().is_empty() {
            faults.push(
                Fault::error(contract::code!("collect::no_path"), "a path is empty")
                    .help("name a file")
                    .at(entry_route(paths, index, &at)),
            );
        }
    }
    faults
}
