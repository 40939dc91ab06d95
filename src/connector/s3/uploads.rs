//! Multipart uploads.
//!
//! Owns the calls on uploads and the tag of a part: `<entity tag>;<crc>;<size>`, with the last two where the server takes
//! sums. What must stay true: whoever completes an upload needs nothing but its tags, for it may be another process; where
//! all parts have sums, the server is told the sum of the whole and so refuses an object that is not what was sent.

use std::error::Error;
use std::sync::atomic::Ordering;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::create_multipart_upload::CreateMultipartUploadOutput;
use aws_sdk_s3::operation::list_multipart_uploads::{ListMultipartUploadsError, ListMultipartUploadsOutput};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, MultipartUpload};
use bytes::Bytes;

use super::failure::{Answer, Called};
use super::objects::bare;
use super::{S3Store, connect, crc};
use crate::connector::store::{Completed, PartTag, StoreError, Upload};

const BEGIN: &str = "begin the upload of";
const COMPLETE: &str = "complete the upload of";

impl S3Store {
    /// Begins with a sum for the whole, and without one where the server knows no such thing.
    pub(super) async fn begin_upload(&self, key: &str) -> Result<Upload, StoreError> {
        let request = || self.client.create_multipart_upload().bucket(&self.place.bucket).key(self.full(key));
        if self.checksums.load(Ordering::Relaxed) {
            let whole =
                request().checksum_algorithm(ChecksumAlgorithm::Crc64Nvme).checksum_type(ChecksumType::FullObject);
            match whole.send().await {
                Ok(begun) => {
                    let takes_sums = begun.checksum_algorithm() == Some(&ChecksumAlgorithm::Crc64Nvme);
                    self.checksums.store(takes_sums, Ordering::Relaxed);
                    return self.begun(key, &begun);
                }
                Err(error) => match Answer::of(&error) {
                    Some(answer) if knows_no_sums(&answer) => self.checksums.store(false, Ordering::Relaxed),
                    _ => return Err(self.failure(Called::to_write(BEGIN, key), error)),
                },
            }
        }
        let begun = request().send().await.map_err(|error| self.failure(Called::to_write(BEGIN, key), error))?;
        self.begun(key, &begun)
    }

    fn begun(&self, key: &str, begun: &CreateMultipartUploadOutput) -> Result<Upload, StoreError> {
        let nameless = || self.refused(Called::to_write(BEGIN, key), "the server gave the upload no id".to_owned());
        Ok(Upload { key: key.to_owned(), id: begun.upload_id().ok_or_else(nameless)?.to_owned() })
    }

    pub(super) async fn upload_part(&self, upload: &Upload, number: u32, bytes: Bytes) -> Result<PartTag, StoreError> {
        let called = Called::to_write("upload a part of", &upload.key);
        let number = i32::try_from(number).map_err(|_| self.refused(called, format!("there is no part {number}")))?;
        let size = bytes.len();
        let sum = self.checksums.load(Ordering::Relaxed).then(|| crc::of(&bytes));
        let request = self.client.upload_part().bucket(&self.place.bucket).key(self.full(&upload.key));
        let request = request.upload_id(&upload.id).part_number(number).set_checksum_crc64_nvme(sum.map(crc::text));
        let request = request.body(ByteStream::from(bytes)).customize().config_override(connect::for_bytes(size));
        match request.send().await {
            Ok(part) => {
                Ok(Tag { entity: bare(part.e_tag().unwrap_or_default()), sum: sum.map(|s| (s, size as u64)) }.text())
            }
            Err(error) => Err(self.upload_failure(called, error)),
        }
    }

    /// Sent once: whether an answer calls for another try is for the caller to judge, who looks at the object first.
    pub(super) async fn complete_upload(&self, upload: &Upload, parts: &[PartTag]) -> Result<Completed, StoreError> {
        let tags: Vec<Tag> = parts.iter().map(Tag::parse).collect();
        let sum = whole(&tags);
        let request = self.client.complete_multipart_upload().bucket(&self.place.bucket).key(self.full(&upload.key));
        let request = request.upload_id(&upload.id).multipart_upload(completed(tags));
        let request = request.set_checksum_type(sum.map(|_| ChecksumType::FullObject));
        let request = request.set_checksum_crc64_nvme(sum.map(crc::text));
        let sent = request.customize().config_override(connect::patient()).send().await;
        match sent {
            Ok(answer) => {
                // A sum of the parts' sums says nothing about the bytes.
                let is_whole = answer.checksum_type() != Some(&ChecksumType::Composite);
                let crc = answer.checksum_crc64_nvme().filter(|_| is_whole).and_then(crc::parse);
                Ok(Completed { crc })
            }
            Err(error) => Err(self.complete_failure(&upload.key, error)),
        }
    }

    pub(super) async fn abort_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        let request = self.client.abort_multipart_upload().bucket(&self.place.bucket).key(self.full(&upload.key));
        match request.upload_id(&upload.id).send().await {
            Ok(_) => Ok(()),
            Err(error) => match self.upload_failure(Called::to_write("abort the upload of", &upload.key), error) {
                StoreError::NoSuchUpload { .. } => Ok(()),
                failure => Err(failure),
            },
        }
    }

    pub(super) async fn list_uploads(&self, prefix: &str) -> Result<Vec<Upload>, StoreError> {
        let called = Called::to_read("list the uploads of", prefix);
        let (mut key, mut id) = (None, None);
        let mut uploads = Vec::new();
        loop {
            let page = match self.uploads_page(prefix, &key, &id).await {
                // Some servers do not know their own marker again. What they list without it begins at the next key, so
                // that at worst further uploads of one key wait for another start.
                Err(error) if id.is_some() && is_bad_argument(&error) => self.uploads_page(prefix, &key, &None).await,
                page => page,
            };
            let page = page.map_err(|error| self.failure(called, error))?;
            uploads.extend(page.uploads().iter().filter_map(|upload| self.under_way(upload)));
            (key, id) = (page.next_key_marker, page.next_upload_id_marker);
            if page.is_truncated != Some(true) || key.is_none() {
                break;
            }
        }
        uploads.sort_unstable();
        Ok(uploads)
    }

    async fn uploads_page(
        &self,
        prefix: &str,
        key: &Option<String>,
        id: &Option<String>,
    ) -> Result<ListMultipartUploadsOutput, SdkError<ListMultipartUploadsError, HttpResponse>> {
        let request = self.client.list_multipart_uploads().bucket(&self.place.bucket).prefix(self.full(prefix));
        request.set_key_marker(key.clone()).set_upload_id_marker(id.clone()).send().await
    }

    fn under_way(&self, upload: &MultipartUpload) -> Option<Upload> {
        Some(Upload { key: self.relative(upload.key()?)?, id: upload.upload_id()?.to_owned() })
    }

    /// The same as [`S3Store::upload_failure`], for the call to which the parts can be wrong.
    fn complete_failure<E>(&self, key: &str, error: SdkError<E, HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        match Answer::of(&error) {
            Some(answer) if answer.is_about_parts() => {
                let (store, key, message) = (self.name.to_string(), key.to_owned(), answer.describe());
                StoreError::BadParts { store, key, message }
            }
            _ => self.upload_failure(Called::to_write(COMPLETE, key), error),
        }
    }

    /// The same as [`S3Store::failure`], for calls to which an upload can be unknown.
    fn upload_failure<E>(&self, called: Called<'_>, error: SdkError<E, HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        match Answer::of(&error) {
            Some(answer) if answer.code == "NoSuchUpload" => {
                StoreError::NoSuchUpload { store: self.name.to_string(), key: called.key.to_owned() }
            }
            _ => self.failure(called, error),
        }
    }
}

fn is_bad_argument(error: &SdkError<ListMultipartUploadsError, HttpResponse>) -> bool {
    Answer::of(error).is_some_and(|answer| answer.code == "InvalidArgument")
}

/// Whether a server refused an upload because of the sum that it was to have.
fn knows_no_sums(answer: &Answer) -> bool {
    let about_request = matches!(answer.code.as_str(), "InvalidArgument" | "InvalidRequest" | "NotImplemented");
    about_request || answer.status == 501
}

fn completed(tags: Vec<Tag>) -> CompletedMultipartUpload {
    let part = |(number, tag): (i32, Tag)| {
        let sum = tag.sum.map(|(sum, _)| crc::text(sum));
        let part = CompletedPart::builder().part_number(number).e_tag(format!("\"{}\"", tag.entity));
        part.set_checksum_crc64_nvme(sum).build()
    };
    CompletedMultipartUpload::builder().set_parts(Some((1..).zip(tags).map(part).collect())).build()
}

/// The sum of the whole, where every part has one. Of nothing there is none: not all servers have it right.
fn whole(tags: &[Tag]) -> Option<u64> {
    let sums: Option<Vec<(u64, u64)>> = tags.iter().map(|tag| tag.sum).collect();
    let sums = sums.filter(|sums| sums.iter().any(|(_, size)| *size > 0));
    sums?.into_iter().reduce(|(sum, _), (next, size)| (crc::joined(sum, next, size), size)).map(|(sum, _)| sum)
}

#[derive(Debug, PartialEq)]
struct Tag {
    entity: String,
    /// Sum and size.
    sum: Option<(u64, u64)>,
}

impl Tag {
    fn text(&self) -> PartTag {
        PartTag(match self.sum {
            Some((sum, size)) => format!("{};{sum:016x};{size}", self.entity),
            None => self.entity.clone(),
        })
    }

    fn parse(tag: &PartTag) -> Self {
        let bare = || Tag { entity: tag.0.clone(), sum: None };
        let mut parts = tag.0.rsplitn(3, ';');
        let (Some(size), Some(sum), Some(entity)) = (parts.next(), parts.next(), parts.next()) else { return bare() };
        match (u64::from_str_radix(sum, 16), size.parse()) {
            (Ok(sum), Ok(size)) => Tag { entity: entity.to_owned(), sum: Some((sum, size)) },
            _ => bare(),
        }
    }
}

#[cfg(test)]
mod tests {
    //! A tag read back wrong makes every commit of the process before uncompletable.
    use super::*;

    #[test]
    fn a_tag_reads_as_it_was_written() {
        for (entity, sum) in [("abc", Some((u64::MAX, 5 << 20))), ("abc", Some((0, 0))), ("abc-2", None), ("", None)] {
            let tag = Tag { entity: entity.to_owned(), sum };
            assert_eq!(Tag::parse(&tag.text()), tag);
        }
    }

    #[test]
    fn the_sum_of_the_whole_is_that_of_all_bytes() {
        let parts: [&[u8]; 3] = [b"one", b"", b"and another"];
        let tags = parts.map(|part| Tag { entity: String::new(), sum: Some((crc::of(part), part.len() as u64)) });
        assert_eq!(whole(&tags), Some(crc::of(b"oneand another")));
        assert_eq!(whole(&[Tag { entity: String::new(), sum: None }]), None);
    }
}
