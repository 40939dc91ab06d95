//! Rules of a bucket that would take uploads or objects away while they are needed.
//!
//! Owns the reading of the lifecycle configuration. What must stay true: it never fails; what cannot be read is not warned
//! of; a rule that cannot touch anything of the store is not told.

use aws_sdk_s3::types::{ExpirationStatus, LifecycleRule};

use super::S3Store;

/// An upload waits for the commit that names it, and for a start after it. Whoever is down over a weekend comes back to
/// find it when rules leave it for this long.
const ENOUGH_DAYS: i32 = 3;
/// Where the log lies below a store that holds one.
const LOG: &str = ".millstream/";

impl S3Store {
    /// A line for each rule that aborts uploads of this store early, and for each that expires its objects.
    pub(super) async fn harmful_rules(&self) -> Vec<String> {
        let answer = self.client.get_bucket_lifecycle_configuration().bucket(&self.place.bucket).send().await;
        let Ok(configuration) = answer else { return Vec::new() };
        let rules = configuration.rules().iter();
        rules.flat_map(|rule| harms(rule, &self.place.prefix)).map(|harm| self.warning(&harm)).collect()
    }

    fn warning(&self, harm: &str) -> String {
        format!("{}: the bucket {} has {harm}", self.name, self.place.bucket)
    }
}

/// What a rule does to the store whose keys begin with `prefix`.
fn harms(rule: &LifecycleRule, prefix: &str) -> Vec<String> {
    let of = rule_prefix(rule);
    // A rule for a part of the store hits some of its keys.
    let meets = prefix.starts_with(of) || of.starts_with(prefix);
    if *rule.status() != ExpirationStatus::Enabled || !meets {
        return Vec::new();
    }
    [early_abort(rule), expiry(rule, prefix)].into_iter().flatten().collect()
}

fn early_abort(rule: &LifecycleRule) -> Option<String> {
    let days = rule.abort_incomplete_multipart_upload()?.days_after_initiation()?;
    (days < ENOUGH_DAYS).then(|| {
        format!(
            "a lifecycle rule ({}) that aborts uploads after {days} day(s); files of a run that is down for longer have to \
             be written again from the source: give the rule {ENOUGH_DAYS} days or more",
            name(rule)
        )
    })
}

/// Old versions of an object, and the marker of a deleted one, are nothing that is read here: rules about them do no harm.
/// Nor does a rule for objects with a tag, since none of ours has one.
fn expiry(rule: &LifecycleRule, prefix: &str) -> Option<String> {
    let expiration = rule.expiration()?;
    let when = match (expiration.days(), expiration.date()) {
        (Some(days), _) => format!("{days} day(s) after they are written"),
        (None, Some(date)) => format!("on {date}"),
        (None, None) => return None,
    };
    if wants_tags(rule) {
        return None;
    }
    let (of, log) = (rule_prefix(rule), format!("{prefix}{LOG}"));
    let only_log = of.starts_with(&log) || (log.starts_with(of) && of.len() > prefix.len());
    let (which, harm) = match (only_log, log.starts_with(of)) {
        (true, _) => ("objects of the commit log", "without them no start goes on (exit code 1)"),
        (_, true) => ("data files and the commit log", "without the log no start goes on (exit code 1)"),
        _ => ("data files", "`verify` then reports them as missing"),
    };
    Some(format!(
        "a lifecycle rule ({}; {}) that expires {which} {when}: {harm}. Limit the rule to a prefix that has nothing to do \
         with {prefix:?}, or disable it",
        name(rule),
        scope(rule)
    ))
}

fn wants_tags(rule: &LifecycleRule) -> bool {
    let filter = rule.filter();
    let nested = filter.and_then(|filter| filter.and()).is_some_and(|and| !and.tags().is_empty());
    nested || filter.is_some_and(|filter| filter.tag().is_some())
}

fn name(rule: &LifecycleRule) -> &str {
    rule.id().unwrap_or("without a name")
}

/// Which objects a rule is for, as its owner finds it in the configuration.
fn scope(rule: &LifecycleRule) -> String {
    let filter = rule.filter();
    let and = filter.and_then(|filter| filter.and());
    let larger = filter.and_then(|f| f.object_size_greater_than()).or(and.and_then(|a| a.object_size_greater_than()));
    let smaller = filter.and_then(|f| f.object_size_less_than()).or(and.and_then(|a| a.object_size_less_than()));
    let mut parts = vec![match rule_prefix(rule) {
        "" => "for the whole bucket".to_owned(),
        prefix => format!("for the prefix {prefix:?}"),
    }];
    parts.extend(larger.map(|bytes| format!("objects larger than {bytes} bytes")));
    parts.extend(smaller.map(|bytes| format!("objects smaller than {bytes} bytes")));
    parts.join(", ")
}

fn rule_prefix(rule: &LifecycleRule) -> &str {
    let filter = rule.filter();
    let nested = filter.and_then(|filter| filter.and()).and_then(|and| and.prefix());
    #[expect(deprecated, reason = "where rules that were written long ago still have it")]
    let old = rule.prefix();
    filter.and_then(|filter| filter.prefix()).or(nested).or(old).unwrap_or("")
}

#[cfg(test)]
#[path = "rules_tests.rs"]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
