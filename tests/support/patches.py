"""What EC2 does and moto 5.2.5 does not: pages, pending snapshots, states that refuse a stop, fields that are
always there."""

import functools
import time
from dataclasses import dataclass

import moto.backends
import moto.core.responses
from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidParameterCombination
from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami
from moto.ec2.models.elastic_block_store import Snapshot, VolumeAttachment
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.instances import Instance, InstanceBackend
from moto.ec2.responses.amis import AmisResponse
from moto.ec2.responses.elastic_block_store import ElasticBlockStore


# What never changes while it runs, and what moto looks up anew for every request: which folders it has (175 questions
# to the file system), and which methods a class. Two fifths of the time of a request.
_modules = tuple(moto.backends.list_of_moto_modules())
moto.backends.list_of_moto_modules = lambda: _modules
moto.core.responses.method_names_from_class = functools.cache(moto.core.responses.method_names_from_class)


@dataclass
class SnapshotRule:
    """How snapshots of an account come to be: pending for so many describes and seconds, then `ends_as`."""

    account: str
    describes: int = 0
    seconds: float = 0.0
    ends_as: str = "completed"


SNAPSHOT_RULES = {}


def snapshot_status(snapshot):
    rule = SNAPSHOT_RULES.get(snapshot.ec2_backend.account_id, SnapshotRule(snapshot.ec2_backend.account_id))
    born = snapshot.__dict__.setdefault("_born", time.time())
    if snapshot.__dict__.get("_settled"):
        return rule.ends_as
    if snapshot.__dict__.get("_looks", -1) < rule.describes or time.time() - born < rule.seconds:
        return "pending"
    return rule.ends_as


def snapshot_progress(snapshot):
    return "100%" if snapshot.status == "completed" else "42%"


def keep_birth(snapshot, _):
    snapshot.__dict__.setdefault("_born", time.time())


# The state that moto writes at birth is ignored: what a snapshot is depends on its rule. The answer to its creation
# always says pending, as EC2's does, because nothing has looked at it yet.
Snapshot.status = property(snapshot_status, keep_birth)
Snapshot.progress = property(snapshot_progress)


def snapshot_key(snapshot):
    """A snapshot is encrypted under its volume's key, unless it was copied under another."""
    own = snapshot.__dict__.get("_key")
    return own or (snapshot.volume.kms_key_id if snapshot.encrypted else None)


def keep_key(snapshot, key):
    snapshot.__dict__["_key"] = key


Snapshot.kms_key_id = property(snapshot_key, keep_key)


def settle(account):
    """Ends what is pending in an account."""
    for backend in ec2_backends[account].values():
        for snapshot in backend.snapshots.values():
            snapshot.__dict__["_settled"] = True


def backed_up(account, region):
    """Volumes of which a completed snapshot exists at this moment. Looking from here counts as no describe."""
    snapshots = list(ec2_backends[account][region].snapshots.values())
    return sorted({snapshot.volume.id for snapshot in snapshots if snapshot.status == "completed"})


def tags_of(account, region, resource):
    """The tags of a resource, as the conditions of policies see them."""
    return dict(ec2_backends[account][region].tags.get(resource, {}))


def foreign_snapshot(account, region):
    """A snapshot of someone else that the account may use, and therefore sees unless it asks for its own."""
    backend = ec2_backends[account][region]
    volume = backend.create_volume(size=8, zone_name=f"{region}a")
    snapshot = backend.create_snapshot(volume.id, "shared by another account", owner_id="999988887777")
    del backend.volumes[volume.id]
    return snapshot.id


def page(response, items, result_name, ids_name):
    """One page of `items`, in the order of moto."""
    size = response._get_int_param("MaxResults", None)
    token = response._get_param("NextToken")
    if size is not None and response._get_param(ids_name, []):
        raise InvalidParameterCombination(f"The parameter {ids_name} cannot be used with the parameter MaxResults")
    start = 0
    if token:
        ids = [item.id for item in items]
        after = token.removeprefix("after:")
        if not token.startswith("after:") or after not in ids:
            raise EC2ClientError("InvalidNextToken", f"The token '{token}' is invalid")
        start = ids.index(after) + 1
    end = len(items) if size is None else start + size
    chosen = items[start:end]
    more = end < len(items) and chosen
    return ActionResult({result_name: chosen, "NextToken": f"after:{chosen[-1].id}" if more else None})


def describe_volumes(self):
    items = self.ec2_backend.describe_volumes(
        volume_ids=self._get_param("VolumeIds", []), filters=self._filters_from_querystring()
    )
    return page(self, items, "Volumes", "VolumeIds")


def describe_snapshots(self):
    items = self.ec2_backend.describe_snapshots(
        snapshot_ids=self._get_param("SnapshotIds", []), filters=self._filters_from_querystring()
    )
    owners = self._get_param("OwnerIds", [])
    if "self" in owners:
        items = [item for item in items if item.owner_id == self.ec2_backend.account_id]
    for item in items:
        item.__dict__["_looks"] = item.__dict__.get("_looks", -1) + 1
    return page(self, items, "Snapshots", "SnapshotIds")


def describe_images(self):
    items = self.ec2_backend.describe_images(
        ami_ids=self._get_param("ImageIds", []),
        filters=self._filters_from_querystring(),
        exec_users=self._get_param("ExecutableUsers", []),
        owners=self._get_param("Owners", []),
    )
    return page(self, items, "Images", "ImageIds")


ElasticBlockStore.describe_volumes = describe_volumes
ElasticBlockStore.describe_snapshots = describe_snapshots
AmisResponse.describe_images = describe_images

# moto registers an image without the disks, the machine and the tags that it is given, and launches from it what it
# launches from any other.
moto_image_disks = Ami.block_device_mappings
moto_default_disks = Instance.setup_defaults


def image_disks(image):
    return image.__dict__.get("_disks") or moto_image_disks.fget(image)


def register_image(self):
    name = self._get_param("Name")
    self.error_on_dryrun()
    backend = self.ec2_backend
    taken = [own.id for own in backend.amis.values() if own.name == name]
    if taken:
        raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {taken[0]}")
    image = backend.register_image(name, self._get_param("Description", ""))
    # The snapshot that moto makes of nothing.
    del backend.snapshots[image.ebs_snapshot.id]
    image.__dict__["_disks"] = self._parse_block_device_mapping()
    for disk in image.__dict__["_disks"]:
        backend.get_snapshot(disk["Ebs"]["SnapshotId"])
    image.architecture = self._get_param("Architecture")
    image.virtualization_type = self._get_param("VirtualizationType")
    image.boot_mode = self._get_param("BootMode")
    image.root_device_name = self._get_param("RootDeviceName")
    image.root_device_type = "ebs"
    image.add_tags(self._parse_tag_specification().get("image", {}))
    return ActionResult({"ImageId": image.id})


def default_disks(self):
    image = self.ec2_backend.amis.get(self.image_id)
    disks = image.__dict__.get("_disks") if image else None
    if not disks:
        return moto_default_disks(self)
    for disk in disks:
        ebs = disk["Ebs"]
        dies = str(ebs["DeleteOnTermination"]).lower() == "true"
        kind = ebs["VolumeType"]
        self.add_block_device(ebs["VolumeSize"], disk["DeviceName"], ebs["SnapshotId"], False, dies, None, kind)
    return None


Ami.block_device_mappings = property(image_disks)
AmisResponse.register_image = register_image
Instance.setup_defaults = default_disks

moto_stop_instances = InstanceBackend.stop_instances


def stop_instances(self, instance_ids):
    for instance in self.get_multi_instances_by_id(instance_ids):
        if instance._state.name in ("terminated", "shutting-down"):
            raise EC2ClientError(
                "IncorrectInstanceState",
                f"This instance '{instance.id}' is not in a state from which it can be stopped.",
            )
    return moto_stop_instances(self, instance_ids)


InstanceBackend.stop_instances = stop_instances


# Fields that every answer of EC2 has.
Instance.platform_details = "Linux/UNIX"


def delete_on_termination(attachment):
    mapping = attachment.instance.block_device_mapping.get(attachment.device)
    return bool(mapping is not None and mapping.delete_on_termination)


VolumeAttachment.delete_on_termination = property(delete_on_termination)


def association(interface):
    """A public address of an interface: AWS owns what it assigned itself, an elastic one belongs to the account."""
    if not interface.public_ip:
        return {}
    owned = interface.ec2_backend.address_by_ip([interface.public_ip], fail_if_not_found=False)
    return {
        "PublicIp": interface.public_ip,
        "IpOwnerId": interface.ec2_backend.account_id if owned else "amazon",
    }


NetworkInterface.association = property(association)
