//! Objects of S3-compatible stores.
//!
//! Which objects a pattern means, and in which state they are (entity tag, size), is asked before a run; what is fetched must be in that
//! state. Credentials come from the environment (`AWS_ACCESS_KEY_ID` ...) and go nowhere but to the store; without any, requests
//! are not signed, as public buckets want it.

use std::fs::OpenOptions;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use catalog::kinds::collect::params::S3;
use contract::fault::{Code, Fault, Faults, Route};
use contract::natural::natural;
use contract::pattern::Pattern;
use contract::remote::Seen;
use contract::worker::Channel;
use contract::worker::protocol::{InputFile, Progress};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig};
use serde::{Deserialize, Serialize};

use super::downloads::Shelf;
use crate::fault::{Outcome, kernel, reason, unwritable};

/// So many bytes come at a time.
const PIECE: u64 = 8 << 20;
/// So often a request is tried again.
const RETRIES: usize = 5;
/// No request, with all that is tried again, takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many objects may match.
const OBJECTS: usize = 1 << 20;

/// An object in the state in which it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its name in the bucket.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Changes with the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Of a store without entity tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
}

/// A bucket, and what of it is wanted.
pub struct Bucket<'a> {
    store: AmazonS3,
    address: S3,
    bucket: &'a str,
    pattern: &'a str,
    at: Route,
}

impl<'a> Bucket<'a> {
    /// The bucket of a path like `s3://bucket/folder/*.csv`.
    ///
    /// # Errors
    /// A path or options that name no bucket.
    pub fn of(path: &'a str, options: &S3, at: Route) -> Outcome<Self> {
        let (bucket, pattern) = path.trim_start_matches("s3://").split_once('/').unwrap_or_default();
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(RetryConfig {
            max_retries: RETRIES,
            retry_timeout: PATIENCE,
            ..RetryConfig::default()
        });
        if let Some(endpoint) = &options.endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some(region) = &options.region {
            builder = builder.with_region(region);
        }
        let signed = ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"];
        let signed = signed.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
        let store = builder.with_skip_signature(!signed).build().map_err(|error| {
            let why = error.to_string();
            let text = format!("`s3://{bucket}` cannot be used: {}", why.lines().next().unwrap_or_default());
            vec![
                Fault::error(contract::code!("data::bad_bucket"), text)
                    .help("look at `s3:` (endpoint, region) and at the `AWS_...` variables")
                    .at(at.clone()),
            ]
        })?;
        Ok(Self { store, address: options.clone(), bucket, pattern, at })
    }

    /// The objects that match, in natural order of their names.
    ///
    /// # Errors
    /// Stores that cannot be reached or refuse, and nothing that matches.
    pub fn look(&self) -> Outcome<Vec<Object>> {
        runtime()?.block_on(async {
            if !self.pattern.contains(['*', '?']) {
                let key = Key::parse(self.pattern).map_err(|error| self.nothing(&error.to_string()))?;
                let meta = self.store.head(&key).await.map_err(|error| self.fault(&error))?;
                return Ok(vec![object(meta)]);
            }
            let pattern = Pattern::new(self.pattern);
            let fixed = if pattern.fixed() == "." { "" } else { pattern.fixed() };
            let mut folders = vec![Key::from(fixed)];
            let mut found = Vec::new();
            while let Some(folder) = folders.pop() {
                let listed = self.store.list_with_delimiter(Some(&folder)).await.map_err(|error| self.fault(&error))?;
                folders.extend(listed.common_prefixes.into_iter().filter(|folder| pattern.may_reach(folder.as_ref())));
                found.extend(
                    listed.objects.into_iter().filter(|meta| pattern.is_match(meta.location.as_ref())).map(object),
                );
                if found.len() > OBJECTS {
                    let text = format!("more than {OBJECTS} objects match `s3://{}/{}`", self.bucket, self.pattern);
                    return Err(Faults::from(
                        Fault::error(contract::code!("data::too_large"), text)
                            .help("name fewer: a longer prefix")
                            .at(self.at.clone()),
                    ));
                }
            }
            if found.is_empty() {
                return Err(self.nothing("nothing in the bucket is called so"));
            }
            found.sort_by(|a, b| natural(&a.key, &b.key));
            Ok(found)
        })
    }

    /// The objects as files.
    ///
    /// # Errors
    /// As [`Bucket::look`], and objects that are in another state by now.
    pub fn fetch(
        &self,
        objects: &[Object],
        role: &str,
        seen: &Seen,
        shelf: &Shelf,
        limit: u64,
        channel: &Channel,
    ) -> Outcome<Vec<InputFile>> {
        let runtime = runtime()?;
        let total: u64 = objects.iter().map(|object| object.size).sum();
        if total > limit {
            let text = format!("`s3://{}/{}` is {total} bytes, more than {limit}", self.bucket, self.pattern);
            return Err(Faults::from(
                Fault::error(contract::code!("data::too_large"), text).help("name fewer objects").at(self.at.clone()),
            ));
        }
        let mut files = Vec::with_capacity(objects.len());
        for object in objects {
            let shown = format!("s3://{}/{}", self.bucket, object.key);
            let path = shelf.seen(&(&self.address, self.bucket, &seen.taken, object), |part| {
                runtime.block_on(self.object(object, &shown, part, channel))
            })?;
            files.push(InputFile { role: role.to_owned(), path, shown });
        }
        Ok(files)
    }

    /// One object, from where `part` ends.
    async fn object(&self, object: &Object, shown: &str, part: &Path, channel: &Channel) -> Outcome<()> {
        let write = |error: io::Error| Faults::from(unwritable(&error));
        let mut out = OpenOptions::new().write(true).create(true).truncate(false).open(part).map_err(write)?;
        let mut have = out.seek(SeekFrom::End(0)).map_err(write)?;
        if have > object.size {
            out.set_len(0).map_err(write)?;
            have = out.seek(SeekFrom::Start(0)).map_err(write)?;
        }
        let key = Key::parse(&object.key).map_err(|error| self.nothing(&error.to_string()))?;
        while have < object.size {
            let range = have..(have + PIECE).min(object.size);
            let options = GetOptions::new().with_range(Some(range)).with_if_match(object.etag.clone());
            let got = self.store.get_opts(&key, options).await.map_err(|error| self.fault(&error))?;
            if (object.etag.is_none()
                && got.meta.last_modified.to_rfc3339() != object.modified.clone().unwrap_or_default())
                || got.meta.size != object.size
            {
                return Err(self.changed(shown));
            }
            let bytes = got.bytes().await.map_err(|error| self.fault(&error))?;
            if bytes.is_empty() {
                return Err(self.changed(shown));
            }
            out.write_all(&bytes).map_err(write)?;
            have += bytes.len() as u64;
            let progress = Progress {
                done: have,
                total: Some(object.size),
                unit: "byte".into(),
                message: shown.to_owned(),
                rate: None,
            };
            channel.progress(progress);
        }
        out.sync_all().map_err(write)
    }

    fn changed(&self, shown: &str) -> Faults {
        let text = format!("`{shown}` changed while it was fetched");
        Faults::from(
            Fault::error(contract::code!("data::changed_meanwhile"), text)
                .help("run again; if something writes to it all the time, let it write to another name")
                .at(self.at.clone()),
        )
    }

    fn nothing(&self, why: &str) -> Faults {
        let text = format!("no object matches `s3://{}/{}`: {why}", self.bucket, self.pattern);
        let help = "`*` stands for any characters of one name, `**` for any number of folders; `aws s3 ls` shows what is there";
        Faults::from(Fault::error(contract::code!("data::no_object"), text).help(help).at(self.at.clone()))
    }

    fn fault(&self, error: &object_store::Error) -> Faults {
        let bucket = self.bucket;
        let fault = |code: Code, text: String, help: &str| {
            Faults::from(Fault::error(code, text).help(help).at(self.at.clone()))
        };
        match error {
            object_store::Error::NotFound { .. } => self.nothing("the store does not know it"),
            object_store::Error::Precondition { .. } => self.changed(&format!("s3://{bucket}/{}", self.pattern)),
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => fault(
                contract::code!("data::bucket_login"),
                format!("the store refuses access to `s3://{bucket}`"),
                "put the credentials into the environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, where there is one, `AWS_SESSION_TOKEN`",
            ),
            other => {
                // The request's address may be signed.
                let why = reason(other);
                let why = in_words(why.split(" for url").next().unwrap_or_default(), &whole(other));
                if why.contains("NoSuchBucket") {
                    return fault(
                        contract::code!("data::no_object"),
                        format!("there is no bucket `{bucket}`"),
                        "look at its name, and at `s3:` (endpoint, region)",
                    );
                }
                fault(
                    contract::code!("data::unreachable"),
                    format!("the store of `s3://{bucket}` cannot be used: {why}"),
                    "check `s3:` (endpoint, region) and the network; what has arrived is kept, and the next run goes on from there",
                )
            }
        }
    }
}

/// Everything that an error and its reasons say.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut inner = error.source();
    while let Some(error) = inner {
        text.push_str(&format!("\n{error}"));
        inner = error.source();
    }
    text
}

/// What a store answers, without the XML it comes in: its message and its code.
fn in_words(why: &str, whole: &str) -> String {
    let element = |name: &str| {
        let (_, after) = whole.split_once(&format!("<{name}>"))?;
        after.split_once(&format!("</{name}>")).map(|(text, _)| text.trim())
    };
    match (element("Message"), element("Code")) {
        (Some(message), Some(code)) => format!("{message} ({code})"),
        (None, Some(said)) | (Some(said), None) => said.to_owned(),
        (None, None) => why.split('<').next().unwrap_or_default().trim_end_matches([' ', ':']).to_owned(),
    }
}

fn runtime() -> Outcome<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| kernel("fetching", &error))
}

fn object(meta: ObjectMeta) -> Object {
    let modified = meta.e_tag.is_none().then(|| meta.last_modified.to_rfc3339());
    Object { key: meta.location.to_string(), size: meta.size, etag: meta.e_tag, modified }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_store_answers_is_told_in_words() {
        let answer = "Client error: <?xml version=\"1.0\"?>\n<Error><Code>NoSuchBucket</Code><Message>The bucket does not exist</Message></Error>";
        let first = answer.lines().next().unwrap();
        assert_eq!(in_words(first, answer), "The bucket does not exist (NoSuchBucket)");
        assert_eq!(in_words("Client error: <?xml version", "nothing known"), "Client error");
        assert_eq!(in_words("connection refused", "connection refused"), "connection refused");
    }
}
