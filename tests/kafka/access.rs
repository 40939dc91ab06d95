//! Who is let in: SASL and TLS with right and wrong secrets, which never show.

use std::path::Path;

use crate::reader_at;
use crate::services::kafka::{Broker, USER, broker};
use crate::whole::topic::Topic;

/// What is wrong, or nothing.
enum Outcome {
    Read,
    /// Exit 1, and a message that has these in it.
    Refused(&'static [&'static str]),
}

use Outcome::{Read, Refused};

/// Runs with these properties at a listener, the secret in the environment.
async fn try_with(brokers: &str, topic: &Topic, properties: &str, secret: &str, outcome: Outcome) {
    let more = format!("[source.options]\n{properties}");
    let mut pipeline = reader_at(brokers, &format!("{:?}", topic.name), &more).await;
    pipeline.environment.push(("KAFKA_SECRET", secret.to_owned()));
    let ended = pipeline.run(1, &["--until-end"]).wait().await;
    assert!(!ended.stderr.contains(secret), "the secret shows:\n{}", ended.stderr);
    match outcome {
        Read => {
            ended.with(0);
            pipeline.check(&topic.expected()).await;
        }
        Refused(parts) => {
            let said = ended.with(1).stderr;
            assert!(parts.iter().all(|part| said.contains(part)), "{parts:?} are not all in:\n{said}");
        }
    }
}

fn sasl(protocol: &str, mechanism: &str) -> String {
    format!(
        "\"security.protocol\" = {protocol:?}\n\"sasl.mechanism\" = {mechanism:?}\n\"sasl.username\" = {:?}\n\
         \"sasl.password\" = \"${{KAFKA_SECRET}}\"\n",
        USER.0
    )
}

fn ca(broker: &Broker) -> String {
    format!("\"ssl.ca.location\" = {:?}\n", broker.certificate("ca.pem").display().to_string())
}

const WRONG: &str = "not-the-secret-9f27";

/// Would catch a mechanism that is not built in, and a wrong password that is tried for ever or shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_right_and_wrong() {
    let broker = broker().await;
    let mut topic = Topic::new(broker, "sasl", 2).await;
    topic.put(20);
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let plain = sasl("sasl_plaintext", mechanism);
        try_with(&broker.sasl(), &topic, &plain, USER.1, Read).await;
        try_with(&broker.sasl(), &topic, &plain, WRONG, Refused(&["uthenticat", "sasl.password", "[source.options]"]))
            .await;
        let tls = sasl("sasl_ssl", mechanism) + &ca(broker);
        try_with(&broker.sasl_tls(), &topic, &tls, USER.1, Read).await;
    }
}

/// Would catch a broker that is believed without a certificate of the right authority, and a client that shows none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_right_and_wrong() {
    let broker = broker().await;
    let mut topic = Topic::new(broker, "tls", 2).await;
    topic.put(20);
    let shown = |name: &str| broker.certificate(name).display().to_string();
    let mutual = format!(
        "\"security.protocol\" = \"ssl\"\n\"ssl.certificate.location\" = {:?}\n\"ssl.key.location\" = {:?}\n",
        shown("client.pem"),
        shown("client.key")
    );
    try_with(&broker.tls(), &topic, &(mutual.clone() + &ca(broker)), "unused-secret", Read).await;
    let stranger = other_authority();
    let not_ours = format!("\"ssl.ca.location\" = {:?}\n", stranger.path().display().to_string());
    let refused = Refused(&["certificate", "ssl.ca.location"]);
    try_with(&broker.tls(), &topic, &(mutual + &not_ours), "unused-secret", refused).await;
    let alone = "\"security.protocol\" = \"ssl\"\n".to_owned() + &ca(broker);
    try_with(&broker.tls(), &topic, &alone, "unused-secret", Refused(&["certificate"])).await;
    let no_ca = sasl("sasl_ssl", "PLAIN");
    // More than once: whatever the client's threads are doing when the process ends, its exit code is what it was.
    for _ in 0..8 {
        try_with(&broker.sasl_tls(), &topic, &no_ca, USER.1, Refused(&["certificate"])).await;
    }
}

/// A certificate that nobody here has to do with.
fn other_authority() -> tempfile::NamedTempFile {
    let made = rcgen::generate_simple_self_signed(vec!["elsewhere".to_owned()]).unwrap();
    let file = tempfile::Builder::new().suffix(".pem").tempfile().unwrap();
    std::fs::write(file.path(), made.cert.pem()).unwrap();
    assert!(Path::new(file.path()).exists());
    file
}

/// Tokens that the client makes itself, and tokens of a provider. Would catch OAUTHBEARER that is not built in, and a
/// provider that says no being asked for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_right_and_wrong() {
    let broker = broker().await;
    let mut topic = Topic::new(broker, "tokens", 1).await;
    topic.put(20);
    let bearer = "\"security.protocol\" = \"sasl_plaintext\"\n\"sasl.mechanism\" = \"OAUTHBEARER\"\n";
    let unsigned = format!(
        "{bearer}\"enable.sasl.oauthbearer.unsecure.jwt\" = true\n\"sasl.oauthbearer.config\" = \"${{KAFKA_SECRET}}\"\n"
    );
    try_with(&broker.sasl(), &topic, &unsigned, "principal=reader", Read).await;
    let provider = provider::start("the-client-secret").await;
    let asked = format!(
        "{bearer}\"sasl.oauthbearer.method\" = \"oidc\"\n\"sasl.oauthbearer.client.id\" = \"millstream\"\n\
         \"sasl.oauthbearer.client.secret\" = \"${{KAFKA_SECRET}}\"\n\"sasl.oauthbearer.token.endpoint.url\" = {provider:?}\n"
    );
    try_with(&broker.sasl(), &topic, &asked, "the-client-secret", Read).await;
    try_with(&broker.sasl(), &topic, &asked, WRONG, Refused(&["token", "sasl.oauthbearer"])).await;
}

/// Would catch a property that does nothing because its name is wrong, one that is Millstream's own, and a secret that stands
/// in the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn properties_are_looked_at() {
    for (property, code, part) in [
        ("\"fetch.min.bites\" = 1", 1, "fetch.min.bites"),
        ("\"fetch.min.bytes\" = \"many\"", 1, "fetch.min.bytes"),
        ("\"enable.auto.commit\" = true", 2, "positions are kept in the commit log"),
        ("\"group.id\" = \"mine\"", 2, "write `group`"),
        ("\"sasl.password\" = \"literal-9f27\"", 2, "write \"${VARIABLE}\""),
        ("sasl.password = \"literal-9f27\"", 2, "write \"${VARIABLE}\""),
    ] {
        let pipeline = reader_at("127.0.0.1:1", "\"t\"", &format!("[source.options]\n{property}")).await;
        let said = pipeline.run(1, &["--until-end"]).wait().await.with(code).stderr;
        assert!(said.contains(part) && !said.contains("9f27"), "{property}: {said}");
    }
}

/// A provider of tokens, as OIDC has it: whoever knows the secret gets one.
mod provider {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// Where it gives tokens to those who know the secret.
    pub(super) async fn start(secret: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, secret));
            }
        });
        url
    }

    async fn answer(mut stream: TcpStream, secret: &str) {
        let mut asked = vec![0; 16 << 10];
        let read = stream.read(&mut asked).await.unwrap_or(0);
        let asked = String::from_utf8_lossy(&asked[..read]).into_owned();
        let knows = STANDARD.encode(format!("millstream:{secret}"));
        let (status, body) = match asked.contains(&knows) {
            true => (
                "200 OK",
                format!("{{\"access_token\":\"{}\",\"token_type\":\"Bearer\",\"expires_in\":3600}}", token()),
            ),
            false => ("401 Unauthorized", "{\"error\":\"invalid_client\"}".to_owned()),
        };
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        let _ = stream.write_all(answer.as_bytes()).await;
    }

    /// A token that nobody signed.
    fn token() -> String {
        let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
        format!(
            "{}.{}.",
            part("{\"alg\":\"none\"}"),
            part("{\"sub\":\"reader\",\"iat\":1700000000,\"exp\":4000000000}")
        )
    }
}
