//! Every store keeps the same laws: the commit protocol is proved on top of them and of nothing else.
//!
//! Each law is a function over a fresh, empty store and says which mistake it would catch. All of them run on the store in
//! memory, on a folder, and on a real S3 server, versitygw, which keeps every one of them; where it is not installed, its
//! tests fail and say how to install it. Two more servers are there to be asked with `--ignored`, and what they do not keep
//! is written down at the end of this file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod services;

#[path = "store_conformance/listing.rs"]
mod listing;
#[path = "store_conformance/objects.rs"]
mod objects;
#[path = "store_conformance/uploads.rs"]
mod uploads;

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;
use millstream::connector::local::LocalStore;
use millstream::connector::memory::{Faults, MemoryStore, Unreliable};
use millstream::connector::store::Store;

/// A fresh store, and what has to stay alive with it.
type Fresh = (Arc<dyn Store>, Box<dyn Any>);

/// Bytes that look like nothing else, the same for the same seed.
fn noise(size: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}

async fn memory(_law: &str) -> Fresh {
    (Arc::new(MemoryStore::new("memory")), Box::new(()))
}

/// The wrapper in good weather is the store that it wraps.
async fn calm(_law: &str) -> Fresh {
    let store = Arc::new(MemoryStore::new("memory"));
    (Arc::new(Unreliable::new(store, Arc::new(Faults::none()))), Box::new(()))
}

async fn local(_law: &str) -> Fresh {
    let folder = tempfile::tempdir().unwrap();
    (Arc::new(LocalStore::new(folder.path().join("made/by the store"))), Box::new(folder))
}

async fn versitygw(law: &str) -> Fresh {
    (services::s3::store(services::s3::Kind::Versitygw, law).await, Box::new(()))
}

async fn minio(law: &str) -> Fresh {
    (services::s3::store(services::s3::Kind::Minio, law).await, Box::new(()))
}

async fn localstack(law: &str) -> Fresh {
    (services::s3::store(services::s3::Kind::Localstack, law).await, Box::new(()))
}

/// One module for each store, one test for each law.
macro_rules! conform {
    ($group:ident: $($(#[$mark:meta])? $store:ident),+; $laws:tt) => {
        mod $group {
            $(mod $store { conform!(@laws $(#[$mark])? $store $laws); })+
        }
    };
    (@laws $(#[$mark:meta])? $store:ident { $($subject:ident :: $law:ident,)+ }) => {
        conform!(@each [$(#[$mark])?] $store $($subject::$law,)+);
    };
    (@each $marks:tt $store:ident $($subject:ident :: $law:ident,)+) => {
        $(conform!(@test $marks $store $subject::$law);)+
    };
    (@test [$(#[$mark:meta])?] $store:ident $subject:ident :: $law:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        $(#[$mark])?
        async fn $law() {
            let (store, _held) = crate::$store(stringify!($law)).await;
            crate::$subject::$law(store).await;
        }
    };
}

conform! { everywhere:
    memory, calm, local, versitygw,
    #[ignore = "another server than CI's: tests/services/s3 install minio"] minio,
    #[ignore = "another server than CI's: tests/services/s3 install localstack"] localstack;
    {
        objects::one_of_many_creators_wins,
        objects::a_refused_create_changes_nothing,
        objects::put_writes_over,
        objects::what_is_not_there_is_missing,
        objects::an_empty_object_is_an_object,
        objects::ranges_are_exact,
        objects::a_stream_goes_on_from_its_offset,
        objects::deleting_twice_is_deleting_once,
        objects::a_sum_that_is_kept_is_right,
        objects::a_reader_never_sees_half_an_object,
        listing::a_listing_has_every_page,
        listing::a_prefix_is_a_beginning,
        listing::names_come_back_as_they_went,
        listing::a_listing_tells_what_a_look_tells,
        listing::the_commit_log_can_be_listed,
        uploads::nothing_is_seen_before_it_is_complete,
        uploads::three_parts_are_one_object,
        uploads::completing_twice_is_completing_once,
        uploads::what_is_aborted_is_gone,
        uploads::a_part_sent_again_replaces_the_first,
        uploads::parts_may_come_in_any_order,
        uploads::an_upload_may_be_empty,
        uploads::uploads_of_one_key_do_not_meet,
        uploads::an_unknown_upload_is_told_as_such,
    }
}

// MinIO lists the uploads of one key, and of no other prefix: what a dead process began there is found by MinIO's own
// tidying alone.
conform! { where_uploads_are_listed:
    memory, calm, local, versitygw,
    #[ignore = "another server than CI's: tests/services/s3 install localstack"] localstack;
    {
        uploads::uploads_under_way_are_listed,
        uploads::uploads_have_every_page,
    }
}

// LocalStack leaves other bytes, or none, when calls to complete one upload meet.
conform! { where_completions_may_meet:
    memory, calm, local, versitygw,
    #[ignore = "another server than CI's: tests/services/s3 install minio"] minio;
    {
        uploads::many_complete_at_once,
    }
}
