"""What a notification plugin of the Lockkeeper gateway needs, in Python: serve_notification(Channel).

The gateway starts the program as a process, or somebody else starts it as a server at an address, with --listen.
It is the wire that sdk/proto/README.md of the gateway describes, and nothing of a certain channel.
"""

import argparse
import base64
import contextlib
import functools
import json
import os
import signal
import sys
import tempfile
import threading
from concurrent import futures
from datetime import datetime, timedelta, timezone

import grpc

import plugin_pb2 as pb
import plugin_pb2_grpc

PROTOCOL_VERSION = 1  # the newest that this plugin speaks
MAX_MESSAGE_BYTES = 64 << 20
NOTIFY_SECONDS = 10  # for a call without a deadline
STOP_SECONDS = 5  # later the gateway kills
THREADS = 64
NOTIFIERS = 56  # of the threads, so that Health always finds one


class Refused(Exception):
    """An answer that is not OK, with its gRPC code. Any other exception is answered with UNAVAILABLE: try again later."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Permanent(Refused):
    """What trying again cannot cure: the gateway gives up and counts it."""

    def __init__(self, message):
        super().__init__(grpc.StatusCode.INVALID_ARGUMENT, message)


def answers(method):
    """Makes what the method raises the gRPC status that the call is answered with."""

    @functools.wraps(method)
    def call(self, request, context):
        try:
            return method(self, request, context)
        except Refused as refused:
            code, message = refused.code, str(refused)
        except Exception as error:  # pylint: disable=broad-except
            code, message = grpc.StatusCode.UNAVAILABLE, f"{type(error).__name__}: {error}"
        return context.abort(code, message)

    return call


class Plugin(plugin_pb2_grpc.PluginServicer, plugin_pb2_grpc.NotificationServicer):
    """One life of a plugin: configured, used, stopped."""

    def __init__(self, open_channel):
        self.open_channel = open_channel
        self.change = threading.Condition()  # guards all of these
        self.settings = None  # what channel was opened with
        self.channel = None
        self.calls = 0  # that use channel
        self.stopped = False

    @answers
    def Configure(self, request, context):
        with self.change:
            if self.stopped:
                raise Refused(grpc.StatusCode.UNAVAILABLE, "the plugin was stopped")
            settings = (parse_config(request.config), request.listen)
            if self.channel and settings != self.settings:
                raise Refused(grpc.StatusCode.FAILED_PRECONDITION,
                              "configured already, with other settings: restart the plugin to change them")
            if not self.channel:
                self.channel, self.settings = self.open_channel(complete(settings[0], self.open_channel.KEYS)), settings
        return pb.ConfigureResponse(protocol_version=min(request.protocol_version or 1, PROTOCOL_VERSION))

    @contextlib.contextmanager
    def use(self):
        """The channel, which stays open until the with block ends."""
        with self.change:
            if self.stopped:
                raise Refused(grpc.StatusCode.UNAVAILABLE, "the plugin was stopped")
            if not self.channel:
                raise Refused(grpc.StatusCode.FAILED_PRECONDITION, "the plugin is not configured yet")
            self.calls += 1
        try:
            yield self.channel
        finally:
            with self.change:
                self.calls -= 1
                self.change.notify_all()

    @answers
    def Info(self, request, context):
        with self.use() as channel:
            return pb.InfoResponse(kind="notification", version=channel.VERSION)

    @answers
    def Health(self, request, context):
        with self.use() as channel:
            channel.health()
        return pb.HealthResponse()

    @answers
    def Notify(self, request, context):
        with self.use() as channel:
            if self.calls > NOTIFIERS:
                raise Refused(grpc.StatusCode.UNAVAILABLE, "busy with other notifications")
            channel.notify(parse_group(request.group), min(context.time_remaining() or NOTIFY_SECONDS, NOTIFY_SECONDS))
        return pb.NotifyResponse()

    @answers
    def Stop(self, request, context):
        self.stop()
        return pb.StopResponse()

    def stop(self):
        """Closes the channel once the calls under way have ended. A second stop does nothing."""
        with self.change:
            first, self.stopped = not self.stopped, True
            if first and self.channel:
                self.change.wait_for(lambda: self.calls == 0, STOP_SECONDS)
                self.channel.close()


def parse_config(raw):
    """What `config:` sets, as it stands there."""
    try:
        given = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        raise Permanent("the configuration is not JSON") from None
    if not isinstance(given, dict):
        raise Permanent("the configuration is not a JSON object")
    return given


def complete(given, keys):
    """What `config:` sets, and the defaults of what it does not. Every mistake is told at once, by its key."""
    mistakes = [f'unknown key "{key}"' for key in given if key not in keys]
    config = {**keys, **given}
    for key in keys:
        if config[key] is None:
            mistakes.append(f"{key}: is missing")
        elif not isinstance(config[key], str):
            mistakes.append(f"{key}: want a string, got {type(config[key]).__name__}")
    if mistakes:
        raise Permanent("; ".join(mistakes))
    return config


def parse_group(raw):
    """The group of alerts, as Alertmanager's webhook has it. What it may lack is empty."""
    try:
        group = json.loads(raw)
        group["alerts"] = [dict(alert) for alert in group.get("alerts") or []]
        for key in ("groupLabels", "commonLabels", "commonAnnotations"):
            group[key] = dict(group.get(key) or {})
        return group
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise Permanent("the group is not what Alertmanager's webhook sends") from None


def serve_notification(channel):
    """Is the program of a plugin: serves until SIGTERM, until the gateway says so, or until it is gone.

    channel is a class. Its VERSION is the plugin's; its KEYS are the strings that `config:` may set, with their defaults
    (None: has to be set). It is made with a dict of these when the gateway configures the plugin, and has
      notify(group, seconds)  returns when the other side has taken the group, within these seconds. The group is a dict,
                              as Alertmanager's webhook sends it. Several threads call it at once, and the same group may
                              come twice. Raises Permanent when trying again cannot help, else anything.
      health()                raises while the channel cannot do its work.
      close()                 frees what it holds, in less than 5 seconds, after the last notify.
    """
    arguments = parse_arguments()
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    server = grpc.server(futures.ThreadPoolExecutor(THREADS), options=[
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES), ("grpc.so_reuseport", 0)])
    plugin = Plugin(channel)
    plugin_pb2_grpc.add_PluginServicer_to_server(plugin, server)
    plugin_pb2_grpc.add_NotificationServicer_to_server(plugin, server)
    if arguments.listen:
        serve_address(server, end, arguments)
    else:
        serve_process(server, end)
    while not end.wait(0.2):  # a signal that another thread has taken is handled when this one wakes
        pass
    plugin.stop()
    server.stop(1).wait()
    sys.stderr.flush()
    os._exit(0)  # a call that hangs would keep the interpreter


def parse_arguments():
    parser = argparse.ArgumentParser(description="A notification plugin that is a server at an address.")
    parser.add_argument("--listen", metavar="HOST:PORT")
    parser.add_argument("--tls-cert", metavar="FILE", help="the server's certificate; without it there is no TLS")
    parser.add_argument("--tls-key", metavar="FILE", help="its key")
    parser.add_argument("--client-ca", metavar="FILE", help="who must have signed the gateway's certificate; without it anybody may call")
    arguments = parser.parse_args()
    if bool(arguments.tls_cert) != bool(arguments.tls_key) or arguments.client_ca and not arguments.tls_cert:
        parser.error("--tls-cert and --tls-key go together, and --client-ca needs them")
    return arguments


def serve_address(server, end, arguments):
    signal.signal(signal.SIGINT, lambda *_: end.set())
    try:
        cert, key, ca = (open(file, "rb").read() if file else None for file in (arguments.tls_cert, arguments.tls_key, arguments.client_ca))
        if cert:
            port = server.add_secure_port(arguments.listen, grpc.ssl_server_credentials([(key, cert)], ca, ca is not None))
        else:
            port = server.add_insecure_port(arguments.listen)
    except (OSError, RuntimeError) as error:
        sys.exit(f"[ERROR] {error}")
    server.start()
    print(f"[INFO] listens on {arguments.listen.rpartition(':')[0]}:{port}", file=sys.stderr, flush=True)


def serve_process(server, end):
    """Serves the gateway that started this process, and it alone, by go-plugin's handshake."""
    if os.environ.get("LOCKKEEPER_PLUGIN") != "5f1c0a4e-lock-keeper":
        sys.exit("this is a plugin of the Lockkeeper gateway, which starts it: put it into the gateway's plugins directory, or try --help")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the gateway's terminal comes here, too; the gateway decides
    handshake = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # standard output is the handshake's alone: what is printed goes to the gateway's log
    cert, der, key = certificate()
    socket = os.path.join(os.environ.get("PLUGIN_UNIX_SOCKET_DIR") or tempfile.mkdtemp(), "plugin.sock")
    client = os.environ["PLUGIN_CLIENT_CERT"].encode()
    server.add_secure_port("unix:" + socket, grpc.ssl_server_credentials([(key, cert)], client, True))
    shutdown = grpc.unary_unary_rpc_method_handler(lambda request, context: end.set() or b"")  # Empty, as bytes
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("plugin.GRPCController", {"Shutdown": shutdown})])
    server.start()
    threading.Thread(target=wait_for_host, args=(end,), daemon=True).start()
    print("1|1|unix|" + socket + "|grpc|" + base64.b64encode(der).decode().rstrip("="), file=handshake, flush=True)


def wait_for_host(end):
    """Ends the plugin when the pipe that only the gateway can write to comes to its end."""
    while os.read(int(os.environ["LOCKKEEPER_HOST_PIPE"]), 1):
        pass
    end.set()


def certificate():
    """A certificate for this process alone, which the gateway trusts because the handshake brings it: PEM, DER and its key."""
    from cryptography import x509  # pylint: disable=import-outside-toplevel
    from cryptography.hazmat.primitives import hashes, serialization  # pylint: disable=import-outside-toplevel
    from cryptography.hazmat.primitives.asymmetric import ec  # pylint: disable=import-outside-toplevel

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    made = (x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - timedelta(hours=1), now + timedelta(days=10000))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256()))
    pem, der = (made.public_bytes(encoding) for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER))
    return pem, der, key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
