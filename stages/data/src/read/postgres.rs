//! PostgreSQL, by query.
//!
//! The query runs in a transaction that may only read and sees one state of the database. Its rows come through a portal, some
//! megabytes at a time, and are put aside on disk: neither side holds the answer as a whole. A query that does not say in which order
//! rows come is asked for them in the order of all its columns, so that the same rows give the same bytes.
//!
//! The password comes from an environment variable and goes nowhere but to the server.

pub mod cell;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use catalog::kinds::collect::params::{Postgres, Tls};
use contract::artifact::Column;
use contract::fault::{Fault, Faults, Route};
use contract::worker::Channel;
use contract::worker::protocol::Progress;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, IsolationLevel, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use self::cell::{Filling, Form, Raw};
use super::bytes::Limits;
use super::scratch::Spill;
use crate::fault::{FaultList, Outcome, kernel, reason};
use crate::table::dataset::Table;

/// So long a server may take to answer the first call.
const CONNECT: Duration = Duration::from_secs(20);
/// About so many bytes of rows come at a time.
const PAGE: u64 = 8 << 20;
/// So many rows come at first, while their size is not known, and at most.
const FIRST: i32 = 64;
const MOST: i32 = 20_000;
/// Rows of so many bytes make a batch.
const BATCH: u64 = 64 << 20;
/// Text of one column of one batch stays below 2 GiB.
const LONGEST: usize = 1 << 30;

/// The answer of the query.
///
/// # Errors
/// Servers that cannot be reached or refuse, queries that are wrong or would write, types that have no column here, an answer that is
/// too large.
pub fn read(options: &Postgres, at: &Route, scratch: &Path, limits: &Limits, channel: &Channel) -> Outcome<Table> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| kernel("asking the database", &error))?;
    let asking = Asking { options, at, shown: shown(options), limits, channel };
    runtime.block_on(asking.ask(scratch))
}

/// The database as messages name it.
pub fn shown(options: &Postgres) -> String {
    format!("postgres://{}@{}:{}/{}", options.user, options.host, options.port, options.database)
}

struct Asking<'a> {
    options: &'a Postgres,
    at: &'a Route,
    shown: String,
    limits: &'a Limits,
    channel: &'a Channel,
}

/// A column of the answer.
struct Wanted {
    column: Column,
    form: Form,
    sorts: bool,
}

impl Asking<'_> {
    async fn ask(&self, scratch: &Path) -> Outcome<Table> {
        let mut client = self.connect().await?;
        let lost = |error: tokio_postgres::Error| self.fault(&error);
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await
            .map_err(lost)?;
        let query = self.options.query.trim().trim_end_matches(';').trim_end();
        let mut statement = transaction.prepare(query).await.map_err(lost)?;
        let wanted = self.columns(&statement)?;
        if !ordered(query) {
            statement = transaction.prepare(&in_order(query, &wanted)).await.map_err(|error| match error.as_db_error() {
                // It stood alone, and does not within another.
                Some(_) => Faults::from(Fault::error(contract::code!("data::bad_query"), "the query is no plain `select`, whose rows can be put in order")
                        .help("a source is only read; a `select` of another form says itself in which order: `order by` at its end")
                        .at(self.at.join("query"))),
                None => self.fault(&error),
            })?;
            self.channel.info("the query has no `order by` at its end: rows are ordered by all columns");
        }
        let portal = transaction.bind(&statement, &[]).await.map_err(lost)?;
        let mut spill = Spill::new(scratch, wanted.iter().map(|wanted| wanted.column.clone()).collect())?;
        let mut filling: Vec<Filling> = wanted.iter().map(|wanted| Filling::new(wanted.form)).collect();
        let mut faults = FaultList::default();
        let (mut rows, mut bytes, mut held, mut page) = (0_u64, 0_u64, 0_u64, FIRST);
        loop {
            let some = transaction.query_portal(&portal, page).await.map_err(|error| self.broken(&error, rows))?;
            let before = bytes;
            for row in &some {
                rows += 1;
                for (index, wanted) in wanted.iter().enumerate() {
                    let Raw(raw) = row.try_get(index).map_err(lost)?;
                    let size = raw.map_or(0, <[u8]>::len);
                    bytes += size as u64 + 8;
                    held += size as u64 + 8;
                    let pushed = match size {
                        LONGEST.. => Err(format!("has {size} bytes, more than the {LONGEST} a cell may have")),
                        _ => filling[index].push(wanted.form, raw),
                    };
                    if let Err(why) = pushed {
                        faults.add(|| self.cell(&wanted.column.name, rows, &why));
                    }
                }
                if held >= BATCH {
                    spill.push(filling.iter_mut().map(Filling::take).collect())?;
                    held = 0;
                }
            }
            if !faults.is_empty() {
                return Err(faults.into_vec());
            }
            if bytes > self.limits.unpacked {
                let text = format!("the answer of `{}` is larger than {} bytes", self.shown, self.limits.unpacked);
                let help = "ask for less: fewer columns, a `where`, an aggregate";
                return Err(Faults::from(
                    Fault::error(contract::code!("data::too_large"), text).help(help).at(self.at.join("query")),
                ));
            }
            let progress =
                Progress { done: rows, total: None, unit: "row".into(), message: self.shown.clone(), rate: None };
            self.channel.progress(progress);
            if (some.len() as i64) < i64::from(page) {
                break;
            }
            let each = ((bytes - before) / some.len() as u64).max(1);
            page = i32::try_from(PAGE / each).unwrap_or(MOST).clamp(1, MOST);
        }
        if held > 0 {
            spill.push(filling.iter_mut().map(Filling::take).collect())?;
        }
        // It has only read: how the transaction ends makes no difference.
        drop(transaction.rollback().await);
        spill.finish()
    }

    async fn connect(&self) -> Outcome<Client> {
        let options = self.options;
        let encrypted = match options.tls {
            Tls::Require => true,
            Tls::Off => false,
            Tls::Auto => !near(&options.host),
        };
        let mut config = Config::new();
        config
            .host(&options.host)
            .port(options.port)
            .dbname(&options.database)
            .user(&options.user)
            .application_name("pipeline")
            .connect_timeout(CONNECT)
            .ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable });
        if let Some(password) = std::env::var_os(&options.password_env) {
            config.password(password.as_encoded_bytes());
        }
        let tls = MakeRustlsConnect::new(trust(encrypted)?);
        let connecting = tokio::time::timeout(CONNECT * 2, config.connect(tls));
        let (client, connection) = match connecting.await {
            Ok(connected) => connected.map_err(|error| self.fault(&error))?,
            Err(_) => return Err(self.down("it does not answer")),
        };
        tokio::spawn(async move {
            // What ends the connection is told by the call that waits for it.
            drop(connection.await);
        });
        Ok(client)
    }

    fn columns(&self, statement: &Statement) -> Outcome<Vec<Wanted>> {
        let at = || self.at.join("query");
        let mut faults = FaultList::default();
        if !statement.params().is_empty() {
            let text = format!("the query has {} parameters (`$1` ...), which nothing fills", statement.params().len());
            return Err(Faults::from(
                Fault::error(contract::code!("data::bad_query"), text).help("write the values into it").at(at()),
            ));
        }
        if statement.columns().is_empty() {
            return Err(Faults::from(
                Fault::error(contract::code!("data::bad_query"), "the query gives no rows")
                    .help("only a `select` reads rows")
                    .at(at()),
            ));
        }
        let mut wanted: Vec<Wanted> = Vec::new();
        for column in statement.columns() {
            let name = column.name();
            let twice = wanted.iter().any(|other| other.column.name == name);
            if twice || name == "?column?" || name.trim().is_empty() {
                let (code, text) = match twice {
                    true => (
                        contract::code!("data::duplicate_column"),
                        format!("two columns of the query's answer are called `{name}`"),
                    ),
                    false => (
                        contract::code!("data::empty_name"),
                        format!("column {} of the query's answer has no name", wanted.len() + 1),
                    ),
                };
                faults.add(|| Fault::error(code, text).help("name it: `... as name`").at(at()));
            }
            let form = Form::of(column.type_(), column.type_modifier());
            if form.is_none() {
                let kind = column.type_();
                let array = matches!(kind.kind(), tokio_postgres::types::Kind::Array(_));
                let help = match array {
                    true => {
                        format!("a row for each element: `unnest({name})`; or one text: `array_to_string({name}, ',')`")
                    }
                    false => format!(
                        "let the query decide: `cast({name} as text)`, or `extract(epoch from {name})` for a span of time"
                    ),
                };
                let called =
                    if array { format!("{}[]", kind.name().trim_start_matches('_')) } else { kind.name().to_owned() };
                let text = format!("column `{name}` is of the type `{called}`, which has no place in a data set");
                faults.add(|| Fault::error(contract::code!("data::unsupported_type"), text).help(help).at(at()));
            }
            let form = form.unwrap_or(Form::Text);
            let sorts = !matches!(column.type_().name(), "json" | "xml");
            wanted.push(Wanted { column: Column::new(name, form.dtype()), form, sorts });
        }
        faults.or(wanted)
    }

    fn cell(&self, name: &str, row: u64, why: &str) -> Fault {
        let help = match why.contains("infinite") {
            true => format!("let the query decide: `nullif({name}, 'infinity')`"),
            false => format!("let the query decide: `cast({name} as text)`, for example"),
        };
        Fault::error(contract::code!("data::cell"), format!("row {row} of column `{name}` {why}"))
            .help(help)
            .at(self.at.join("query"))
    }

    fn down(&self, why: &str) -> Faults {
        let Postgres { host, port, .. } = self.options;
        let text = format!("the database at `{host}:{port}` cannot be reached: {why}");
        Faults::from(
            Fault::error(contract::code!("data::database_down"), text)
                .help("is the server up, and the host and port right? `pg_isready -h HOST -p PORT` tells; what was collected before stays usable")
                .at(self.at.join("host")))
    }

    /// What went wrong while rows were coming.
    fn broken(&self, error: &tokio_postgres::Error, rows: u64) -> Faults {
        if error.as_db_error().is_none() && rows > 0 {
            return self.down(&format!("the connection was lost after {rows} rows"));
        }
        self.fault(error)
    }

    fn fault(&self, error: &tokio_postgres::Error) -> Faults {
        let Postgres { user, database, password_env, .. } = self.options;
        let Some(told) = error.as_db_error() else {
            let why = reason(error);
            if why.contains("password") {
                return self.refused(format!("the server wants a password for `{user}`"), "password_env");
            }
            if error.to_string().contains("TLS") || why.contains("certificate") || why.contains("not support TLS") {
                let text = format!("no secure connection to `{}`: {why}", self.options.host);
                let help = "`SSL_CERT_FILE` names a file of certificates to trust in place of the system's; `tls: off` goes without, where the way is safe";
                return Faults::from(
                    Fault::error(contract::code!("data::database_insecure"), text).help(help).at(self.at.join("tls")),
                );
            }
            return self.down(&why);
        };
        let message = told.message();
        match told.code().code() {
            "28P01" => {
                let text = format!("the server does not take the password of `{user}` that is in `{password_env}`");
                self.refused(text, "user")
            }
            "28000" => self.refused(format!("the server does not let `{user}` in: {message}"), "user"),
            "3D000" => {
                let text = format!("the server has no database `{database}`");
                Faults::from(
                    Fault::error(contract::code!("data::bad_query"), text)
                        .help("`psql --list` lists its databases")
                        .at(self.at.join("database")),
                )
            }
            // Starting up, shutting down, crashed, out of connections.
            "57P01" | "57P02" | "57P03" | "53300" => self.down(message),
            "25006" => Faults::from(
                Fault::error(contract::code!("data::bad_query"), format!("the query would write: {message}"))
                    .help("a source is only read: use a `select` without side effects")
                    .at(self.at.join("query")),
            ),
            _ => {
                let line = match told.position() {
                    Some(tokio_postgres::error::ErrorPosition::Original(character)) => {
                        let before: String =
                            self.options.query.trim_start().chars().take(*character as usize).collect();
                        format!(" (line {} of the query)", before.lines().count().max(1))
                    }
                    _ => String::new(),
                };
                let help =
                    told.hint().map_or_else(|| "try it with `psql`; `\\d` lists the tables".to_owned(), str::to_owned);
                Faults::from(
                    Fault::error(
                        contract::code!("data::bad_query"),
                        format!("PostgreSQL refuses the query: {message}{line}"),
                    )
                    .help(help)
                    .at(self.at.join("query")),
                )
            }
        }
    }

    fn refused(&self, text: String, key: &str) -> Faults {
        let help = format!(
            "put the password into the environment variable `{}`; never into the pipeline",
            self.options.password_env
        );
        Faults::from(Fault::error(contract::code!("data::database_login"), text).help(help).at(self.at.join(key)))
    }
}

/// Whether a server is on this machine: a socket's folder, or a loopback name.
fn near(host: &str) -> bool {
    host.starts_with('/') || host == "localhost" || host == "::1" || host.starts_with("127.")
}

/// Trusts the system's certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` say others), where any are needed.
fn trust(needed: bool) -> Outcome<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if needed {
        // A certificate that cannot be read trusts nobody; the server's then fails with its own message.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| kernel("preparing a secure connection", &error))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The query with its rows in the order of all their columns. Types without an order are ordered as text.
fn in_order(query: &str, wanted: &[Wanted]) -> String {
    let columns: Vec<String> = wanted
        .iter()
        .map(|wanted| {
            let name = wanted.column.name.replace('"', "\"\"");
            format!("answer.\"{name}\"{}", if wanted.sorts { "" } else { "::text" })
        })
        .collect();
    // The query may end with a comment: its line ends before the bracket.
    format!("select * from (\n{query}\n) as answer order by {}", columns.join(", "))
}

/// Whether a query says at its outermost level in which order its rows come. Words in brackets, quotes and comments do not count.
pub fn ordered(query: &str) -> bool {
    let bytes = query.as_bytes();
    let (mut at, mut depth) = (0, 0_i32);
    let mut words: Vec<String> = Vec::new();
    while at < bytes.len() {
        let rest = &query[at..];
        let skip = |end: Option<usize>| end.unwrap_or(rest.len());
        match bytes[at] {
            b'-' if rest.starts_with("--") => at += skip(rest.find('\n')),
            b'/' if rest.starts_with("/*") => at += skip(rest.find("*/").map(|end| end + 2)),
            quote @ (b'\'' | b'"') => at += skip(rest[1..].find(char::from(quote)).map(|end| end + 2)),
            b'$' if tag(rest).is_some() => {
                let tag = tag(rest).unwrap_or_default();
                at += skip(rest[tag.len()..].find(tag).map(|end| end + 2 * tag.len()));
            }
            b'(' => (depth, at) = (depth + 1, at + 1),
            b')' => (depth, at) = (depth - 1, at + 1),
            byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                if depth == 0 {
                    words.push(rest[..end].to_ascii_lowercase());
                }
                at += end;
            }
            _ => at += rest.chars().next().map_or(1, char::len_utf8),
        }
    }
    words.windows(2).any(|pair| pair == ["order", "by"])
}

/// The tag of a dollar-quoted string: `$$`, `$body$`.
fn tag(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 2;
    text[1..end - 1].chars().all(|c| c.is_alphanumeric() || c == '_').then(|| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_counts_only_at_the_outermost_level() {
        for query in [
            "select a from t order by a",
            "SELECT a FROM t ORDER\n BY a desc limit 3",
            "with x as (select 1 as a) select a from x order by a -- end",
            "select 'it''s (' as a from t order by 1",
        ] {
            assert!(ordered(query), "{query}");
        }
        for query in [
            "select a from t",
            "select row_number() over (order by a) as n from t",
            "select a from (select a from t order by a) x",
            "select a from t -- order by a",
            "select 'order by' as a from t",
            "select \"order by\" from t",
            "select $$ order by $$ as a",
            "select $q$ order by $q$ as a /* order by a */",
            "select a as border, byte from t",
            "select 'never closed order by",
        ] {
            assert!(!ordered(query), "{query}");
        }
    }

    #[test]
    fn columns_are_quoted() {
        let wanted =
            |name: &str, sorts| Wanted { column: Column::new(name, Form::Text.dtype()), form: Form::Text, sorts };
        let sql = in_order("select 1 -- x", &[wanted("a \"b\"", true), wanted("j", false)]);
        assert_eq!(
            sql,
            "select * from (\nselect 1 -- x\n) as answer order by answer.\"a \"\"b\"\"\", answer.\"j\"::text"
        );
    }

    #[test]
    fn only_this_machine_is_near() {
        assert!(near("localhost") && near("127.0.0.1") && near("/run/postgresql") && !near("db.example.org"));
    }
}
