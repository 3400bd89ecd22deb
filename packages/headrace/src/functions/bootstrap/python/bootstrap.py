"""The Python runtime: imports the handler, then takes one event after another from the Runtime API.

Python 3.9 or newer, standard library only. A result and the request for the next event leave in one write (HTTP
pipelining), and the answer to the first is not waited for.
"""
import importlib
import json
import logging
import math
import os
import re
import socket
import stat
import sys
import time
import traceback
from decimal import Decimal

LAUNCH_ADDRESS = sys.argv[1]
OWN_FOLDER = os.path.dirname(os.path.abspath(__file__))
BASE = "/2018-06-01/runtime/"
NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n"
# The engine may lay events there instead of sending them.
EVENT_FILE = 4
ENVIRONMENT = os.environ
JSON_LOGS = ENVIRONMENT.get("AWS_LAMBDA_LOG_FORMAT") == "JSON"


def release():
    """The release of the runtime's name: it decides details that changed between releases of Lambda's runtime."""
    name = ENVIRONMENT.get("AWS_EXECUTION_ENV", "")
    digits = name[name.rfind(".") + 1:]
    return int(digits) if digits.isdigit() else 12


def is_file(descriptor):
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        return False
    if regular:
        os.set_inheritable(descriptor, False)
    return regular


class Channel:
    """The Runtime API's client: the socket pair at descriptor 3, or a connection where a wrapper changed the address."""

    def __init__(self):
        self.has_event_file = False
        address = ENVIRONMENT["AWS_LAMBDA_RUNTIME_API"]
        if address == LAUNCH_ADDRESS:
            self.socket = socket.socket(fileno=3)
            self.socket.setblocking(True)
            os.set_inheritable(3, False)
            self.has_event_file = is_file(EVENT_FILE)
        else:
            host, _, port = address.rpartition(":")
            self.socket = socket.create_connection((host, int(port)))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def start(self):
        """Asks for the first event, and tells where later ones may be laid instead of sent."""
        self.socket.sendall(NEXT[:-2] + b"Headrace-Event-File: 4\r\n\r\n" if self.has_event_file else NEXT)

    def next(self):
        """The next event: headers (lower case) and body."""
        while True:
            status, headers, body = self.answer()
            # 202 is news to nobody; what the platform refused (a late or too large result), it has dealt with.
            if status == 200:
                laid = headers.get("headrace-event-file")
                return headers, body if laid is None else os.pread(EVENT_FILE, int(laid), 0)

    def answer(self):
        data = self.buffer
        end = data.find(b"\r\n\r\n")
        while end < 0:
            data += self.receive()
            end = data.find(b"\r\n\r\n")
        lines = data[:end].decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        start = end + 4
        if "transfer-encoding" in headers:
            # Not the platform, which always gives a length, but a proxy that a wrapper put in between.
            self.buffer = data[start:]
            return int(lines[0][9:12]), headers, self.chunks()
        length = int(headers.get("content-length", "0"))
        if len(data) - start < length:
            body = bytearray(length)
            filled = len(data) - start
            body[:filled] = data[start:]
            view = memoryview(body)
            while filled < length:
                count = self.socket.recv_into(view[filled:])
                if count == 0:
                    os._exit(0)
                filled += count
            self.buffer = b""
            return int(lines[0][9:12]), headers, bytes(body)
        self.buffer = data[start + length:]
        return int(lines[0][9:12]), headers, data[start:start + length]

    def chunks(self):
        body = b""
        while True:
            while b"\r\n" not in self.buffer:
                self.buffer += self.receive()
            line, _, self.buffer = self.buffer.partition(b"\r\n")
            size = int(line, 16)
            while len(self.buffer) < size + 2:
                self.buffer += self.receive()
            if size == 0:
                self.buffer = self.buffer[2:]
                return body
            body += self.buffer[:size]
            self.buffer = self.buffer[size + 2:]

    def receive(self):
        chunk = self.socket.recv(262144)
        if not chunk:
            # The platform is gone: so is the reason to live.
            os._exit(0)
        return chunk

    def post(self, path, body, content_type, error_type=None, then_next=False):
        head = "POST %s%s HTTP/1.1\r\nHost: runtime\r\nContent-Type: %s\r\nContent-Length: %d\r\n" % (BASE, path, content_type, len(body))
        if error_type is not None:
            head += "Lambda-Runtime-Function-Error-Type: %s\r\n" % ascii(error_type)[1:-1]
        message = head.encode("latin-1") + b"\r\n" + body
        self.socket.sendall(message + NEXT if then_next else message)


class Failure(Exception):
    """A failure that the runtime itself finds, with Lambda's name for it."""

    def __init__(self, error_type, message, trace=None):
        super().__init__(message)
        self.error_type = error_type
        self.trace = trace or []


class CognitoIdentity:
    __slots__ = ["cognito_identity_id", "cognito_identity_pool_id"]


class Client:
    __slots__ = ["installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"]


class ClientContext:
    __slots__ = ["custom", "env", "client"]


class LambdaContext:
    """The handler's second argument."""

    def __init__(self, headers):
        self.aws_request_id = headers.get("lambda-runtime-aws-request-id", "")
        self.log_group_name = ENVIRONMENT.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = ENVIRONMENT.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = ENVIRONMENT.get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = ENVIRONMENT.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = ENVIRONMENT.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        try:
            self.client_context = client_context(headers.get("lambda-runtime-client-context"))
            self.identity = cognito_identity(headers.get("lambda-runtime-cognito-identity"))
        except Exception as error:
            raise Failure("Runtime.LambdaContextUnmarshalError", "Unable to parse client context or identity: %s" % error)
        self._deadline = int(headers.get("lambda-runtime-deadline-ms", "0"))

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline - int(time.time() * 1000))

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        return "LambdaContext([aws_request_id=%s,function_name=%s,function_version=%s,invoked_function_arn=%s])" % (
            self.aws_request_id, self.function_name, self.function_version, self.invoked_function_arn)


def header_json(text):
    return json.loads(text.encode("latin-1").decode("utf-8"))


def client_context(text):
    if not text:
        return None
    value = header_json(text)
    context = ClientContext()
    context.custom = value.get("custom", value.get("Custom"))
    context.env = value.get("env")
    client = value.get("client")
    context.client = None
    if client is not None:
        context.client = Client()
        for name in Client.__slots__:
            setattr(context.client, name, client.get(name))
    return context


def cognito_identity(text):
    identity = CognitoIdentity()
    value = header_json(text) if text else {}
    identity.cognito_identity_id = value.get("cognitoIdentityId")
    identity.cognito_identity_pool_id = value.get("cognitoIdentityPoolId")
    return identity


# Stands around the digits of a Decimal until they are put in as a number: no digit is lost on the way out.
DECIMAL_MARK = os.urandom(8).hex()
DECIMAL_TEXT = re.compile('"%s:([^"]*)"' % DECIMAL_MARK)


class Encoder(json.JSONEncoder):
    """JSON with Decimal written as the number it is."""

    def __init__(self, **options):
        super().__init__(**options)
        self.decimals = False

    def default(self, value):
        if isinstance(value, Decimal):
            self.decimals = True
            return math.nan if value.is_nan() else "%s:%s" % (DECIMAL_MARK, value)
        return super().default(value)


def to_json(value, ascii_only):
    encoder = Encoder(ensure_ascii=ascii_only)
    try:
        text = encoder.encode(value)
        return (DECIMAL_TEXT.sub(r"\1", text) if encoder.decimals else text).encode("utf-8")
    except Exception as error:
        raise Failure("Runtime.MarshalError", "Unable to marshal response: %s" % error)


def request_handler(handler):
    """The function that the handler string names."""
    try:
        module_name, function_name = handler.rsplit(".", 1)
    except ValueError as error:
        raise Failure("Runtime.MalformedHandlerName", "Bad handler '%s': %s" % (handler, error))
    file_name = module_name
    module_name = module_name.replace("/", ".")
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Failure("Runtime.BuiltInModuleConflict", "Cannot use built-in module %s as a handler module" % file_name)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise Failure(
            "Runtime.ImportModuleError", "Unable to import module '%s': %s%s" % (file_name, error, install_hint(error)))
    except SyntaxError as error:
        trace = '  File "%s" Line %s\n    %s' % (error.filename, error.lineno, (error.text or "").rstrip("\n"))
        raise Failure("Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (file_name, error), [trace])
    try:
        return getattr(module, function_name)
    except AttributeError:
        raise Failure("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (function_name, file_name))


def install_hint(error):
    """Lambda's runtime brings boto3; here it is the machine's."""
    name = (getattr(error, "name", None) or "").split(".")[0]
    if name not in ("boto3", "botocore", "s3transfer"):
        return ""
    return " (Lambda's runtime brings %s along, this machine does not have it: python3 -m pip install boto3)" % name


def frames(error):
    """Lines of the traceback without those of this file and of the import machinery."""
    extracted = traceback.extract_tb(error.__traceback__)
    kept = [each for each in extracted
            if not each.filename.startswith(OWN_FOLDER) and "importlib" not in each.filename]
    return traceback.format_list(kept)


def describe(error):
    if isinstance(error, Failure):
        return error.error_type, str(error), error.trace
    return type(error).__name__, str(error), frames(error)


def error_body(error_type, message, trace, request_id):
    return json.dumps(
        {"errorMessage": message, "errorType": error_type, "requestId": request_id, "stackTrace": trace},
        ensure_ascii=RELEASE < 12).encode("utf-8", "surrogatepass")


def log_error(error_type, message, trace, request_id):
    if JSON_LOGS:
        line = json.dumps({
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "log_level": "ERROR",
            "errorMessage": message, "errorType": error_type, "requestId": request_id, "stackTrace": trace})
    else:
        lines = ["[ERROR] %s%s" % (error_type, ": " + message if message else "")]
        if trace:
            lines.append("Traceback (most recent call last):")
            for entry in trace:
                for text in entry.rstrip("\n").split("\n"):
                    bare = text.lstrip(" ")
                    lines.append("\u00a0" * (len(text) - len(bare)) + bare)
        # A line end inside of one event travels as a carriage return: the platform reads lines.
        line = "\r".join(lines)
    write_line(line)


def write_line(text):
    try:
        sys.stdout.write(text.replace("\n", "\r") + "\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        # The function closed its standard output.
        pass


class RequestFilter(logging.Filter):
    request_id = ""
    tenant_id = None

    def filter(self, record):
        record.aws_request_id = RequestFilter.request_id or ""
        return True


class LineHandler(logging.Handler):
    def emit(self, record):
        try:
            write_line(self.format(record))
        except Exception:
            self.handleError(record)


class TextFormatter(logging.Formatter):
    converter = time.gmtime

    def __init__(self):
        super().__init__("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S")


class JsonFormatter(logging.Formatter):
    """One object a record."""

    known = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "aws_request_id", "taskName"}

    def format(self, record):
        value = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[0] is not None:
            value["stackTrace"] = traceback.format_list(traceback.extract_tb(record.exc_info[2]))
            value["errorType"] = record.exc_info[0].__name__
            value["errorMessage"] = str(record.exc_info[1])
            value["location"] = "%s:%s:%s" % (record.pathname, record.funcName, record.lineno)
        value["requestId"] = record.aws_request_id
        for name, extra in vars(record).items():
            if name not in self.known:
                value[name] = extra
        return json.dumps(value, default=str, ensure_ascii=False)


def install_logging():
    handler = LineHandler()
    handler.addFilter(RequestFilter())
    handler.setFormatter(JsonFormatter() if JSON_LOGS else TextFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    level = {"TRACE": "DEBUG", "FATAL": "CRITICAL"}.get(ENVIRONMENT.get("AWS_LAMBDA_LOG_LEVEL", ""),
                                                       ENVIRONMENT.get("AWS_LAMBDA_LOG_LEVEL"))
    if level:
        root.setLevel(level)


def run(channel, handler):
    channel.start()
    while True:
        headers, body = channel.next()
        request_id = headers.get("lambda-runtime-aws-request-id", "")
        RequestFilter.request_id = request_id
        trace_id = headers.get("lambda-runtime-trace-id")
        if trace_id is None:
            ENVIRONMENT.pop("_X_AMZN_TRACE_ID", None)
        else:
            ENVIRONMENT["_X_AMZN_TRACE_ID"] = trace_id
        content_type = "application/json"
        try:
            context = LambdaContext(headers)
            event = body
            if headers.get("content-type") == "application/json":
                try:
                    event = json.loads(body)
                except Exception as error:
                    raise Failure("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error)
            result = handler(event, context)
            if isinstance(result, bytes):
                content_type = "application/unknown"
            else:
                result = to_json(result, RELEASE < 12)
        except Exception as error:
            error_type, message, trace = describe(error)
            log_error(error_type, message, trace, request_id)
            payload = error_body(error_type, message, trace, request_id)
            channel.post("invocation/%s/error" % request_id, payload, "application/json", error_type, True)
            continue
        channel.post("invocation/%s/response" % request_id, result, content_type, None, True)


def main():
    global RELEASE
    RELEASE = release()
    channel = Channel()
    # The folder of this file is no place to import from; the task root is the first one.
    sys.path[0] = ENVIRONMENT["LAMBDA_TASK_ROOT"]
    sys.argv = [sys.argv[0]]
    install_logging()
    try:
        handler = request_handler(ENVIRONMENT["_HANDLER"])
    except Exception as error:
        error_type, message, trace = describe(error)
        log_error(error_type, message, trace, "")
        channel.post("init/error", error_body(error_type, message, trace, ""), "application/json", error_type)
        sys.stdout.flush()
        os._exit(1)
    run(channel, handler)


RELEASE = 12
main()
