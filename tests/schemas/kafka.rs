//! The same from a topic, whose messages say more than their bytes.

use crate::pipeline::Events;
use crate::registry::{avro_of, both_versions, is_v1, is_v2, v1, v2};
use crate::services::kafka::broker;
use crate::services::registry::Mood;
use crate::whole::topic::{Record, Topic};

/// Would catch records of a topic that go on without their schemas, or that are lost where reading had to begin again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_versions_in_one_topic_wait_for_a_registry_that_is_away() {
    let (broker, registry) = (broker().await, both_versions().await);
    let mut topic = Topic::new(broker, "avro-events", 3).await;
    let event = |id: i64| if id % 3 == 0 { v1(id as i32) } else { v2(id) };
    let record = |id: i64| Record { partition: (id % 3) as i32, data: Some(event(id)), ..Record::default() };
    let tombstone = Record { data: None, key: Some(b"gone".to_vec()), ..Record::default() };
    topic.put_all((0..300).map(record).chain([tombstone]).collect());
    let source =
        format!("type = \"kafka\"\nbrokers = {:?}\ntopics = [\"avro-events\"]\nstart = \"earliest\"\n", broker.plain());
    let events = Events::over(&source, &avro_of(&registry));
    registry.be(Mood::Failing);
    let mut process = events.start("run", &["--until-end"]);
    while registry.asked().len() < 5 {
        assert!(process.runs(), "it did not wait; it said:\n{}", process.said());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    registry.be(Mood::Well);
    process.wait().await.with(0);
    assert_eq!(events.events(), (0..300).map(|id| if id % 3 == 0 { is_v1(id) } else { is_v2(id) }).collect());
    let rejects = events.rejects();
    assert!(rejects.len() == 1 && rejects.iter().all(|(reason, ..)| reason == "decode"), "{rejects:?}");
}
