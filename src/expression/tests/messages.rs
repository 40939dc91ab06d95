//! What a user reads who made a mistake.

use super::*;

#[test]
fn unknown_names_are_named_with_the_nearest() {
    let cases = [
        ("lenght(title)", "there is no function lenght; did you mean length? (at character 1)"),
        ("length(titel)", "there is no column `titel`; did you mean title? (at character 8)"),
        ("Title", "there is no column `Title`; did you mean title? (at character 1)"),
        ("1 +\n  xyzzy", "there is no column `xyzzy` (at line 2, character 3)"),
        ("user.idd", "`user` has no field `idd`; did you mean id? (at character 6)"),
        ("user.address.zip", "`address` has no field `zip` (at character 14)"),
        ("title.x", "`title` has no field `x`: it is string (at character 7)"),
        ("date_trunc('mnth', timestamp)", "date_trunc knows no unit 'mnth'; did you mean month?"),
        ("user['idd']", "`user` has no field `idd`; did you mean id?"),
    ];
    for (sql, message) in cases {
        assert_eq!(error(sql), message, "{sql}");
    }
}

#[test]
fn lengths_of_time_show_how_to_write_them() {
    for (sql, told) in [
        ("publish_date - date > interval '1 month'", "a month has no length of its own; compare with days"),
        ("publish_date - date > '7 days'", "as interval '7 days', and this is string"),
        ("publish_date - date > 7", "as interval '7 days', and this is int64"),
        ("date_part('day', publish_date - date)", "a length of time is told in seconds, by date_part('epoch', …)"),
        ("publish_date - date", "write date_part('epoch', …) for its seconds"),
    ] {
        assert!(error(sql).contains(told), "{sql}: {}", error(sql));
    }
}

#[test]
fn what_a_replay_would_answer_otherwise_is_refused() {
    for sql in
        ["random()", "now()", "NOW()", "uuid()", "current_date", "current_timestamp", "current_time", "length(uuid())"]
    {
        assert!(error(sql).contains("a replay must give the same rows"), "{sql}: {}", error(sql));
    }
}

#[test]
fn more_than_one_record_is_refused() {
    for sql in ["sum(order)", "count(*)", "avg(value)", "row_number() over ()"] {
        assert!(error(sql).contains("[[average]]"), "{sql}: {}", error(sql));
    }
    // Where `select` is no column of ours.
    let schema = rows().project(&[6]).unwrap().schema();
    for sql in ["(select 1)", "exists (select 1)", "group in (select 1)"] {
        let message = Expression::compile(sql, &schema).unwrap_err().to_string();
        assert!(message.contains("cannot hold a query"), "{sql}: {message}");
    }
}

#[test]
fn broken_sql_says_where() {
    for (sql, place) in [("length(title", 13), ("title >", 8), ("order group", 7), ("1; 2", 2), ("a 'x", 3)] {
        let message = error(sql);
        assert!(message.ends_with(&format!("(at character {place})")), "{sql}: {message}");
    }
    assert_eq!(error(" "), "the expression is empty");
    let taken = "a column named like the SQL word case is written \"case\"";
    assert!(error("1 + case case").contains(taken), "{}", error("1 + case case"));
}

#[test]
fn types_that_do_not_fit_are_named_in_our_words() {
    for sql in ["title + user", "word_count(group)", "null", "interval '1 day'", "tags[1]", "not title", "$1"] {
        let message = error(sql);
        println!("{sql}: {message}");
        for theirs in ["Utf8", "Int64", "Boolean", "DataFusion", "Internal"] {
            assert!(!message.contains(theirs), "{sql}: {message}");
        }
    }
    assert!(error("null").contains("no column can hold"), "{}", error("null"));
}

#[test]
fn messages_are_short() {
    let long = "x".repeat(5000);
    assert!(error(&format!("cast('{long}' as int)")).chars().count() < 300);
    let rows = RecordBatch::try_from_iter([("text", Arc::new(StringArray::from(vec![long])) as ArrayRef)]).unwrap();
    let evaluated = Expression::compile("cast(text as int)", &rows.schema()).unwrap().evaluate(&rows);
    assert!(evaluated.failed[0].1.chars().count() < 300);
}
