//! Files over HTTP, from a server that cuts connections, lies about sizes and sends elsewhere.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use catalog::kinds::collect::params::Collect;
use contract::fault::Fault;
use contract::kind::Kind;
use contract::worker::Channel;
use serde_json::json;
use sha2::{Digest, Sha256};
use stages_data::kinds::collect::{Rooms, gather};
use stages_data::read::bytes::Limits;

/// What the server does with one request, given the first byte that is wanted.
type Answer = Box<dyn Fn(usize, u64) -> Vec<u8> + Send>;

/// A server for as long as the test lasts: it answers with `answer(number of the request, first byte wanted)`, then closes.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<u64>>>,
    /// The validators that requests for a part came with.
    validators: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<u64>>> = Arc::default();
        let heard = asked.clone();
        let validators: Arc<Mutex<Vec<String>>> = Arc::default();
        let validated = validators.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().take(50) {
                let Ok(mut stream) = stream else { break };
                let mut from = 0;
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while let Some(Ok(line)) = lines.next().filter(|line| line.as_ref().is_ok_and(|line| !line.is_empty()))
                {
                    if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
                        from = range.trim_end_matches('-').parse().unwrap();
                    }
                    if let Some(validator) = line.to_lowercase().strip_prefix("if-range: ") {
                        validated.lock().unwrap().push(validator.to_owned());
                    }
                }
                let number = {
                    let mut heard = heard.lock().unwrap();
                    heard.push(from);
                    heard.len() - 1
                };
                let _ = stream.write_all(&answer(number, from));
            }
        });
        Self { address, asked, validators }
    }

    fn asked(&self) -> Vec<u64> {
        self.asked.lock().unwrap().clone()
    }
}

fn content() -> Vec<u8> {
    let mut text = String::from("a,b\n");
    (0..5000).for_each(|row| text.push_str(&format!("{row},x\n")));
    text.into_bytes()
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn ok(body: &[u8], claimed: usize) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {claimed}\r\nConnection: close\r\n\r\n").as_bytes(), body].concat()
}

fn rest(body: &[u8], from: u64) -> Vec<u8> {
    let (from, size) = (from as usize, body.len());
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{size}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        size - 1,
        size - from
    );
    [head.as_bytes(), &body[from..]].concat()
}

fn status(line: &str) -> Vec<u8> {
    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
}

/// Rows of the file at `url`, with downloads kept in `store`.
fn rows(store: &Path, url: &str, digest: &str, limits: &Limits) -> Result<usize, Fault> {
    std::fs::write(store.join("CACHEDIR.TAG"), "").unwrap();
    let scratch = tempfile::tempdir_in(store).unwrap();
    let params = json!({ "from": { "csv": { "path": url, "digest": digest } } });
    let stage = catalog::kinds::collect::CollectKind.stage(params).map_err(|faults| faults.into_vec().remove(0))?;
    assert!(stage.files().is_empty());
    let typed: Collect = serde_json::from_value(stage.params()).unwrap();
    let rooms = Rooms { scratch: scratch.path() };
    let found = gather(&typed, &[], limits, &rooms, &Channel::silent());
    found.map(|found| found.table.rows()).map_err(|faults| faults.into_vec().remove(0))
}

/// Rows of a source without a declared digest: its state is looked at, then it is fetched.
fn rows_of(store: &Path, from: serde_json::Value) -> Result<usize, Fault> {
    std::fs::write(store.join("CACHEDIR.TAG"), "").unwrap();
    let scratch = tempfile::tempdir_in(store).unwrap();
    let stage = catalog::kinds::collect::CollectKind
        .stage(json!({ "from": from }))
        .map_err(|faults| faults.into_vec().remove(0))?;
    let typed: Collect = serde_json::from_value(stage.params()).unwrap();
    let rooms = Rooms { scratch: scratch.path() };
    let found = gather(&typed, &[], &Limits::default(), &rooms, &Channel::silent());
    found.map(|found| found.table.rows()).map_err(|faults| faults.into_vec().remove(0))
}

fn tagged(mut answer: Vec<u8>, etag: &str) -> Vec<u8> {
    let end = answer.windows(2).position(|pair| pair == b"\r\n").unwrap();
    answer.splice(end..end, format!("\r\nETag: \"{etag}\"").into_bytes());
    answer
}

#[test]
fn the_rest_is_asked_for_by_its_entity_tag() {
    let body = content();
    let half = body.len() / 2;
    let served = body.clone();
    let server = Server::start(Box::new(move |number, from| match number {
        0 => tagged(ok(&[], served.len()), "v1"),
        1 => tagged(ok(&served[..half], served.len()), "v1"),
        _ => tagged(rest(&served, from), "v1"),
    }));
    let store = tempfile::tempdir().unwrap();
    assert_eq!(rows_of(store.path(), json!({ "csv": format!("{}/a.csv", server.address) })).unwrap(), 5000);
    assert_eq!(*server.validators.lock().unwrap(), ["\"v1\""]);
    // Another file by then: what has arrived is not put before the rest of it.
    let served = body.clone();
    let server = Server::start(Box::new(move |number, _| match number {
        0 => tagged(ok(&[], served.len()), "v1"),
        1 => tagged(ok(&served[..half], served.len()), "v1"),
        _ => tagged(ok(&served, served.len()), "v2"),
    }));
    let store = tempfile::tempdir().unwrap();
    let fault = rows_of(store.path(), json!({ "csv": format!("{}/a.csv", server.address) })).unwrap_err();
    assert_eq!(fault.code, "data::changed_meanwhile");
}

#[test]
fn folders_in_archives_databases_and_arrays_come_from_urls_too() {
    let image = super::sources::png((2, 1), 7);
    let archive = super::sources::zip(&[("x/cat/a.png", &image), ("x/dog/b.png", &image)]);
    let texts = super::sources::zip(&[("x/good/a.txt", b"yes"), ("x/bad/b.txt", b"no")]);
    let idx = [b"\x00\x00\x08\x01\x00\x00\x00\x03".as_slice(), &[1, 2, 3]].concat();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch("create table t (a); insert into t values (1), (2)")
        .unwrap();
    let database = std::fs::read(path).unwrap();
    for (body, from, rows) in [
        (archive, json!({ "images": "URL" }), 2),
        (texts, json!({ "texts": "URL" }), 2),
        (idx, json!({ "idx": { "images": "URL" } }), 3),
        (database, json!({ "sqlite": { "path": "URL", "query": "select a from t order by a" } }), 2),
    ] {
        let server = Server::start(Box::new(move |_, _| ok(&body, body.len())));
        let from = from.to_string().replace("URL", &format!("{}/file", server.address));
        let store = tempfile::tempdir().unwrap();
        assert_eq!(rows_of(store.path(), serde_json::from_str(&from).unwrap()), Ok(rows), "{from}");
    }
    // What is no archive is told, and what cannot be one object is refused before anything runs.
    let server = Server::start(Box::new(|_, _| ok(b"<html>", 6)));
    let store = tempfile::tempdir().unwrap();
    let fault = rows_of(store.path(), json!({ "images": format!("{}/a.zip", server.address) })).unwrap_err();
    assert_eq!(fault.code, "data::wrong_format");
    for path in ["s3://bucket/images/", "s3://bucket/*.png"] {
        let faults =
            catalog::kinds::collect::CollectKind.stage(json!({ "from": { "images": path } })).map(|_| ()).unwrap_err();
        assert_eq!(faults[0].code, "collect::url");
        assert_eq!(faults[0].route, Some(contract::route!["from", "images", "path"]));
    }
}

#[test]
fn a_file_is_fetched_once_and_taken_up_where_it_broke_off() {
    let body = content();
    let half = body.len() / 2;
    let served = body.clone();
    let server = Server::start(Box::new(move |number, from| match number {
        0 => status("503 Busy"),
        1 => ok(&served[..half], served.len()),
        _ => rest(&served, from),
    }));
    let store = tempfile::tempdir().unwrap();
    let url = format!("{}/a.csv?token=secret", server.address);
    let digest = sha256(&body);
    assert_eq!(rows(store.path(), &url, &digest, &Limits::default()).unwrap(), 5000);
    assert_eq!(server.asked(), [0, 0, half as u64]);
    assert_eq!(rows(store.path(), &url, &digest, &Limits::default()).unwrap(), 5000);
    assert_eq!(
        rows(store.path(), "http://127.0.0.1:1/gone.csv", &digest, &Limits::default()).unwrap(),
        5000,
        "by content"
    );
    assert_eq!(server.asked().len(), 3, "what is there is not fetched again");
    // A copy that rots is seen, and fetched again.
    let copy = std::fs::read_dir(store.path().join("downloads-v1")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&copy, "a,b\n1,rotten\n").unwrap();
    assert_eq!(rows(store.path(), &url, &digest, &Limits::default()).unwrap(), 5000);
    assert_eq!(server.asked().len(), 4);
}

#[test]
fn servers_that_know_little_still_deliver() {
    let body = content();
    let half = body.len() / 2;
    let gets = |answer: Answer| {
        let server = Server::start(answer);
        let store = tempfile::tempdir().unwrap();
        let url = format!("{}/a.csv", server.address);
        assert_eq!(rows(store.path(), &url, &sha256(&body), &Limits::default()).unwrap(), 5000);
        server.asked()
    };
    let half = half as u64;
    // It breaks off, then ignores which part is wanted and sends everything.
    let served = body.clone();
    let asked = gets(Box::new(move |number, _| match number {
        0 => ok(&served[..half as usize], served.len()),
        _ => ok(&served, served.len()),
    }));
    assert_eq!(asked, [0, half]);
    // It goes on, but with another content than it began with: the pieces do not fit, the whole does.
    let served = body.clone();
    let asked = gets(Box::new(move |number, from| match number {
        0 => ok(&vec![b'x'; half as usize], served.len()),
        1 => rest(&served, from),
        _ => ok(&served, served.len()),
    }));
    assert_eq!(asked, [0, half, 0]);
    // It has fewer bytes than it sent before, or sends another part than was asked for: from the start.
    let served = body.clone();
    let asked = gets(Box::new(move |number, _| match number {
        0 => ok(&served[..half as usize], served.len()),
        1 => status("416 Range Not Satisfiable"),
        2 => ok(&served[..half as usize], served.len()),
        3 => rest(&served, 7),
        _ => ok(&served, served.len()),
    }));
    assert_eq!(asked, [0, half, 0, half, 0]);
    // It sends elsewhere, and does not say how much it sends.
    let served = body.clone();
    let asked = gets(Box::new(move |number, _| match number {
        0 => status("302 Found\r\nLocation: /elsewhere.csv"),
        _ => [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", served.as_slice()].concat(),
    }));
    assert_eq!(asked, [0, 0]);
}

#[test]
fn what_a_dead_server_sent_is_kept_for_the_next_run() {
    let body = content();
    let served = body.clone();
    // Three bytes at a time, and never the rest.
    let dying = Server::start(Box::new(move |_, from| {
        let all = rest(&served, from);
        let sent = all.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4 + 3;
        if from == 0 { ok(&served[..3], served.len()) } else { all[..sent].to_vec() }
    }));
    let store = tempfile::tempdir().unwrap();
    let digest = sha256(&body);
    let fault = rows(store.path(), &format!("{}/a.csv", dying.address), &digest, &Limits::default()).unwrap_err();
    assert_eq!(fault.code, "data::unreachable");
    assert_eq!(dying.asked(), [0, 3, 6, 9, 12, 15]);
    let served = body.clone();
    let well = Server::start(Box::new(move |_, from| rest(&served, from)));
    assert_eq!(rows(store.path(), &format!("{}/a.csv", well.address), &digest, &Limits::default()).unwrap(), 5000);
    assert_eq!(well.asked(), [18]);
}

#[test]
fn servers_that_fail_or_lie_are_not_believed() {
    let body = content();
    let digest = sha256(&body);
    let ends = |answer: Answer, limits: &Limits| {
        let server = Server::start(answer);
        let store = tempfile::tempdir().unwrap();
        let fault = rows(store.path(), &format!("{}/a.csv?token=secret", server.address), &digest, limits).unwrap_err();
        assert!(fault.help.is_some() && fault.route.is_some(), "{fault:?}");
        assert!(!format!("{fault:?}").contains("secret"), "{fault:?}");
        (fault.code, server.asked().len())
    };
    let plain = Limits::default();
    let pair = |code: &str, asked: usize| (code.to_owned(), asked);
    assert_eq!(ends(Box::new(|_, _| ok(b"a,b\n1,other\n", 12)), &plain), pair("data::digest_differs", 1));
    assert_eq!(ends(Box::new(|_, _| status("404 Not Found")), &plain), pair("data::unreachable", 1));
    assert_eq!(ends(Box::new(|_, _| status("500 Oops")), &plain), pair("data::unreachable", 6), "bounded");
    assert_eq!(ends(Box::new(|_, _| Vec::new()), &plain), pair("data::unreachable", 6));
    let short = body.clone();
    assert_eq!(
        ends(Box::new(move |_, _| ok(&short, 100)), &plain),
        pair("data::digest_differs", 1),
        "a size that lies"
    );
    let small = Limits { unpacked: 1000, ..plain };
    let long = body.clone();
    assert_eq!(ends(Box::new(move |_, _| ok(&long, long.len())), &small), pair("data::too_large", 1));
    let around = "302 Found\r\nLocation: /again";
    let (code, asked) = ends(Box::new(move |_, _| status(around)), &plain);
    assert!(code == "data::unreachable" && asked <= 7, "{code}, {asked}");
}
