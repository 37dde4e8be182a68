//! The engine beside ninja, DVC and Snakemake: a layered graph of trivial programs.
//!
//! Every stage is `cksum a b > c` of two outputs of the layer above. Measured are the first run, a run with nothing to do, one
//! leaf edited, a comment edited in the pipeline's text; each beside the peers on the same machine, in turns.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::libtorch::cache_folder;
use crate::shell::{Done, cargo, failed, failure, output, python, run, target, workspace};
use crate::watched;

/// What the peers are, as Python packages.
const PACKAGES: [&str; 4] = ["ninja==1.13.2", "dvc==3.67.1", "snakemake==9.27.1", "blake3==1.0.11"];

#[derive(clap::Args)]
pub struct Engine {
    /// Numbers of stages.
    #[arg(value_name = "N", default_values_t = [100, 1000, 10_000])]
    sizes: Vec<usize>,
    /// Repeats of the runs that do little; the median counts.
    #[arg(long, default_value_t = 7)]
    repeats: usize,
    /// Up to how many stages DVC and Snakemake take part (their first run of 1,000 takes minutes).
    #[arg(long, default_value_t = 100)]
    slow_peers: usize,
    /// Up to how many stages the first run is repeated three times; beyond, it is measured once.
    #[arg(long, default_value_t = 1000)]
    repeat_first: usize,
    /// Edits that are made while `pipeline watch` runs (0: none).
    #[arg(long, default_value_t = 41)]
    edits: usize,
    /// Up to how many stages watching is measured.
    #[arg(long, default_value_t = 10_000)]
    watch: usize,
    /// The `pipeline` program to measure; default: a release build.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Bytes of the file that is hashed beside `blake3` (0: not at all).
    #[arg(long, default_value_t = 1 << 30)]
    hash: u64,
    /// Where the projects are made; default: the system's folder for temporary files.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Also write the figures to this file, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What one run took.
#[derive(Debug, Clone, Copy, Default)]
struct Took {
    wall: f64,
    processor: f64,
    resident: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Tool {
    Ours,
    Ninja,
    Dvc,
    Snakemake,
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Ours => "pipeline",
            Self::Ninja => "ninja",
            Self::Dvc => "dvc",
            Self::Snakemake => "snakemake",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Ours => "pipeline.yaml",
            Self::Ninja => "build.ninja",
            Self::Dvc => "dvc.yaml",
            Self::Snakemake => "Snakefile",
        }
    }
}

/// The programs, where they are.
struct Place {
    python: PathBuf,
    bin: PathBuf,
    ours: PathBuf,
    jobs: String,
}

const MEASURES: [&str; 5] = ["first run", "no-op right after", "no-op", "leaf edited", "comment edited"];

/// The language takes no larger matrix.
const LARGEST_MATRIX: usize = 10_000;

/// Measures and prints.
pub fn measure(options: &Engine) -> Done {
    let ours = match &options.program {
        Some(program) => fs::canonicalize(program).map_err(failed("find", program))?,
        None => {
            run(cargo(None).args(["build", "--release", "-p", "pipeline"]))?;
            target().join("release/pipeline")
        }
    };
    let bin = environment()?;
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).to_string();
    let place = Place { python: bin.join("python"), bin, ours, jobs };
    let scratch = options.folder.clone().unwrap_or_else(std::env::temp_dir);
    let scratch = scratch.join(format!("pipeline-bench-{}", std::process::id()));
    let mut report = json!({"machine": machine(&scratch), "sizes": []});
    println!("{}", report["machine"].as_str().unwrap_or_default());
    for size in &options.sizes {
        let figures = layered(options, &place, &scratch, *size)?;
        if let Some(sizes) = report["sizes"].as_array_mut() {
            sizes.push(figures);
        }
    }
    if options.hash > 0 {
        report["hash"] = hashing(options, &place, &scratch)?;
    }
    fs::remove_dir_all(&scratch).map_err(failed("remove", &scratch))?;
    if let Some(path) = &options.json {
        fs::write(path, format!("{report:#}\n")).map_err(failed("write", path))?;
        println!("written to `{}`", path.display());
    }
    Ok(())
}

fn layered(options: &Engine, place: &Place, scratch: &Path, size: usize) -> Done<Value> {
    let mut tools = vec![Tool::Ours, Tool::Ninja];
    if size <= options.slow_peers {
        tools.extend([Tool::Dvc, Tool::Snakemake]);
    }
    let firsts = if size <= options.repeat_first { 3 } else { 1 };
    // measured[tool][measure]
    let mut measured = vec![vec![Vec::new(); MEASURES.len()]; tools.len()];
    // Every first run in a folder of its own, and nothing is removed before the end: for seconds after many files were removed ext4
    // searches past their inodes, and what makes the most files pays the most for it.
    let first = |tool: Tool, repeat: usize| scratch.join(format!("{}-{size}-{repeat}", tool.name()));
    for repeat in 0..firsts {
        for (at, tool) in tools.iter().enumerate() {
            let folder = first(*tool, repeat);
            prepare(place, *tool, &folder, size)?;
            for takes in &mut measured[at][..2] {
                takes.push(place.once(*tool, &folder)?);
            }
        }
    }
    let project = |tool: Tool| first(tool, firsts - 1);
    for repeat in 0..options.repeats {
        for (at, tool) in tools.iter().enumerate() {
            let folder = project(*tool);
            measured[at][2].push(place.once(*tool, &folder)?);
            // A first run of DVC or Snakemake says enough about how they run; three of everything is plenty.
            if repeat >= 3 {
                continue;
            }
            append(&folder.join("in/0"), &format!("edit {repeat}\n"))?;
            measured[at][3].push(place.once(*tool, &folder)?);
            append(&folder.join(tool.file()), &format!("# comment {repeat}\n"))?;
            measured[at][4].push(place.once(*tool, &folder)?);
            // The next one has nothing to do, and all of them have settled.
            place.once(*tool, &folder)?;
        }
    }
    let medians: Vec<Vec<Took>> =
        measured.iter().map(|tool| tool.iter().map(|takes| median(takes)).collect()).collect();
    let mut figures = json!({"stages": size});
    println!("\n{size} stages");
    println!("{:<20}{:<11}{:>12}{:>12}{:>10}{:>12}", "", "", "wall ms", "cpu ms", "MiB", "x ninja");
    for (number, measure) in MEASURES.iter().enumerate() {
        for (at, tool) in tools.iter().enumerate() {
            let took = medians[at][number];
            let ratio = took.wall / medians[1][number].wall;
            println!(
                "{:<20}{:<11}{:>12.1}{:>12.1}{:>10.0}{:>12.2}",
                if at == 0 { measure } else { "" },
                tool.name(),
                took.wall * 1e3,
                took.processor * 1e3,
                took.resident / 1024.0,
                ratio
            );
            figures[*measure][tool.name()] = json!({
                "wall": took.wall, "cpu": took.processor, "resident_kib": took.resident, "of_ninja": ratio,
                "runs": measured[at][number].iter().map(|took| took.wall).collect::<Vec<_>>(),
            });
        }
    }
    // Processor time beyond the work: what ninja needs is the work and its own small part.
    let beyond = (medians[0][0].processor - medians[1][0].processor) / size as f64 * 1e3;
    println!("processor time per executed stage beyond ninja's: {beyond:.3} ms");
    figures["cpu ms per stage beyond ninja"] = beyond.into();
    let check =
        place.timed(Command::new(&place.ours).arg("check").current_dir(project(Tool::Ours)), options.repeats)?;
    println!("`pipeline check`: {:.1} ms", check.wall * 1e3);
    figures["check"] = check.wall.into();
    let plan = place.timed(Command::new(&place.ours).arg("plan").current_dir(project(Tool::Ours)), 3)?;
    println!("`pipeline plan`: {:.1} ms, {:.0} MiB", plan.wall * 1e3, plan.resident / 1024.0);
    figures["plan"] = json!({"wall": plan.wall, "resident_kib": plan.resident});
    if size <= LARGEST_MATRIX {
        let matrix = project(Tool::Ours).join("matrix.yaml");
        fs::write(&matrix, one_matrix(size)).map_err(failed("write", &matrix))?;
        let mut command = Command::new(&place.ours);
        command.args(["check", "-f", "matrix.yaml"]).current_dir(project(Tool::Ours));
        let check = place.timed(&mut command, options.repeats)?;
        println!("`pipeline check` of one matrix of as many: {:.1} ms", check.wall * 1e3);
        figures["check of a matrix"] = check.wall.into();
    }
    if options.edits > 0 && size <= options.watch {
        let delays = watched::delays(&place.ours, &project(Tool::Ours), &place.jobs, options.edits)?;
        let at = |share: usize| delays[(delays.len() - 1) * share / 100] * 1e3;
        println!(
            "`pipeline watch`, from a saved file to the first stage, {} edits: p50 {:.1} ms, p90 {:.1} ms, worst {:.1} ms",
            delays.len(),
            at(50),
            at(90),
            at(100)
        );
        figures["watch"] = json!(delays);
    }
    Ok(figures)
}

impl Place {
    /// One run of a tool in its project.
    fn once(&self, tool: Tool, folder: &Path) -> Done<Took> {
        let mut command = match tool {
            Tool::Ours => Command::new(&self.ours),
            _ => Command::new(self.bin.join(tool.name())),
        };
        match tool {
            Tool::Ours => command.args(["run", "--jobs", &self.jobs]),
            Tool::Ninja => command.args(["-j", &self.jobs]),
            Tool::Dvc => command.arg("repro"),
            Tool::Snakemake => command.args(["--cores", &self.jobs, "--quiet", "all"]),
        };
        self.measure(command.current_dir(folder))
    }

    fn timed(&self, command: &mut Command, repeats: usize) -> Done<Took> {
        let takes: Vec<Took> = (0..repeats.max(1)).map(|_| self.measure(command)).collect::<Done<_>>()?;
        Ok(median(&takes))
    }

    /// What a command took, children included.
    fn measure(&self, command: &mut Command) -> Done<Took> {
        let mut measuring = Command::new(&self.python);
        measuring.arg("-SE").arg(workspace().join("bench/peers/measure.py"));
        measuring.arg(command.get_program()).args(command.get_args()).env("DVC_NO_ANALYTICS", "1");
        if let Some(folder) = command.get_current_dir() {
            measuring.current_dir(folder);
        }
        let said = output(&mut measuring)?;
        let said: Value = serde_json::from_str(&said).map_err(|_| failure(format!("no figures but `{said}`")))?;
        let number = |name: &str| said[name].as_f64().unwrap_or_default();
        Ok(Took { wall: number("wall"), processor: number("user") + number("system"), resident: number("resident") })
    }
}

/// So many stages as one matrix of two axes.
fn one_matrix(size: usize) -> String {
    let wide = size.div_ceil(20).max(1);
    let axis = |length: usize| (0..length).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    format!(
        "pipeline: matrix\nstages:\n  one:\n    kind: command\n    matrix: {{ a: [{}], b: [{}] }}\n    run: echo ${{matrix.a}} ${{matrix.b}} > m${{matrix.a}}-${{matrix.b}}\n    outs: [\"m${{matrix.a}}-${{matrix.b}}\"]\n",
        axis(wide),
        axis(size.div_ceil(wide))
    )
}

/// By wall time.
fn median(takes: &[Took]) -> Took {
    let mut sorted = takes.to_vec();
    sorted.sort_by(|a, b| a.wall.total_cmp(&b.wall));
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn append(path: &Path, text: &str) -> Done {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new().append(true).open(path).map_err(failed("open", path))?;
    file.write_all(text.as_bytes()).map_err(failed("write", path))
}

/// Makes a project from nothing.
fn prepare(place: &Place, tool: Tool, folder: &Path, size: usize) -> Done {
    for name in ["in", "out"] {
        fs::create_dir_all(folder.join(name)).map_err(failed("make", folder))?;
    }
    let width = (size / 10).clamp(10, 1000).min(size);
    for leaf in 0..width {
        let path = folder.join(format!("in/{leaf}"));
        fs::write(&path, format!("leaf {leaf}\n")).map_err(failed("write", &path))?;
    }
    let mut text = match tool {
        Tool::Ours => "pipeline: layered\nstages:\n".to_owned(),
        Tool::Ninja => "rule cksum\n  command = cksum $in > $out\n".to_owned(),
        Tool::Dvc => "stages:\n".to_owned(),
        Tool::Snakemake => format!("rule all:\n    input: [f'out/{{n}}' for n in range({size})]\n"),
    };
    for stage in 0..size {
        let (layer, column) = (stage / width, stage % width);
        let read = |column: usize| match layer {
            0 => format!("in/{}", column % width),
            _ => format!("out/{}", (layer - 1) * width + column % width),
        };
        let (a, b) = (read(column), read(column + 1));
        let written = match tool {
            Tool::Ours => write!(
                text,
                "  s{stage}:\n    kind: command\n    run: cksum {a} {b} > out/{stage}\n    deps: [{a}, {b}]\n    outs: [out/{stage}]\n"
            ),
            Tool::Ninja => writeln!(text, "build out/{stage}: cksum {a} {b}"),
            Tool::Dvc => write!(
                text,
                "  s{stage}:\n    cmd: cksum {a} {b} > out/{stage}\n    deps: [{a}, {b}]\n    outs: [out/{stage}]\n"
            ),
            Tool::Snakemake => write!(
                text,
                "rule s{stage}:\n    input: '{a}', '{b}'\n    output: 'out/{stage}'\n    shell: 'cksum {{input}} > {{output}}'\n"
            ),
        };
        written.map_err(|error| failure(format!("the text cannot be made: {error}")))?;
    }
    let path = folder.join(tool.file());
    fs::write(&path, text).map_err(failed("write", &path))?;
    if tool == Tool::Dvc {
        output(Command::new(place.bin.join("dvc")).args(["init", "--no-scm", "--quiet"]).current_dir(folder))?;
    }
    Ok(())
}

fn hashing(options: &Engine, place: &Place, scratch: &Path) -> Done<Value> {
    run(cargo(None).args(["build", "--release", "-p", "cache", "--example", "measure_hash"]))?;
    let path = scratch.join("large");
    let block: Vec<u8> = (0..1_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut file = fs::File::create(&path).map_err(failed("write", &path))?;
    for _ in 0..options.hash.div_ceil(block.len() as u64) {
        std::io::Write::write_all(&mut file, &block).map_err(failed("write", &path))?;
    }
    drop(file);
    let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..3 {
        let said = |command: &mut Command| -> Done<Value> {
            let said = output(command)?;
            serde_json::from_str(&said).map_err(|_| failure(format!("no figures but `{said}`")))
        };
        let one = said(Command::new(target().join("release/examples/measure_hash")).arg(&path))?;
        let two = said(Command::new(&place.python).arg(workspace().join("bench/peers/hash.py")).arg(&path))?;
        if one["digest"] != two["digest"] {
            return Err(failure("the two digests differ"));
        }
        ours = ours.min(one["seconds"].as_f64().unwrap_or(f64::INFINITY));
        theirs = theirs.min(two["seconds"].as_f64().unwrap_or(f64::INFINITY));
    }
    let rate = |seconds: f64| options.hash as f64 / seconds / 1e9;
    println!(
        "\nhashing {} MiB: ours {:.2} GB/s, {} {:.2} GB/s: {:.2} times its speed",
        options.hash >> 20,
        rate(ours),
        PACKAGES[3],
        rate(theirs),
        theirs / ours
    );
    Ok(json!({"bytes": options.hash, "ours": ours, "peer": theirs, "peer_is": PACKAGES[3]}))
}

/// The programs of the peers, installed once into the user's cache as their users install them.
fn environment() -> Done<PathBuf> {
    let folder = cache_folder()?.join("peer-engine-1");
    let (bin, marker) = (folder.join("bin"), folder.join("complete"));
    if fs::read_to_string(&marker).is_ok_and(|text| text == PACKAGES.join("\n")) {
        return Ok(bin);
    }
    println!("making the peers' environment in `{}`, once", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed("remove", &folder))?;
    }
    run(Command::new(python()?).args(["-m", "venv"]).arg(&folder))?;
    run(Command::new(bin.join("python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(PACKAGES)
        .env_remove("PYTHONPATH"))
    .map_err(|failure| failure.help("the peers' environment needs the network"))?;
    fs::write(&marker, PACKAGES.join("\n")).map_err(failed("write", &marker))?;
    Ok(bin)
}

/// The machine in one line.
pub fn machine(scratch: &Path) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or_else(|| "?".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let _ = fs::create_dir_all(scratch);
    let system = output(Command::new("stat").args(["-f", "-c", "%T"]).arg(scratch)).unwrap_or_default();
    format!(
        "{} ({cores} usable), {} of memory, Linux {}, {}, load {}",
        field(&read("/proc/cpuinfo"), "model name"),
        field(&read("/proc/meminfo"), "MemTotal"),
        read("/proc/sys/kernel/osrelease").trim(),
        system.trim(),
        read("/proc/loadavg").split(' ').next().unwrap_or_default()
    )
}
