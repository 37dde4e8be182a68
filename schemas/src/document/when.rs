//! The language of `when`: `${vars.mode} == "full" and not ${vars.dry}`.
//!
//! ```text
//! any     = all { "or" all }
//! all     = not { "and" not }
//! not     = "not" not | "(" any ")" | value [ compare value ]
//! compare = "==" | "!=" | "<" | "<=" | ">" | ">="
//! value   = "${" … "}" | "text" | 'text' | number | true | false | null
//! ```
//!
//! Variables are operands, not text that is pasted in: a value with a quote in it changes nothing. Both sides of `and` and
//! `or` are always looked at, so that every fault is found.

use crate::yaml::node::Kind;
use crate::yaml::syntax;

/// Deepest nesting of `not` and brackets. Parsing and evaluation recurse so deep.
const MAX_DEPTH: usize = 32;

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
    /// A value that must be true or false.
    Value(Operand),
    Compare(Operand, Comparison, Operand),
}

/// One value of a condition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operand {
    /// A variable by its place in the text, `${` and `}` included.
    Variable {
        start: usize,
        end: usize,
    },
    Written(Scalar),
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    /// From the environment: takes the type of what it is compared with.
    Untyped(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// Why a text is no condition, and what to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wrong {
    pub message: String,
    pub help: String,
}

fn wrong<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { message: message.into(), help: help.into() })
}

/// Reads a condition.
pub(crate) fn parse(text: &str) -> Result<Condition, Wrong> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0, depth: 0 };
    let condition = parser.any()?;
    match parser.tokens.get(parser.at) {
        None => Ok(condition),
        Some(Token::Close) => wrong("a `)` closes nothing", "take it away, or open it with `(`"),
        Some(_) => wrong("two values stand side by side", "join them with `==`, `!=`, `and` or `or`"),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Operand(Operand),
    Compare(Comparison),
    And,
    Or,
    Not,
    Open,
    Close,
}

fn tokens(text: &str) -> Result<Vec<Token>, Wrong> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        let rest = &text[at..];
        let symbols = [
            ("==", Token::Compare(Comparison::Equal)),
            ("!=", Token::Compare(Comparison::Unequal)),
            ("<=", Token::Compare(Comparison::AtMost)),
            (">=", Token::Compare(Comparison::AtLeast)),
            ("<", Token::Compare(Comparison::Less)),
            (">", Token::Compare(Comparison::Greater)),
            ("(", Token::Open),
            (")", Token::Close),
        ];
        if next.is_whitespace() {
            at += next.len_utf8();
        } else if rest.starts_with("${") {
            let Some(end) = rest.find('}') else {
                return wrong("`${` is never closed", "close it with `}`");
            };
            tokens.push(Token::Operand(Operand::Variable { start: at, end: at + end + 1 }));
            at += end + 1;
        } else if next == '"' || next == '\'' {
            let Some(end) = rest[1..].find(next) else {
                return wrong("a quote is never closed", format!("close it with `{next}`"));
            };
            tokens.push(Token::Operand(Operand::Written(Scalar::Text(rest[1..=end].to_owned()))));
            at += end + 2;
        } else if let Some((symbol, token)) = symbols.into_iter().find(|(symbol, _)| rest.starts_with(symbol)) {
            tokens.push(token);
            at += symbol.len();
        } else {
            let end = rest
                .find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '=' | '!' | '<' | '>' | '"' | '\''))
                .unwrap_or(rest.len());
            let word = &rest[..end.max(next.len_utf8())];
            tokens.push(word_token(word)?);
            at += word.len();
        }
    }
    Ok(tokens)
}

fn word_token(word: &str) -> Result<Token, Wrong> {
    Ok(match word {
        "and" => Token::And,
        "or" => Token::Or,
        "not" => Token::Not,
        "=" => return wrong("`=` compares nothing", "write `==`"),
        "&&" => return wrong("`&&` is not known", "write `and`"),
        "||" => return wrong("`||` is not known", "write `or`"),
        "!" => return wrong("`!` is not known", "write `not`"),
        word => match syntax::resolve(word) {
            Kind::Null => Token::Operand(Operand::Written(Scalar::Null)),
            Kind::Bool(value) => Token::Operand(Operand::Written(Scalar::Bool(value))),
            Kind::Int(value) => Token::Operand(Operand::Written(Scalar::Number(value as f64))),
            Kind::Float(value) => Token::Operand(Operand::Written(Scalar::Number(value))),
            _ => {
                let help = match word.strip_prefix("vars.").or_else(|| word.strip_prefix("env.")) {
                    Some(_) => format!("write `${{{word}}}`"),
                    None => format!("write a text in quotes, `\"{word}\"`, and a variable as `${{vars.{word}}}`"),
                };
                return wrong(format!("`{word}` is neither a value nor `and`, `or`, `not`"), help);
            }
        },
    })
}

struct Parser<'t> {
    tokens: &'t [Token],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn take(&mut self, token: &Token) -> bool {
        let found = self.tokens.get(self.at) == Some(token);
        self.at += usize::from(found);
        found
    }

    fn any(&mut self) -> Result<Condition, Wrong> {
        let mut parts = vec![self.all()?];
        while self.take(&Token::Or) {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Condition::Any(parts) })
    }

    fn all(&mut self) -> Result<Condition, Wrong> {
        let mut parts = vec![self.not()?];
        while self.take(&Token::And) {
            parts.push(self.not()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Condition::All(parts) })
    }

    fn not(&mut self) -> Result<Condition, Wrong> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return wrong("the condition is nested too deep", "say it with fewer brackets");
        }
        let condition = if self.take(&Token::Not) {
            Condition::Not(Box::new(self.not()?))
        } else if self.take(&Token::Open) {
            let inner = self.any()?;
            if !self.take(&Token::Close) {
                return wrong("a `(` is never closed", "close it with `)`");
            }
            inner
        } else {
            let left = self.operand()?;
            match self.tokens.get(self.at) {
                Some(Token::Compare(comparison)) => {
                    self.at += 1;
                    Condition::Compare(left, *comparison, self.operand()?)
                }
                _ => Condition::Value(left),
            }
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn operand(&mut self) -> Result<Operand, Wrong> {
        match self.tokens.get(self.at) {
            Some(Token::Operand(operand)) => {
                self.at += 1;
                Ok(operand.clone())
            }
            Some(_) => wrong("a value is missing", "write `${vars.x} == \"full\"`, for example"),
            None => wrong("the condition ends too early", "write `${vars.x} == \"full\"`, for example"),
        }
    }
}

impl Condition {
    /// Whether it holds. `look` gives the value of a variable (`None` after a fault, which makes the whole `None`).
    pub fn holds(&self, look: &mut dyn FnMut(usize, usize) -> Option<Scalar>) -> Option<Result<bool, Wrong>> {
        let mut value = |operand: &Operand| match operand {
            Operand::Variable { start, end } => look(*start, *end),
            Operand::Written(scalar) => Some(scalar.clone()),
        };
        match self {
            Self::Value(operand) => Some(match value(operand)? {
                Scalar::Bool(value) => Ok(value),
                Scalar::Untyped(text) if text.trim() == "true" => Ok(true),
                Scalar::Untyped(text) if text.trim() == "false" => Ok(false),
                other => wrong(
                    format!("{} is neither true nor false", other.name()),
                    "compare it with something: `${vars.x} == \"full\"`",
                ),
            }),
            Self::Compare(left, comparison, right) => {
                let (left, right) = (value(left), value(right));
                Some(compare(left?, *comparison, right?))
            }
            Self::Not(inner) => Some(inner.holds(look)?.map(|holds| !holds)),
            Self::Any(parts) | Self::All(parts) => {
                let all = matches!(self, Self::All(_));
                let parts: Vec<_> = parts.iter().map(|part| part.holds(look)).collect();
                let parts: Option<Vec<_>> = parts.into_iter().collect();
                let parts: Result<Vec<bool>, Wrong> = parts?.into_iter().collect();
                Some(parts.map(|parts| if all { parts.into_iter().all(|p| p) } else { parts.into_iter().any(|p| p) }))
            }
        }
    }
}

impl Scalar {
    fn name(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => format!("`{value}`"),
            Self::Number(value) => format!("the number `{value}`"),
            Self::Text(text) | Self::Untyped(text) => format!("the text `{}`", crate::report::phrases::shorten(text)),
        }
    }

    /// What is untyped takes the type of the other side.
    fn typed(self, other: &Self) -> Self {
        let Self::Untyped(text) = self else { return self };
        match (other, syntax::resolve(text.trim())) {
            (Self::Number(_), Kind::Int(value)) => Self::Number(value as f64),
            (Self::Number(_), Kind::Float(value)) => Self::Number(value),
            (Self::Bool(_), Kind::Bool(value)) => Self::Bool(value),
            _ => Self::Text(text),
        }
    }
}

fn compare(left: Scalar, comparison: Comparison, right: Scalar) -> Result<bool, Wrong> {
    let (left, right) = (left.clone().typed(&right), right.typed(&left));
    let equal = matches!(comparison, Comparison::Equal | Comparison::Unequal);
    if equal && (left == Scalar::Null || right == Scalar::Null) {
        return Ok((left == right) == (comparison == Comparison::Equal));
    }
    match (&left, &right) {
        (Scalar::Number(left), Scalar::Number(right)) => Ok(match comparison {
            Comparison::Equal => left == right,
            Comparison::Unequal => left != right,
            Comparison::Less => left < right,
            Comparison::AtMost => left <= right,
            Comparison::Greater => left > right,
            Comparison::AtLeast => left >= right,
        }),
        (Scalar::Bool(_), Scalar::Bool(_)) | (Scalar::Text(_), Scalar::Text(_)) if equal => {
            Ok((left == right) == (comparison == Comparison::Equal))
        }
        (Scalar::Bool(_), Scalar::Bool(_)) | (Scalar::Text(_), Scalar::Text(_)) => {
            wrong(format!("{} has no order", left.name()), "`<` and `>` are for numbers")
        }
        _ => wrong(
            format!("{} is compared with {}, which is never the same", left.name(), right.name()),
            "write texts in quotes, and numbers, `true` and `false` without",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str) -> Result<bool, String> {
        let condition = parse(text).map_err(|wrong| wrong.message)?;
        let mut look = |start: usize, end: usize| {
            Some(match &text[start + 2..end - 1] {
                "vars.mode" => Scalar::Text("full".into()),
                "vars.n" => Scalar::Number(3.0),
                "vars.on" => Scalar::Bool(true),
                "env.N" => Scalar::Untyped("3".into()),
                "vars.evil" => Scalar::Text("x\" or true".into()),
                _ => Scalar::Null,
            })
        };
        condition.holds(&mut look).expect("no fault").map_err(|wrong| wrong.message)
    }

    #[test]
    fn conditions() {
        for (text, expected) in [
            ("${vars.mode} == \"full\"", true),
            ("${vars.mode}!='full'", false),
            ("${vars.n} >= 3 and ${vars.n} < 3.5", true),
            ("${env.N} == 3 and ${env.N} == '3'", true),
            ("not ${vars.on} or (${vars.n} > 1 and true)", true),
            ("not (${vars.on} and false)", true),
            ("true or false and false", true),
            ("${vars.none} == null", true),
            ("${vars.n} != ~", true),
            ("${vars.evil} == \"x\"", false),
        ] {
            assert_eq!(holds(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_condition() {
        for (text, part) in [
            ("${vars.mode} = 'full'", "`=`"),
            ("${vars.mode} == full", "`full`"),
            ("${vars.mode} == 'full", "quote"),
            ("${vars.mode} ==", "too early"),
            ("== 3", "value is missing"),
            ("(true", "never closed"),
            ("true)", "closes nothing"),
            ("true false", "side by side"),
            ("${vars.n} == '3'", "never the same"),
            ("${vars.mode} < 'g'", "no order"),
            ("${vars.mode}", "neither true nor false"),
            ("", "too early"),
        ] {
            assert!(holds(text).is_err_and(|message| message.contains(part)), "{text}: {:?}", holds(text));
        }
        assert!(holds(&format!("{}true", "not ".repeat(1000))).is_err_and(|message| message.contains("too deep")));
    }
}
