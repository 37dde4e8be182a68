//! `pipeline completions`: scripts that complete verbs, options and the names of stages.

use clap_complete::Shell;

use crate::session::Failure;
use crate::terminal;

/// Print a completion script for a shell.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell.
    shell: Shell,
}

/// Prints a script for `verbs`, the whole command line.
///
/// # Errors
/// Never; the signature is every verb's.
pub fn execute(args: &Args, mut verbs: clap::Command) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut verbs, "pipeline", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if args.shell == Shell::Bash {
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
