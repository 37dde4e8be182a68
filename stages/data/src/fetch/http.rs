//! Files over HTTP(S), known by a declared digest or by what the server says of them.
//!
//! A declared digest is what the stage's key holds, so a file that was fetched once is never fetched again, wherever it lies. Without
//! one, the server is asked for an entity tag or a modification time before a run (see `contract::remote`), and what is fetched must
//! be in that state. Either way it is kept in the store under its content ([`Shelf`]), and checked each time it is taken from there.
//!
//! A transfer that breaks off is taken up where it stopped (`Range`), a few times, with pauses that grow. What arrives is believed when
//! its digest is right, or its state the one that was asked for, and not before.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::time::Duration;

use contract::fault::{Code, Fault, Faults, Route};
use contract::remote::Freshness;
use contract::worker::Channel;
use contract::worker::protocol::{InputFile, Progress};
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderName, IF_RANGE, LAST_MODIFIED, RANGE};
use reqwest::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::downloads::{Shelf, digest};
use crate::fault::{Outcome, kernel, reason, unwritable};

/// So often a transfer is begun or taken up again.
const ATTEMPTS: u32 = 6;
/// So often the state of a file is asked for.
const LOOKS: u32 = 3;
/// The first pause between two attempts; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(200);
/// So long a server may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// So long it may be when it is only asked for the state of a file: without a network, work goes on with what is there.
const BRIEF: Duration = Duration::from_secs(15);
/// So often a server may point elsewhere.
const REDIRECTS: usize = 5;

/// What is fetched.
pub struct Remote<'a> {
    /// `http://` or `https://`
    pub url: &'a str,
    /// As in [`InputFile::role`].
    pub role: String,
    /// The parameter that names it.
    pub at: Route,
    /// No more than so many bytes are taken.
    pub limit: u64,
}

/// What a server says of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The entity tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// When it was modified, of a server without entity tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

impl State {
    fn of(response: &Response) -> Self {
        let headers = response.headers();
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let etag = text(ETAG);
        let modified = if etag.is_none() { text(LAST_MODIFIED) } else { None };
        let size = match response.status() {
            StatusCode::PARTIAL_CONTENT => whole_size(headers),
            _ => headers.get(reqwest::header::CONTENT_LENGTH).and_then(|size| size.to_str().ok()?.parse().ok()),
        };
        Self { etag, modified, size }
    }

    /// How much it tells.
    pub fn freshness(&self) -> Freshness {
        if self.etag.is_some() || self.modified.is_some() { Freshness::Tells } else { Freshness::Unknown }
    }

    /// Whether `found` may be the same: what one of the two does not say is no difference.
    fn fits(&self, found: &Self) -> bool {
        fn same<T: PartialEq>(a: Option<&T>, b: Option<&T>) -> bool {
            a.zip(b).is_none_or(|(a, b)| a == b)
        }
        self.etag == found.etag
            && same(self.modified.as_ref(), found.modified.as_ref())
            && same(self.size.as_ref(), found.size.as_ref())
    }

    /// What a server accepts as "if it is still this": strong entity tags and dates.
    fn validator(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| !etag.starts_with("W/")).or(self.modified.as_deref())
    }
}

/// The size of the whole file in `bytes 3-9/10`.
fn whole_size(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_RANGE)?.to_str().ok()?.rsplit_once('/')?.1.parse().ok()
}

/// A URL as messages show it: without a query, which may hold a secret.
pub use contract::remote::shown;

/// The file of a declared digest (64 hex digits, SHA-256), from the shelf or from its server.
///
/// # Errors
/// Servers that are down, refuse, or give another content than was declared; a full disk.
pub fn by_digest(remote: &Remote<'_>, sha256: &str, shelf: &Shelf, channel: &Channel) -> Outcome<InputFile> {
    let wanted = sha256.to_ascii_lowercase();
    let path = shelf.content(&wanted, |part| {
        let write = |error: io::Error| Faults::from(unwritable(&error));
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(part).map_err(write)?;
        let before = file.metadata().map_err(write)?.len();
        let mut transfer = Transfer { remote, part: file, expected: None, channel, resumed: false };
        transfer.run()?;
        let mut found = digest(part).map_err(write)?;
        if found != wanted && (before > 0 || transfer.resumed) {
            // The pieces may be of different contents: once more, from the start.
            transfer.part.set_len(0).map_err(write)?;
            transfer.run()?;
            found = digest(part).map_err(write)?;
        }
        if found == wanted {
            return Ok(());
        }
        transfer.part.set_len(0).map_err(write)?;
        let text = format!("`{}` has the digest `sha256:{found}`, not the one that is declared", shown(remote.url));
        Err(Faults::from(
            Fault::error(contract::code!("data::digest_differs"), text)
                .help("the file on the server changed or was tampered with; if you trust it, declare the digest it has")
                .at(remote.at.clone()),
        ))
    })?;
    Ok(InputFile { role: remote.role.clone(), path, shown: shown(remote.url).to_owned() })
}

/// The file in the state in which it was seen, from the shelf or from its server. `seen` is everything that tells this state from
/// others, `expected` what the server will say.
///
/// # Errors
/// As [`by_digest`]; and a file that is in another state by now.
pub fn by_state(
    remote: &Remote<'_>,
    seen: &impl Serialize,
    expected: &State,
    shelf: &Shelf,
    channel: &Channel,
) -> Outcome<InputFile> {
    let path = shelf.seen(seen, |part| {
        let write = |error: io::Error| Faults::from(unwritable(&error));
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(part).map_err(write)?;
        let mut transfer = Transfer { remote, part: file, expected: Some(expected), channel, resumed: false };
        transfer.run()
    })?;
    Ok(InputFile { role: remote.role.clone(), path, shown: shown(remote.url).to_owned() })
}

/// What the server says of the file now.
///
/// # Errors
/// Servers that are down or refuse.
pub fn look(remote: &Remote<'_>) -> Outcome<State> {
    let runtime = runtime()?;
    let client = client(BRIEF)?;
    runtime.block_on(async {
        let mut last = String::new();
        for attempt in 0..LOOKS {
            if attempt > 0 {
                tokio::time::sleep(PAUSE * 2u32.pow(attempt - 1)).await;
            }
            let asked = match client.head(remote.url).send().await {
                // Addresses that are signed for reading, and small servers, take no `HEAD`; the body of the answer is left alone.
                Ok(response) if matches!(response.status().as_u16(), 400 | 403 | 405 | 501) => {
                    client.get(remote.url).send().await
                }
                asked => asked,
            };
            match asked.map_err(|error| Trouble::Passing(reason(&error))).and_then(|response| judged(remote, response))
            {
                Ok(response) => return Ok(State::of(&response)),
                Err(Trouble::Passing(why)) => last = why,
                Err(Trouble::Lasting(faults)) => return Err(faults),
            }
        }
        let what = format!("cannot be reached: {last}");
        Err(Faults::from(
            fault(remote, contract::code!("data::unreachable"), what, "check the address and the network").into_vec(),
        ))
    })
}

struct Transfer<'a> {
    remote: &'a Remote<'a>,
    part: File,
    expected: Option<&'a State>,
    channel: &'a Channel,
    /// Whether it was put together from several answers.
    resumed: bool,
}

/// What went wrong in one attempt.
enum Trouble {
    /// Worth another attempt.
    Passing(String),
    /// Not worth one.
    Lasting(Faults),
}

impl Transfer<'_> {
    fn run(&mut self) -> Outcome<()> {
        let client = client(SILENCE)?;
        runtime()?.block_on(self.whole(&client))?;
        self.part.sync_all().map_err(|error| Faults::from(unwritable(&error)))
    }

    async fn whole(&mut self, client: &reqwest::Client) -> Outcome<()> {
        let mut last = String::new();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                self.channel.info(format!("{}: {last}; trying again", shown(self.remote.url)));
                tokio::time::sleep(PAUSE * 2u32.pow(attempt - 1)).await;
            }
            match self.attempt(client).await {
                Ok(()) => return Ok(()),
                Err(Trouble::Passing(why)) => last = why,
                Err(Trouble::Lasting(faults)) => return Err(faults),
            }
        }
        Err(unreachable(self.remote, format!("could not be fetched in {ATTEMPTS} attempts: {last}")))
    }

    async fn attempt(&mut self, client: &reqwest::Client) -> Result<(), Trouble> {
        let disk = |error: io::Error| Trouble::Lasting(unwritable(&error).into());
        if self.expected.is_some_and(|expected| expected.validator().is_none()) {
            // Nothing would tell the rest of this file from the rest of another.
            self.part.set_len(0).map_err(disk)?;
        }
        let mut have = self.part.seek(SeekFrom::End(0)).map_err(disk)?;
        let mut request = client.get(self.remote.url);
        if have > 0 {
            request = request.header(RANGE, format!("bytes={have}-"));
            if let Some(validator) = self.expected.and_then(State::validator) {
                request = request.header(IF_RANGE, validator);
            }
        }
        let response = request.send().await.map_err(|error| Trouble::Passing(reason(&error)))?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            self.part.set_len(0).map_err(disk)?;
            return Err(Trouble::Passing("the server has fewer bytes than were fetched before".into()));
        }
        let mut response = judged(self.remote, response)?;
        if self.expected.is_some_and(|expected| !expected.fits(&State::of(&response))) {
            self.part.set_len(0).map_err(disk)?;
            return Err(Trouble::Lasting(Faults::from(
                fault(
                    self.remote,
                    contract::code!("data::changed_meanwhile"),
                    "changed between the look at it and the fetching".into(),
                    "run again; if it changes all the time, fetch from an address that names one version",
                )
                .into_vec(),
            )));
        }
        let goes_on = response
            .headers()
            .get(CONTENT_RANGE)
            .and_then(|range| range.to_str().ok())
            .is_some_and(|range| range.starts_with(&format!("bytes {have}-")));
        if have > 0 && !(response.status() == StatusCode::PARTIAL_CONTENT && goes_on) {
            self.part.set_len(0).map_err(disk)?;
            have = self.part.seek(SeekFrom::Start(0)).map_err(disk)?;
            if response.status() == StatusCode::PARTIAL_CONTENT {
                return Err(Trouble::Passing("the server sends another part than was asked for".into()));
            }
        }
        self.resumed |= have > 0;
        let total = response.content_length().map(|rest| rest + have);
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => return Err(Trouble::Passing(reason(&error))),
            };
            have += chunk.len() as u64;
            if have > self.remote.limit {
                self.part.set_len(0).map_err(disk)?;
                let what = format!("is larger than {} bytes", self.remote.limit);
                let help = "fetch a smaller file, or a part of it";
                return Err(Trouble::Lasting(Faults::from(
                    fault(self.remote, contract::code!("data::too_large"), what, help).into_vec(),
                )));
            }
            self.part.write_all(&chunk).map_err(disk)?;
            let message = shown(self.remote.url).to_owned();
            self.channel.progress(Progress { done: have, total, unit: "byte".into(), message, rate: None });
        }
        match total {
            Some(total) if have < total => {
                Err(Trouble::Passing(format!("the server stopped after {have} of {total} bytes")))
            }
            _ => Ok(()),
        }
    }
}

/// An answer that delivers, or why it does not.
fn judged(remote: &Remote<'_>, response: Response) -> Result<Response, Trouble> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
        return Err(Trouble::Passing(format!("the server answers {status}")));
    }
    let help = if status.is_redirection() {
        "it points elsewhere too often, or from https to http: name the last address itself"
    } else {
        "check the address; files that need a login must be fetched by a `command` stage"
    };
    let what = format!("is refused: the server answers {status}");
    Err(Trouble::Lasting(Faults::from(fault(remote, contract::code!("data::unreachable"), what, help).into_vec())))
}

fn unreachable(remote: &Remote<'_>, what: String) -> Faults {
    let help = "check the address and the network; what has arrived is kept, and the next run goes on from there";
    fault(remote, contract::code!("data::unreachable"), what, help)
}

fn fault(remote: &Remote<'_>, code: Code, what: String, help: &str) -> Faults {
    Faults::from(Fault::error(code, format!("`{}` {what}", shown(remote.url))).help(help).at(remote.at.clone()))
}

fn runtime() -> Outcome<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| kernel("fetching", &error))
}

fn client(silence: Duration) -> Outcome<reqwest::Client> {
    reqwest::Client::builder()
        .connect_timeout(silence / 3)
        .read_timeout(silence)
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
        .map_err(|error| kernel("fetching", &error))
}
