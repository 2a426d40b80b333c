"""CloudWatch's CBOR protocol on one side, the JSON protocol that moto speaks on the other.

CBOR tells integers, floats and times apart and JSON does not, so the answer is rebuilt with the service model that
comes with botocore.
"""

import gzip
import json
from datetime import datetime, timezone

import cbor2
from botocore.loaders import Loader
from botocore.model import ServiceModel

SERVICE = "GraniteServiceVersion20100801"
MODEL = ServiceModel(Loader().load_service_model("cloudwatch", "service-2"), service_name="cloudwatch")
HEADERS = [("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor"), ("x-amzn-RequestId", "front")]


def decode(operation, body, headers):
    """Body and headers of the request in JSON."""
    headers = {name: value for name, value in headers.items() if name.lower() not in ("smithy-protocol", "accept")}
    lower = {name.lower(): name for name in headers}
    if headers.pop(lower.get("content-encoding", ""), "") == "gzip":
        body = gzip.decompress(body)
    headers[lower.get("content-type", "Content-Type")] = "application/x-amz-json-1.0"
    headers["X-Amz-Target"] = f"{SERVICE}.{operation}"
    body = json.dumps(cbor2.loads(body) if body else {}, default=to_json).encode()
    headers[lower.get("content-length", "Content-Length")] = str(len(body))
    return body, headers


def encode(operation, status, body):
    """moto's JSON answer in CBOR."""
    value = json.loads(body) if body else {}
    if status >= 400:
        code = value.get("__type", "InternalFailure").rsplit("#", 1)[-1]
        return (status, *error(code, value.get("message") or value.get("Message") or ""))
    shape = MODEL.operation_model(operation).output_shape
    return status, HEADERS, cbor2.dumps(typed(shape, value) if shape is not None else {})


def error(code, message):
    """Headers and body of an error."""
    return HEADERS, cbor2.dumps({"__type": code, "message": message})


def to_json(value):
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def typed(shape, value):
    """`value` with the types that the model gives it."""
    if value is None:
        return None
    if shape.type_name == "structure":
        members = shape.members
        return {name: typed(members[name], item) for name, item in value.items() if name in members and item is not None}
    if shape.type_name == "list":
        return [typed(shape.member, item) for item in value]
    if shape.type_name == "map":
        return {key: typed(shape.value, item) for key, item in value.items()}
    if shape.type_name == "timestamp":
        return cbor2.CBORTag(1, float(seconds(value)))
    if shape.type_name in ("double", "float"):
        return float(value)
    if shape.type_name in ("integer", "long"):
        return int(value)
    return value


def seconds(value):
    """moto writes times as epoch numbers or as ISO text."""
    if isinstance(value, (int, float)):
        return value
    time = datetime.fromisoformat(value.replace("Z", "+00:00"))
    return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()
