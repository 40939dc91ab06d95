//! What is wrong is said once, by whoever was started, and trying again is left to cases that it can help.

use std::process::{Command, Output};

use crate::whole::input::Input;

fn run(folder: &tempfile::TempDir, cluster: &str, arguments: &[&str]) -> Output {
    let pipeline = folder.path().join("pipeline.toml");
    let text =
        "name = \"p\"\n[source]\ntype = \"generate\"\ncount = 1\n[schema]\narticle_id = \"string!\"\n[sink]\npath = ";
    let out = folder.path().join("out");
    std::fs::write(&pipeline, format!("{text}{out:?}\n{cluster}")).unwrap();
    let command = [&["run", pipeline.to_str().unwrap(), "--until-end"], arguments].concat();
    Command::new(env!("CARGO_BIN_EXE_millstream")).args(command).output().unwrap()
}

#[test]
fn a_wrong_command_line_or_file_ends_with_2_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts.txt");
    let named = hosts.to_str().unwrap();
    std::fs::write(&hosts, "127.0.0.1:1\n127.0.0.1:2\n").unwrap();
    let key = "[cluster]\nauth = \"key\"\n";
    let none = "[cluster]\nauth = \"none\"\n";
    let cases: [(&str, &[&str], &str); 8] = [
        ("", &["-n", "2", "-p", "0"], "nothing says where the others are"),
        ("", &["-n", "2", "-p", "2", "--hosts", named], "--process 2 is not one of 2 processes, counted from 0"),
        ("", &["-n", "2", "-p", "0", "--hosts", named], "auth = \"none\", and everybody who reaches the port"),
        (none, &["-n", "2", "-p", "0", "--hosts", "/no/such"], "/no/such: cannot be read"),
        (none, &["-n", "3", "-p", "0", "--hosts", named], "names 2 hosts, but --processes says 3"),
        (key, &["-n", "2", "-p", "0", "--hosts", named], "[cluster] key_file: is missing: auth = \"key\" needs it"),
        ("[cluster]\nkey_file = \"x\"\n", &["-n", "2"], "is of use with auth = \"key\" alone"),
        ("[cluster]\nauth = \"mtls\"\n", &["-n", "2"], "is none of \"tls\", \"key\", \"none\"; did you mean \"tls\"?"),
    ];
    for (cluster, arguments, expected) in cases {
        let output = run(&folder, cluster, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{expected}:\n{said}");
        assert_eq!(said.matches("error:").count(), 1, "{said}");
    }
}

#[test]
fn a_failure_that_trying_again_cannot_mend_ends_at_once_with_its_code() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("out"), "a file where the sink's folder is to be").unwrap();
    let output = run(&folder, "", &["-n", "3"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("Starting all again") && !said.contains("panicked"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_of_one_is_a_run_like_any_other() {
    let (mut pipeline, mut input) = Input::with_pipeline("one-of-one", false).await;
    input.add_file(50);
    pipeline.run(2, &["--until-end", "-n", "1"]).wait().await.with(0);
    pipeline.check(&crate::whole::oracle::Expected::of_folder(&input.folder)).await;
}
