//! Reading committed Parquet files again, for `verify` and for averages that are recounted.

use std::fs::File;
use std::io::{Seek, Write};

use arrow::array::RecordBatch;
use crc_fast::{CrcAlgorithm, Digest};
use futures::StreamExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::connector::Store;
use crate::exit::Fatal;

/// A data file, downloaded to a temporary file.
pub struct Downloaded {
    /// At its beginning.
    pub file: File,
    pub bytes: u64,
    /// CRC-64/NVME of the content.
    pub crc: u64,
}

/// Downloads an object. Memory does not grow with its size.
pub async fn download(store: &dyn Store, path: &str) -> Result<Downloaded, Fatal> {
    let failed = |error: std::io::Error| Fatal::Failed(format!("a temporary file for {path}: {error}"));
    let mut pieces = store.read(path, 0).await?;
    let mut file = tempfile::tempfile().map_err(failed)?;
    let (mut bytes, mut crc) = (0, Digest::new(CrcAlgorithm::Crc64Nvme));
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        crc.update(&piece);
        bytes += piece.len() as u64;
        file.write_all(&piece).map_err(failed)?;
    }
    file.rewind().map_err(failed)?;
    Ok(Downloaded { file, bytes, crc: crc.finalize() })
}

/// Calls `each` with every batch of a Parquet file and returns the number of rows.
pub fn for_each_batch(file: File, mut each: impl FnMut(&RecordBatch) -> Result<(), String>) -> Result<u64, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build());
    let mut rows = 0;
    for batch in reader.map_err(|error| format!("not a Parquet file: {error}"))? {
        let batch = batch.map_err(|error| format!("cannot be read to its end: {error}"))?;
        rows += batch.num_rows() as u64;
        each(&batch)?;
    }
    Ok(rows)
}
