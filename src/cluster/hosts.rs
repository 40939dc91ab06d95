//! The addresses of all processes, one a line, in their order.
//!
//! Owns the form of a hosts file: `host:port` a line, process 0 first; blank lines and what follows a `#` say nothing. Names
//! are looked up when somebody connects, not here, since a name may come to be known later than the process.

use std::path::Path;

use thiserror::Error;

pub use crate::config::Host;

/// The hosts of all processes; process `i` is the `i`th.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts(Vec<Host>);

/// What is wrong with a hosts file.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum HostsError {
    #[error("{file}: cannot be read: {why}")]
    Unreadable { file: String, why: String },
    #[error("{file}:{line}: {written:?} is not host:port, as in node-0.example.com:2101 or [::1]:2101")]
    Form { file: String, line: usize, written: String },
    #[error("{file}:{line}: {host} is there twice; each process listens at an address of its own")]
    Twice { file: String, line: usize, host: String },
    #[error("{file}: names {found} hosts, but --processes says {wanted}; write one line for each process")]
    Count { file: String, found: usize, wanted: usize },
}

impl Hosts {
    /// Reads a hosts file for so many processes.
    pub fn load(path: &Path, processes: usize) -> Result<Self, HostsError> {
        let file = path.display().to_string();
        let unreadable = |error: std::io::Error| HostsError::Unreadable { file: file.clone(), why: error.to_string() };
        Hosts::parse(&file, &std::fs::read_to_string(path).map_err(unreadable)?, processes)
    }

    /// Reads the text of a hosts file that messages call `file`.
    pub fn parse(file: &str, text: &str, processes: usize) -> Result<Self, HostsError> {
        let (file, mut hosts) = (file.to_owned(), Vec::<Host>::new());
        for (line, written) in text.lines().enumerate() {
            let (line, written) = (line + 1, written.split('#').next().unwrap_or_default().trim());
            if written.is_empty() {
                continue;
            }
            let host = Host::parse(written);
            let host = host.ok_or_else(|| HostsError::Form { file: file.clone(), line, written: written.into() })?;
            if hosts.contains(&host) {
                return Err(HostsError::Twice { file, line, host: host.to_string() });
            }
            hosts.push(host);
        }
        match hosts.len() {
            found if found == processes => Ok(Hosts(hosts)),
            found => Err(HostsError::Count { file, found, wanted: processes }),
        }
    }

    /// These hosts.
    pub fn new(hosts: Vec<Host>) -> Self {
        Hosts(hosts)
    }

    /// The host of a process.
    pub fn of(&self, process: usize) -> &Host {
        &self.0[process]
    }

    /// How many processes there are.
    #[expect(clippy::len_without_is_empty, reason = "there is always a process 0")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    //! What breaks when these fail: a process that connects to the wrong host, or a hosts file refused without its line.

    use super::*;

    #[test]
    fn a_hosts_file_is_read_line_by_line() {
        let text = "# the cluster\nnode-0.millstream:2101\n\n 10.0.0.2:2101  # the second\n[fe80::1]:7\n";
        let hosts = Hosts::parse("h", text, 3).unwrap();
        let told: Vec<String> = (0..3).map(|process| hosts.of(process).to_string()).collect();
        assert_eq!(told, ["node-0.millstream:2101", "10.0.0.2:2101", "[fe80::1]:7"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, expected) in [
            ("a:1\nb\n", "h:2: \"b\" is not host:port, as in node-0.example.com:2101 or [::1]:2101"),
            ("a:1\nb:66000\n", "h:2: \"b:66000\" is not host:port, as in node-0.example.com:2101 or [::1]:2101"),
            ("a:1\n::1:2\n", "h:2: \"::1:2\" is not host:port, as in node-0.example.com:2101 or [::1]:2101"),
            ("a:1\na:1\n", "h:2: a:1 is there twice; each process listens at an address of its own"),
            ("a:1\n", "h: names 1 hosts, but --processes says 2; write one line for each process"),
            ("a:1\nb:1\nc:1", "h: names 3 hosts, but --processes says 2; write one line for each process"),
        ] {
            assert_eq!(Hosts::parse("h", text, 2).unwrap_err().to_string(), expected);
        }
    }
}
