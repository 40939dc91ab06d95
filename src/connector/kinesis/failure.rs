//! What an error of the SDK means for a reader of a stream.
//!
//! Owns the decision whether another try can help, and what a user is told. What must stay true: only an answer of the
//! service ends a run; silence, trouble of the network and a service that is too busy are waited out.

use std::error::Error;
use std::fmt::Debug;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};

use crate::connector::SourceError;

/// What stands behind a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Too many calls, or too many bytes.
    Throttled,
    /// An iterator or a token that was kept for too long.
    Expired,
    /// No such stream, shard or consumer.
    NotFound,
    /// What was asked makes no sense to the service.
    Invalid,
    /// Something is under way that has to end first.
    InUse,
    /// It may work later.
    Unavailable,
    /// It will not work until somebody changes something.
    Refused,
}

/// A failed call.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) message: String,
}

impl Failure {
    /// Reads an error of the SDK.
    pub(super) fn of<E, R>(error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: Debug + 'static,
    {
        match error.as_service_error() {
            Some(said) => answered(said.code().unwrap_or_default(), said.message().unwrap_or_default()),
            None => unanswered(error),
        }
    }

    /// The error of a source, where nothing more is known of what was asked.
    pub(super) fn of_source(self, name: &str) -> SourceError {
        let (name, message) = (name.to_owned(), self.message);
        match self.kind {
            Kind::Throttled | Kind::Expired | Kind::InUse | Kind::Unavailable => {
                SourceError::Unavailable { name, message }
            }
            Kind::NotFound | Kind::Invalid | Kind::Refused => SourceError::Refused { name, message },
        }
    }
}

fn answered(code: &str, message: &str) -> Failure {
    let kind = match code {
        "ProvisionedThroughputExceededException"
        | "LimitExceededException"
        | "KMSThrottlingException"
        | "ThrottlingException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded" => Kind::Throttled,
        "ExpiredIteratorException" | "ExpiredNextTokenException" => Kind::Expired,
        "ResourceNotFoundException" => Kind::NotFound,
        "InvalidArgumentException" | "ValidationException" => Kind::Invalid,
        "ResourceInUseException" => Kind::InUse,
        ""
        | "InternalFailure"
        | "InternalFailureException"
        | "InternalServerError"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "RequestTimeout"
        | "RequestExpired"
        | "ExpiredToken"
        | "ExpiredTokenException" => Kind::Unavailable,
        _ => Kind::Refused,
    };
    let hint = match code {
        "UnrecognizedClientException" | "InvalidSignatureException" | "IncompleteSignatureException" => {
            "; check which credentials are in use"
        }
        "AccessDeniedException" | "AccessDenied" => "; grant these credentials the right to do so",
        _ => "",
    };
    Failure { kind, message: format!("the service answered {code} {message}").trim_end().to_owned() + hint }
}

fn unanswered<E, R>(error: &SdkError<E, R>) -> Failure
where
    E: Error + 'static,
    R: Debug + 'static,
{
    let causes: Vec<&(dyn Error + 'static)> =
        std::iter::successors(Some(error as &(dyn Error + 'static)), |error: &&(dyn Error + 'static)| {
            (*error).source()
        })
        .collect();
    let mut lines: Vec<String> = causes.iter().map(ToString::to_string).collect();
    lines.dedup_by(|later, earlier| earlier.contains(later.as_str()));
    let said = lines.join(": ");
    if let Some(missing) = causes.iter().find_map(|cause| cause.downcast_ref::<CredentialsError>()) {
        return without_credentials(missing, &said);
    }
    let kind = match error {
        SdkError::ConstructionFailure(_) => Kind::Refused,
        _ => Kind::Unavailable,
    };
    Failure { kind, message: format!("no answer: {said}") }
}

fn without_credentials(error: &CredentialsError, said: &str) -> Failure {
    let denied = said.contains("AccessDenied");
    let kind = match error {
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => Kind::Refused,
        // The service that hands them out has answered, and will not say otherwise the next time.
        _ if denied => Kind::Refused,
        _ => Kind::Unavailable,
    };
    let way_out = if denied {
        "check `role_arn` and `external_id`, and whom the role trusts"
    } else {
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run where a role is attached"
    };
    Failure { kind, message: format!("no AWS credentials could be had ({said}); {way_out}") }
}

#[cfg(test)]
mod tests {
    //! Would catch a passing trouble that ends a run, and a lasting one that is tried for ever.
    use super::*;

    #[test]
    fn codes_mean_what_the_service_means_by_them() {
        for (code, kind) in [
            ("ProvisionedThroughputExceededException", Kind::Throttled),
            ("LimitExceededException", Kind::Throttled),
            ("ExpiredIteratorException", Kind::Expired),
            ("ResourceNotFoundException", Kind::NotFound),
            ("InvalidArgumentException", Kind::Invalid),
            ("ResourceInUseException", Kind::InUse),
            ("InternalFailure", Kind::Unavailable),
            ("", Kind::Unavailable),
            ("ExpiredTokenException", Kind::Unavailable),
            ("AccessDeniedException", Kind::Refused),
            ("KMSDisabledException", Kind::Refused),
        ] {
            assert_eq!(answered(code, "why").kind, kind, "{code}");
        }
        let denied = answered("AccessDeniedException", "no").of_source("MyStream").to_string();
        assert_eq!(
            denied,
            "MyStream: the service answered AccessDeniedException no; grant these credentials the right to do so"
        );
    }
}
