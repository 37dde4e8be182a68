//! Servers for as long as a test lasts: HTTP from this file, PostgreSQL from the distribution, an S3 store from PyPI (moto).
//!
//! All listen on loopback and are stopped by their process id. `cargo xtask test` installs the two that are not ours; where they are
//! missing, a developer's tests are skipped and say so, and a machine that sets `CI` fails.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// So often a server is asked whether it is up, with [`PAUSE`] between.
const TRIES: usize = 600;
const PAUSE: Duration = Duration::from_millis(50);

/// Says that a test cannot run here; on a machine that must run everything, that is a failure.
pub fn skip(what: &str, how: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what} is missing: {how}");
    eprintln!("SKIPPED: {what} is missing: {how}");
}

/// A port nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// A process that ends with the test.
struct Process(Child);

impl Process {
    /// Ends it with a signal, and by force where it does not listen.
    fn stop(&mut self, signal: &str) {
        if self.0.try_wait().expect("its state").is_some() {
            return;
        }
        let _ = Command::new("kill").args([&format!("-{signal}"), &self.0.id().to_string()]).status();
        for _ in 0..TRIES {
            if self.0.try_wait().expect("its state").is_some() {
                return;
            }
            thread::sleep(PAUSE);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop("INT");
    }
}

/// A PostgreSQL server with a data folder of its own. `admin` needs no password, `reader` has [`Postgres::PASSWORD`].
pub struct Postgres {
    server: Process,
    binaries: PathBuf,
    port: u16,
    folder: TempDir,
}

impl Postgres {
    /// What `reader` must say.
    pub const PASSWORD: &str = "s3cret-Passw0rd";

    /// Starts one; `None` where it is not installed.
    pub fn start() -> Option<Self> {
        let Some(binaries) = postgres_binaries() else {
            skip("PostgreSQL", "`apt-get install postgresql`, or `cargo xtask test` as root");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let owner = unprivileged();
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group)).expect("a folder of another user");
        }
        // It refuses to run as root.
        let command = |name: &str| {
            let mut command = Command::new(name);
            command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            if let Some((user, group)) = owner {
                command.uid(user).gid(group);
            }
            command
        };
        let data = folder.path().join("data");
        let own = |name: &str| command(&binaries.join(name).to_string_lossy());
        let made = own("initdb")
            .args(["--username=admin", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .status()
            .expect("initdb starts");
        assert!(made.success(), "initdb failed");
        fs::write(
            data.join("pg_hba.conf"),
            "host all admin 127.0.0.1/32 trust\nhost all reader 127.0.0.1/32 scram-sha-256\n",
        )
        .expect("a file");
        let certified = command("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout", "data/server.key", "-out", "data/server.crt"])
            .status()
            .expect("openssl, which PostgreSQL's package needs");
        assert!(certified.success(), "no certificate");
        let port = free_port();
        let server = own("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "ssl=on"])
            .spawn()
            .expect("postgres starts");
        let server = Self { server: Process(server), binaries, port, folder };
        let up = (0..TRIES).any(|_| {
            let up = server.psql("select 1").is_ok();
            if !up {
                thread::sleep(PAUSE);
            }
            up
        });
        assert!(up, "PostgreSQL does not come up");
        server.sql(&format!("create role reader login password '{}'", Self::PASSWORD));
        server.sql("grant pg_read_all_data to reader");
        Some(server)
    }

    fn psql(&self, statements: &str) -> Result<(), String> {
        let output = Command::new(self.binaries.join("psql"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "admin", "-d", "postgres"])
            .args(["-q", "-v", "ON_ERROR_STOP=1", "-c", statements])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    /// Carries statements out.
    pub fn sql(&self, statements: &str) {
        self.psql(statements).unwrap_or_else(|error| panic!("{statements}: {error}"));
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its certificate, which it has signed itself.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("data/server.crt")
    }

    /// Stops it.
    pub fn stop(&mut self) {
        self.server.stop("INT");
    }
}

fn postgres_binaries() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    found.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    found.sort();
    found.into_iter().rev().find(|folder| ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).is_file()))
}

/// For root: a user and a group that are not.
fn unprivileged() -> Option<(u32, u32)> {
    let id = Command::new("id").arg("-u").output().expect("id");
    if String::from_utf8_lossy(&id.stdout).trim() != "0" {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("users");
    let of = |name: &str| {
        let line = users.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(of("postgres").or_else(|| of("nobody")).expect("a user that is not root"))
}

/// An S3 store that keeps everything in memory.
pub struct S3 {
    _server: Process,
    python: PathBuf,
    port: u16,
}

impl S3 {
    /// Starts one; `None` where it is not installed.
    pub fn start() -> Option<Self> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        let binaries = cache.unwrap_or_default().join("pipeline/moto-5.2.5/bin");
        if !binaries.join("moto_server").is_file() {
            skip("moto, an S3 store,", "`cargo xtask test` installs it into the user's cache");
            return None;
        }
        let port = free_port();
        let server = Command::new(binaries.join("moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .env_remove("AWS_ENDPOINT_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto starts");
        let server = Self { _server: Process(server), python: binaries.join("python"), port };
        let up = (0..TRIES).any(|_| {
            let up = TcpStream::connect(("127.0.0.1", port)).is_ok();
            if !up {
                thread::sleep(PAUSE);
            }
            up
        });
        assert!(up, "moto does not come up");
        Some(server)
    }

    /// Its address.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Puts objects into a bucket, which is made where it is missing.
    pub fn put(&self, bucket: &str, objects: &[(&str, &str)]) {
        let script = "\
import sys, json, boto3
endpoint, bucket, objects = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
s3 = boto3.client('s3', endpoint_url=endpoint, region_name='us-east-1', aws_access_key_id='key', aws_secret_access_key='secret')
s3.create_bucket(Bucket=bucket)
for key, body in objects:
    s3.put_object(Bucket=bucket, Key=key, Body=body.encode())
";
        let objects = serde_json::to_string(objects).expect("JSON");
        let output = Command::new(&self.python)
            .args(["-c", script, &self.endpoint(), bucket, &objects])
            .stdin(Stdio::null())
            .output()
            .expect("python starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A file as the HTTP server has it.
#[derive(Debug, Clone, Default)]
pub struct Served {
    /// The content.
    pub body: Vec<u8>,
    /// Its entity tag.
    pub etag: Option<String>,
    /// When it was modified, as HTTP writes it.
    pub modified: Option<String>,
}

/// What the HTTP server was asked and sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    /// `HEAD` requests.
    pub heads: usize,
    /// `GET` requests.
    pub gets: usize,
    /// Bytes of bodies.
    pub bytes: usize,
}

/// An HTTP server with one file, which counts.
pub struct Http {
    address: String,
    served: Arc<Mutex<Option<Served>>>,
    traffic: Arc<Mutex<Traffic>>,
}

impl Http {
    /// Serves a file under every path.
    pub fn start(served: Served) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let served = Arc::new(Mutex::new(Some(served)));
        let traffic: Arc<Mutex<Traffic>> = Arc::default();
        let (file, count) = (Arc::clone(&served), Arc::clone(&traffic));
        thread::spawn(move || {
            for stream in listener.incoming().take(1000).flatten() {
                let _ = answer(stream, &file, &count);
            }
        });
        Self { address, served, traffic }
    }

    /// A URL of the file, with something in it that must never be seen again.
    pub fn url(&self) -> String {
        format!("{}/data.csv?token=s3cret-t0ken", self.address)
    }

    /// Puts another file in place; with `None` every request gets 503.
    pub fn serve(&self, served: Option<Served>) {
        *self.served.lock().expect("the file") = served;
    }

    /// What there was since the last call.
    pub fn traffic(&self) -> Traffic {
        std::mem::take(&mut self.traffic.lock().expect("the count"))
    }
}

fn answer(mut stream: TcpStream, file: &Mutex<Option<Served>>, count: &Mutex<Traffic>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let head = request.starts_with("HEAD");
    let mut count = count.lock().expect("the count");
    if head {
        count.heads += 1
    } else {
        count.gets += 1
    }
    let Some(served) = file.lock().expect("the file").clone() else {
        return stream.write_all(b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let mut header = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n", served.body.len());
    served.etag.iter().for_each(|etag| header.push_str(&format!("ETag: {etag}\r\n")));
    served.modified.iter().for_each(|modified| header.push_str(&format!("Last-Modified: {modified}\r\n")));
    header.push_str("\r\n");
    stream.write_all(header.as_bytes())?;
    if !head {
        count.bytes += served.body.len();
        stream.write_all(&served.body)?;
    }
    Ok(())
}

/// Whether a text is in any file below a folder.
pub fn anywhere(folder: &Path, text: &str) -> Option<PathBuf> {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = anywhere(&path, text) {
                return Some(found);
            }
        } else if fs::read(&path).is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes())) {
            return Some(path);
        }
    }
    None
}
