"""What a store's URL, its credentials and its object store can refuse: one line, exit 2, nothing lost."""

import builtins
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from breakeven.errors import StorageError, UsageError
from breakeven.history import bucket, store
from breakeven.history.bucket import Bucket
from breakeven.history.folder import Folder
from breakeven.history.storage import StoredFile, open_storage
from support.histories import medians, timed
from support.object_store import keys
from support.run_files import write


@pytest.fixture
def run_path(tmp_path):
    """A run file."""
    return write(tmp_path / "run.json", timed(medians(1))[0])


@pytest.fixture
def refused(history, run_path):
    """Return the problem that `check` prints; `add` prints it too, and does not try the second run."""

    def line(url):
        code, out, err = history("check", "--store", url)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        problem = err.partition("accepted.json: ")[2]
        code, out, err = history("add", run_path, run_path, "--store", url)
        assert (code, out) == (2, "")
        added, left = err.splitlines()
        assert added.startswith(f"breakeven: error: {run_path} cannot be written into {url}: ")
        assert "; nothing of it was added; " in added
        assert left == f"breakeven: error: not tried: {run_path}; add them when the store can be written"
        return problem.strip()

    return line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("s3:", "'s3:' is not s3://BUCKET/PREFIX; write s3://BUCKET for a bucket, or ./s3: for a directory"),
        ("s3:/b/p", "'s3:/b/p' is not s3://BUCKET/PREFIX; write s3://b/p for a bucket, or ./s3:/b/p for"),
        (Path("s3://bucket/p"), "'s3:/bucket/p' is not s3://BUCKET/PREFIX; write s3://bucket/p for"),
        ("S3:bucket", "write s3://bucket for a bucket"),
        (
            "s3://",
            "'s3://': '' is not the name of a bucket (at least 3 letters, digits, dots, hyphens and "
            "underscores); pass s3://BUCKET/PREFIX",
        ),
        ("s3:///p", "'' is not the name of a bucket"),
        ("s3://a b/p", "'a b' is not the name of a bucket"),
        ("s3://user:secret@bucket/p", "is not the name of a bucket"),
        ("s3://bucket//p", "the prefix has an empty part"),
        ("s3://bucket/p/../q", "the prefix has an empty part"),
        ("s3://bucket/a\nb", "a control character"),
        ("gs://bucket/p", "gs:// is not supported; pass a directory or s3://BUCKET/PREFIX"),
        ("https://bucket.s3.amazonaws.com", "https:// is not supported"),
    ],
)
def test_malformed_url(history, text, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        open_storage(text)
    assert words in str(caught.value)
    code, out, err = history("check", "--store", text)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert words in err
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("s3://bucket", Bucket("bucket", "")),
        ("s3://bucket/", Bucket("bucket", "")),
        ("S3://my.bucket-1/a/b=c/ d/", Bucket("my.bucket-1", "a/b=c/ d")),
        ("./s3:", Folder("./s3:")),
        ("C:/store", Folder("C:/store")),
        ("/srv/a:b", Folder("/srv/a:b")),
        (Path("/srv/store"), Folder("/srv/store")),
    ],
)
def test_url_or_directory(text, found):
    assert open_storage(text) == found
    assert open_storage(found) is found


def test_directory_like_a_url(history, run_path, tmp_path, monkeypatch):
    """It can be named with ./ and then is one."""
    monkeypatch.chdir(tmp_path)
    assert history("add", run_path, "--store", "./s3:")[0] == 0
    assert history("check", "--store", "./s3:")[0] == 3
    assert len(Folder("./s3:").names()) == 1


def test_file_of_a_url():
    assert StoredFile.at("s3://bucket/a/meant.json") == StoredFile(Bucket("bucket", "a"), "meant.json")
    assert StoredFile.at("meant.json") == StoredFile(Folder(""), "meant.json")
    assert str(StoredFile.at("s3://bucket/meant.json")) == "s3://bucket/meant.json"
    for text in ("s3://bucket", "s3://bucket/", "s3://bucket/a/", "s3:/bucket/meant.json"):
        with pytest.raises(UsageError, match="s3://BUCKET/"):
            StoredFile.at(text)


def test_no_bucket(url, refused):
    assert refused("s3://no-such-bucket/p") == (
        "the bucket does not exist (NoSuchBucket); create it, or correct the URL"
    )


def test_no_runs(url, history, s3):
    """A prefix without runs is not a store, as a directory that does not exist."""
    for action in ("check", "show"):
        code, out, err = history(action, "--store", url)
        assert (code, out) == (2, "")
        assert err == (
            f"breakeven: error: {url} is not a store of runs (it has none); "
            f"create one with `breakeven history add RUN.json --store {url}`\n"
        )
    code, _, err = history("check", "--store", url, "--accepted", f"{url}/none.json")
    assert (code, err.partition(";")[0]) == (
        2,
        f"breakeven: error: --accepted {url}/none.json does not exist",
    )
    assert keys(s3, url.split("/")[2]) == []


@pytest.fixture
def answering(aws):
    """Return a function that makes the object store give one answer to every request."""
    servers = []

    def answer(status, body, wait=None):
        class Handler(BaseHTTPRequestHandler):
            def reply(self):
                if wait:
                    wait.wait(5)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = reply

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        server.handle_error = lambda *_: None  # a client that waited too long has left
        servers.append(server)
        aws.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")

    yield answer
    for server in servers:
        server.shutdown()
        server.server_close()


def error_body(code, message="No."):
    """Return what an object store answers when it refuses."""
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


PERMISSIONS = "allow these credentials s3:ListBucket, s3:GetObject and s3:PutObject on it"
SETTINGS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, and AWS_DEFAULT_REGION"
NETWORK = "check the network, AWS_ENDPOINT_URL and AWS_DEFAULT_REGION, and repeat the command"


@pytest.mark.parametrize(
    ("status", "code", "line"),
    [
        (403, "AccessDenied", f"access is refused (AccessDenied); {PERMISSIONS}"),
        (403, "InvalidAccessKeyId", f"the credentials are refused (InvalidAccessKeyId); {SETTINGS}"),
        (400, "ExpiredToken", f"the credentials are refused (ExpiredToken); {SETTINGS}"),
        (500, "InternalError", f"Sorry. (InternalError); {NETWORK}"),
    ],
)
def test_refusal(answering, refused, status, code, line):
    answering(status, error_body(code, "Sorry."))
    assert refused("s3://bucket/p") == line


def test_no_conditional_writes(answering):
    """An object store that cannot keep concurrent writers apart is refused."""
    answering(501, error_body("NotImplemented"))
    with pytest.raises(StorageError, match=r"no conditional writes \(NotImplemented\); use one that does"):
        open_storage("s3://bucket/p").publish("a", Path.touch)


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "PreconditionFailed"])
def test_conflict(answering, monkeypatch, code):
    """A write that another one overtook is repeated, but not for ever."""
    answering(409, error_body(code))
    monkeypatch.setattr(bucket, "MAX_CONFLICTS", 3)
    read = []
    monkeypatch.setattr(Bucket, "_get", lambda *_: (b"", "version"))
    with pytest.raises(StorageError, match=r"^s3://bucket/p/a: other writers keep changing it; repeat"):
        open_storage("s3://bucket/p").update("a", lambda raw: read.append(raw) or b"")
    assert read == [b""] * 3


@pytest.mark.parametrize("status", [200, 404])
def test_answer_of_something_else(answering, status):
    """The endpoint is a web page."""
    answering(status, b"<html><body>Hello<br></body>")
    with pytest.raises(StorageError) as caught:
        open_storage("s3://bucket/p").names()
    assert len(str(caught.value).splitlines()) == 1
    assert NETWORK in str(caught.value)


def test_no_answer(answering, aws, history):
    aws.setattr(bucket, "READ_TIMEOUT_S", 0.05)
    done = threading.Event()
    answering(200, b"", wait=done)
    code, _, err = history("check", "--store", "s3://bucket/p")
    done.set()
    assert (code, len(err.splitlines())) == (2, 1)
    assert "timeout" in err
    assert NETWORK in err


def test_waiting_is_bounded():
    """A command waits less than a minute for an object store that does not answer."""
    assert bucket.ATTEMPTS * max(bucket.CONNECT_TIMEOUT_S, bucket.READ_TIMEOUT_S) < 60


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, ("127.0.0.1:1", NETWORK)),
        ({"AWS_ENDPOINT_URL": "nonsense"}, ("nonsense", NETWORK)),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": None}, ("credentials", SETTINGS)),
        ({"AWS_PROFILE": "nobody"}, ("The config profile (nobody) could not be found", SETTINGS)),
        ({"AWS_DEFAULT_REGION": "two words"}, ("two words", SETTINGS)),
    ],
)
def test_environment(aws, refused, settings, words):
    for name, value in settings.items():
        aws.delenv(name) if value is None else aws.setenv(name, value)
    line = refused("s3://bucket/p")
    assert all(word in line for word in words), line


@pytest.mark.parametrize("missing", ["boto3", "botocore.exceptions"])
def test_missing_library(aws, history, missing):
    usual = builtins.__import__

    def without(name, *arguments, **options):
        if name == missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return usual(name, *arguments, **options)

    aws.setattr(builtins, "__import__", without)
    code, out, err = history("check", "--store", "s3://bucket/p")
    assert (code, out) == (2, "")
    assert err == (
        f"breakeven: error: s3://bucket/p needs the package {missing}; "
        "install it with `python -m pip install 'breakeven[s3]'`\n"
    )


def test_full_disk(url, s3, run_path, history, monkeypatch, tmp_path):
    """A run that cannot be written here is not uploaded; a store that cannot be copied is refused."""
    history("add", run_path, "--store", url)
    other = write(tmp_path / "other.json", timed(medians(2))[1])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    code, _, err = history("check", "--store", url)
    assert (code, "No space left on device; free some space, or set TMPDIR" in err) == (2, True)
    monkeypatch.setattr("breakeven.history.store._write", full)
    code, _, err = history("add", other, "--store", url)
    assert (code, "nothing of it was added; free some space, or set TMPDIR" in err) == (2, True)
    assert len(keys(s3, url.split("/")[2])) == 1


def test_too_large_a_file(history, url, tmp_path, monkeypatch):
    """It is not read to its end."""
    for made in timed(medians(2)):
        store.add(write(tmp_path / "run.json", made), url)
    monkeypatch.setattr(bucket, "MAX_BYTES", 1000)
    code, _, err = history("check", "--store", url)
    assert code == 2
    assert "it has more than 1,000 bytes; remove it" in err
