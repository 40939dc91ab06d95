//! The example over files and the one over Kafka do the same to an event.

use crate::folder::{EXAMPLE, root};

fn read(path: &str) -> toml::Table {
    std::fs::read_to_string(root().join(path)).unwrap().parse().unwrap()
}

#[test]
fn both_pipelines_do_the_same_to_an_event() {
    let (files, kafka) = (read(EXAMPLE), read("examples/user-events/kafka.toml"));
    // Columns are laid down in the order of the file, which a table forgets: it is in `select`.
    for section in ["schema", "validate", "enrich", "average"] {
        assert_eq!(files[section], kafka[section], "[{section}]");
    }
    for key in ["select", "partition", "compression"] {
        assert_eq!(files["sink"][key], kafka["sink"][key], "[sink] {key}");
    }
    assert_eq!(files["test"][0], kafka["test"][0], "the pair of the README");
    assert_ne!(files["name"], kafka["name"]);
}
