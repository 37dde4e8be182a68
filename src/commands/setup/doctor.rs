//! `pipeline doctor`: is this installation sound?

use std::path::{Path, PathBuf};

use contract::kind::Program;
use serde_json::json;

use crate::session::{ENGINE_FAILED, Failure, FileArgs, Project, find_programs};
use crate::terminal::{self, Styles};

/// What a check found.
enum Health {
    Good,
    Note,
    Bad,
}

struct Finding {
    what: &'static str,
    health: Health,
    found: String,
    help: Option<String>,
}

/// Check this installation: programs, libtorch, devices, store, file watching.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub file: FileArgs,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Checks; the exit code is 4 when something needed is broken.
///
/// # Errors
/// Never: what is wrong is the result.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    let mut findings = vec![Finding {
        what: "pipeline",
        health: Health::Good,
        found: format!("{} at {}", env!("CARGO_PKG_VERSION"), std::env::current_exe().unwrap_or_default().display()),
        help: None,
    }];
    let programs = find_programs();
    for &program in Program::WORKERS {
        findings.extend(worker(program, programs.of(program)));
    }
    findings.push(processor());
    let root = Project::find(&args.file).map(|project| project.root);
    let root = root.or_else(|_| std::env::current_dir()).unwrap_or_else(|_| PathBuf::from("."));
    findings.push(store(&root));
    findings.extend(watches());
    let bad = findings.iter().any(|finding| matches!(finding.health, Health::Bad));
    if args.json {
        let findings: Vec<_> = findings
            .iter()
            .map(|finding| {
                let health = match finding.health {
                    Health::Good => "good",
                    Health::Note => "note",
                    Health::Bad => "bad",
                };
                json!({ "what": finding.what, "health": health, "found": finding.found, "help": finding.help })
            })
            .collect();
        terminal::out(&format!("{:#}", json!({ "sound": !bad, "findings": findings })));
    } else {
        for finding in &findings {
            let mark = match finding.health {
                Health::Good => Styles::good().apply_to("✓"),
                Health::Note => Styles::warn().apply_to("!"),
                Health::Bad => Styles::bad().apply_to("✗"),
            };
            terminal::out(&format!("{mark} {:<15} {}", finding.what, finding.found));
            if let Some(help) = &finding.help {
                terminal::out(&format!("  {:<15} {}", "", Styles::dim().apply_to(format!("help: {help}"))));
            }
        }
    }
    Ok(if bad { ENGINE_FAILED } else { 0 })
}

fn worker(which: Program, program: Option<&Path>) -> Vec<Finding> {
    let Some(known) = which.worker() else { return Vec::new() };
    let what = known.name;
    let Some(program) = program else {
        return vec![Finding {
            what,
            health: Health::Bad,
            found: "not found beside `pipeline` nor on the PATH".into(),
            help: Some("build it with `cargo build`, or install all three with `cargo xtask install`".into()),
        }];
    };
    let hello = match engine::execute::hello(program) {
        Ok(hello) => hello,
        Err(fault) => {
            return vec![Finding {
                what,
                health: Health::Bad,
                found: format!("{}: {}", program.display(), fault.message),
                help: fault.help,
            }];
        }
    };
    let ours = env!("CARGO_PKG_VERSION");
    let same = hello.version == ours;
    let mut findings = vec![Finding {
        what,
        health: if same { Health::Good } else { Health::Bad },
        found: format!("{} at {}", hello.version, program.display()),
        help: (!same).then(|| format!("this is `pipeline` {ours}; install the three programs together")),
    }];
    if let Some(tool) = &known.keyed_tool {
        let found = hello.toolchain.get(tool.name).cloned().unwrap_or_else(|| "unknown".into());
        findings.push(Finding { what: tool.name, health: Health::Good, found, help: None });
    }
    if known.uses_device {
        let devices = &hello.cuda_devices;
        findings.push(Finding {
            what: "cuda",
            health: Health::Good,
            found: if devices.is_empty() { "none; `device: auto` means cpu".into() } else { devices.join(", ") },
            help: None,
        });
    }
    findings
}

fn processor() -> Finding {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = flags.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let fast: Vec<&str> = ["avx2", "avx512f", "avx_vnni", "avx512_vnni"]
        .into_iter()
        .filter(|flag| flags.split_whitespace().any(|known| known == *flag))
        .collect();
    Finding {
        what: "processors",
        health: Health::Good,
        found: format!("{count}{}{}", if fast.is_empty() { "" } else { ", " }, fast.join(" ")),
        help: None,
    }
}

fn store(root: &Path) -> Finding {
    let folder = root.join(".pipeline");
    // Looking must not leave a store behind in a folder that had none.
    if !folder.exists() {
        let probe = root.join(format!(".pipeline-doctor-{}", std::process::id()));
        let writable = std::fs::write(&probe, b"").is_ok();
        let _ = std::fs::remove_file(&probe);
        return Finding {
            what: "store",
            health: if writable { Health::Good } else { Health::Bad },
            found: format!("none yet; it will be {}", folder.display()),
            help: (!writable).then(|| format!("`{}` cannot be written", root.display())),
        };
    }
    match cache::Store::open(&folder) {
        Ok(_) => Finding { what: "store", health: Health::Good, found: folder.display().to_string(), help: None },
        Err(error) => {
            let fault = engine::store_fault(&error);
            Finding { what: "store", health: Health::Bad, found: fault.message, help: fault.help }
        }
    }
}

fn watches() -> Option<Finding> {
    let limit: u64 = std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").ok()?.trim().parse().ok()?;
    let low = limit < 8192;
    Some(Finding {
        what: "file watching",
        health: if low { Health::Note } else { Health::Good },
        found: format!("up to {} folders", terminal::quantity::count(limit)),
        help: low.then(|| "raise `fs.inotify.max_user_watches` to watch large folders".into()),
    })
}
