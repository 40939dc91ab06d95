//! A rule overlooked costs a replay, or the log; a rule that does no harm and is warned of teaches users to ignore warnings.

use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::builders::{LifecycleRuleBuilder, LifecycleRuleFilterBuilder};
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, LifecycleExpiration, LifecycleRuleAndOperator, LifecycleRuleFilter,
    NoncurrentVersionExpiration, Tag,
};

use super::*;

fn rule(filter: LifecycleRuleFilterBuilder) -> LifecycleRuleBuilder {
    LifecycleRule::builder().id("tidy").status(ExpirationStatus::Enabled).filter(filter.build())
}

fn of(prefix: &str) -> LifecycleRuleFilterBuilder {
    LifecycleRuleFilter::builder().prefix(prefix)
}

fn aborts(days: i32) -> AbortIncompleteMultipartUpload {
    AbortIncompleteMultipartUpload::builder().days_after_initiation(days).build()
}

fn after(days: i32) -> LifecycleExpiration {
    LifecycleExpiration::builder().days(days).build()
}

fn told(rule: LifecycleRuleBuilder) -> Vec<String> {
    harms(&rule.build().unwrap(), "enriched/")
}

#[test]
fn only_rules_that_abort_uploads_of_this_store_early_are_told() {
    use ExpirationStatus::{Disabled, Enabled};
    for (days, prefix, status, is_told) in [
        (1, "", Enabled, true),
        (2, "enriched/", Enabled, true),
        (2, "enriched/part/", Enabled, true),
        (2, "other/", Enabled, false),
        (3, "", Enabled, false),
        (1, "", Disabled, false),
    ] {
        let rule = rule(of(prefix)).abort_incomplete_multipart_upload(aborts(days)).status(status.clone());
        assert_eq!(!told(rule).is_empty(), is_told, "{days} {prefix} {status}");
    }
}

#[test]
fn a_rule_that_expires_objects_is_told_with_what_it_takes() {
    for (prefix, expected) in [
        ("", "data files and the commit log"),
        ("enr", "data files and the commit log"),
        ("enriched/", "data files and the commit log"),
        ("enriched/.millstream/", "objects of the commit log"),
        ("enriched/.millstream/commits/", "objects of the commit log"),
        ("enriched/event_date=2024", "data files 30 day(s)"),
        ("enriched/.mill", "objects of the commit log"),
    ] {
        let told = told(rule(of(prefix)).expiration(after(30)));
        let [line] = told.as_slice() else { panic!("{prefix}: {told:?}") };
        assert!(line.contains(expected) && line.contains("(tidy; "), "{prefix}: {line}");
        assert!(line.contains("30 day(s)") && line.contains("or disable it"), "{prefix}: {line}");
    }
    assert!(told(rule(of("other/")).expiration(after(30))).is_empty());
    assert!(told(rule(of("enriched-2/")).expiration(after(30))).is_empty());
}

#[test]
fn dates_sizes_and_old_forms_of_a_rule_are_read() {
    let date = LifecycleExpiration::builder().date(DateTime::from_secs(1_800_000_000)).build();
    let lines = told(rule(of("")).expiration(date));
    assert!(lines[0].contains("on 2027-01-15"), "{lines:?}");

    let both = LifecycleRuleAndOperator::builder().prefix("enriched/").object_size_greater_than(500);
    let lines = told(rule(LifecycleRuleFilter::builder().and(both.build())).expiration(after(1)));
    assert!(lines[0].contains("for the prefix \"enriched/\", objects larger than 500 bytes"), "{lines:?}");

    let smaller = LifecycleRuleFilter::builder().object_size_less_than(9_000);
    let lines = told(rule(smaller).expiration(after(1)));
    assert!(lines[0].contains("for the whole bucket, objects smaller than 9000 bytes"), "{lines:?}");

    #[expect(deprecated, reason = "rules that were written long ago have it")]
    let old = LifecycleRule::builder().status(ExpirationStatus::Enabled).prefix("enriched/").expiration(after(1));
    let lines = told(old);
    assert!(lines[0].contains("without a name"), "{lines:?}");

    let two = rule(of("")).expiration(after(1)).abort_incomplete_multipart_upload(aborts(1));
    assert_eq!(told(two).len(), 2);
}

#[test]
fn what_does_no_harm_is_not_told() {
    let old_versions = NoncurrentVersionExpiration::builder().noncurrent_days(1).build();
    assert!(told(rule(of("")).noncurrent_version_expiration(old_versions)).is_empty());
    let markers = LifecycleExpiration::builder().expired_object_delete_marker(true).build();
    assert!(told(rule(of("")).expiration(markers)).is_empty());
    assert!(told(rule(of("")).expiration(after(1)).status(ExpirationStatus::Disabled)).is_empty());
    let tag = Tag::builder().key("scratch").value("yes").build().unwrap();
    assert!(told(rule(LifecycleRuleFilter::builder().tag(tag.clone())).expiration(after(1))).is_empty());
    let both = LifecycleRuleAndOperator::builder().prefix("enriched/").tags(tag).build();
    assert!(told(rule(LifecycleRuleFilter::builder().and(both)).expiration(after(1))).is_empty());
}
