//! Object storage: a file per batch, in a folder per hour, for every warehouse that can load files.

mod lines;
#[cfg(feature = "parquet")]
mod parquet;
mod settings;
mod verdict;

use domain::connector::{
    Batch, BatchLimits, Call, Category, Connector, Field, FieldKind, Item, Manifest, ObjectCall, Outlet, Progress,
    Reply, SettingsError, Step,
};
use domain::mapping::weight;
use domain::verdict::FailureReason;
use domain::{Settings, Verdict};

use self::settings::{Format, Store};
use self::verdict::Judgement;
use crate::warehouse::{COLUMNS_FIELD, DEFAULT_COLUMNS_FIELD, ROWS_BYTES_MAX};

/// Speaks to S3 and whatever speaks like it.
pub(crate) struct S3;

static MANIFEST: Manifest = Manifest {
    name: "s3",
    title: "Amazon S3 and compatible stores",
    summary: "Files of events in a bucket, one folder per hour, for warehouses and query engines to load.",
    category: Category::Storage,
    notes: include_str!("s3/notes.md"),
    fields: &[
        Field::required("bucket", FieldKind::Text, "the name of the bucket; it must be there already"),
        Field::required("access_key_id", FieldKind::Text, "the id of an access key that may do `s3:PutObject` there"),
        Field::required("secret_access_key", FieldKind::Secret, "the secret of that access key"),
        Field::optional("region", FieldKind::Text, "the region of the bucket").or("us-east-1"),
        Field::optional(
            "endpoint",
            FieldKind::Url,
            "the URL of the store without the bucket, for a store that is not Amazon's; else it follows from the \
             region",
        ),
        Field::optional(
            "path_style",
            FieldKind::Switch,
            "whether the bucket is named in the path of the URL instead of its host; usual for stores with an \
             `endpoint` of their own, which is when it is on by itself",
        ),
        Field::optional("prefix", FieldKind::Text, "the folder in the bucket below which files are put"),
        Field::optional("format", FieldKind::Choice { of: Format::NAMES }, "what the files hold").or("jsonl"),
        Field::optional(
            "compression",
            FieldKind::Choice { of: &["gzip", "none"] },
            "whether files of lines are compressed; Parquet always is, within itself",
        )
        .or("gzip"),
        Field::optional(
            "partition_by",
            FieldKind::Choice { of: &["received", "occurred"] },
            "whose hour names the folder: that of receipt, so that a folder is complete soon after its hour, or that \
             of the event, so that late events come into old folders",
        )
        .or("received"),
        COLUMNS_FIELD,
        DEFAULT_COLUMNS_FIELD,
    ],
    events: &["*"],
    batch: BatchLimits {
        items: 5_000,
        items_max: 50_000,
        bytes_max: 8 * 1024 * 1024,
        linger_ms: 60_000,
        keeps_boundaries: true,
    },
    rate: None,
    provisions: false,
    recognises: Some("the name of the file"),
};

impl Connector for S3 {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError> {
        Store::read(settings).map(|store| Box::new(store) as Box<dyn Outlet>)
    }
}

impl Outlet for Store {
    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        if self.hours(batch).len() > HOURS_MAX {
            // What was held for a day or is replayed. One event has one hour, so this ends.
            return Step::Split { alone: Verdict::retry(FailureReason::Unprocessable) };
        }
        self.next(batch, progress)
    }

    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step {
        if verdict::is_stored(reply) {
            progress.stage += 1;
            return self.next(batch, progress);
        }
        match verdict::of(reply, &self.bucket) {
            Judgement::TooLarge(message) => self.too_large(batch, progress, message),
            // Whoever looks into files on their way may have something against one event in it.
            Judgement::Unknown(alone) if progress.stage == 0 => Step::Split { alone },
            Judgement::All(verdict) | Judgement::Unknown(verdict) => self.settle(batch, progress, &verdict),
        }
    }
}

impl Store {
    /// A file is too large, and of the batch there may be others in the bucket.
    fn too_large(&self, batch: &Batch<'_>, progress: &Progress, message: String) -> Step {
        match progress.stage {
            // Nothing of this batch is there yet, so its halves may be files of their own.
            0 => Step::Split { alone: Verdict::reject(FailureReason::TooLarge, message) },
            _ => self.settle(batch, progress, &Verdict::retry(FailureReason::TooLarge)),
        }
    }

    /// Puts the file of the hour that [`Progress::stage`] has come to.
    fn next(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step {
        let hours = self.hours(batch);
        while let Some((hour, numbers)) = usize::try_from(progress.stage).ok().and_then(|stage| hours.get(stage)) {
            let (mut items, mut rows) = (Vec::with_capacity(numbers.len()), Vec::with_capacity(numbers.len()));
            let mut bytes = 0;
            for &number in numbers {
                match self.layout.row(&batch.items[number]) {
                    Ok(row) => {
                        bytes += row.values().map(weight).sum::<usize>();
                        if bytes > ROWS_BYTES_MAX {
                            return self.too_large(batch, progress, "the file is larger than it should be".to_owned());
                        }
                        items.push(batch.items[number]);
                        rows.push(row);
                    }
                    Err(refusal) => refuse(progress, number, &refusal),
                }
            }
            if rows.is_empty() {
                progress.stage += 1;
                continue;
            }
            return match self.file(&rows) {
                Ok(body) => Step::Send(Call::Object(ObjectCall {
                    bucket: self.bucket.clone(),
                    key: self.key(hour, &Batch { items: &items, ..*batch }),
                    content_type: self.format.content_type(self.gzip),
                    body,
                    gzip: self.gzip,
                })),
                Err(message) => self.settle(batch, progress, &Verdict::misconfigured(message)),
            };
        }
        self.settle(batch, progress, &Verdict::Delivered)
    }

    /// The numbers of the items of each hour, in order. Nearly always there is one hour.
    fn hours(&self, batch: &Batch<'_>) -> Vec<(String, Vec<usize>)> {
        let mut hours: Vec<(String, Vec<usize>)> = Vec::new();
        for (number, item) in batch.items.iter().enumerate() {
            let hour = self.folder(item);
            match hours.iter_mut().find(|(known, _)| *known == hour) {
                Some((_, numbers)) => numbers.push(number),
                None => hours.push((hour, vec![number])),
            }
        }
        hours
    }

    fn folder(&self, item: &Item<'_>) -> String {
        let event = item.event;
        let time = if self.by_occurrence { event.occurred_at } else { event.received_at }.to_string();
        let (day, rest) = time.split_once('T').unwrap_or((&time, "00"));
        format!("dt={day}/hour={}", rest.get(..2).unwrap_or("00"))
    }

    /// Made of the very events in the file: a repeated put replaces the file by itself, whatever else was in the batch.
    fn key(&self, hour: &str, part: &Batch<'_>) -> String {
        let first = part.items.first().map_or(0, |item| item.event.received_at.as_millis());
        let print = part.fingerprint();
        let name = format!("{first}-{}.{}", &print[..FINGERPRINT_CHARS], self.format.extension(self.gzip));
        format!("{}{hour}/{name}", self.prefix)
    }

    /// `verdict` for the items that are neither in the bucket nor refused.
    fn settle(&self, batch: &Batch<'_>, progress: &Progress, verdict: &Verdict) -> Step {
        let mut verdicts = vec![verdict.clone(); batch.items.len()];
        let done = usize::try_from(progress.stage).unwrap_or(usize::MAX);
        for (_, numbers) in self.hours(batch).iter().take(done) {
            for &number in numbers {
                verdicts[number] = Verdict::Delivered;
            }
        }
        for (number, verdict) in verdicts.iter_mut().enumerate() {
            if let Some(message) = progress.notes.get(&number.to_string()) {
                *verdict = Verdict::reject(FailureReason::TemplateError, message);
            }
        }
        Step::Settle(verdicts)
    }
}

/// Remembers that an item makes no row, so that its neighbours go on without it.
fn refuse(progress: &mut Progress, number: usize, refusal: &Verdict) {
    let message = match refusal {
        Verdict::Reject { message: Some(message), .. } => message.clone(),
        _ => "makes no row".to_owned(),
    };
    progress.notes.insert(number.to_string(), message);
}

/// Most hours of one batch: as many files as an exchange has calls.
const HOURS_MAX: usize = 8;
/// How much of a fingerprint is in a name: 64 bits, among the files of one hour.
const FINGERPRINT_CHARS: usize = 16;

#[cfg(test)]
mod tests;
