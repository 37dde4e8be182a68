//! Files over HTTP(S), known by a declared digest.
//!
//! The digest is what the stage's key holds, so a file that was fetched once is never fetched again, wherever it lies; it is kept in
//! the store under its digest, and checked each time it is taken from there. A transfer that breaks off is taken up where it stopped
//! (`Range`), a few times, with pauses that grow. What arrives is believed when its digest is right, and not before.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::error::{Fault, Route};
use engine::protocol::{InputFile, Progress};
use engine::worker::Channel;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, RANGE};
use sha2::{Digest, Sha256};

use crate::fault::{Outcome, kernel, unwritable};

/// So often a transfer is begun or taken up again.
const ATTEMPTS: u32 = 6;
/// The first pause between two attempts; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(200);
/// So long a server may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// So often a server may point elsewhere.
const REDIRECTS: usize = 5;

/// What is fetched.
pub struct Remote<'a> {
    /// `http://` or `https://`
    pub url: &'a str,
    /// 64 hex digits: SHA-256.
    pub sha256: &'a str,
    /// As in [`InputFile::role`].
    pub role: String,
    /// The parameter that names it.
    pub at: Route,
}

/// A URL as messages show it: without a query, which may hold a secret.
pub fn shown(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or(url).to_owned()
}

/// The file, from the store's folder of downloads or from its server. No more than `limit` bytes are taken.
///
/// # Errors
/// Servers that are down, refuse, or give another content than was declared; a full disk.
pub fn fetch(remote: &Remote<'_>, downloads: &Path, limit: u64, channel: &Channel) -> Outcome<InputFile> {
    let wanted = remote.sha256.to_ascii_lowercase();
    let write = |error: io::Error| vec![unwritable(&error)];
    fs::create_dir_all(downloads).map_err(write)?;
    let path = downloads.join(format!("sha256-{wanted}"));
    let file = InputFile { role: remote.role.clone(), path: path.clone(), shown: shown(remote.url) };
    if digest(&path).is_ok_and(|found| found == wanted) {
        return Ok(file);
    }
    let part_path = downloads.join(format!("sha256-{wanted}.part"));
    let mut part =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&part_path).map_err(write)?;
    // Another run may be fetching the same: then it is there when the lock is.
    part.lock().map_err(write)?;
    if digest(&path).is_ok_and(|found| found == wanted) {
        return Ok(file);
    }
    let before = part.metadata().map_err(write)?.len();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| kernel("fetching", &error))?;
    let mut transfer = Transfer { remote, part: &mut part, limit, channel, resumed: false };
    runtime.block_on(transfer.whole())?;
    let mut found = digest(&part_path).map_err(write)?;
    if found != wanted && (before > 0 || transfer.resumed) {
        // The pieces may be of different contents: once more, from the start.
        transfer.part.set_len(0).map_err(write)?;
        runtime.block_on(transfer.whole())?;
        found = digest(&part_path).map_err(write)?;
    }
    if found != wanted {
        transfer.part.set_len(0).map_err(write)?;
        let text = format!("`{}` has the digest `sha256:{found}`, not the one that is declared", file.shown);
        return Err(vec![
            Fault::error("data::digest_differs", text)
                .help("the file on the server changed or was tampered with; if you trust it, declare the digest it has")
                .at(remote.at.clone()),
        ]);
    }
    part.sync_all().map_err(write)?;
    fs::rename(&part_path, &path).map_err(write)?;
    Ok(file)
}

fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

struct Transfer<'a> {
    remote: &'a Remote<'a>,
    part: &'a mut File,
    limit: u64,
    channel: &'a Channel,
    /// Whether it was put together from several answers.
    resumed: bool,
}

/// What went wrong in one attempt.
enum Trouble {
    /// Worth another attempt.
    Passing(String),
    /// Not worth one.
    Lasting(Vec<Fault>),
}

impl Transfer<'_> {
    async fn whole(&mut self) -> Outcome<()> {
        let client = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(20))
            .read_timeout(SILENCE)
            .redirect(reqwest::redirect::Policy::custom(|attempt| {
                let secure = attempt.previous().iter().any(|url| url.scheme() == "https");
                if attempt.previous().len() > REDIRECTS || (secure && attempt.url().scheme() != "https") {
                    attempt.stop()
                } else {
                    attempt.follow()
                }
            }))
            .user_agent(concat!("pipeline/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| kernel("fetching", &error))?;
        let mut last = String::new();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                self.channel.info(format!("{}: {last}; trying again", shown(self.remote.url)));
                tokio::time::sleep(PAUSE * 2u32.pow(attempt - 1)).await;
            }
            match self.attempt(&client).await {
                Ok(()) => return Ok(()),
                Err(Trouble::Passing(why)) => last = why,
                Err(Trouble::Lasting(faults)) => return Err(faults),
            }
        }
        Err(self.fault(
            "data::unreachable",
            format!("could not be fetched in {ATTEMPTS} attempts: {last}"),
            "check the address and the network; what has arrived is kept, and the next run goes on from there",
        ))
    }

    fn fault(&self, code: &str, what: String, help: &str) -> Vec<Fault> {
        let text = format!("`{}` {what}", shown(self.remote.url));
        vec![Fault::error(code, text).help(help).at(self.remote.at.clone())]
    }

    async fn attempt(&mut self, client: &reqwest::Client) -> Result<(), Trouble> {
        let disk = |error: io::Error| Trouble::Lasting(vec![unwritable(&error)]);
        let mut have = self.part.seek(SeekFrom::End(0)).map_err(disk)?;
        let mut request = client.get(self.remote.url);
        if have > 0 {
            request = request.header(RANGE, format!("bytes={have}-"));
        }
        let mut response = request.send().await.map_err(|error| Trouble::Passing(plain(&error)))?;
        let status = response.status();
        if status == StatusCode::RANGE_NOT_SATISFIABLE {
            self.part.set_len(0).map_err(disk)?;
            return Err(Trouble::Passing("the server has fewer bytes than were fetched before".into()));
        }
        if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
            return Err(Trouble::Passing(format!("the server answers {status}")));
        }
        if !status.is_success() {
            let help = if status.is_redirection() {
                "it points elsewhere too often, or from https to http: name the last address itself"
            } else {
                "check the address; files that need a login must be fetched by a `command` stage"
            };
            return Err(Trouble::Lasting(self.fault(
                "data::unreachable",
                format!("is refused: the server answers {status}"),
                help,
            )));
        }
        let goes_on = response
            .headers()
            .get(CONTENT_RANGE)
            .and_then(|range| range.to_str().ok())
            .is_some_and(|range| range.starts_with(&format!("bytes {have}-")));
        if have > 0 && !(status == StatusCode::PARTIAL_CONTENT && goes_on) {
            if status == StatusCode::PARTIAL_CONTENT {
                self.part.set_len(0).map_err(disk)?;
                return Err(Trouble::Passing("the server sends another part than was asked for".into()));
            }
            self.part.set_len(0).map_err(disk)?;
            have = self.part.seek(SeekFrom::Start(0)).map_err(disk)?;
        }
        self.resumed |= have > 0;
        let total = response.content_length().map(|rest| rest + have);
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => return Err(Trouble::Passing(plain(&error))),
            };
            have += chunk.len() as u64;
            if have > self.limit {
                self.part.set_len(0).map_err(disk)?;
                let what = format!("is larger than {} bytes", self.limit);
                return Err(Trouble::Lasting(self.fault(
                    "data::too_large",
                    what,
                    "fetch a smaller file, or a part of it",
                )));
            }
            self.part.write_all(&chunk).map_err(disk)?;
            self.channel.progress(Progress {
                done: have,
                total,
                unit: "byte".into(),
                message: shown(self.remote.url),
                rate: None,
            });
        }
        match total {
            Some(total) if have < total => {
                Err(Trouble::Passing(format!("the server stopped after {have} of {total} bytes")))
            }
            _ => Ok(()),
        }
    }
}

/// The innermost reason, which is the one that tells something.
fn plain(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Where downloads are kept: in the store that the scratch folder belongs to, else in the scratch folder itself.
pub fn downloads(scratch: &Path) -> PathBuf {
    let store = scratch.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    store.unwrap_or(scratch).join("downloads-v1")
}
