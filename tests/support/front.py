"""moto behind a front of ours: the AWS of the wire tests.

Run as `front.py PORT_FILE`: it binds a free loopback port, writes the number to PORT_FILE and serves until its
standard input closes, so it never outlives the test that started it.

The front adds what moto 5.2.5 lacks: CBOR for CloudWatch (cbor.py), snapshots that are pending for a while, pages,
EC2 rules that moto forgives (patches.py), session policies that are kept (iam.py), faults by operation, and a log of
every request. The tests judge from that log: it is what the cloud saw, not what the program believes.

Control, all JSON:
  POST /_front/faults     a list of faults, added to the ones there; see Fault
  DELETE /_front/faults   forgets all faults, or those of one account with ?account=
  POST /_front/snapshots  {"account", "describes", "seconds", "ends_as"}: how snapshots of an account come to be
  POST /_front/settle     {"account"}: snapshots that are pending in that account end now
  POST /_front/foreign-snapshot  {"account", "region"}: plants a snapshot of another owner, answers with its id
  POST /_front/rights     {"account", "allowed"}: what roles of that account may do in EC2, as a list of operations
  POST /_front/pages      {"account", "size"}: the largest page of that account
  POST /_front/clock      {"account", "ahead"}: the Date of answers, seconds ahead of the front's clock; null: none
  GET  /_front/time       what its clock shows, in seconds since 1970
  GET  /_front/log        every request so far, or those of one account with ?account=
"""

import json
import os
import re
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
# One image that says what it is; loading moto's own takes seconds.
os.environ.setdefault("MOTO_AMIS_PATH", os.path.join(os.path.dirname(os.path.abspath(__file__)), "amis.json"))

from moto.iam.models import get_account_id_from  # noqa: E402
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: E402
from werkzeug.test import EnvironBuilder, run_wsgi_app  # noqa: E402

import cbor  # noqa: E402
import iam  # noqa: E402
import patches  # noqa: E402

# Parameters that name the resource a request is about.
TARGETS = ("InstanceId", "VolumeId", "SnapshotId", "ResourceId", "AllocationId", "ImageId")


class Fault:
    """Something that goes wrong with the next `count` requests of an operation.

    Modes: `throttle`, `deny`, `error` (with `code`, `status`, `message`), `html503`, `delay` (then answers, after
    `seconds`), `reset` (does it, then resets the connection without an answer), `reset_before` (resets without doing
    it), `cut` (half an answer, then the connection ends), `cut_whole` (half an answer that claims to be whole),
    `trickle` (does it, and answers a byte a second).
    """

    def __init__(self, row):
        unknown = set(row) - {"operation", "mode", "count", "skip", "account", "region", "seconds", "code", "status",
                              "message", "acting"}
        if unknown:
            raise ValueError(f"unknown keys of a fault: {sorted(unknown)}")
        self.operation = row["operation"]
        self.mode = row["mode"]
        self.count = row.get("count", 1)
        self.skip = row.get("skip", 0)
        self.account = row.get("account")
        self.region = row.get("region")
        self.acting = row.get("acting", False)
        self.seconds = row.get("seconds", 0)
        self.code = row.get("code", "InternalError")
        self.status = row.get("status", 500)
        self.message = row.get("message", "planted by the test")
        if self.mode == "throttle":
            self.code, self.status = "RequestLimitExceeded", 503
            self.message = "Request limit exceeded."
        elif self.mode == "deny":
            self.code, self.status = "UnauthorizedOperation", 403
            self.message = ("You are not authorized to perform this operation. "
                            "Encoded authorization failure message: c2VjcmV0")
        elif self.mode not in ("error", "html503", "delay", "reset", "reset_before", "cut", "cut_whole",
                               "trickle"):
            raise ValueError(f"unknown mode of a fault: {self.mode!r}")

    def meets(self, request):
        return (
            self.operation in (request["operation"], "*")
            and self.account in (request["account"], None)
            and self.region in (request["region"], None)
            and not (self.acting and request["dry_run"])
        )


class Front:
    """What the control endpoints set and the log that they show."""

    def __init__(self):
        self.lock = threading.Lock()
        self.turn = threading.Lock()
        self.faults = []
        self.log = []
        self.page_sizes = {}
        self.clocks = {}
        # Policies by the access key of the session that was assumed under them.
        self.sessions = {}
        # Operations that an account's roles may make; an account without an entry may make all.
        self.rights = {}
        self.moto = DomainDispatcherApplication(create_backend_app)

    def fault_for(self, request):
        with self.lock:
            for fault in self.faults:
                if fault.count > 0 and fault.meets(request):
                    if fault.skip > 0:
                        fault.skip -= 1
                        continue
                    fault.count -= 1
                    return fault
        return None

    def note(self, request):
        with self.lock:
            self.log.append(request)


FRONT = Front()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.handle_request()

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

    def handle_request(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        path = urlsplit(self.path)
        if path.path.startswith("/_front/"):
            self.control(path.path.removeprefix("/_front/"), parse_qs(path.query), body)
        elif path.path.startswith("/moto-api/"):
            self.answer(*self.ask_moto(body, dict(self.headers)))
        else:
            try:
                self.serve(body)
            except Exception:  # A bug of the front must be seen by the test that met it.
                self.answer(500, [("Content-Type", "text/plain")], traceback.format_exc().encode())
                traceback.print_exc()

    def control(self, what, query, body):
        account = query.get("account", [None])[0]
        try:
            if (self.command, what) == ("POST", "faults"):
                faults = [Fault(row) for row in json.loads(body)]
                with FRONT.lock:
                    FRONT.faults.extend(faults)
                result = len(faults)
            elif (self.command, what) == ("DELETE", "faults"):
                with FRONT.lock:
                    FRONT.faults = [fault for fault in FRONT.faults if account and fault.account != account]
                result = 0
            elif (self.command, what) == ("POST", "snapshots"):
                row = json.loads(body)
                patches.SNAPSHOT_RULES[row["account"]] = patches.SnapshotRule(**row)
                result = 0
            elif (self.command, what) == ("POST", "settle"):
                patches.settle(json.loads(body)["account"])
                result = 0
            elif (self.command, what) == ("POST", "foreign-snapshot"):
                row = json.loads(body)
                result = patches.foreign_snapshot(row["account"], row["region"])
            elif (self.command, what) == ("POST", "rights"):
                row = json.loads(body)
                FRONT.rights[row["account"]] = set(row["allowed"])
                result = 0
            elif (self.command, what) == ("POST", "pages"):
                row = json.loads(body)
                FRONT.page_sizes[row["account"]] = row["size"]
                result = 0
            elif (self.command, what) == ("POST", "clock"):
                row = json.loads(body)
                FRONT.clocks[row["account"]] = row["ahead"]
                result = 0
            elif (self.command, what) == ("GET", "time"):
                result = time.time()
            elif (self.command, what) == ("GET", "log"):
                with FRONT.lock:
                    result = [row for row in FRONT.log if account in (row["account"], None)]
            else:
                self.answer(404, [], b"no such control endpoint: " + what.encode())
                return
        except (ValueError, KeyError, TypeError) as error:
            self.answer(400, [], f"{type(error).__name__}: {error}".encode())
            return
        self.answer(200, [("Content-Type", "application/json")], json.dumps(result).encode())

    def serve(self, body):
        request, body, headers, in_cbor = self.understand(body)
        FRONT.note(request)
        fault = FRONT.fault_for(request)
        if fault is not None:
            request["fault"] = fault.mode
        if fault is not None and fault.mode == "delay":
            time.sleep(fault.seconds)
        elif fault is not None and fault.mode == "reset_before":
            self.reset()
            return
        elif fault is not None and fault.mode == "html503":
            page = b"<html><body><h1>503 Service Unavailable</h1></body></html>"
            request["status"] = 503
            self.answer(503, [("Content-Type", "text/html")], page)
            return
        elif fault is not None and fault.mode in ("throttle", "deny", "error"):
            request["status"] = fault.status
            self.answer(fault.status, *error_body(request, fault.code, fault.message))
            return
        refusal = self.refusal(request)
        if refusal is not None:
            request["status"], code, message = refusal
            self.answer(request["status"], *error_body(request, code, message))
            return
        if request["operation"] in ("StopInstances", "DeleteVolume"):
            request["backups"] = patches.backed_up(request["account"], request["region"])
        status, answer_headers, answer = self.ask_moto(body, headers, path="/" if in_cbor else None)
        if request["operation"] == "AssumeRole" and request["parameters"].get("Policy"):
            key = re.search(rb"<AccessKeyId>(.*?)</AccessKeyId>", answer).group(1).decode()
            FRONT.sessions[key] = json.loads(request["parameters"]["Policy"])
        if in_cbor:
            status, answer_headers, answer = cbor.encode(request["operation"], status, answer)
        request["status"] = status
        if fault is not None and fault.mode == "reset":
            self.reset()
        elif fault is not None and fault.mode == "cut":
            self.answer(status, answer_headers, answer, cut=True)
        elif fault is not None and fault.mode == "cut_whole":
            self.answer(status, answer_headers, answer[: len(answer) // 2])
        elif fault is not None and fault.mode == "trickle":
            self.answer(status, answer_headers, answer, pause=1)
        else:
            self.answer(status, answer_headers, answer)

    def refusal(self, request):
        """What the session's policy and the account's table of rights say to an EC2 request: an error, or nothing."""
        if request["service"] != "ec2":
            return None
        scope = self.credential_scope()
        session = FRONT.sessions.get(scope[0]) if scope else None
        rights = FRONT.rights.get(request["account"])
        one = request["targets"][0] if len(request["targets"]) == 1 else None
        tags = patches.tags_of(request["account"], request["region"], one) if session is not None and one else {}
        refused = session is not None and not iam.permitted(session, {**request, "tags": tags})
        if refused or (rights is not None and request["operation"] not in rights):
            return 403, "UnauthorizedOperation", "You are not authorized to perform this operation."
        if rights is not None and request["dry_run"]:
            return 412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set."
        return None

    def understand(self, body):
        """The log row of a request, the request as moto wants it, and whether it came in CBOR."""
        headers = {name: value for name, value in self.headers.items()}
        scope = self.credential_scope()
        request = {
            "service": scope[3] if scope else None,
            "region": scope[2] if scope else None,
            "account": self.account(scope),
            "operation": None,
            "targets": [],
            "dry_run": False,
            "parameters": {},
            "agent": self.headers.get("User-Agent", ""),
            "status": None,
            "fault": None,
            # Volumes that have a completed snapshot when a stop or a delete arrives.
            "backups": [],
        }
        in_cbor = self.path.startswith("/service/")
        target = self.headers.get("X-Amz-Target")
        if in_cbor:
            request["operation"] = self.path.rsplit("/", 1)[1]
            body, headers = cbor.decode(request["operation"], body, headers)
            request["parameters"] = {"queries": len(json.loads(body).get("MetricDataQueries", []))}
        elif target:
            request["operation"] = target.rsplit(".", 1)[1]
            request["parameters"] = json.loads(body or b"{}")
        elif self.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
            form = parse_qsl(body.decode(), keep_blank_values=True)
            fields = dict(form)
            request["operation"] = fields.get("Action")
            request["dry_run"] = fields.get("DryRun", "").lower() == "true"
            names = [name for name in fields if name not in ("Action", "Version")]
            request["parameters"] = {name: fields[name] for name in names}
            request["targets"] = [
                value for name, value in form if any(part in TARGETS for part in name.split("."))
            ]
            body = self.paged(request, fields)
            headers["Content-Length"] = str(len(body))
        return request, body, headers, in_cbor

    def paged(self, request, fields):
        """The form with the account's page size, where the call has one."""
        size = FRONT.page_sizes.get(request["account"])
        if size is not None and "MaxResults" in fields:
            fields["MaxResults"] = str(min(size, int(fields["MaxResults"])))
        return urlencode(fields).encode()

    def credential_scope(self):
        authorization = self.headers.get("Authorization", "")
        if "Credential=" not in authorization:
            return None
        return authorization.split("Credential=", 1)[1].split(",", 1)[0].split("/")

    def account(self, scope):
        return get_account_id_from(scope[0]) if scope else None

    def ask_moto(self, body, headers, path=None):
        builder = EnvironBuilder(path=path or self.path, method=self.command, data=body, headers=headers)
        # One at a time: the interpreter runs only one anyway, and threads that wait for it in short timed waits cost a
        # quarter of its time under a faked clock.
        with FRONT.turn:
            app_iter, status, answer_headers = run_wsgi_app(FRONT.moto, builder.get_environ())
            answer = b"".join(app_iter)
        kept = [(name, value) for name, value in answer_headers if name.lower() not in ("content-length", "date",
                                                                                      "server", "connection")]
        return int(status.split()[0]), kept, answer

    def answer(self, status, headers, body, cut=False, pause=0):
        self.send_response_only(status)
        ahead = FRONT.clocks.get(self.account(self.credential_scope()), 0)
        if ahead is not None:
            self.send_header("Date", self.date_time_string(time.time() + ahead))
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if cut:
            body = body[: len(body) // 2]
            self.close_connection = True
        if pause:
            for byte in body:
                time.sleep(pause)
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
            return
        self.wfile.write(body)
        self.wfile.flush()

    def reset(self):
        """Ends the connection with a TCP reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True
        # The handler flushes and closes these on its way out; on a closed socket that is an error of no interest.
        self.wfile = self.rfile = open(os.devnull, "r+b", buffering=0)


def error_body(request, code, message):
    """Headers and body of an error in the protocol of the service."""
    if request["service"] == "monitoring":
        return cbor.error(code, message)
    if request["service"] in ("ce", "kms"):
        body = json.dumps({"__type": code, "message": message}).encode()
        return [("Content-Type", "application/x-amz-json-1.1")], body
    if request["service"] == "ec2":
        body = (f"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code>"
                f"<Message>{message}</Message></Error></Errors><RequestID>planted</RequestID></Response>")
    else:
        body = (f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
                f"<RequestId>planted</RequestId></ErrorResponse>")
    return [("Content-Type", "text/xml;charset=UTF-8")], body.encode()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        # Clients that hang up in the middle are what some tests are about.
        if not isinstance(sys.exception(), (ConnectionError, BrokenPipeError)):
            super().handle_error(request, client_address)


def main():
    sys.setswitchinterval(0.05)
    server = Server(("127.0.0.1", 0), Handler)
    port_file = sys.argv[1]
    with open(port_file + ".new", "w", encoding="ascii") as file:
        file.write(str(server.server_address[1]))
    os.rename(port_file + ".new", port_file)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
