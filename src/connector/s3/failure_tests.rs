//! Answers that a real server gives once in a long while, played by a socket that says what it is told to.
//!
//! Each test proves which error of a store an answer becomes. The mistake to catch: a call that may have happened and is
//! reported as one that did not, or the other way round; either breaks exactly-once one floor up.

use aws_credential_types::Credentials;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::{Place, S3Store};
use crate::connector::store::{Created, PartTag, Store, StoreError, Upload};

/// What to do with one request.
#[derive(Clone)]
enum Act {
    Answer(u16, &'static str),
    /// Take the request and hang up.
    HangUp,
}

/// A store whose server does `acts`, one for each request, and how many it has seen at the end.
async fn server(acts: Vec<Act>) -> (S3Store, tokio::task::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut seen = 0;
        for act in acts {
            let (mut socket, _) = listener.accept().await.unwrap();
            take_request(&mut socket).await;
            seen += 1;
            if let Act::Answer(status, body) = act {
                let head =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            }
        }
        seen
    });
    (store(endpoint).await, server)
}

async fn store(endpoint: String) -> S3Store {
    let place = Place {
        endpoint: Some(endpoint),
        region: Some("us-east-1".to_owned()),
        credentials: Some(Credentials::new("key", "the-secret", None, None, "test")),
        ..Place::parse("s3://bucket/prefix").unwrap()
    };
    S3Store::connect(place).await.unwrap()
}

/// Reads a request to its end.
async fn take_request(socket: &mut TcpStream) {
    let mut request = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = socket.read(&mut piece).await.unwrap();
        request.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&request).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
        if read == 0 || body.len() >= length.unwrap_or(0) {
            return;
        }
    }
}

fn error(code: &str) -> &'static str {
    format!("<Error><Code>{code}</Code><Message>it is so</Message></Error>").leak()
}

async fn create(acts: Vec<Act>) -> (Result<Created, StoreError>, usize) {
    let (store, server) = server(acts).await;
    let answer = store.create("1.json", Bytes::from("{}")).await;
    (answer, server.await.unwrap())
}

#[tokio::test]
async fn a_lost_answer_to_a_create_is_unclear_and_not_sent_again() {
    for act in [Act::HangUp, Act::Answer(500, error("InternalError")), Act::Answer(503, ""), Act::Answer(504, "")] {
        let (answer, requests) = create(vec![act]).await;
        assert!(matches!(answer, Err(StoreError::Unclear { .. })), "{answer:?}");
        assert_eq!(requests, 1);
    }
}

#[tokio::test]
async fn a_create_that_did_not_happen_is_tried_again() {
    for (status, code) in [
        (409, "ConditionalRequestConflict"),
        (409, "ExistingObjectIsDirectory"),
        (503, "SlowDown"),
        (429, "TooManyRequests"),
    ] {
        let (answer, requests) = create(vec![Act::Answer(status, error(code)), Act::Answer(200, "")]).await;
        assert!(matches!(answer, Ok(Created::New)), "{answer:?}");
        assert_eq!(requests, 2);
    }
}

#[tokio::test]
async fn a_create_that_found_something_says_so() {
    let (answer, _) = create(vec![Act::Answer(412, error("PreconditionFailed"))]).await;
    assert!(matches!(answer, Ok(Created::Exists)), "{answer:?}");
}

#[tokio::test]
async fn what_is_refused_is_told_with_the_way_out() {
    for (status, code, way_out) in [
        (403, "AccessDenied", "grant these credentials"),
        (404, "NoSuchBucket", "there is no bucket bucket at http://127.0.0.1"),
        (301, "PermanentRedirect", "is in another region: set `region`"),
        (403, "InvalidAccessKeyId", "the credentials are not known"),
        (400, "InvalidArgument", "400 InvalidArgument it is so"),
    ] {
        let (answer, _) = create(vec![Act::Answer(status, error(code))]).await;
        let Err(refused @ StoreError::Refused { .. }) = answer else { panic!("{code}: {answer:?}") };
        let text = refused.to_string();
        assert!(text.contains(way_out) && text.contains("s3://bucket/prefix"), "{text}");
        assert!(!text.contains("the-secret"), "{text}");
    }
}

#[tokio::test]
async fn a_completion_is_judged_by_its_body() {
    let upload = Upload { key: "a".to_owned(), id: "id".to_owned() };
    let tags = [PartTag("tag".to_owned())];
    // AWS answers 200 before it begins and tells the outcome in the body.
    let failed = Act::Answer(200, error("InternalError"));
    let (store_of_five, _server) = server(vec![failed; 5]).await;
    let answer = store_of_five.complete(&upload, &tags).await;
    assert!(matches!(answer, Err(StoreError::Unclear { .. })), "{answer:?}");
    for status in [200, 404] {
        let gone = Act::Answer(status, error("NoSuchUpload"));
        let (store, _server) = server(vec![gone; 5]).await;
        let answer = store.complete(&upload, &tags).await;
        assert!(matches!(answer, Err(StoreError::NoSuchUpload { .. })), "{status}: {answer:?}");
    }
}

#[tokio::test]
async fn what_only_reads_is_never_unclear() {
    let (store, server) = server(vec![Act::HangUp; 5]).await;
    let answer = store.get("a").await;
    assert!(matches!(answer, Err(StoreError::Unavailable { .. })), "{answer:?}");
    assert_eq!(server.await.unwrap(), 5);
}

#[tokio::test]
async fn what_is_safe_to_repeat_is_repeated() {
    let (store, server) = server(vec![Act::HangUp, Act::Answer(500, ""), Act::Answer(200, "")]).await;
    store.put("a", Bytes::from("x")).await.unwrap();
    assert_eq!(server.await.unwrap(), 3);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let store = store(endpoint.clone()).await;
    for answer in [store.put("a", Bytes::new()).await.map(drop), store.create("a", Bytes::new()).await.map(drop)] {
        let Err(failure @ StoreError::Unavailable { .. }) = answer else { panic!("{answer:?}") };
        assert!(failure.to_string().contains(&endpoint), "{failure}");
    }
}

#[tokio::test]
async fn a_server_without_sums_gets_none() {
    let begun = "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>";
    let acts = [(501, error("NotImplemented")), (200, begun), (200, ""), (200, begun)];
    let (store, server) = server(acts.map(|(status, body)| Act::Answer(status, body)).to_vec()).await;
    let upload = store.begin("a").await.unwrap();
    assert_eq!(upload.id, "id");
    let tag = store.put_part(&upload, 1, Bytes::from("x")).await.unwrap();
    assert!(!tag.0.contains(';'), "a sum was sent: {tag:?}");
    store.begin("b").await.unwrap();
    assert_eq!(server.await.unwrap(), 4);
}
