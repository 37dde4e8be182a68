//! Commands of DVC as a `run` with the same meaning.
//!
//! DVC gives every entry of `cmd` (every line of a text) to a shell of its own, without `-e`; here one `sh -e` carries out the
//! whole `run`. So a text of several commands says `set +e`, and entries that could change the shell for the next (`cd`, `export`)
//! stand in a subshell each.

use std::collections::BTreeSet;

/// Variables that every program has here, or that the shell sets itself.
const KNOWN: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "USER",
    "SHELL",
    "PIPELINE",
    "PWD",
    "OLDPWD",
    "PPID",
    "IFS",
    "OPTIND",
    "OPTARG",
    "UID",
    "EUID",
    "RANDOM",
    "SECONDS",
    "LINENO",
    "BASH",
    "BASHPID",
    "BASH_VERSION",
    "BASH_SOURCE",
    "FUNCNAME",
    "PIPESTATUS",
    "REPLY",
    "_",
];

/// First words that change the shell itself, or what the words behind them mean.
const STATEFUL: &[&str] = &[
    "!", "cd", "export", "set", "unset", "exit", "exec", "trap", "umask", "alias", "source", ".", "eval", "readonly",
    "shift", "pushd", "popd", "read", "ulimit", "shopt", "return", "local", "declare", "typeset", "wait", "command",
    "builtin", "time", "break", "continue", "getopts", "hash", "unalias",
];

/// A word of the shell.
pub(super) fn word(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_-./=:,+@%".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// The entries that DVC makes of a `cmd` that is one text: its lines.
pub(super) fn lines(text: &str) -> Vec<String> {
    let breaks = ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];
    text.split(breaks).map(str::to_owned).collect()
}

/// Entries, looked at; what is empty does nothing.
pub(super) fn entries(texts: &[String]) -> Vec<Entry<'_>> {
    texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()).map(Entry::new).collect()
}

/// The `run` that does what DVC does with these entries.
pub(super) fn run(entries: &[Entry<'_>]) -> String {
    match entries {
        [] => String::new(),
        [one] => one.alone(),
        many if many.iter().all(Entry::simple) => many.iter().map(Entry::alone).collect::<Vec<_>>().join("\n"),
        many => many.iter().map(Entry::enclosed).collect::<Vec<_>>().join(" &&\n"),
    }
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

/// One command line, looked at.
pub(super) struct Entry<'t> {
    text: &'t str,
    /// Without what is quoted, escaped or a comment: words and operators.
    bare: String,
    /// Without what stands in single quotes, escaped or in a comment: where variables are put in.
    live: String,
    /// Whether quotes are closed, parentheses match and nothing is escaped behind the end.
    closed: bool,
    comment: bool,
    /// What of it only bash and its kin understand.
    pub bash: Option<&'static str>,
}

impl<'t> Entry<'t> {
    fn new(text: &'t str) -> Self {
        let (mut bare, mut live) = (String::new(), String::new());
        let mut quote = None;
        let (mut closed, mut comment, mut dollar_quote, mut backslash) = (true, false, false, false);
        let mut chars = text.chars().peekable();
        let mut last = ' ';
        while let Some(c) = chars.next() {
            match (quote, c) {
                (None | Some('"'), '\\') => {
                    let next = chars.next();
                    closed &= next.is_some();
                    backslash |= quote.is_some() && next.is_some_and(|next| !"\\\"$`\n".contains(next));
                    bare.push('x');
                    live.push(' ');
                }
                (None, '\'' | '"') => {
                    dollar_quote |= last == '$';
                    quote = Some(c);
                    bare.push('x');
                }
                (None, '#') if last.is_whitespace() || ";&|(".contains(last) => {
                    comment = true;
                    while chars.next_if(|c| *c != '\n').is_some() {}
                }
                (Some(open), c) if open == c => quote = None,
                (Some('\''), c) => {
                    backslash |= c == '\\';
                    live.push(' ');
                }
                (Some(_), c) => live.push(c),
                (None, c) => {
                    bare.push(c);
                    live.push(c);
                }
            }
            last = c;
        }
        closed &= quote.is_none() && bare.matches('(').count() == bare.matches(')').count();
        let mut entry = Self { text, bare, live, closed, comment, bash: None };
        entry.bash = entry.bashism().or_else(|| dollar_quote.then_some("$'…'"));
        if entry.bash.is_none() && backslash && entry.tokens().any(|token| token == "echo") {
            entry.bash = Some("echo '\\…'");
        }
        entry
    }

    /// The environment variables that a command mentions and does not set.
    pub(super) fn variables(&self) -> BTreeSet<String> {
        let mut assigned = BTreeSet::new();
        let mut before = "";
        let mut reads = false;
        for token in self.bare.split(|c: char| c.is_whitespace() || ";&|()".contains(c)) {
            let name = identifier(token);
            if name.len() < token.len()
                && token[name.len()..].trim_start_matches('+').starts_with('=')
                && !name.is_empty()
                || matches!(before, "for" | "select")
                || reads && name == token
            {
                assigned.insert(name);
            }
            reads = token == "read" || reads && !token.is_empty();
            before = token;
        }
        let mut found = BTreeSet::new();
        let mut rest = self.live.as_str();
        while let Some(at) = rest.find('$') {
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                rest = after;
                continue;
            }
            let name = identifier(rest.strip_prefix('{').map_or(rest, |rest| rest.trim_start_matches(['#', '!'])));
            // A program's inputs here have such names: they are declared in any case, so that none is looked for.
            let ours = name.starts_with("INPUT_");
            if !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && !KNOWN.contains(&name)
                && !name.starts_with("LC_")
                && (ours || !assigned.contains(name))
            {
                found.insert(name.to_owned());
            }
        }
        found
    }

    fn tokens(&self) -> impl Iterator<Item = &str> {
        self.bare.split(|c: char| c.is_whitespace() || ";&|()".contains(c)).filter(|token| !token.is_empty())
    }

    /// The first word of every command in it.
    fn commands(&self) -> impl Iterator<Item = &str> {
        let keywords = ["if", "then", "else", "elif", "while", "until", "do", "{", "!", "time"];
        let first = move |command: &&str| !keywords.contains(command);
        self.bare.split([';', '&', '|', '(', '\n']).filter_map(move |part| part.split_whitespace().find(first))
    }

    fn bashism(&self) -> Option<&'static str> {
        for sign in ["<<<", "<(", ">(", "&>", "|&"] {
            if self.bare.contains(sign) {
                return Some(sign);
            }
        }
        let commands: Vec<&str> = self.commands().collect();
        for word in ["[[", "source", "pushd", "popd", "declare", "typeset", "shopt", "function", "mapfile", "select"] {
            if commands.contains(&word) {
                return Some(word);
            }
        }
        let tokens: Vec<&str> = self.tokens().collect();
        for (words, shown) in
            [(["echo", "-e"], "echo -e"), (["echo", "-en"], "echo -e"), (["-o", "pipefail"], "set -o pipefail")]
        {
            if tokens.windows(2).any(|pair| pair == words) {
                return Some(shown);
            }
        }
        if tokens.contains(&"pipefail") {
            return Some("set -o pipefail");
        }
        let without = |before: &str, sign: &str| {
            self.bare.match_indices(sign).any(|(at, _)| !self.bare[..at].ends_with(|c: char| before.contains(c)))
        };
        if without("$(", "((") {
            return Some("((");
        }
        if self.bare.contains("=(") {
            return Some("=(");
        }
        if self.braces() {
            return Some("{a,b}");
        }
        for (at, _) in self.live.match_indices('$') {
            let rest = &self.live[at + 1..];
            if ["RANDOM", "SECONDS", "BASH", "PIPESTATUS"]
                .iter()
                .any(|name| rest.trim_start_matches('{').starts_with(name))
            {
                return Some("$RANDOM and the like");
            }
            let Some(inner) = rest.strip_prefix('{') else { continue };
            if inner.starts_with('!') {
                return Some("${!x}");
            }
            let after = &inner[identifier(inner).len()..];
            let slice = after.strip_prefix(':').is_some_and(|rest| !rest.starts_with(['-', '=', '?', '+']));
            if !identifier(inner).is_empty() && (slice || after.starts_with(['/', '^', ',', '[', '@'])) {
                return Some("${x/a/b} and the like");
            }
        }
        None
    }

    /// `{a,b}` or `{1..3}` outside quotes.
    fn braces(&self) -> bool {
        self.bare.match_indices('{').any(|(at, _)| {
            let rest = &self.bare[at + 1..];
            let inner = rest.find(|c: char| c == '}' || c.is_whitespace()).filter(|end| rest[*end..].starts_with('}'));
            !self.bare[..at].ends_with('$')
                && inner.is_some_and(|end| rest[..end].contains(',') || rest[..end].contains(".."))
        })
    }

    /// Whether its several commands go on after a failure.
    fn several(&self) -> bool {
        self.bare.contains([';', '\n'])
    }

    /// Whether it can be a line among others: one command that leaves the shell as it is, whose failure ends a `sh -e`.
    fn simple(&self) -> bool {
        if self.bash.is_some() {
            return true;
        }
        let bare = self.bare.replace(">&", ">").replace("<&", "<");
        let first = self.tokens().next().unwrap_or_default();
        let name = identifier(first);
        let assigns = name.len() < first.len() && first[name.len()..].trim_start_matches('+').starts_with('=');
        let compound =
            bare.contains(['\n', ';', '&', '(', ')', '{', '}']) || bare.contains("||") || bare.contains("<<");
        let expands = self.live.contains("${") && self.live.contains('=') || self.live.contains("$((");
        self.closed && !compound && !assigns && !expands && !STATEFUL.contains(&first)
    }

    /// As the whole of a `run`, or as a line of it.
    fn alone(&self) -> String {
        match self.bash {
            Some(_) => format!("bash -c {}", word(self.text)),
            None if self.several() => format!("set +e; {}", self.text),
            None => self.text.to_owned(),
        }
    }

    /// Apart from what is before and behind it.
    fn enclosed(&self) -> String {
        if self.bash.is_some() {
            return self.alone();
        }
        if !self.closed || self.bare.contains("<<") {
            return format!("sh -c {}", word(self.text));
        }
        let text = self.alone();
        if self.comment || text.contains('\n') { format!("(\n{text}\n)") } else { format!("({text})") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entries: &[&str]) -> String {
        let texts: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        run(&super::entries(&texts))
    }

    #[test]
    fn one_command_is_left_as_it_is() {
        for text in ["python train.py --lr 0.1", "cd a && make", "cat a | sort > b 2>&1", "echo 'a; b' > c"] {
            assert_eq!(of(&[text]), text);
        }
    }

    #[test]
    fn several_commands_go_on_after_a_failure() {
        assert_eq!(of(&["diff a b > d; true"]), "set +e; diff a b > d; true");
        assert_eq!(of(&["cd a", "ls > here"]), "(cd a) &&\n(ls > here)");
        assert_eq!(of(&["python a.py", "python b.py"]), "python a.py\npython b.py");
        assert_eq!(of(&["a; b", "c"]), "(set +e; a; b) &&\n(c)");
        assert_eq!(of(&["false && true", "c"]), "(false && true) &&\n(c)");
        assert_eq!(of(&["! grep x y", "c # d"]), "(! grep x y) &&\n(\nc # d\n)");
        assert_eq!(of(&["echo \\", "echo 'a"]), "sh -c 'echo \\' &&\nsh -c 'echo '\\''a'");
    }

    #[test]
    fn what_sh_does_not_know_goes_to_bash() {
        for text in [
            "[[ a == a ]]",
            "mkdir -p out/{a,b}",
            "for i in {1..3}; do echo $i; done",
            "diff <(a) <(b)",
            "a &> b",
            "echo ${x//a/b}",
            "echo ${x:1:2}",
            "set -o pipefail; a | b",
            "x=(a b)",
            "((x > 1))",
            "echo $'a'",
            "echo 'a\\nb'",
        ] {
            assert!(Entry::new(text).bash.is_some(), "{text}");
        }
        for text in [
            "[ a = a ]",
            "echo '{a,b}'",
            "echo ${x:-1} ${x%.csv} ${#x}",
            "echo $((1 + 2))",
            "a > b 2>&1",
            "awk '{print $1, $2}' a",
            "{ a; b; }",
            "printf 'a\\nb'",
            "echo \"$x\" # [[ a ]]",
        ] {
            assert_eq!(Entry::new(text).bash, None, "{text}");
        }
    }

    #[test]
    fn variables_of_the_environment_are_found() {
        let found = |text: &str| Entry::new(text).variables().into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(found("echo $A ${B:-1} \"$C\" '$D' \\$E $1 $$ $? $HOME ${#F}"), "A B C F");
        assert_eq!(found("for x in a b; do y=1; echo $x $y $z; done; read a b; echo $a $b"), "z");
        assert_eq!(found("INPUT_A=1; echo $INPUT_A"), "INPUT_A");
    }
}
