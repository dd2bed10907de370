"""How a cluster measures the shards of a sweep: scripts that `breakeven merge --help` shows."""

from __future__ import annotations

RECIPES = """\
A Slurm array on nodes of one class; `--exclusive`, because other jobs on a node
disturb timings:

  #!/bin/sh
  #SBATCH --array=1-8 --exclusive --partition=gpu
  pytest bench --breakeven-shard="$SLURM_ARRAY_TASK_ID/8" \\
    --benchmark-json="run-$SLURM_ARRAY_TASK_ID.json" || [ $? -eq 5 ]

  Then: breakeven merge run-*.json -o run.json

A Kubernetes Indexed Job, whose index is from 0; the limits are those of a whole
machine, so that no other pod disturbs a timing:

  apiVersion: batch/v1
  kind: Job
  metadata:
    name: bench
  spec:
    completions: 8
    parallelism: 8
    completionMode: Indexed
    template:
      spec:
        restartPolicy: Never
        nodeSelector:
          node.kubernetes.io/instance-type: g6.4xlarge
        containers:
          - name: bench
            image: registry.example/bench:latest
            command:
              - sh
              - -c
              - |
                k=$((JOB_COMPLETION_INDEX + 1))
                pytest bench --breakeven-shard="$k/8" \\
                  --benchmark-json="/results/run-$k.json" || [ $? -eq 5 ]
            resources:
              limits:
                cpu: 15
                memory: 60Gi
                nvidia.com/gpu: 1
            volumeMounts:
              - name: results
                mountPath: /results
        volumes:
          - name: results
            persistentVolumeClaim:
              claimName: results

  Then: breakeven merge /results/run-*.json -o run.json

A GitHub matrix; runners of one machine class:

  on: workflow_dispatch
  permissions:
    contents: read
  jobs:
    measure:
      runs-on: [self-hosted, gpu]
      strategy:
        fail-fast: false
        matrix:
          shard: [1, 2, 3, 4]
      steps:
        - uses: actions/checkout@v5
        - run: pip install breakeven
        - run: |
            pytest bench --breakeven-shard="$SHARD/4" \\
              --benchmark-json="run-$SHARD.json" || [ $? -eq 5 ]
          env:
            SHARD: ${{ matrix.shard }}
        - uses: actions/upload-artifact@v4
          with:
            name: run-${{ matrix.shard }}
            path: run-*.json
            if-no-files-found: ignore
    merge:
      needs: measure
      runs-on: ubuntu-latest
      steps:
        - uses: actions/download-artifact@v5
          with:
            pattern: run-*
            merge-multiple: true
        - run: |
            pip install breakeven
            breakeven merge run-*.json -o run.json
        - uses: actions/upload-artifact@v4
          with:
            name: run
            path: run.json

submitit, on Slurm or, with AutoExecutor(folder="log", cluster="local"), here:

  import subprocess
  import sys
  import submitit

  def measure(k):
      command = [sys.executable, "-m", "pytest", "bench"]
      command += [f"--breakeven-shard={k}/8", f"--benchmark-json=run-{k}.json"]
      return subprocess.run(command).returncode

  executor = submitit.AutoExecutor(folder="log")
  executor.update_parameters(timeout_min=60, slurm_exclusive=True)
  jobs = executor.map_array(measure, range(1, 9))
  assert all(job.result() in (0, 5) for job in jobs)
"""
