//! Where an S3 store lies and how it is spoken to.
//!
//! Owns the reading of `s3://bucket/prefix`. Knows nothing of the network.

use aws_credential_types::Credentials;

use crate::connector::aws::Access;
use crate::connector::store::StoreError;

/// A bucket or a part of one, and the way to it.
#[derive(Clone, Debug, Default)]
pub struct Place {
    pub bucket: String,
    /// What every key begins with: empty, or with a `/` at its end.
    pub prefix: String,
    /// The server; AWS where there is none.
    pub endpoint: Option<String>,
    /// The region; where there is none, what the environment and the profile say.
    pub region: Option<String>,
    /// The profile in the AWS credential files; where there is none, the usual one.
    pub profile: Option<String>,
    /// Whether the bucket stands in the path, not in the host name; where nothing is said, it does when there is an
    /// endpoint.
    pub path_style: Option<bool>,
    /// Whom to be; where there is none, the usual chain of AWS finds out.
    pub credentials: Option<Credentials>,
}

impl Place {
    /// Reads `s3://bucket/prefix`.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        let bad = |message: &str| StoreError::Refused {
            store: url.to_owned(),
            action: "find",
            key: "the bucket".to_owned(),
            message: format!("{message}; write s3://bucket/prefix"),
        };
        let rest = url.strip_prefix("s3://").ok_or_else(|| bad("it does not begin with s3://"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(bad("it names no bucket"));
        }
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Place { bucket: bucket.to_owned(), prefix, ..Place::default() })
    }

    /// The place as a user would write it.
    pub(super) fn url(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix).trim_end_matches('/').to_owned()
    }

    /// How the service is reached, and as whom.
    pub(super) fn access(&self) -> Access {
        Access {
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            profile: self.profile.clone(),
            credentials: self.credentials.clone(),
            role: None,
        }
    }

    /// The server as a user knows it.
    pub(super) fn server(&self) -> &str {
        self.endpoint.as_deref().unwrap_or("AWS")
    }
}

#[cfg(test)]
mod tests {
    //! A prefix read with one slash too many or too few would put the commit log where no other run looks for it.
    use super::*;

    #[test]
    fn bucket_and_prefix_are_told_apart() {
        for (url, bucket, prefix, shown) in [
            ("s3://b", "b", "", "s3://b"),
            ("s3://b/", "b", "", "s3://b"),
            ("s3://b/x", "b", "x/", "s3://b/x"),
            ("s3://b/x/y=1//", "b", "x/y=1/", "s3://b/x/y=1"),
        ] {
            let place = Place::parse(url).unwrap();
            assert_eq!((place.bucket.as_str(), place.prefix.as_str(), place.url().as_str()), (bucket, prefix, shown));
        }
    }

    #[test]
    fn what_is_no_bucket_is_refused() {
        for url in ["", "s3:/b", "s3://", "s3:///x", "/data"] {
            assert!(Place::parse(url).is_err(), "{url:?} was taken");
        }
    }
}
