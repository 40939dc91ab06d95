//! A folder or a prefix of a bucket, and how to reach it: the same keys wherever a path can be `s3://…`.

use super::key::Key;
use super::scalar::Endpoint;
use super::section::Section;
use super::text::Text;

pub(crate) const ENDPOINT: Key =
    Key::optional("endpoint", "address of an S3 service that is not Amazon's", "http://127.0.0.1:9000");
pub(crate) const REGION: Key =
    Key::optional("region", "region of the bucket, where the environment does not say", "eu-central-1");
pub(crate) const PROFILE: Key = Key::optional("profile", "profile in the AWS credential files", "training");
pub(crate) const PATH_STYLE: Key = Key::optional(
    "path_style",
    "put the bucket in the path of a request, not in its host; by default where there is an endpoint",
    "true",
);

/// Where files lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// A local folder, or `s3://bucket/prefix`.
    pub path: Text,
    pub endpoint: Option<Text>,
    pub region: Option<Text>,
    pub profile: Option<Text>,
    /// Said or not; [`Location::path_style`] knows what holds.
    pub path_style: Option<bool>,
}

impl Location {
    pub fn read(section: &Section<'_>, path: &Key) -> Self {
        let said: Option<Text> = section.optional(path);
        let location = Location {
            path: said.clone().unwrap_or_default(),
            endpoint: section.optional::<Endpoint>(&ENDPOINT).map(|endpoint| endpoint.0),
            region: section.optional(&REGION),
            profile: section.optional(&PROFILE),
            path_style: section.optional(&PATH_STYLE),
        };
        if said.is_some() {
            location.check(section, path);
        }
        location
    }

    /// The same service, another path.
    pub fn with_path(&self, path: Text) -> Self {
        Location { path, ..self.clone() }
    }

    /// How the path is reached, but for as whom.
    pub fn reached(&self) -> (Option<&str>, Option<&str>, Option<bool>) {
        let Location { path: _, endpoint, region, profile: _, path_style } = self;
        (endpoint.as_ref().map(Text::as_str), region.as_ref().map(Text::as_str), *path_style)
    }

    /// The bucket and the prefix in it, without slashes at its ends; `None` for a local folder.
    pub fn s3(&self) -> Option<(&str, &str)> {
        let (bucket, prefix) = bucket_and_prefix(self.path.as_str())?;
        Some((bucket, prefix.trim_matches('/')))
    }

    /// Whether requests name the bucket in their path.
    pub fn path_style(&self) -> bool {
        self.path_style.unwrap_or(self.endpoint.is_some())
    }

    /// Whether `other` is this place or lies in it.
    pub(super) fn holds(&self, other: &Location) -> bool {
        let (ours, theirs) = (plain(self.path.as_str()), plain(other.path.as_str()));
        self.endpoint == other.endpoint && (theirs == ours || theirs.starts_with(&format!("{ours}/")))
    }

    /// Complains of a path that cannot be one.
    pub(super) fn check(&self, section: &Section<'_>, path: &Key) {
        let text = self.path.as_str();
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        let problem = match scheme {
            _ if text.trim().is_empty() => "is empty; write a folder or s3://bucket/prefix",
            None => return,
            Some("s3") if bucket_and_prefix(text).is_some_and(|(bucket, _)| is_bucket(bucket)) => return,
            Some("s3") => {
                "does not begin with the name of a bucket (3 to 63 of a-z, 0-9, - and .); write s3://bucket/prefix"
            }
            Some("file") => "is an address; write the folder itself, without file://",
            Some(_) => "is of no kind that this build can reach; write a folder or s3://bucket/prefix",
        };
        section.reader.report(section.at_key(path).error(format!("{:?} {problem}", self.path)));
    }
}

fn bucket_and_prefix(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, "")))
}

/// Whether S3 takes this as the name of a bucket.
pub(super) fn is_bucket(name: &str) -> bool {
    (3..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
}

/// One spelling for one place: no `./` before, no slash behind.
fn plain(path: &str) -> &str {
    path.strip_prefix("./").unwrap_or(path).trim_end_matches('/')
}
