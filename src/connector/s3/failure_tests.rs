//! Answers that a real server gives once in a long while, played by a socket that says what it is told to.
//!
//! Each test proves which error of a store an answer becomes. The mistake to catch: a call that may have happened and is
//! reported as one that did not, or the other way round; either breaks exactly-once one floor up.

use std::sync::Arc;

use aws_credential_types::Credentials;
use bytes::Bytes;
use millstream_operators::protocol::recover::Unfinished;
use millstream_operators::protocol::{FileRecord, Place as Under};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::{Place, S3Store};
use crate::connector::store::{Completed, Created, PartTag, Store, StoreError, Upload};
use crate::log::Places;
use crate::log::publish::publish;

/// What to do with one request.
#[derive(Clone)]
enum Act {
    Answer(u16, &'static str),
    /// The same with lines of a head, each ended.
    Told(u16, &'static str, &'static str),
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
            let (status, more, body) = match act {
                Act::Answer(status, body) => (status, "content-length", body),
                Act::Told(status, more, body) => (status, more, body),
                Act::HangUp => continue,
            };
            let more = match more {
                "content-length" => format!("content-length: {}\r\n", body.len()),
                more => more.to_owned(),
            };
            let head = format!("HTTP/1.1 {status} X\r\n{more}connection: close\r\n\r\n");
            socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
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

/// The store's error for one answer to a completion, which must be asked for once.
async fn completed(act: Act) -> Result<Completed, StoreError> {
    let (store, server) = server(vec![act]).await;
    let upload = Upload { key: "a".to_owned(), id: "id".to_owned() };
    let answer = store.complete(&upload, &[PartTag("tag".to_owned())]).await;
    assert_eq!(server.await.unwrap(), 1);
    answer
}

/// AWS answers 200 before it begins, sends white space while it works, and tells the outcome in the body.
#[tokio::test]
async fn a_completion_is_judged_by_its_body() {
    type Is = fn(&StoreError) -> bool;
    let unclear: Is = |error| matches!(error, StoreError::Unclear { .. });
    let gone: Is = |error| matches!(error, StoreError::NoSuchUpload { .. });
    let bad_parts: Is = |error| matches!(error, StoreError::BadParts { .. });
    let unavailable: Is = |error| matches!(error, StoreError::Unavailable { .. });
    let refused: Is = |error| matches!(error, StoreError::Refused { .. });
    for (code, usual, is) in [
        ("InternalError", 500, unclear),
        ("NeverHeardOf", 500, unclear),
        ("NoSuchUpload", 404, gone),
        ("InvalidPart", 400, bad_parts),
        ("InvalidPartOrder", 400, bad_parts),
        ("EntityTooSmall", 400, bad_parts),
        ("BadDigest", 400, bad_parts),
        ("SlowDown", 503, unavailable),
        ("AccessDenied", 403, refused),
        ("NoSuchBucket", 404, refused),
    ] {
        let late: &str = format!("<?xml version=\"1.0\"?>\n \n \n{}", error(code)).leak();
        let later: &str = format!(" \n \n<?xml version=\"1.0\"?>{}", error(code)).leak();
        for act in [(usual, error(code)), (200, error(code)), (200, late), (200, later)] {
            let failure = completed(Act::Answer(act.0, act.1)).await.unwrap_err();
            assert!(is(&failure), "{act:?}: {failure:?}");
            assert!(
                matches!(failure, StoreError::NoSuchUpload { .. }) || failure.to_string().contains(code),
                "{failure}"
            );
        }
    }
    for act in [Act::HangUp, Act::Answer(503, ""), Act::Answer(200, "<?xml version=\"1.0\"?>\n  \n")] {
        let failure = completed(act).await.unwrap_err();
        assert!(unclear(&failure), "{failure:?}");
    }
}

#[tokio::test]
async fn a_completion_tells_the_sum_of_the_whole_and_no_other() {
    let body = |kind: &str| -> &'static str {
        let sums = format!("<ChecksumCRC64NVME>rosUhgp5mIg=</ChecksumCRC64NVME><ChecksumType>{kind}</ChecksumType>");
        let xml = "<?xml version=\"1.0\"?>\n \n \n";
        format!("{xml}<CompleteMultipartUploadResult><ETag>e</ETag>{sums}</CompleteMultipartUploadResult>").leak()
    };
    let crc = Some(0xae8b_1486_0a79_9888);
    assert_eq!(completed(Act::Answer(200, body("FULL_OBJECT"))).await.unwrap(), Completed { crc });
    assert_eq!(completed(Act::Answer(200, body("COMPOSITE"))).await.unwrap(), Completed { crc: None });
    let without = "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>";
    assert_eq!(completed(Act::Answer(200, without)).await.unwrap(), Completed { crc: None });
}

/// The whole way: the answer is lost, a repeated call is refused with `InvalidPart`, and the object shows at the third look.
#[tokio::test]
async fn a_file_whose_completion_was_answered_badly_is_published() {
    let there = "content-length: 4\r\nx-amz-checksum-crc64nvme: rosUhgp5mIg=\r\nx-amz-checksum-type: FULL_OBJECT\r\n";
    let bad_part = Act::Answer(400, error("InvalidPart"));
    let (absent, whole) = (Act::Told(404, "", ""), Act::Told(200, there, ""));
    let (store, server) = server(vec![Act::HangUp, absent.clone(), bad_part.clone(), absent, bad_part, whole]).await;
    let crc = format!("{:016x}", 0xae8b_1486_0a79_9888_u64);
    let file = FileRecord { path: "a".into(), bytes: 4, crc, upload: "id".into(), ..FileRecord::default() };
    let file = Unfinished { commit: 1, place: Under::data(), file: FileRecord { parts: vec!["tag".into()], ..file } };
    let store: Arc<dyn Store> = Arc::new(store);
    let places = Places::single(store.clone(), store);
    assert_eq!(publish(&places, vec![file]).await.unwrap(), []);
    assert_eq!(server.await.unwrap(), 6);
}

/// A bucket's rules as its server writes them: those that would hurt are told at a start, by name.
#[tokio::test]
async fn rules_that_would_hurt_are_told() {
    let rules = "<LifecycleConfiguration>\
        <Rule><ID>drop-uploads</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter>\
        <AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>\
        <Rule><ID>keep-a-month</ID><Status>Enabled</Status><Filter><Prefix>prefix/</Prefix></Filter>\
        <Expiration><Days>30</Days></Expiration></Rule>\
        <Rule><ID>logs</ID><Status>Enabled</Status><Filter><Prefix>logs/</Prefix></Filter>\
        <Expiration><Days>7</Days></Expiration></Rule>\
        </LifecycleConfiguration>";
    let (store, _server) = server(vec![Act::Answer(200, rules)]).await;
    let warnings = store.warnings().await;
    let [uploads, objects] = warnings.as_slice() else { panic!("{warnings:?}") };
    assert!(uploads.contains("s3://bucket/prefix") && uploads.contains("(drop-uploads)"), "{uploads}");
    assert!(objects.contains("(keep-a-month; ") && objects.contains("the commit log 30 day(s)"), "{objects}");
    let (store, _server) = server(vec![Act::Answer(404, error("NoSuchLifecycleConfiguration"))]).await;
    assert_eq!(store.warnings().await, Vec::<String>::new());
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
