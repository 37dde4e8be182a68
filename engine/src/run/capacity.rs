//! The slots of a run: those that the pipeline declares, or else those of the machine.

use contract::fault::{Fault, Route};

use crate::graph::once_per_family;
use crate::key::Environment;
use crate::plan::Plan;
use crate::run::scheduler::Slots;

/// The slots of a run. `jobs` overrides the pipeline's number of processors.
pub fn capacity(plan: &Plan, environment: &Environment, jobs: Option<usize>) -> Slots {
    let declared = &plan.spec.resources;
    let machine = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u32;
    let cpus = jobs.map(|jobs| jobs as u32).or(declared.cpus).unwrap_or_else(machine);
    Slots {
        cpus: cpus.max(1),
        memory: declared.memory.or_else(machine_memory).unwrap_or(u64::MAX),
        gpus: declared.gpus.unwrap_or_else(|| machine_gpus(environment)),
    }
}

/// Finds stages that ask for more than the slots of the run. Such a stage gets all processors and
/// runs alone.
pub fn beyond(plan: &Plan, environment: &Environment) -> Vec<Fault> {
    let total = capacity(plan, environment, None);
    let mut faults = Vec::new();
    for stage in &plan.stages {
        let asked = &stage.resources;
        let counted = |count: u32, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let beyond = [
            ("cpus", u64::from(asked.cpus.unwrap_or(0)), u64::from(total.cpus)),
            ("memory", asked.memory.unwrap_or(0), total.memory),
            ("gpus", u64::from(asked.gpus.unwrap_or(0)), u64::from(total.gpus)),
        ];
        for (what, wanted, given) in beyond.into_iter().filter(|(_, wanted, given)| wanted > given) {
            let shown = |amount: u64| match what {
                "cpus" => counted(amount as u32, "processor"),
                "gpus" => counted(amount as u32, "GPU"),
                _ => format!("{:.1} GiB of memory", amount as f64 / f64::from(1 << 30)),
            };
            let message = format!("`{}` asks for {}, and here is {}", stage.name, shown(wanted), shown(given));
            let help = format!("it runs alone; `resources: {{ {what}: … }}` of the pipeline says how much there is");
            let at = Route::stage(&stage.name).join("resources").join(what);
            faults.push(Fault::warning(contract::code!("resources::beyond"), message).help(help).at(at));
        }
    }
    once_per_family(faults)
}

/// The machine's memory in bytes (Linux).
fn machine_memory() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The number of GPUs that libtorch can use. If libtorch was not asked, because only commands run,
/// it is the number of GPUs that the driver shows.
fn machine_gpus(environment: &Environment) -> u32 {
    if !environment.cuda_devices.is_empty() {
        return environment.cuda_devices.len() as u32;
    }
    let number = |name: &str| name.strip_prefix("nvidia").is_some_and(|rest| rest.parse::<u32>().is_ok());
    let devices = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    devices.filter(|entry| entry.file_name().to_str().is_some_and(number)).count() as u32
}
