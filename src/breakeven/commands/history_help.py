"""The examples and exit codes in the help of `breakeven history`."""

_EXIT_CODES = """\
exit codes:
  0  no regressions
  1  a regression that persists and is not accepted, or a newest run that is
     worse than predicted
  2  bad usage, or a file that cannot be read
  3  nothing could be judged, because no series has 6 runs
"""

EPILOG = (
    """\
examples:
  breakeven history add run.json     add a run to the store
  breakeven history check            judge the newest run, and find changes
  breakeven history check --format markdown
                                     for a pull request; also appended to
                                     $GITHUB_STEP_SUMMARY
  breakeven history show             draw every series on a page
  breakeven history accept 0123abc --reason "one more layer"
                                     accept an intended change

Every action takes --store DIR, or --store s3://BUCKET/PREFIX, which any number
of machines can share: `breakeven history add --help` shows how, with a step for
GitHub Actions.

A series is the time or the peak memory of a case, the break-even batch size of
a model, or the largest batch size that fits. See also `breakeven history ACTION
--help`.

"""
    + _EXIT_CODES
)

ADD = """\
examples:
  breakeven history add run.json
  breakeven history add nightly/*.json --store /srv/history

The store is a directory with one Parquet file per run, which holds every round:
class=MACHINE/TIME-DIGEST.parquet. Adding a run again changes nothing. Several
machines may add runs at the same time. Back up, move or merge stores by copying
their files; delete a file to remove its run. Every Parquet reader can query it.

A bucket of S3, or of an object store with its interface and conditional writes,
holds the same files:

  python -m pip install 'breakeven[s3]'
  breakeven history add run.json --store s3://BUCKET/PREFIX

The bucket must exist. Credentials, region and endpoint are those of every AWS
tool: AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; also
AWS_DEFAULT_REGION, and AWS_ENDPOINT_URL for an object store that is not
Amazon's. They need s3:ListBucket, s3:GetObject and s3:PutObject. In GitHub
Actions:

  - run: breakeven history add run.json --store s3://BUCKET/PREFIX
    env:
      AWS_DEFAULT_REGION: eu-central-1
      AWS_ACCESS_KEY_ID: ${{ secrets.AWS_ACCESS_KEY_ID }}
      AWS_SECRET_ACCESS_KEY: ${{ secrets.AWS_SECRET_ACCESS_KEY }}

exit codes:
  0  every run is in the store
  2  bad usage, or a file that cannot be read; the others are added, unless the
     store cannot be written
"""

CHECK = (
    """\
examples:
  breakeven history check --store /srv/history
  breakeven history check --case '*train cuda*' --threshold 5%
  breakeven history check --branch main --format json
  breakeven history check --store s3://BUCKET/PREFIX

A change has at least 5 runs on either side, reaches the threshold, and is
significant given the noise of its series and the correlation of neighboring
runs. Its interval is 95%. Changes of several series that may be of one commit
are one change; the largest one of `train` places it. The newest run is compared
with a prediction interval: 95% of unchanged runs are inside the intervals of
all their series.

"""
    + _EXIT_CODES
)

SHOW = """\
examples:
  breakeven history show                .breakeven/history/page/index.html
  breakeven history show --case 'mlp train*' -o out
  breakeven history show --format json  every series as data, and no page

The page of a store in a bucket is drawn in .breakeven/history/page/, unless -o
names another directory.

Series with regressions come first. At most 60 are drawn; the page lists the
others.

exit codes:
  0  drawn, with or without regressions
  2  bad usage, or a file that cannot be read
  3  nothing could be judged, because no series has 6 runs
"""

ACCEPT = """\
examples:
  breakeven history accept 0123abc --reason "one more layer"
  breakeven history accept 0123abc --reason "one more layer" \\
    --case 'mlp train*' --accepted perf/accepted.json

Without --case, every change that was found in the commit is accepted, also that
of a series in which it is found only later. With --case, those of the cases
within 5 measured commits are; if there are none yet, any later regression of
these cases in the commit is accepted in advance. To change a reason, accept
again.

The file of accepted changes is made for review: keep it in your repository with
--accepted FILE, and pass it to check and show too. An entry covers changes up
to 5 measured commits away, because the place of a change is an estimate.

FILE may be s3://BUCKET/KEY too. In a bucket several people can accept changes
at the same time: the file is written only if it is still the one that was read.
In a directory the last one to write it wins.

exit codes:
  0  written
  2  bad usage, a commit without such a change, or a file that cannot be read
"""
