//! The image of an instance's safety snapshots, made before the instance is terminated.
//!
//! `driver` asks for it between the verified snapshots and the act. A name is taken once in an account and Region, so EC2
//! itself makes no second image; after an unclear answer or a restart it is looked up by that name. It stands when it
//! is available, made of exactly the safety snapshots, and a launch from it is permitted: then the way back is
//! proven before anything is lost. An image costs nothing beside its snapshots.

use chrono::TimeDelta;

use super::actions::terminate_instance::new_instance;
use super::actions::{Action, Recipe};
use super::backup::same_set;
use super::driver::Next;
use super::freeze::ordinary;
use super::gate::Purpose;
use super::recheck::{Fresh, Judged, unread};
use super::{Interrupted, Remediator, Ruling, Run};
use crate::cloud::{Call, CloudError, ErrorKind, ImageDisk, NewImage, read_partition};
use crate::domain::finding::Act;
use crate::domain::place::{Kind, SnapshotId};
use crate::domain::plan::OWN_TAGS;
use crate::domain::remediation::{JournalState, Remediation, SafetyImage};
use crate::domain::text::Str;

/// How late the cloud may show a new image.
const VISIBLE_AFTER: TimeDelta = TimeDelta::minutes(5);

/// How long an image of completed snapshots may take.
const PATIENCE: TimeDelta = TimeDelta::minutes(30);

/// Times that it is asked for.
const TRIES: u32 = 2;

/// EC2's code for a name that an image has already.
const TAKEN: &str = "InvalidAMIName.Duplicate";

impl Remediator {
    /// `None` when the image stands, or the act needs none; else what follows.
    pub(super) async fn ensure_image(
        &self,
        remediation: &mut Remediation,
        action: &'static Action,
        run: &Run,
    ) -> Result<Option<Next>, Interrupted> {
        if action.act != Act::TerminateInstance || planted!("terminate-without-an-image") {
            return Ok(None);
        }
        let Some(own) = remediation.image.clone() else {
            return self.make_image(remediation, action, run).await.map(Some);
        };
        let now = self.tools.clock.now();
        let Some(id) = own.image else {
            return self.find_image(remediation, action, run).await.map(Some);
        };
        let key = remediation.step.key.partition.place.partition(Kind::Image).key(&id);
        let image = match self.tools.read.describe(&key).await {
            Ok(resource) => resource,
            Err(error) if error.kind == ErrorKind::NotFound && now - own.asked_at < VISIBLE_AFTER => {
                return self.wait(remediation, own.asked_at, "the image is not shown yet", run).map(Some);
            }
            Err(error) => {
                let judged = unread(&error, &format!("image {id} could not be read"));
                return self.objected(remediation, judged, run).await.map(Some);
            }
        };
        let mut wanted: Vec<&Str> = remediation.snapshots.iter().filter_map(|own| own.snapshot.as_ref()).collect();
        wanted.sort();
        match image.image() {
            Some(own) if own.snapshots.iter().collect::<Vec<_>>() != wanted => {
                let why = format!("image {id} is not made of the safety snapshots");
                return self.fail(remediation, JournalState::Aborted, &why, run).await.map(Some);
            }
            Some(own) if &*own.state == "available" => {}
            Some(own) if &*own.state == "pending" => {
                let asked = remediation.image.as_ref().map_or(now, |own| own.asked_at);
                if now - asked >= PATIENCE {
                    let why = format!("image {id} is still pending");
                    return self.fail(remediation, JournalState::Aborted, &why, run).await.map(Some);
                }
                return self.wait(remediation, asked, &format!("waiting for image {id}"), run).map(Some);
            }
            _ => {
                let why = format!("image {id} is {}", crate::domain::text::clean(image.state()));
                return self.fail(remediation, JournalState::Aborted, &why, run).await.map(Some);
            }
        }
        self.launch_permitted(remediation, &id, run).await
    }

    /// Whether the way back would be permitted; a termination without one is none of ours.
    async fn launch_permitted(
        &self,
        remediation: &mut Remediation,
        image: &str,
        run: &Run,
    ) -> Result<Option<Next>, Interrupted> {
        let token = self.key_value(remediation)?;
        let new = Recipe::of(remediation)
            .and_then(|recipe| new_instance(remediation.id, &recipe, image, &format!("{token}-undo")));
        let call = match new {
            Ok(new) => Call::RunInstance(Box::new(new)),
            Err(why) => return self.end(remediation, JournalState::Aborted, &why, run).await.map(Some),
        };
        match self.tools.act.permitted(&remediation.step.key.partition.place, &call).await {
            Ok(()) => Ok(None),
            Err(error) => {
                let judged = unread(&error, "its undo would not be accepted, so it is not terminated");
                self.objected(remediation, judged, run).await.map(Some)
            }
        }
    }

    /// Looks the image up by its name; asks once more when the cloud would show it by now.
    async fn find_image(
        &self,
        remediation: &mut Remediation,
        action: &'static Action,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        let Some(own) = remediation.image.clone() else { return Ok(Next::Go) };
        match self.image_named(remediation, &own.name).await {
            Ok(Some(id)) => {
                remediation.image = Some(SafetyImage { image: Some(id), ..own });
                self.commit(remediation, JournalState::SnapVerified, "the image was begun", run).await?;
                Ok(Next::Go)
            }
            Ok(None) if self.tools.clock.now() - own.asked_at < VISIBLE_AFTER => {
                let why = "whether the image was begun is not known; looking for it";
                self.wait(remediation, own.asked_at, why, run)
            }
            Ok(None) if own.tries < TRIES => self.make_image(remediation, action, run).await,
            Ok(None) => {
                let why = "the image was asked for twice and never seen";
                self.fail(remediation, JournalState::Aborted, why, run).await
            }
            Err(error) => self.wait(remediation, own.asked_at, &format!("images could not be listed: {error}"), run),
        }
    }

    /// Judges again, writes the intent, and asks for the image.
    async fn make_image(
        &self,
        remediation: &mut Remediation,
        action: &'static Action,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        let fresh = match self.judge_again(remediation, action, run).await? {
            Judged::Holds(fresh, _) => *fresh,
            other => return self.objected(remediation, other, run).await,
        };
        if let Err(why) = same_set(remediation, &fresh) {
            return self.end(remediation, JournalState::Aborted, &why, run).await;
        }
        let name = self.key_value(remediation)?;
        let call = match new_image(remediation, &fresh, &name) {
            Ok(new) => Call::RegisterImage(Box::new(new)),
            Err(why) => return self.end(remediation, JournalState::Aborted, &why, run).await,
        };
        let place = remediation.step.key.partition.place.clone();
        if let Err(error) = self.tools.act.permitted(&place, &call).await {
            return self.objected(remediation, unread(&error, &format!("{call} would not be accepted")), run).await;
        }
        let step = remediation.step.clone();
        match self.gate(Purpose::Backup, &step, &call, &fresh.resource, fresh.read_at, run)? {
            Ruling::Pass => {}
            objection => return self.objected(remediation, objection.into(), run).await,
        }
        let tries = remediation.image.as_ref().map_or(0, |own| own.tries) + 1;
        remediation.image = Some(SafetyImage { name, image: None, asked_at: self.tools.clock.now(), tries });
        remediation.call_hash = Some(super::written::call_hash(&call));
        let words = "about to make an image of the snapshots";
        self.commit(remediation, JournalState::SnapVerified, words, run).await?;
        if let Some(why) = self.closed(run)? {
            return self.hold(remediation, &why, run);
        }
        let answer = self.tools.act.execute(&place, &call).await;
        self.tools.halt.pass("J7[image].call").await?;
        match answer {
            Ok(answer) => {
                if let Some(own) = &mut remediation.image {
                    own.image = answer.image.map(|id| Str::from(id.as_str()));
                }
                self.commit(remediation, JournalState::SnapVerified, "the image was begun", run).await?;
                Ok(Next::Go)
            }
            Err(error) if error.kind == ErrorKind::Uncertain || error.code.as_deref() == Some(TAKEN) => {
                let why = format!("whether the image was begun is not known: {error}");
                self.wait(remediation, self.tools.clock.now(), &why, run)
            }
            Err(error) => self.image_refused(remediation, &error, run).await,
        }
    }

    async fn image_refused(
        &self,
        remediation: &mut Remediation,
        error: &CloudError,
        run: &Run,
    ) -> Result<Next, Interrupted> {
        let why = format!("the image was refused: {error}");
        if error.kind == ErrorKind::Throttled {
            self.remember(|memory| memory.over.insert(run.id.clone(), why.clone()));
            self.end(remediation, JournalState::Aborted, &why, run).await
        } else if error.kind == ErrorKind::NotFound || ordinary(error.code.as_deref()) {
            self.end(remediation, JournalState::Aborted, &why, run).await
        } else {
            self.fail(remediation, JournalState::Aborted, &why, run).await
        }
    }

    async fn image_named(&self, remediation: &Remediation, name: &str) -> Result<Option<Str>, CloudError> {
        let partition = remediation.step.key.partition.place.partition(Kind::Image);
        let mut found = None;
        let (_, error) = read_partition(&*self.tools.read, &partition, |page| {
            let ours = page.into_iter().find(|own| own.image().is_some_and(|image| &*image.name == name));
            found = found.take().or(ours.map(|own| own.key.id));
        })
        .await;
        match (found, error) {
            (Some(id), _) => Ok(Some(id)),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }
}

/// The image of the snapshots, each under the device name that its volume has now.
fn new_image(remediation: &Remediation, fresh: &Fresh, name: &str) -> Result<NewImage, String> {
    let instance = fresh.resource.instance().ok_or("it is no instance")?;
    let launch = fresh.launch.as_ref().ok_or("how it was launched is not known")?;
    let mut disks = Vec::with_capacity(instance.volumes.len());
    for attached in &instance.volumes {
        let backed = remediation.snapshots.iter().find(|own| own.volume == attached.volume);
        let snapshot = backed.and_then(|own| own.snapshot.as_deref()).unwrap_or_default();
        let volume = fresh.volumes.iter().find(|own| own.key.id == attached.volume).and_then(|own| own.volume());
        let volume = volume.ok_or_else(|| format!("{} was not read", attached.volume))?;
        let kind = &*volume.volume_type;
        disks.push(ImageDisk {
            device: attached.device.to_string(),
            snapshot: SnapshotId::new(snapshot).map_err(|error| error.to_string())?,
            volume_type: kind.to_owned(),
            size_gib: volume.size_gib,
            iops: volume.iops.filter(|_| matches!(kind, "gp3" | "io1" | "io2")),
            throughput: volume.throughput.filter(|_| kind == "gp3"),
            delete_on_termination: attached.delete_on_termination,
        });
    }
    let own = |key: &str, value: &str| (format!("{OWN_TAGS}{key}"), value.to_owned());
    Ok(NewImage {
        name: name.to_owned(),
        description: format!("pre-deletion-{}", remediation.step.finding),
        architecture: launch.architecture.to_string(),
        ena: launch.ena == Some(true),
        boot_mode: launch.boot_mode.as_deref().map(str::to_owned),
        root_device: launch.root_device.to_string(),
        disks,
        tags: vec![
            ("Name".to_owned(), format!("pre-deletion-{}", remediation.step.finding)),
            own("source", &remediation.step.key.id),
            own("finding", &remediation.step.finding.0),
            own("safety-snapshot", "true"),
        ],
    })
}
