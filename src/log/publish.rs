//! Making visible what a commit names, by completing its uploads.
//!
//! Anyone may do it, of any generation, again and again: an upload that is not known any more was completed (the file is
//! there, as the commit says) or lost (then it has to be written again from the source).

use futures::{StreamExt, TryStreamExt, stream};
use millstream_operators::protocol::recover::{Finish, Unfinished, after_no_such_upload};

use crate::connector::StoreError;
use crate::connector::store::{PartTag, Upload};
use crate::exit::Fatal;
use crate::log::Places;
use crate::retry::Pause;

/// Uploads completed side by side.
const SIDE_BY_SIDE: usize = 32;

/// Completes all of these; gives back those that are lost.
pub async fn publish(places: &Places, files: Vec<Unfinished>) -> Result<Vec<Unfinished>, Fatal> {
    let finished = stream::iter(files).map(|file| async move { Ok::<_, Fatal>((finish(places, &file).await?, file)) });
    let outcomes: Vec<(Finish, Unfinished)> = finished.buffer_unordered(SIDE_BY_SIDE).try_collect().await?;
    let mut lost: Vec<Unfinished> =
        outcomes.into_iter().filter(|(finish, _)| *finish == Finish::Lost).map(|(_, file)| file).collect();
    lost.sort_by(|a, b| (a.commit, &a.file.path).cmp(&(b.commit, &b.file.path)));
    Ok(lost)
}

async fn finish(places: &Places, unfinished: &Unfinished) -> Result<Finish, Fatal> {
    let store = places.of(unfinished.place);
    let file = &unfinished.file;
    let upload = Upload { key: file.path.clone(), id: file.upload.clone() };
    let parts: Vec<PartTag> = file.parts.iter().cloned().map(PartTag).collect();
    let mut pause = Pause::default();
    loop {
        match store.complete(&upload, &parts).await {
            Ok(()) => return Ok(Finish::Done),
            Err(StoreError::NoSuchUpload { .. }) => match look(places, unfinished).await {
                Ok(finish) => return Ok(finish),
                Err(Fatal::Store(error)) if error.can_retry() => pause.wait(&error.to_string()).await,
                Err(fatal) => return Err(fatal),
            },
            Err(error) if error.can_retry() => pause.wait(&error.to_string()).await,
            Err(refused) => return Err(refused.into()),
        }
    }
}

async fn look(places: &Places, unfinished: &Unfinished) -> Result<Finish, Fatal> {
    let store = places.of(unfinished.place);
    let file = &unfinished.file;
    let found = store.look(&file.path).await?.map(|entry| (entry.size, entry.crc));
    match after_no_such_upload(file, found) {
        Finish::Wrong => Err(Fatal::Log(format!(
            "{} in {} is not the file that commit {} names ({} bytes, crc {}): something else has written it. Move it away \
             and start again",
            file.path,
            store.name(),
            unfinished.commit,
            file.bytes,
            file.crc
        ))),
        finish => Ok(finish),
    }
}
