//! Proves of docker-compose.yml and the Dockerfile what can be proved where no engine runs: the services wait for services that
//! there are, their commands are commands of this program, what is mounted, copied and built from is there, and the pipeline
//! is a good one under the variables that its service gets. Would catch a flag that was renamed, a folder that moved, and a
//! file that the builder is never sent.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what cannot be read or run fails the test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Map, Value};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn compose() -> Value {
    let text = fs::read_to_string(root().join("docker-compose.yml")).unwrap();
    let lines: Vec<(usize, &str)> = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(|line| (line.len() - line.trim_start().len(), line.trim()))
        .collect();
    let (value, rest) = block(&lines);
    assert!(rest.is_empty(), "{rest:?} belongs to nothing");
    value
}

/// The part of YAML that the file keeps to: maps and lists by indentation, lists in brackets as JSON writes them, one-line
/// scalars. Anything else makes no sense here, and so fails.
fn block<'a>(lines: &'a [(usize, &'a str)]) -> (Value, &'a [(usize, &'a str)]) {
    let indentation = lines[0].0;
    let (mut map, mut list, mut rest) = (Map::new(), Vec::new(), lines);
    while let Some(((_, line), behind)) = rest.split_first().filter(|((here, _), _)| *here == indentation) {
        rest = behind;
        if let Some(item) = line.strip_prefix("- ") {
            list.push(scalar(item));
            continue;
        }
        let (key, value) = line.split_once(':').unwrap_or_else(|| panic!("{line} has no key"));
        let value = match value.trim() {
            "" => {
                let (value, behind) = block(rest);
                rest = behind;
                value
            }
            value => scalar(value),
        };
        assert!(map.insert(key.to_owned(), value).is_none(), "{key} is there twice");
    }
    assert!(map.is_empty() || list.is_empty(), "a list and a map at once");
    (if list.is_empty() { map.into() } else { list.into() }, rest)
}

fn scalar(text: &str) -> Value {
    match text.chars().next() {
        Some('"' | '[') => serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}")),
        Some('\'' | '{' | '&' | '*' | '!' | '|' | '>' | '%' | '@') => panic!("{text} is more YAML than is read here"),
        _ => text.into(),
    }
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

fn names<'a>(services: &[(&'a String, &Value)]) -> Vec<&'a str> {
    services.iter().map(|(name, _)| name.as_str()).collect()
}

/// Runs the program as a service of the compose file would, with nothing else of AWS around it.
fn millstream(service: &Value, arguments: &[&str]) -> Output {
    let environment = service["environment"].as_object().into_iter().flatten();
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.current_dir(root()).envs(environment.map(|(name, value)| (name, value.as_str().unwrap())));
    command.args(arguments).output().unwrap()
}

#[test]
fn services_wait_for_services_that_are_there() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    let (by_itself, asked_for): (Vec<_>, Vec<_>) =
        services.iter().partition(|(_, service)| service["profiles"].is_null());
    assert_eq!(names(&by_itself), ["localstack", "populate", "pipeline"]);
    assert_eq!(names(&asked_for), ["kafka", "populate-user-events", "user-events"]);
    assert!(asked_for.iter().all(|(_, service)| texts(&service["profiles"]) == ["user-events"]));
    assert_eq!(services["localstack"]["image"], "localstack/localstack:4.14.0", "a version is pinned");
    let tested = include_str!("services/kafka-broker/pom.xml");
    let (_, version) = services["kafka"]["image"].as_str().unwrap().split_once("apache/kafka:").unwrap();
    assert!(tested.contains(&format!("<version>{version}</version>")), "{version} is not the version that tests run");
    for (name, service) in services {
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            let waited_for = services.get(other).unwrap_or_else(|| panic!("{name} waits for {other}"));
            match how["condition"].as_str().unwrap() {
                "service_healthy" => assert!(waited_for["healthcheck"]["test"].is_array(), "{other} has no health"),
                // What never ends is waited for in vain.
                "service_completed_successfully" => assert_eq!(waited_for["command"][0], "populate"),
                other => panic!("{name}: {other}"),
            }
        }
    }
    let stream = texts(&services["populate"]["command"]).join(" ");
    assert!(stream.contains("--stream MyStream") && stream.contains("--bucket my-bucket"), "{stream}");
    let (put, read) =
        (texts(&services["populate-user-events"]["command"]).join(" "), &services["user-events"]["environment"]);
    let (brokers, topic) = (read["KAFKA_BROKERS"].as_str().unwrap(), read["KAFKA_TOPIC"].as_str().unwrap());
    assert!(put.contains(&format!("--brokers {brokers} --topic {topic}")), "{put}");
    let listeners = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].as_str().unwrap();
    assert!(listeners.split(',').any(|listener| listener.ends_with(&format!("//{brokers}"))), "{listeners}");
}

#[test]
fn the_commands_of_the_services_are_commands_of_this_program() {
    for name in ["populate", "pipeline", "populate-user-events", "user-events"] {
        let service = &compose()["services"][name];
        // Help is given only once all that stands before it is understood.
        let mut command = texts(&service["command"]);
        command.push("--help");
        let said = millstream(service, &command);
        assert!(said.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said.stderr));
    }
}

#[test]
fn the_pipelines_of_the_examples_are_good_ones_there() {
    for name in ["pipeline", "user-events"] {
        let service = &compose()["services"][name];
        let (file, inside) = texts(&service["volumes"])[0].split_once(':').unwrap();
        assert_eq!(inside.strip_suffix(":ro"), service["command"][1].as_str());
        for command in ["check", "test"] {
            let said = millstream(service, &[command, file]);
            assert!(said.status.success(), "{command}: {}", String::from_utf8_lossy(&said.stderr));
        }
    }
}

#[test]
fn the_builder_is_sent_what_the_dockerfile_copies() {
    let ignored = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let mut sent: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    sent.sort_unstable();
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let copies =
        dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.contains("--from"));
    let mut copied: Vec<&str> = copies.flat_map(|line| line.rsplit_once(' ').unwrap().0.split(' ')).collect();
    copied.sort_unstable();
    assert_eq!(copied, sent);
    copied.iter().for_each(|path| assert!(root().join(path).exists(), "there is no {path}"));
    let compiler =
        include_str!("../rust-toolchain.toml").lines().find_map(|line| line.strip_prefix("channel = ")).unwrap();
    let (compiler, _) = compiler.trim_matches('"').rsplit_once('.').unwrap();
    assert!(dockerfile.contains(&format!("FROM rust:{compiler}-")), "another compiler than {compiler}");
    assert!(dockerfile.contains("USER nonroot"), "it runs as root");
}
