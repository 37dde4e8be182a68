//! `pipeline completions`: scripts that complete verbs, options and the names of stages.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::{Cli, FileArgs};
use crate::project::{Failure, Project};
use crate::report::terminal;

/// Prints a script.
///
/// # Errors
/// Never; the signature is every verb's.
pub fn execute(shell: Shell) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pipeline", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if shell == Shell::Bash {
        // Stage names come from the pipeline at hand; the generated function is asked first.
        script.push_str(
            r#"
_pipeline_with_stages() {
    _pipeline "$@"
    local word="${COMP_WORDS[COMP_CWORD]}" verb="${COMP_WORDS[1]}"
    case "$verb" in
        run|watch|plan|why|show|get)
            [[ "$word" == -* ]] && return
            local names; names="$(pipeline complete-names 2>/dev/null)"
            COMPREPLY+=( $(compgen -W "$names" -- "$word") ) ;;
    esac
}
complete -F _pipeline_with_stages -o bashdefault -o default pipeline
"#,
        );
    }
    terminal::out(&script);
    Ok(0)
}

/// Prints the stages' names, one a line; nothing when there is no valid pipeline.
///
/// # Errors
/// Never; a completion script has no use for a message.
pub fn names(args: &FileArgs) -> Result<u8, Failure> {
    if let Ok(project) = Project::find(args)
        && let Some(spec) = project.read(&args.set).spec
    {
        terminal::out(&spec.stages.iter().map(|stage| format!("{}\n", stage.name)).collect::<String>());
    }
    Ok(0)
}
