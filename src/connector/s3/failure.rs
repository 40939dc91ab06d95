//! What an error of the SDK means for a caller of a store.
//!
//! Owns the decision whether a call can have happened, whether another try can help, and what a user is told. What must
//! stay true: of a call that changes something, only an answer that says so counts as "did not happen".

use std::error::Error;
use std::io;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;

use super::S3Store;
use crate::connector::store::StoreError;

/// A call as its error names it.
#[derive(Clone, Copy)]
pub(super) struct Called<'a> {
    pub(super) action: &'static str,
    pub(super) key: &'a str,
    /// Whether it changes something.
    pub(super) writes: bool,
}

impl<'a> Called<'a> {
    pub(super) fn to_write(action: &'static str, key: &'a str) -> Self {
        Called { action, key, writes: true }
    }

    pub(super) fn to_read(action: &'static str, key: &'a str) -> Self {
        Called { action, key, writes: false }
    }

    /// The key for a message; a listing of all has an empty one.
    fn shown(self) -> String {
        if self.key.is_empty() { "everything".to_owned() } else { self.key.to_owned() }
    }
}

/// What a server answered when it did not do what it was asked.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) code: String,
    message: String,
    request: Option<String>,
    /// Where the bucket is, if the server says so.
    region: Option<String>,
}

impl Answer {
    /// The answer in an error; `None` where none came.
    pub(super) fn of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<Self> {
        let raw = error.raw_response()?;
        let said = error.as_service_error();
        let code = said.and_then(ProvideErrorMetadata::code).map(str::to_owned).or_else(|| tag(raw, "Code"));
        let message = said.and_then(ProvideErrorMetadata::message).map(str::to_owned).or_else(|| tag(raw, "Message"));
        Some(Answer {
            status: raw.status().as_u16(),
            code: code.unwrap_or_default(),
            message: message.unwrap_or_default(),
            request: raw.request_id().map(str::to_owned),
            region: raw.headers().get("x-amz-bucket-region").map(str::to_owned),
        })
    }

    /// Whether the server says that it was too busy to begin.
    fn is_busy(&self) -> bool {
        self.status == 429
            || matches!(self.code.as_str(), "SlowDown" | "SlowDownRead" | "SlowDownWrite" | "RequestLimitExceeded")
            || self.code.starts_with("Throttl")
    }

    /// Whether the server says that it did nothing, and that another try may be luckier.
    fn can_pass(&self) -> bool {
        self.is_busy()
            || matches!(
                self.code.as_str(),
                "ConditionalRequestConflict"
                    | "OperationAborted"
                    | "RequestTimeout"
                    | "RequestTimeTooSkewed"
                    | "ExpiredToken"
                    | "ExpiredTokenException"
                    // versitygw's word also for a folder that another call clears away at the same moment.
                    | "ExistingObjectIsDirectory"
            )
    }

    /// Whether the server says of an upload that its parts do not make the object.
    pub(super) fn is_about_parts(&self) -> bool {
        matches!(
            self.code.as_str(),
            "InvalidPart" | "InvalidPartOrder" | "EntityTooSmall" | "BadDigest" | "XAmzContentChecksumMismatch"
        )
    }

    /// Whether the server says no for good. Under a status of success the code alone tells.
    fn is_final(&self) -> bool {
        match self.status {
            200..=299 => matches!(
                self.code.as_str(),
                "AccessDenied"
                    | "AllAccessDisabled"
                    | "AccountProblem"
                    | "NoSuchBucket"
                    | "InvalidAccessKeyId"
                    | "SignatureDoesNotMatch"
                    | "InvalidToken"
                    | "InvalidArgument"
                    | "InvalidRequest"
                    | "MalformedXML"
                    | "MethodNotAllowed"
                    | "QuotaExceeded"
            ),
            500..=599 => false,
            _ => true,
        }
    }

    fn is_other_region(&self) -> bool {
        self.status == 301
            || matches!(
                self.code.as_str(),
                "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException"
            )
    }

    pub(super) fn describe(&self) -> String {
        let mut text = format!("the server answered {}", self.status);
        for part in [&self.code, &self.message] {
            if !part.is_empty() {
                text.push(' ');
                text.push_str(part);
            }
        }
        match &self.request {
            Some(request) => format!("{text} (request {request})"),
            None => text,
        }
    }
}

impl S3Store {
    /// The error of a store for an error of the SDK.
    pub(super) fn failure<E>(&self, called: Called<'_>, error: SdkError<E, HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        match Answer::of(&error) {
            Some(answer) => self.answered(called, &answer),
            None => self.unanswered(called, &error),
        }
    }

    fn answered(&self, called: Called<'_>, answer: &Answer) -> StoreError {
        let said = answer.describe();
        if answer.can_pass() {
            return self.unavailable(called, said);
        }
        // An error under a status of success comes when a server began to answer before it knew the outcome.
        match answer.is_final() {
            true => self.refused(called, format!("{said}{}", self.way_out(answer))),
            false => self.unclear(called, said),
        }
    }

    fn unanswered<E>(&self, called: Called<'_>, error: &SdkError<E, HttpResponse>) -> StoreError
    where
        E: Error + 'static,
    {
        let causes = causes(error);
        let server = self.place.server();
        if let Some(missing) = causes.iter().find_map(|cause| cause.downcast_ref::<CredentialsError>()) {
            return self.without_credentials(called, missing, &causes);
        }
        let said = told(&causes);
        if causes.iter().any(|cause| never_connected(*cause)) {
            let message = format!("no connection to {server}: {said}; is `endpoint` right and the server running?");
            return self.unavailable(called, message);
        }
        match error {
            SdkError::ConstructionFailure(_) => self.refused(called, said),
            _ => self.unclear(called, format!("no answer from {server}: {said}")),
        }
    }

    fn without_credentials(&self, called: Called<'_>, error: &CredentialsError, causes: &[&Cause]) -> StoreError {
        let said = told(causes);
        let message = format!(
            "no AWS credentials could be had ({said}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or \
             run where a role is attached"
        );
        match error {
            CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
                self.refused(called, message)
            }
            // A service that hands them out may do so the next time.
            _ => self.unavailable(called, message),
        }
    }

    fn way_out(&self, answer: &Answer) -> String {
        let bucket = &self.place.bucket;
        if answer.is_other_region() {
            return match &answer.region {
                Some(region) => format!("; the bucket {bucket} is in {region}: set `region = \"{region}\"`"),
                None => format!("; the bucket {bucket} is in another region: set `region`"),
            };
        }
        match (answer.code.as_str(), answer.status) {
            ("NoSuchBucket", _) => {
                format!("; there is no bucket {bucket} at {}: create it, or correct `path`", self.place.server())
            }
            ("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken", _) => {
                format!("; the credentials are not known to {}: check which ones are in use", self.place.server())
            }
            ("AccessDenied", _) | (_, 401 | 403) => {
                format!("; grant these credentials the right to do so in the bucket {bucket}")
            }
            _ => String::new(),
        }
    }

    pub(super) fn refused(&self, called: Called<'_>, message: String) -> StoreError {
        let (store, key) = (self.name.to_string(), called.shown());
        StoreError::Refused { store, action: called.action, key, message }
    }

    pub(super) fn unavailable(&self, called: Called<'_>, message: String) -> StoreError {
        let (store, key) = (self.name.to_string(), called.shown());
        StoreError::Unavailable { store, action: called.action, key, message }
    }

    /// A call that changes nothing cannot have done so: where its outcome is unclear, it merely failed.
    fn unclear(&self, called: Called<'_>, message: String) -> StoreError {
        if !called.writes {
            return self.unavailable(called, message);
        }
        let (store, key) = (self.name.to_string(), called.shown());
        StoreError::Unclear { store, action: called.action, key, message }
    }

    pub(super) fn missing(&self, key: &str) -> StoreError {
        StoreError::Missing { store: self.name.to_string(), key: key.to_owned() }
    }
}

type Cause = dyn Error + 'static;

/// An error and what is behind it, outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a Cause> {
    std::iter::successors(Some(error), |error: &&'a Cause| (*error).source()).collect()
}

/// The causes in one line, without those that only repeat the one before.
fn told(causes: &[&Cause]) -> String {
    let mut lines: Vec<String> = causes.iter().map(ToString::to_string).collect();
    lines.dedup_by(|later, earlier| earlier.contains(later.as_str()));
    lines.join(": ")
}

/// Whether an error says that the server was never reached.
fn never_connected(cause: &Cause) -> bool {
    use io::ErrorKind::*;
    let by_system = cause.downcast_ref::<io::Error>().is_some_and(|error| {
        matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable | AddrNotAvailable)
    });
    // Name resolution has no type of its own that could be asked for.
    by_system || cause.to_string() == "dns error"
}

/// The text of an element of an answer's body, where the SDK did not look for it: under a status of success.
fn tag(raw: &HttpResponse, name: &str) -> Option<String> {
    let body = std::str::from_utf8(raw.body().bytes()?).ok()?;
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.to_owned())
}

#[cfg(test)]
#[path = "failure_tests.rs"]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
