//! Rules of a bucket that would take uploads away while they are needed.
//!
//! Owns the reading of the lifecycle configuration. What must stay true: it never fails; what cannot be read is not warned
//! of.

use aws_sdk_s3::types::{ExpirationStatus, LifecycleRule};

use super::S3Store;

/// An upload waits for the commit that names it, and for a start after it. Whoever is down over a weekend comes back to
/// find it when rules leave it for this long.
const ENOUGH_DAYS: i32 = 3;

impl S3Store {
    /// A line for each rule that aborts uploads of this store early.
    pub(super) async fn early_aborts(&self) -> Vec<String> {
        let answer = self.client.get_bucket_lifecycle_configuration().bucket(&self.place.bucket).send().await;
        let Ok(configuration) = answer else { return Vec::new() };
        let rules = configuration.rules().iter();
        rules.filter_map(|rule| early_abort(rule, &self.place.prefix)).map(|text| self.warning(&text)).collect()
    }

    fn warning(&self, rule: &str) -> String {
        let (name, bucket) = (&self.name, &self.place.bucket);
        format!(
            "{name}: the bucket {bucket} has {rule}; files of a run that is down for longer have to be written again from \
             the source: give the rule {ENOUGH_DAYS} days or more"
        )
    }
}

fn early_abort(rule: &LifecycleRule, prefix: &str) -> Option<String> {
    let days = rule.abort_incomplete_multipart_upload()?.days_after_initiation()?;
    let applies = *rule.status() == ExpirationStatus::Enabled && days < ENOUGH_DAYS;
    let of = rule_prefix(rule);
    // A rule for a part of the store hits some of its uploads.
    let meets = prefix.starts_with(of) || of.starts_with(prefix);
    let id = rule.id().unwrap_or("without a name");
    (applies && meets).then(|| format!("a lifecycle rule ({id}) that aborts uploads after {days} day(s)"))
}

fn rule_prefix(rule: &LifecycleRule) -> &str {
    let filter = rule.filter();
    let nested = filter.and_then(|filter| filter.and()).and_then(|and| and.prefix());
    #[expect(deprecated, reason = "where rules that were written long ago still have it")]
    let old = rule.prefix();
    filter.and_then(|filter| filter.prefix()).or(nested).or(old).unwrap_or("")
}

#[cfg(test)]
mod tests {
    //! A rule overlooked costs a replay; a rule of another prefix warned of teaches users to ignore warnings.
    use aws_sdk_s3::types::{AbortIncompleteMultipartUpload, LifecycleRuleFilter};

    use super::*;

    fn rule(days: i32, prefix: &str, status: ExpirationStatus) -> LifecycleRule {
        let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(days).build();
        let filter = LifecycleRuleFilter::builder().prefix(prefix).build();
        let rule = LifecycleRule::builder().id("tidy").status(status).filter(filter);
        rule.abort_incomplete_multipart_upload(abort).build().unwrap()
    }

    #[test]
    fn only_rules_that_hit_this_store_early_are_told() {
        use ExpirationStatus::{Disabled, Enabled};
        for (days, of, status, told) in [
            (1, "", Enabled, true),
            (2, "enriched/", Enabled, true),
            (2, "enriched/part/", Enabled, true),
            (2, "other/", Enabled, false),
            (3, "", Enabled, false),
            (1, "", Disabled, false),
        ] {
            assert_eq!(
                early_abort(&rule(days, of, status.clone()), "enriched/").is_some(),
                told,
                "{days} {of} {status}"
            );
        }
    }
}
