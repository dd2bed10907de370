"""Fixtures of the stores in buckets."""

import os

import pytest

from breakeven.history import bucket
from support.object_store import ENVIRONMENT, client, make_bucket, served


@pytest.fixture(scope="module")
def endpoint():
    """The URL of an object store."""
    with served() as url:
        yield url


@pytest.fixture(scope="module")
def s3(endpoint):
    """A client of the object store, for what breakeven does not do itself."""
    return client(endpoint)


@pytest.fixture
def aws(monkeypatch):
    """The settings of every AWS tool: only those of a test."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(bucket, "ATTEMPTS", 1)  # the library waits before it tries again
    bucket._client.cache_clear()
    yield monkeypatch
    bucket._client.cache_clear()


@pytest.fixture
def url(endpoint, s3, aws):
    """The URL of a store that does not exist yet, in a bucket that does."""
    aws.setenv("AWS_ENDPOINT_URL", endpoint)
    return f"s3://{make_bucket(s3)}/perf/gpu"
