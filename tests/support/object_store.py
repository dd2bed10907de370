"""An object store on this machine: moto's server, one request at a time."""

import contextlib
import os
import threading
import uuid

import boto3
from moto.server import ThreadedMotoServer

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "127.0.0.1",
}
"""What a process needs beside AWS_ENDPOINT_URL; nothing of this machine's own settings is used."""


@contextlib.contextmanager
def served():
    """Yield the URL of an empty object store.

    Moto checks the condition of a write before it writes, without a lock, so concurrent writes could both
    succeed; requests one after another are as atomic as those of S3.
    """
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    answer, lock = server._server.app, threading.Lock()

    def one_at_a_time(environ, start_response):
        with lock:
            return list(answer(environ, start_response))

    server._server.app = one_at_a_time
    server._server.log = lambda *_: None
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


def client(endpoint):
    """Return a client of an object store."""
    return boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="key", aws_secret_access_key="secret",
        region_name="us-east-1",
    )  # fmt: skip


def make_bucket(s3):
    """Make a bucket and return its name."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


def keys(s3, bucket):
    """Return the keys of all objects in a bucket."""
    return [found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
