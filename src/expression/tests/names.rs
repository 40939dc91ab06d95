//! Which names mean which columns.

use super::*;

#[test]
fn names_are_not_folded() {
    check(&[
        ("product_information.SKU", ["A", "B", "C"]),
        ("product_information.sku", ["a", "b", "c"]),
        ("product_information['SKU']", ["A", "B", "C"]),
        ("\"product_information\".\"SKU\"", ["A", "B", "C"]),
        ("LENGTH(content)", ["14", "0", "3"]),
    ]);
}

#[test]
fn paths_go_through_nulls() {
    check(&[
        ("user.id", ["u1", "-", "u3"]),
        ("user.address.city", ["Oslo", "-", "-"]),
        ("user['address']['city']", ["Oslo", "-", "-"]),
        ("user['address'].city", ["Oslo", "-", "-"]),
        ("user.address['city']", ["Oslo", "-", "-"]),
        ("user.address.order + 1", ["2", "-", "-"]),
        ("user.address is null", ["false", "true", "true"]),
        ("upper(user.address.city)", ["OSLO", "-", "-"]),
    ]);
}

#[test]
fn columns_may_be_named_like_sql_words() {
    check(&[
        ("timestamp", ["2024-02-28T10:11:12.345678Z", "-", "9999-12-31T23:59:59Z"]),
        ("date", ["2024-02-28", "-", "2024-02-29"]),
        ("order", ["7", "-", "-1"]),
        ("group", ["1", "0", "2"]),
        ("value", ["1.5", "-", "NaN"]),
        ("select", ["true", "-", "false"]),
        ("from", ["a", "b", "-"]),
        ("user.date", ["1970-01-01", "-", "1970-01-03"]),
        ("order + group", ["8", "-", "1"]),
        ("(order)", ["7", "-", "-1"]),
        ("-order", ["-7", "-", "1"]),
        ("abs(order)", ["7", "-", "1"]),
        ("coalesce(order, group)", ["7", "0", "-1"]),
        ("case when select then order else group end", ["7", "0", "2"]),
        ("case order when group then 1 else order end", ["7", "-", "-1"]),
        ("order between group and order", ["true", "-", "false"]),
        ("order in (order, group)", ["true", "-", "true"]),
        ("not select and select", ["false", "-", "false"]),
        ("date is not null and order is distinct from group", ["true", "false", "true"]),
        ("\"case\" + 1", ["2", "3", "4"]),
        ("from like from", ["true", "true", "-"]),
    ]);
}

#[test]
fn words_of_the_language_stay_what_they_are() {
    check(&[
        ("date '2024-02-28' = date", ["true", "-", "false"]),
        ("timestamp '2024-02-28 00:00:00' < timestamp", ["true", "-", "true"]),
        ("cast(timestamp as date)", ["2024-02-28", "-", "9999-12-31"]),
        ("cast(date as timestamp) = date", ["true", "-", "true"]),
        ("timestamp::date = date", ["true", "-", "false"]),
        ("(timestamp::timestamp with time zone)::date", ["2024-02-28", "-", "9999-12-31"]),
        ("cast(cast(order as decimal(10, 2)) as bigint) + order", ["14", "-", "-2"]),
        ("extract(year from date)", ["2024", "-", "2024"]),
        ("extract(day from timestamp)", ["28", "-", "31"]),
        ("substring(from from 1 for group)", ["a", "", "-"]),
        ("trim(from)", ["a", "b", "-"]),
        ("position(from in from)", ["1", "1", "-"]),
        ("date + interval '1 day'", ["2024-02-29", "-", "2024-03-01"]),
        ("date_part('day', date)", ["28", "-", "29"]),
        ("case when order is null then null else true end", ["true", "-", "true"]),
    ]);
}

#[test]
fn tells_which_columns_it_names() {
    assert_eq!(compile("user.address.order + order * length(title)").columns(), ["title", "order", "user"]);
    assert_eq!(compile("1 + 1").columns(), [] as [&str; 0]);
}

#[test]
fn finds_its_columns_by_name() {
    let expression = compile("order + group");
    let other = rows().project(&[6, 0, 5]).unwrap();
    assert_eq!(texts(&expression.evaluate(&other).values), ["8", "-", "1"]);
    let without = rows().project(&[6, 0]).unwrap();
    let evaluated = expression.evaluate(&without);
    assert_eq!((evaluated.failed.len(), evaluated.values.null_count()), (3, 3));
    assert_eq!(evaluated.failed[0].1, "the batch has no column `order`");
}
