"""Reads one mail with Python's own parser and prints what it understood, as JSON: a second opinion on our MIME.

    python read_mail.py < mail.eml
"""

import email
import email.policy
import hashlib
import json
import sys

message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)


def part(node):
    found = {"type": node.get_content_type(), "name": node.get_filename()}
    if node.is_multipart():
        found["parts"] = [part(child) for child in node.iter_parts()]
    else:
        payload = node.get_payload(decode=True)
        found["bytes"] = len(payload)
        found["sha256"] = hashlib.sha256(payload).hexdigest()
        if node.get_content_maintype() == "text":
            found["text"] = node.get_content()
    return found


defects = [str(defect) for node in message.walk() for defect in node.defects]
defects += [f"{name}: {defect}" for name, value in message.items() for defect in getattr(value, "defects", [])]
json.dump(
    {
        "headers": [[name, str(value)] for name, value in message.items()],
        "to": [address.addr_spec for address in message["To"].addresses],
        "from": [address.addr_spec for address in message["From"].addresses],
        "body": part(message),
        "defects": defects,
    },
    sys.stdout,
)
