//! A string of the file that may stand for something else: `${VAR}` and `${VAR:-default}`.
//!
//! Owns how variables are put in, and keeps both what was written and what it stands for. What must stay true: `Debug`
//! shows only what was written, and there is no `Display`, so that whoever builds a message has to choose
//! [`Text::written`] and whoever opens a file [`Text::as_str`].
//!
//! ```
//! println!("{:?}", millstream::config::Text::from("as written"));
//! ```
//! ```compile_fail
//! println!("{}", millstream::config::Text::from("which of the two?"));
//! ```

use std::fmt;

/// Where variables come from: a name in, a value out if there is one.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A string value, as written and as meant.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text {
    meant: String,
    /// Only where it differs from what is meant.
    written: Option<String>,
}

impl Text {
    /// A text that was read before, as meant and as written.
    pub(super) fn of(meant: &str, written: &str) -> Self {
        Text { meant: meant.to_owned(), written: (meant != written).then(|| written.to_owned()) }
    }

    /// What it stands for. Not for messages.
    pub fn as_str(&self) -> &str {
        &self.meant
    }

    /// What the file says, variables by name. For messages.
    pub fn written(&self) -> &str {
        self.written.as_deref().unwrap_or(&self.meant)
    }

    /// Whether it has a variable in it.
    pub(super) fn is_variable(&self) -> bool {
        self.written.is_some()
    }

    /// Whether a variable left nothing here, which counts as saying nothing.
    pub(super) fn is_unset(&self) -> bool {
        self.meant.is_empty() && self.written.is_some()
    }

    /// Changes what is meant and what is written in the same way (a default made of another value).
    pub(super) fn map(&self, change: impl Fn(&str) -> String) -> Self {
        Text { meant: change(&self.meant), written: self.written.as_deref().map(change) }
    }

    /// Puts variables in. All that is wrong with them is told, not only the first.
    pub(crate) fn expand(written: &str, env: Env<'_>) -> Result<Self, Vec<String>> {
        let (mut meant, mut problems, mut rest) = (String::new(), Vec::new(), written);
        while let Some(start) = rest.find("${") {
            if let Some(before) = rest[..start].strip_suffix('$') {
                meant.push_str(before);
                meant.push_str("${");
                rest = &rest[start + 2..];
                continue;
            }
            meant.push_str(&rest[..start]);
            let Some(length) = rest[start..].find('}') else {
                problems.push("a variable that begins with ${ has no closing }; write $${ for a plain ${".into());
                return Err(problems);
            };
            match variable(&rest[start + 2..start + length], env) {
                Ok(value) => meant.push_str(&value),
                Err(problem) => problems.push(problem),
            }
            rest = &rest[start + length + 1..];
        }
        meant.push_str(rest);
        let written = (meant != written).then(|| written.to_owned());
        if problems.is_empty() { Ok(Text { meant, written }) } else { Err(problems) }
    }
}

/// The value of what stands between `${` and `}`. As in a shell, a default also takes the place of an empty value.
fn variable(inside: &str, env: Env<'_>) -> Result<String, String> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if default.is_some_and(|default| default.contains("${")) {
        return Err(format!("the default of ${{{name}}} cannot hold another variable"));
    }
    if !is_name(name) {
        return Err(format!(
            "${{{inside}}} names no variable; write ${{NAME}} or ${{NAME:-default}}, or $${{ for a plain ${{"
        ));
    }
    match (env(name), default) {
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(format!(
            "the variable {name} is not defined; set it in the environment or give a default: ${{{name}:-…}}"
        )),
    }
}

fn is_name(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(word)
}

impl From<&str> for Text {
    fn from(plain: &str) -> Self {
        Text { meant: plain.to_owned(), written: None }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.written(), f)
    }
}

#[cfg(test)]
mod tests {
    //! Proves what a variable stands for; would catch a `${` that is taken where it is escaped, and a value that shows.
    use super::*;

    fn expand(written: &str) -> Result<Text, Vec<String>> {
        Text::expand(written, &|name| match name {
            "A" => Some("one".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn variables_defaults_and_escapes() {
        for (written, meant) in [
            ("plain $ {A} $A", "plain $ {A} $A"),
            ("${A}", "one"),
            ("<${A}|${A}>", "<one|one>"),
            ("${B:-two}", "two"),
            ("${B:-}", ""),
            ("${EMPTY:-two}", "two"),
            ("${EMPTY}", ""),
            ("$${A}", "${A}"),
            ("$$${A}", "$${A}"),
            ("${B:-a:-b}", "a:-b"),
            ("é${A}é", "éoneé"),
        ] {
            assert_eq!(expand(written).unwrap().as_str(), meant, "{written}");
        }
    }

    #[test]
    fn every_fault_of_a_value_is_told() {
        for (written, faults) in
            [("${B} ${C}", 2), ("${", 1), ("${}", 1), ("${1A}", 1), ("${B:-${A}}", 1), ("${A B}", 1)]
        {
            assert_eq!(expand(written).unwrap_err().len(), faults, "{written}");
        }
    }

    #[test]
    fn debug_shows_what_was_written() {
        assert_eq!(format!("{:?}", expand("x${A}").unwrap()), "\"x${A}\"");
        assert_eq!(expand("x${A}").unwrap().map(|text| format!("{text}-y")).written(), "x${A}-y");
    }
}
