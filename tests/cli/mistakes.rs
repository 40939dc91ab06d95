//! What is said of a mistake, and the exit code that goes with it.

use super::folder::{Folder, PIPELINE};

#[test]
fn wrong_usage_ends_with_2() {
    let folder = Folder::new();
    for (line, said) in [
        ("run pipeline.toml --nope", "unexpected argument '--nope'"),
        ("runn pipeline.toml", "unrecognized subcommand 'runn'"),
        ("run", "required arguments were not provided"),
        ("run pipeline.toml -n 3 -p 1", "nothing says where the others are"),
        ("run pipeline.toml -w 0", "invalid value '0' for '--workers <N>'"),
        ("completions tcsh", "invalid value 'tcsh'"),
        ("run missing.toml", "missing.toml: there is no such file; `millstream init` writes a first one"),
    ] {
        let stderr = folder.fails(line, 2);
        assert!(stderr.contains(said), "{line}:\n{stderr}");
    }
    assert!(!folder.path("out").exists(), "something was written all the same");
}

#[test]
fn check_names_file_line_and_the_nearest_key() {
    let folder = Folder::new();
    for (right, wrong, said) in [
        (
            "interval = \"100ms\"",
            "intervall = \"100ms\"",
            "wrong.toml:29: [epoch] has no key \"intervall\"; did you mean \"interval\"?",
        ),
        ("type = \"files\"", "type = \"file\"", "wrong.toml:4: "),
        ("word_count(content)", "word_cout(content)", "word_count"),
        ("path = \"out\"", "path = \"${NOT_SET_ANYWHERE}\"", "NOT_SET_ANYWHERE"),
    ] {
        folder.write("wrong.toml", &PIPELINE.replace(right, wrong));
        for command in ["check", "run", "test", "plan", "verify"] {
            let stderr = folder.fails(&format!("{command} wrong.toml"), 2);
            assert!(stderr.contains(said), "{command}, {wrong}:\n{stderr}");
        }
    }
}

#[test]
fn a_test_that_fails_ends_with_1() {
    let folder = Folder::new();
    folder.write("wrong.toml", &PIPELINE.replace("two words\" }, {", "three words here\" }, {"));
    let said = folder.say("test wrong.toml");
    let wanted = "FAILED words are counted\n       row 1: word_count is 3, expected 2\n0 passed, 1 failed\n";
    assert_eq!((said.code, said.stdout.as_str()), (1, wanted));
}

#[test]
fn a_file_that_is_there_is_not_written_over() {
    let folder = Folder::new();
    assert!(folder.fails("init pipeline.toml", 1).contains("pipeline.toml is there already"));
    assert_eq!(std::fs::read_to_string(folder.path("pipeline.toml")).unwrap(), PIPELINE);
}

#[test]
fn a_log_in_a_file_has_no_colours() {
    let stderr = Folder::new().say("run pipeline.toml --until-end").stderr;
    assert!(stderr.contains("the log is claimed") && !stderr.contains('\u{1b}'), "{stderr:?}");
}
