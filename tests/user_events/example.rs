//! The example as a newcomer meets it.

use crate::folder::{EXAMPLE, Events, Folder, root};
use crate::judge::averages;

/// The example, its output elsewhere, its data where they lie.
#[test]
fn the_example_gives_what_its_data_holds_also_the_second_time() {
    let folder = Folder::new();
    let data = root().join("examples/user-events/data");
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.input().join(path.file_name().unwrap())).unwrap();
    }
    let expected = Events::of_folder(&data);
    folder.millstream(&["check", EXAMPLE]);
    folder.millstream(&["test", EXAMPLE]);
    for _ in 0..2 {
        folder.run(EXAMPLE, &[]);
        assert!(folder.found() == expected);
        assert_eq!(folder.averages(EXAMPLE), averages(&expected.rows));
    }
    let readme = std::fs::read_to_string(root().join("examples/user-events/README.md")).unwrap();
    let counted = format!("epoch 1 · {} rows · {} rejects", expected.rows.len(), expected.rejects.len());
    assert!(readme.contains(&counted), "the README does not say: {counted}");
}
