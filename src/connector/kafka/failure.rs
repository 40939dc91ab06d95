//! What an error of the client means for a reader of a topic.
//!
//! Owns the decision whether another try can help, and what a user is told. What must stay true: only an answer of the
//! cluster ends a run; silence, a broker that is away and one that is too busy are waited out. No value of a property is
//! ever quoted: it may be a secret.

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::connector::SourceError;

/// What stands behind an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The offset that was asked for is not in the partition.
    OutOfRange,
    /// There is no such topic or partition.
    NotFound,
    /// It may work later.
    Unavailable,
    /// It will not work until somebody changes something.
    Refused,
}

/// What the error is, and what somebody can do about it.
pub(super) fn kind(error: &KafkaError) -> Kind {
    match error {
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Nul(_) => Kind::Refused,
        error => error.rdkafka_error_code().map_or(Kind::Unavailable, kind_of),
    }
}

fn kind_of(code: Code) -> Kind {
    match code {
        Code::OffsetOutOfRange | Code::AutoOffsetReset | Code::LogTruncation => Kind::OutOfRange,
        // The broker says so. That the client knows of none may only mean that it has not heard of it yet.
        Code::UnknownTopicOrPartition => Kind::NotFound,
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::SSL
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::SecurityDisabled
        | Code::InvalidTopic
        | Code::BadMessage
        | Code::BadCompression
        | Code::InvalidMessage
        | Code::NotImplemented
        | Code::UnsupportedFeature
        | Code::UnsupportedVersion
        | Code::InvalidArgument
        | Code::Fatal => Kind::Refused,
        _ => Kind::Unavailable,
    }
}

/// The error of a source, where nothing more is known of what was asked.
pub(super) fn of_source(error: &KafkaError, name: &str) -> SourceError {
    let (name, message) = (name.to_owned(), said(error));
    match kind(error) {
        Kind::Unavailable => SourceError::Unavailable { name, message },
        Kind::OutOfRange | Kind::NotFound | Kind::Refused => SourceError::Refused { name, message },
    }
}

/// What a user is told.
pub(super) fn said(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, said, key, _) => format!(
            "{}; see [source.options]",
            if said.is_empty() { format!("the client does not take the property {key:?}") } else { lower(said) }
        ),
        KafkaError::ClientCreation(said) => format!("the client cannot be made: {}; see [source.options]", lower(said)),
        error => match error.rdkafka_error_code() {
            Some(code) => format!("{}{}", described(code), hint(code)),
            None => lower(&error.to_string()),
        },
    }
}

/// What the client calls it, without its own name for it.
fn described(code: Code) -> String {
    let said = code.to_string();
    let inside = said.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(&said);
    lower(inside.trim_start_matches("Local: ").trim_start_matches("Broker: "))
}

fn lower(said: &str) -> String {
    let mut letters = said.chars();
    let first = letters.next().into_iter().flat_map(char::to_lowercase);
    let acronym = said.chars().nth(1).is_some_and(char::is_uppercase);
    if acronym { said.to_owned() } else { first.chain(letters).collect() }
}

fn hint(code: Code) -> &'static str {
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed => {
            "; check sasl.mechanism, sasl.username and what sasl.password stands for in [source.options]"
        }
        Code::SSL => "; check ssl.ca.location and the ssl properties beside it in [source.options]",
        Code::TopicAuthorizationFailed => "; grant the user the right to read and describe the topic",
        Code::GroupAuthorizationFailed => "; grant the user the right to read the group, or take `group` out",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    //! Would catch a passing trouble that ends a run, a lasting one that is tried for ever, and a secret that shows.
    use super::*;

    #[test]
    fn codes_mean_what_the_cluster_means_by_them() {
        for (code, wanted) in [
            (Code::BrokerTransportFailure, Kind::Unavailable),
            (Code::AllBrokersDown, Kind::Unavailable),
            (Code::Resolve, Kind::Unavailable),
            (Code::OperationTimedOut, Kind::Unavailable),
            (Code::LeaderNotAvailable, Kind::Unavailable),
            (Code::NotLeaderForPartition, Kind::Unavailable),
            (Code::OffsetOutOfRange, Kind::OutOfRange),
            (Code::AutoOffsetReset, Kind::OutOfRange),
            (Code::UnknownTopicOrPartition, Kind::NotFound),
            (Code::UnknownPartition, Kind::Unavailable),
            (Code::Authentication, Kind::Refused),
            (Code::SSL, Kind::Refused),
            (Code::TopicAuthorizationFailed, Kind::Refused),
            (Code::BadMessage, Kind::Refused),
        ] {
            assert_eq!(kind(&KafkaError::Global(code)), wanted, "{code:?}");
        }
    }

    #[test]
    fn what_is_told_is_what_was_said() {
        let unavailable = KafkaError::MetadataFetch(Code::BrokerTransportFailure);
        assert_eq!(of_source(&unavailable, "one:9092").to_string(), "one:9092: broker transport failure");
        let denied = of_source(&KafkaError::MessageConsumption(Code::TopicAuthorizationFailed), "events").to_string();
        assert!(denied.starts_with("events: topic authorization failed; grant the user"), "{denied}");
    }

    #[test]
    fn a_wrong_property_is_named_and_its_value_is_not_shown() {
        let mut config = rdkafka::ClientConfig::new();
        config.set("sasl.pasword", "quite secret");
        let error = config.create_native_config().err().map(|error| of_source(&error, "kafka").to_string());
        let error = error.unwrap_or_default();
        assert!(error.contains("sasl.pasword") && !error.contains("quite"), "{error}");
    }
}
