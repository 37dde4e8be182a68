//! Sources that lie elsewhere: what is fetched, what is not fetched again, what is never written down.

use std::fs;
use std::process::Command;

use crate::house::{House, Ran, events, said};
use crate::servers::{Http, Postgres, S3, Served, Traffic, anywhere};

fn lines(rows: usize) -> Vec<u8> {
    let mut text = String::from("a,b\n");
    (0..rows).for_each(|row| text.push_str(&format!("{row},x{}\n", row % 3)));
    text.into_bytes()
}

fn tagged(rows: usize, etag: &str) -> Served {
    Served { body: lines(rows), etag: Some(format!("\"{etag}\"")), modified: None }
}

/// Collects a URL and counts its rows below.
fn fetching(url: &str) -> House {
    House::of(&format!(
        "
pipeline: elsewhere
device: cpu
stages:
  raw: {{ kind: collect, from: {{ csv: \"{url}\" }} }}
  clean: {{ kind: preprocess, inputs: {{ data: raw }}, steps: [drop_duplicates] }}
"
    ))
}

/// `run --json` with variables that only this call has.
fn run_with(house: &House, variables: &[(&str, &str)], args: &[&str]) -> Ran {
    let mut command: Command = house.command(&["run", "--json"]);
    command.args(args).envs(variables.iter().copied());
    let said = said(command);
    Ran { code: said.code, events: events(&said.out), err: said.err }
}

#[test]
fn an_unchanged_url_is_asked_for_and_not_fetched() {
    let server = Http::start(tagged(100, "one"));
    let size = lines(100).len();
    let house = fetching(&server.url());
    assert_eq!(house.say(&["check"]).code, 0);
    assert_eq!(server.traffic(), Traffic::default(), "checking stays off the network");
    house.run().ran(["raw", "clean"]);
    assert_eq!(server.traffic(), Traffic { heads: 1, gets: 1, bytes: size });
    house.run().hit(["raw", "clean"]).nothing_ran();
    assert_eq!(server.traffic(), Traffic { heads: 1, gets: 0, bytes: 0 }, "not a byte");
    // Another reading of the same bytes needs no fetching.
    house.edit("pipeline.yaml", "steps", "tags: [x], steps");
    house.edit("pipeline.yaml", "kind: collect,", "kind: collect, provenance: true,");
    house.run().ran(["raw", "clean"]);
    assert_eq!(server.traffic(), Traffic { heads: 1, gets: 0, bytes: 0 });
    // What only looks at the plan asks nobody.
    for verb in ["plan", "status", "check"] {
        assert_eq!(house.say(&[verb]).code, 0);
    }
    assert_eq!(server.traffic(), Traffic::default());
    // Another content is fetched.
    server.serve(Some(tagged(101, "two")));
    house.run().ran(["raw", "clean"]);
    assert_eq!(server.traffic().gets, 1);
    // The state before is remembered, too: its rows are in the store.
    server.serve(Some(tagged(100, "one")));
    house.run().nothing_ran();
    assert_eq!(server.traffic(), Traffic { heads: 1, gets: 0, bytes: 0 });
    assert_eq!(anywhere(house.path().join(".pipeline").as_path(), "s3cret"), None, "tokens are nobody's business");
}

#[test]
fn refreshing_fetches_again_and_stops_below_where_nothing_changed() {
    let server = Http::start(tagged(50, "one"));
    let house = fetching(&server.url());
    house.run();
    server.traffic();
    let ran = house.run_with(&["--refresh"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.ran(["raw"]).hit(["clean"]);
    assert_eq!(server.traffic(), Traffic { heads: 1, gets: 1, bytes: lines(50).len() });
    house.run().nothing_ran();
    assert_eq!(
        server.traffic(),
        Traffic { heads: 1, gets: 0, bytes: 0 },
        "what was refreshed is the state from now on"
    );
    // A server whose tag stays although the content changed: refreshing sees it.
    server.serve(Some(tagged(60, "one")));
    let ran = house.run_with(&["--refresh"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.ran(["raw", "clean"]);
    assert!((ran.number("raw", "rows") - 60.0).abs() < 0.5);
}

#[test]
fn verify_names_the_column_that_came_out_differently() {
    let server = Http::start(tagged(50, "one"));
    let house = fetching(&server.url());
    house.run();
    // The content changed behind an entity tag that did not.
    let body = String::from_utf8(lines(50)).expect("text").replace("\n7,x1\n", "\n7,x9\n").into_bytes();
    server.serve(Some(Served { body, ..tagged(50, "one") }));
    assert_eq!(house.say(&["verify", "raw"]).code, 0, "what was fetched is still there");
    fs::remove_dir_all(house.path().join(".pipeline/downloads-v1")).expect("what was fetched");
    let said = house.say(&["verify", "raw"]);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(said.out.contains("column `b`, row 8: `x1` was, `x9` is now"), "{}{}", said.out, said.err);
    house.run().nothing_ran();
}

#[test]
fn a_date_is_as_good_as_a_tag_and_without_either_everything_is_fetched() {
    let dated = |rows: usize, day: &str| Served {
        body: lines(rows),
        etag: None,
        modified: Some(format!("{day} Nov 2026 10:00:00 GMT")),
    };
    let server = Http::start(dated(20, "Mon, 23"));
    let house = fetching(&server.url());
    house.run();
    server.traffic();
    house.run().nothing_ran();
    assert_eq!(server.traffic(), Traffic { heads: 1, gets: 0, bytes: 0 });
    server.serve(Some(dated(20, "Tue, 24")));
    house.run().ran(["raw"]).hit(["clean"]);
    server.serve(Some(Served { body: lines(20), ..Served::default() }));
    house.run().ran(["raw"]).hit(["clean"]);
    house.run().ran(["raw"]).hit(["clean"]);
    server.traffic();
    // With its content declared, the server is not even asked.
    let output = Command::new("sha256sum").arg(written(&house, &lines(20))).output().expect("sha256sum");
    let digest = String::from_utf8_lossy(&output.stdout)[..64].to_owned();
    house.edit("pipeline.yaml", "csv: ", "csv: { path: ");
    house.edit("pipeline.yaml", "t0ken\"", &format!("t0ken\", digest: \"sha256:{digest}\" }}"));
    house.run().ran(["raw"]).hit(["clean"]);
    assert_eq!(server.traffic().heads, 0);
    server.traffic();
    house.run().nothing_ran();
    house.run_with(&["--refresh"]).nothing_ran();
    assert_eq!(server.traffic(), Traffic::default());
}

fn written(house: &House, bytes: &[u8]) -> std::path::PathBuf {
    house.write("copy.csv", bytes);
    house.path().join("copy.csv")
}

#[test]
fn without_its_server_work_goes_on_with_what_was_fetched() {
    let server = Http::start(tagged(30, "one"));
    let house = fetching(&server.url());
    house.run();
    server.serve(None);
    let ran = house.run();
    ran.nothing_ran().hit(["raw", "clean"]);
    let warning = ran.events.iter().find(|event| event["event"] == "warning").expect("a warning");
    assert!(warning["fault"]["message"].as_str().expect("text").contains("as it was last time"), "{warning}");
    // What was never fetched, or must be fetched now, is a failure with its place.
    let forced = house.run_with(&["--refresh"]);
    assert_eq!(forced.code, 1);
    assert!(forced.fault("data::unreachable")["help"].is_string());
    let other = fetching(&server.url());
    let said = other.say(&["run"]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("data::unreachable") && said.err.contains("pipeline.yaml:5:"), "{}", said.err);
    let told = other.run_with(&[]).fault("data::unreachable").to_string();
    assert!(!told.contains("s3cret"), "{told}");
    server.serve(Some(tagged(30, "one")));
    other.run().ran(["raw", "clean"]);
}

#[test]
fn an_unchanged_file_is_not_read() {
    let house = fetching("data.csv");
    let body = lines(400_000);
    house.write("data.csv", &body);
    house.run();
    // By now it is old enough that its times alone tell that it did not change; that is remembered with this run.
    house.run().nothing_ran();
    let trace = house.path().join("read");
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg("\"$0\" run --json && grep rchar /proc/$$/io > \"$1\"")
        .arg(crate::house::program())
        .arg(&trace)
        .current_dir(house.path());
    let said = said(command);
    assert_eq!(said.code, 0, "{}", said.err);
    Ran { code: 0, events: events(&said.out), err: said.err }.nothing_ran();
    // A shell's count holds that of the children it has waited for.
    let text = fs::read_to_string(trace).expect("a count");
    let read: u64 = text.trim().rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a number");
    assert!(read > 0 && read < body.len() as u64 / 2, "{read} bytes of {} were read", body.len());
}

/// Asks a database.
fn asking(server: &Postgres, user: &str, query: &str) -> House {
    let house = House::empty();
    ask(&house, server, user, query);
    house
}

fn ask(house: &House, server: &Postgres, user: &str, query: &str) {
    let port = server.port();
    house.write(
        "pipeline.yaml",
        format!(
            "
pipeline: shop
device: cpu
stages:
  raw:
    kind: collect
    from:
      postgres:
        host: 127.0.0.1
        port: {port}
        database: postgres
        user: {user}
        query: |
          {query}
"
        ),
    );
}

fn csv(house: &House) -> String {
    let said = house.say(&["get", "raw", "-o", "out.csv"]);
    assert_eq!(said.code, 0, "{}", said.err);
    house.read("out.csv")
}

/// The one fault of a run that fails, shown as a person sees it.
fn refused(house: &House, variables: &[(&str, &str)], code: &str, word: &str) {
    let mut command = house.command(&["run"]);
    command.envs(variables.iter().copied());
    let said = said(command);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains(code) && said.err.contains(word), "{code}, {word}:\n{}", said.err);
    assert!(said.err.contains("help:") && said.err.contains("pipeline.yaml:"), "{}", said.err);
    for bad in ["panicked", "Os {", "os error", Postgres::PASSWORD] {
        assert!(!said.err.contains(bad), "{bad}:\n{}", said.err);
    }
}

#[test]
fn a_database_gives_its_rows_with_their_types() {
    let Some(mut server) = Postgres::start() else { return };
    server.sql(
        "create type mood as enum ('sad', 'ok'); create domain age as smallint;
         create table people (
           id bigint, small smallint, n integer, r real, f double precision, d numeric(10, 2), w numeric(12), t text,
           v varchar(9), b boolean, day date, at timestamp, zoned timestamptz, u uuid, j jsonb, m mood, a age, raw bytea);
         insert into people values
           (2, 1, -5, 1.5, 0.1, 12345.67, 999999999999, 'zwei', 'b', false, '1999-12-31', '2000-01-01 00:00:00.25',
            '2000-01-01 02:00:00+02', '00112233-4455-6677-8899-aabbccddeeff', '{\"k\": 1}', 'ok', 7, '\\x00ff'),
           (1, null, null, null, null, null, null, 'eins, \"zitiert\"', null, true, '1970-01-01', null, null, null, null, 'sad', null, null)",
    );
    let house = asking(&server, "admin", "select * from people");
    house.run().ran(["raw"]);
    let shown = house.say(&["show", "raw", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.out).expect("JSON");
    let text = shown.to_string();
    for (name, dtype) in [
        ("id", "int64"),
        ("small", "int16"),
        ("n", "int32"),
        ("r", "float32"),
        ("f", "float64"),
        ("d", "float64"),
        ("w", "int64"),
        ("t", "string"),
        ("b", "bool"),
        ("day", "date"),
        ("at", "datetime"),
        ("zoned", "datetime"),
        ("u", "string"),
        ("j", "string"),
        ("m", "string"),
        ("a", "int16"),
        ("raw", "binary"),
    ] {
        let column = shown["columns"].as_array().expect("columns").iter().find(|column| column["name"] == name);
        assert_eq!(column.map(|column| &column["dtype"]), Some(&dtype.into()), "{name} in {text}");
    }
    ask(&house, &server, "admin", "select t, d, w, day, at, zoned, u, j, m, a from people order by id");
    house.run().ran(["raw"]);
    let table = csv(&house);
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows[0], "t,d,w,day,at,zoned,u,j,m,a");
    assert!(rows[1].starts_with("\"eins, \"\"zitiert\"\"\",,,1970-01-01,,,,,sad"), "{table}");
    for cell in ["zwei,12345.67,999999999999,1999-12-31,2000-01-01T00:00:00.25", "00112233-4455-6677-8899-aabbccddeeff"]
    {
        assert!(rows[2].contains(cell), "{cell} in {table}");
    }
    // Without an order, the same rows give the same data set, however the table has them.
    ask(&house, &server, "admin", "select id, t, j from people -- as they come");
    let first = house.run().digests();
    server.sql("create table other as select * from people order by id; truncate people; insert into people select * from other");
    let again = house.run_with(&["--refresh"]);
    assert_eq!(again.code, 0, "{}", again.err);
    assert_eq!(again.digests(), first);
    // The answer is kept until it is asked for again.
    server.sql("insert into people (id, t) values (3, 'drei')");
    house.run().nothing_ran();
    let ran = house.run_with(&["--refresh"]);
    assert!((ran.number("raw", "rows") - 3.0).abs() < 0.5);
    // Many rows, more than one page and one batch of them.
    ask(
        &house,
        &server,
        "admin",
        "select i, repeat('x', 400) || i as t from generate_series(1, 250000) i order by i desc",
    );
    assert!((house.run().number("raw", "rows") - 250_000.0).abs() < 0.5);
    assert!(csv(&house).lines().nth(1).is_some_and(|line| line.starts_with("250000,xxx")));
    // Down: what is there serves, what is not there is a fault.
    server.stop();
    house.run().nothing_ran();
    ask(&house, &server, "admin", "select 1 as one");
    refused(&house, &[], "data::database_down", "cannot be reached");
}

#[test]
fn a_database_is_only_read_and_says_what_is_wrong() {
    let Some(server) = Postgres::start() else { return };
    server.sql("create table t (a integer, tags text[], span interval, n numeric, day date); insert into t values (1, '{x}', '1 day', 9007199254740993, 'infinity')");
    let wrong = |query: &str, code: &str, word: &str| {
        refused(&asking(&server, "admin", query), &[], code, word);
    };
    wrong("selec a from t", "data::bad_query", "syntax error");
    wrong("select b from t", "data::bad_query", "\"b\" does not exist");
    wrong("delete from t", "data::bad_query", "gives no rows");
    wrong("delete from t returning a", "data::bad_query", "no plain `select`");
    wrong("with x as (delete from t returning a) select a from x order by a", "data::bad_query", "would write");
    wrong("select a from t; select 1", "data::bad_query", "multiple commands");
    wrong("select a from t where a = $1", "data::bad_query", "parameters");
    wrong("select a, a from t", "data::duplicate_column", "`a`");
    wrong("select a, 1 from t", "data::empty_name", "column 2");
    wrong("select tags from t", "data::unsupported_type", "unnest(tags)");
    wrong("select span from t", "data::unsupported_type", "interval");
    wrong("select n from t", "data::cell", "9007199254740993");
    wrong("select day from t", "data::cell", "infinite date");
    let ran = asking(&server, "admin", "select a from t where false").run_with(&[]);
    assert_eq!((ran.code, ran.codes()), (1, vec!["data::empty".to_owned()]), "{}", ran.err);
    // A password that is missing, wrong, right; from the variable that is named.
    let house = asking(&server, "reader", "select a from t");
    refused(&house, &[], "data::database_login", "PGPASSWORD");
    refused(&house, &[("PGPASSWORD", "wrong")], "data::database_login", "does not take the password");
    let ran = run_with(&house, &[("PGPASSWORD", Postgres::PASSWORD)], &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    // Who may ask is not what is answered: another variable is no change.
    house.edit("pipeline.yaml", "        user: reader", "        user: reader\n        password_env: SHOP_PASSWORD");
    house.run().nothing_ran();
    let ran = run_with(&house, &[("SHOP_PASSWORD", Postgres::PASSWORD)], &["--refresh", "--verbose"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.ran(["raw"]);
    assert!(!format!("{:?}{}", ran.events, ran.err).contains(Postgres::PASSWORD));
    assert_eq!(anywhere(house.path(), Postgres::PASSWORD), None, "the password is nowhere");
    // Encrypted, the server must be who it says it is.
    let house = asking(&server, "admin", "select ssl from pg_stat_ssl where pid = pg_backend_pid()");
    house.run();
    assert_eq!(csv(&house), "ssl\nfalse\n", "not on the way to this machine itself");
    house.edit("pipeline.yaml", "        user:", "        tls: require\n        user:");
    house.run().nothing_ran();
    let refresh = |variables: &[(&str, &str)]| run_with(&house, variables, &["--refresh"]);
    assert_eq!(refresh(&[]).codes(), ["data::database_insecure"]);
    let certificate = server.certificate();
    let ran = refresh(&[("SSL_CERT_FILE", certificate.to_str().expect("a path"))]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(csv(&house), "ssl\ntrue\n");
    // It may not be written where it would be read.
    let house = asking(&server, "reader\n        password_env: s3cret-Passw0rd", "select a from t");
    let said = house.say(&["check"]);
    assert!(said.code == 2 && said.err.contains("collect::password"), "{}", said.err);
}

#[test]
fn objects_of_a_store_are_fetched_once() {
    let Some(server) = S3::start() else { return };
    server.put(
        "shop",
        &[
            ("2024/part-10.csv", "a,b\n3,z\n"),
            ("2024/part-2.csv", "a,b\n1,x\n2,y\n"),
            ("2024/notes.txt", "no rows"),
            ("2024/deep/part-1.csv", "a,b\n9,w\n"),
        ],
    );
    let endpoint = server.endpoint();
    let house = House::of(&format!(
        "
pipeline: shop
device: cpu
stages:
  raw:
    kind: collect
    from: {{ csv: \"s3://shop/2024/*.csv\" }}
    s3: {{ endpoint: \"{endpoint}\", region: us-east-1 }}
"
    ));
    let keys = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "s3cret-k3y")];
    let run = |args: &[&str]| {
        let ran = run_with(&house, &keys, args);
        assert_eq!(ran.code, 0, "{}\n{:#?}", ran.err, ran.events);
        ran
    };
    run(&[]).ran(["raw"]);
    assert_eq!(csv(&house), "a,b\n1,x\n2,y\n3,z\n", "in natural order, without the folder below");
    run(&[]).nothing_ran();
    // The same objects put again are the same; another content is another.
    server.put("shop", &[("2024/part-10.csv", "a,b\n3,z\n")]);
    run(&[]).nothing_ran();
    server.put("shop", &[("2024/part-10.csv", "a,b\n4,z\n")]);
    run(&[]).ran(["raw"]);
    server.put("shop", &[("2024/part-11.csv", "a,b\n5,v\n")]);
    run(&[]).ran(["raw"]);
    assert_eq!(csv(&house), "a,b\n1,x\n2,y\n4,z\n5,v\n");
    run(&["--refresh"]).ran(["raw"]);
    house.edit("pipeline.yaml", "2024/*.csv", "**/part-1.csv");
    run(&[]).ran(["raw"]);
    assert_eq!(csv(&house), "a,b\n9,w\n");
    house.edit("pipeline.yaml", "**/part-1.csv", "2024/part-2.csv");
    run(&[]).ran(["raw"]);
    for (path, code) in [("2023/*.csv", "data::no_object"), ("2024/part-3.csv", "data::no_object")] {
        let other = House::of(&house.read("pipeline.yaml").replace("2024/part-2.csv", path));
        refused(&other, &keys, code, path);
    }
    let other = House::of(&house.read("pipeline.yaml").replace("s3://shop", "s3://nowhere"));
    refused(&other, &keys, "data::no_object", "nowhere");
    let unsigned = House::of(&house.read("pipeline.yaml"));
    refused(&unsigned, &[], "data::bucket_login", "AWS_ACCESS_KEY_ID");
    assert_eq!(anywhere(house.path(), "s3cret-k3y"), None, "the key is nowhere");
}

#[test]
fn a_database_that_dies_in_the_middle_of_an_answer_is_said() {
    let Some(server) = Postgres::start() else { return };
    server.sql("create table n as select g as i from generate_series(1, 400) g");
    // A row takes a while, so that there are some before the end.
    let house = asking(&server, "admin", "select i, pg_sleep(0.05)::text as s from n");
    let mut run = house.start(&["run", "--json"]);
    // Whoever asks such a query is cut off, until the run has ended.
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep%' and state = 'active' and pid <> pg_backend_pid()";
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while run.try_wait().expect("a state").is_none() {
        assert!(std::time::Instant::now() < deadline, "the query goes on");
        server.sql(kill);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let output = run.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let fault =
        crate::house::events(&told).into_iter().find(|event| event["event"] == "stage_failed").expect("a failure");
    let code = fault["faults"][0]["code"].as_str().expect("a code");
    assert!(code.starts_with("data::") && fault["faults"][0]["help"].is_string(), "{fault:#}");
    assert!(!told.contains("Os {") && !told.contains("panicked"), "{told}");
    // Nothing of half an answer is kept, and the database is there again.
    ask(&house, &server, "admin", "select i from n");
    assert_eq!(house.run().ran(["raw"]).number("raw", "rows"), 400.0);
}
