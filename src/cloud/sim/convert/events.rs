//! Events and faults of a world file.

use super::super::actors::{Change, Event};
use super::super::faults::Fault;
use super::super::file::{self, Name};
use super::super::state::Planted;
use super::super::when::When;
use super::{Read, Reader};
use crate::domain::place::{Kind, Region};
use crate::domain::text::clean;

/// Operations that a fault may name.
const OPERATIONS: [&str; 21] = [
    "CreateSnapshot",
    "CreateSnapshots",
    "CreateTags",
    "DeleteSnapshot",
    "DeleteVolume",
    "DescribeAddresses",
    "DescribeImages",
    "DescribeInstanceAttribute",
    "DescribeInstances",
    "DescribeKey",
    "DescribeLockedSnapshots",
    "DescribeSnapshots",
    "DescribeVolumes",
    "DescribeVolumesModifications",
    "GetCallerIdentity",
    "GetCostAndUsage",
    "GetMetricData",
    "ListSnapshotsInRecycleBin",
    "ModifyVolume",
    "ReleaseAddress",
    "StopInstances",
];

impl Reader {
    pub(super) fn create(&mut self, file: &file::CreateFile, at: When) -> Read<Vec<Planted>> {
        let place = self.place(&file.account, &file.region)?;
        let line = file.account.line();
        let at = self.at(at);
        let mut made = Vec::new();
        if let Some(instance) = &file.instance {
            made.push(self.instance(&place, instance)?);
        }
        if let Some(volume) = &file.volume {
            made.push(vec![self.volume(&place, volume, at)?]);
        }
        if let Some(snapshot) = &file.snapshot {
            made.push(vec![self.snapshot(&place, snapshot)?]);
        }
        if let Some(address) = &file.address {
            made.push(vec![self.address(&place, address)?]);
        }
        match <[Vec<Planted>; 1]>::try_from(made) {
            Ok([planted]) => Ok(planted),
            Err(made) => self.wrong(
                line,
                format!(
                    "create: {} resources given; accepted: exactly one of instance, volume, snapshot, address",
                    made.len()
                ),
            ),
        }
    }

    /// A key that nothing in the world is encrypted under is a slip of the pen.
    pub(super) fn key(&self, file: &file::KeyFile) -> Read<(String, String)> {
        let (id, line) = (file.id.text(), file.id.line());
        if !self.keys.contains(id) {
            return self.wrong(line, format!("no volume or snapshot of this world has kms_key {:?}", clean(id)));
        }
        if file.state.trim().is_empty() {
            return self.wrong(line, "state: nothing given; accepted: KMS's word, Disabled for example".into());
        }
        Ok((id.to_owned(), file.state.clone()))
    }

    pub(super) fn event(&self, file: file::EventFile, created: Option<Vec<Planted>>) -> Read<Event> {
        let mut changes: Vec<Change> = Vec::new();
        changes.extend(created.map(Change::Create));
        if let Some(tag) = file.tag {
            changes.push(Change::Tag { resource: self.any(&tag.resource)?, tags: tag.tags.into_iter().collect() });
        }
        if let Some(untag) = file.untag {
            changes.push(Change::Untag { resource: self.any(&untag.resource)?, keys: untag.keys });
        }
        let id = |name: &Name, kind| self.existing(name, kind).map(|key| key.id.to_string());
        for (name, kind, change) in [
            (&file.start, Kind::Instance, Change::Start as fn(String) -> Change),
            (&file.stop, Kind::Instance, Change::Stop),
            (&file.terminate, Kind::Instance, Change::Terminate),
            (&file.detach, Kind::Volume, Change::Detach),
            (&file.snapshot, Kind::Volume, Change::Snapshot),
            (&file.disassociate, Kind::Address, Change::Disassociate),
        ] {
            if let Some(name) = name {
                changes.push(change(id(name, kind)?));
            }
        }
        if let Some(name) = &file.delete {
            changes.push(Change::Delete(self.any(name)?));
        }
        if let Some(attach) = file.attach {
            changes.push(Change::Attach {
                volume: id(&attach.volume, Kind::Volume)?,
                instance: id(&attach.instance, Kind::Instance)?,
                device: attach.device.unwrap_or_else(|| "/dev/sdf".into()),
            });
        }
        if let Some(change) = file.change_type {
            let instance = id(&change.instance, Kind::Instance)?;
            changes.push(Change::SetType { instance, instance_type: change.instance_type });
        }
        if let Some(protect) = file.protect {
            let instance = id(&protect.instance, Kind::Instance)?;
            changes.push(Change::Protect { instance, stop: protect.stop, termination: protect.termination });
        }
        if let Some(associate) = file.associate {
            changes.push(Change::Associate {
                address: id(&associate.address, Kind::Address)?,
                instance: id(&associate.instance, Kind::Instance)?,
            });
        }
        if let Some(key) = &file.key {
            let (key, state) = self.key(key)?;
            changes.push(Change::SetKey { key, state });
        }
        if let Some(uses) = file.uses {
            let usage = Box::new(self.usage(&uses.usage, uses.instance.line())?);
            changes.push(Change::Use { instance: id(&uses.instance, Kind::Instance)?, usage });
        }
        match <[Change; 1]>::try_from(changes) {
            Ok([change]) => Ok(Event { at: self.at(file.at), by: file.by.text().into(), change }),
            Err(changes) => self.wrong(
                file.by.line(),
                format!(
                    "an event by {} does {} things; accepted: exactly one of tag, untag, start, stop, terminate, \
                     attach, detach, delete, snapshot, create, change_type, protect, associate, disassociate, key, use",
                    file.by.text(),
                    changes.len()
                ),
            ),
        }
    }

    pub(super) fn fault(&self, file: file::FaultFile) -> Read<Fault> {
        if let Some(operation) = &file.operation
            && !OPERATIONS.contains(&operation.text())
        {
            let message = format!("operation {:?}; accepted: {}", operation.text(), OPERATIONS.join(", "));
            return self.wrong(operation.line(), message);
        }
        let account = file.account.as_ref().map(|name| self.known_account(name)).transpose()?;
        let region = match &file.region {
            Some(name) => Some(Region::new(name.text()).or_else(|error| self.wrong(name.line(), error.to_string()))?),
            None => None,
        };
        Ok(Fault {
            operation: file.operation.map(|name| name.text().to_owned()),
            account,
            region,
            target: file.target,
            form: file.form,
            span: self.span(&file::SpanFile { from: file.from, until: file.until }),
            calls: file.calls,
            effect: file.effect,
        })
    }
}
