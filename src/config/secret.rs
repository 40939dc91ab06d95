//! Keeps secrets out of pipeline files.
//!
//! Owns the names that a secret goes by, and what is said to someone who writes one down. Names of columns are not looked
//! at: `token` is a fine column.

use super::scalar::{Fault, Scalar};
use super::text::Text;

/// What a key that can only hold a secret is answered with.
pub(super) const WAY_OUT: &str = "a secret has no place in this file; take it out. Credentials are found where each service \
keeps them: environment variables, its own credential files and profiles, the role of the machine";

const WORDS: [&str; 9] =
    ["password", "passwd", "passphrase", "secret", "token", "accesskey", "apikey", "privatekey", "credential"];

/// Whether a key of this name can only hold a secret.
pub fn is_secret(key: &str) -> bool {
    let plain: String = key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    WORDS.iter().any(|word| plain.contains(word))
}

/// Whether a line of a file may hold a secret.
pub(super) fn is_secret_line(line: &str) -> bool {
    is_secret(line)
}

/// A secret as a key of ours may hold it: a variable, and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Secret(pub(super) Text);

impl Scalar for Secret {
    const WANTED: &'static str = "a variable, as ${REGISTRY_PASSWORD}";

    fn read(_: &str) -> Result<Self, Fault> {
        Err(Fault::Hidden(VARIABLE))
    }

    fn of(text: &Text) -> Result<Self, Fault> {
        let inside = text.written().strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        match inside {
            // A default would be a secret in the file.
            Some(name) if text.is_variable() && !name.contains([':', '$', '}']) => Ok(Secret(text.clone())),
            _ => Self::read(text.as_str()),
        }
    }
}

/// What a secret that is written down is answered with, where a variable would do.
const VARIABLE: &str = "a secret has no place in this file; set a variable and write its name, as ${REGISTRY_PASSWORD}";

#[cfg(test)]
mod tests {
    //! Would catch a spelling of a secret that gets through, and an innocent key that does not.
    use super::*;

    #[test]
    fn names() {
        for key in ["secret_access_key", "aws_access_key_id", "AccessKey", "sasl.password", "session-token", "api_key"]
        {
            assert!(is_secret(key), "{key}");
        }
        for key in ["path", "key", "region", "profile", "group", "partition", "access"] {
            assert!(!is_secret(key), "{key}");
        }
    }
}
