"""A small tree with a specification of each kind, in which nothing is wrong."""

from __future__ import annotations

from tests.orchestration.small_tree import PANTS

SCRIPT = """\
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--grain", required=True)
parser.add_argument("--stones", choices=["blue", "red"])
parser.add_argument("--turns", type=int)
parser.add_argument("--output_path")
parser.parse_args()
"""
PIPELINE = """\
params: {turns: 3}
datasets:
  rye: {address: data/rye}
steps:
  grind:
    script: domains.mill.grind
    inputs: {grain: {dataset: rye}}
    args:
      grain: ${inputs.grain}
      turns: ${params.turns}
      output_path: ${outputs.flour}
    outputs: [flour]
  sift:
    script: domains.mill.grind
    inputs: {flour: grind/flour}
    args: {grain: "${inputs.flour}", output_path: "${outputs.sifted}"}
    outputs: [sifted]
profiles:
  toy:
    params: {turns: 1}
"""
JOB = """\
$schema: https://azuremlschemas.azureedge.net/latest/commandJob.schema.json
type: command
experiment_name: mill
code: ../../../
command: >-
  python -P -m domains.mill.grind
  --grain ${{inputs.grain}}/new
  --stones=${{inputs.stones}}
  $[[--turns ${{inputs.turns}}]]
  --output_path ${{outputs.flour}}
environment: azureml:mill:3
compute: azureml:cpu
inputs:
  grain:
    type: uri_folder
    path: azureml://datastores/workspaceblobstore/paths/rye
  stones: blue
  turns: 3
outputs:
  flour: {type: uri_folder}
"""
JOBS = """\
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
experiment_name: mill-nightly
settings: {default_compute: azureml:cpu}
inputs:
  turns: 3
jobs:
  grind:
    type: command
    code: ../../../
    command: >-
      python domains/mill/grind.py --grain x --turns ${{inputs.turns}}
      --output_path ${{outputs.flour}}
    environment: azureml:mill:3
    inputs:
      turns: ${{parent.inputs.turns}}
    outputs:
      flour: {type: uri_folder}
  sift:
    type: command
    code: ../../../
    command: python -m domains.mill.grind --grain ${{inputs.flour}}
    environment: azureml:mill:3
    inputs:
      flour: ${{parent.jobs.grind.outputs.flour}}
"""
ENDPOINT = """\
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json
name: mill
auth_mode: aad_token
"""
COMPUTE = """\
$schema: https://azuremlschemas.azureedge.net/latest/amlCompute.schema.json
name: cpu
type: amlcompute
size: Standard_D4s_v3
"""
STAGE = """\
azure:
  location: westeurope
  compute: {cpu: small-cpu}
store: az://results/mill
"""
ARGO = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: mill}
spec:
  entrypoint: all
  templates:
    - name: all
      dag:
        tasks:
          - name: grind
            template: turn
            arguments:
              parameters: [{name: turns, value: "3"}]
          - name: sift
            template: turn
            dependencies: [grind]
            arguments:
              parameters: [{name: turns, value: "1"}]
    - name: turn
      inputs:
        parameters:
          - name: turns
      container:
        image: registry.example.com/mill:3.1
        command: [python, -m, domains.mill.grind]
        args: [--turns, "{{inputs.parameters.turns}}"]
"""
CALLED = """\
name: Build
on:
  workflow_call:
    inputs:
      target: {type: string, required: true}
    secrets:
      TOKEN: {required: true}
permissions: {contents: read}
jobs:
  build:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0
      - uses: ./orchestration/ci/github/set-up
        with: {cache: warm}
      - run: |
          ./pants --changed-since="$SINCE" lint test ::
          python -m domains.mill.grind --grain rye
        env:
          TOKEN: ${{ secrets.TOKEN }}
      - run: ./strata run "$PIPELINE" --profile toy
  report:
    needs: build
    runs-on: ubuntu-24.04
    steps:
      - run: echo "${{ needs.build.result }}"
"""
CALLER = """\
name: Pull request
on: pull_request
jobs:
  build:
    uses: ./.github/workflows/build.yml
    with: {target: mill}
    secrets:
      TOKEN: ${{ secrets.TOKEN }}
"""
ACTION = """\
name: Set up
description: Bring back the caches.
inputs:
  cache: {description: Which one., required: true}
runs:
  using: composite
  steps:
    - run: echo "$CACHE"
      shell: bash
"""
AZURE_MAIN = """\
trigger: none
pool:
  vmImage: ubuntu-24.04
jobs:
  - job: build
    timeoutInMinutes: 20
    steps:
      - template: set-up.yml
        parameters: {cache: warm}
      - bash: |
          set -euo pipefail
          ./pants lint ::
  - job: report
    dependsOn: build
    steps:
      - bash: ./strata affected --since "$SINCE"
"""
AZURE_SET_UP = """\
parameters:
  - name: cache
    type: string
steps:
  - bash: echo ${{ parameters.cache }}
"""
DOCKERFILE = """\
ARG BASE=docker/base:base
FROM python:3.11-slim AS tools
FROM ${BASE}
COPY --from=tools /bin/true /bin/true
"""
SHELL = """\
#!/usr/bin/env bash
set -euo pipefail
for name in "$@"; do
  ./strata check "$name"
done
"""
DOCUMENT = """\
# The mill

Say `./strata plan mill`, and then

    ./strata run mill --profile toy
    ./pants --changed-since main test ::

Turn the stones:

```
./pants run src/domains/mill:grind -- --grain rye --turns 3
./strata exec mill grind -- --grain=rye
```
"""
SOURCES = {
    ".ci/run": SHELL,
    ".gitignore": "__pycache__/\n",
    "3rdparty/torch.in": "torch",
    "3rdparty/torch.lock": "torch==2.15 \\\n    --hash=sha256:aa\n",
    "argo/mill.yaml": ARGO,
    "azure/cpu.yaml": COMPUTE,
    "config/dev.yaml": STAGE,
    "config/prod.yaml": STAGE,
    "config/test.yaml": STAGE,
    "docker/base/Dockerfile": "FROM python:3.11-slim\n",
    "docker/base/install": "",
    "docs/mill.md": DOCUMENT,
    "orchestration/ci/azure-devops/main.yml": AZURE_MAIN,
    "orchestration/ci/azure-devops/set-up.yml": AZURE_SET_UP,
    "orchestration/ci/github/build.yml": CALLED,
    "orchestration/ci/github/pull-request.yml": CALLER,
    "orchestration/ci/github/set-up/action.yml": ACTION,
    "pants": PANTS,
    "pants.toml": '[python]\ndefault_resolve = "torch"\n',
    "src/common/__init__.py": "",
    "src/domains/mill/BUILD": "grind.py",
    "src/domains/mill/azure-ml-job.yaml": JOB.replace("../../../", "../../"),
    "src/domains/mill/deploy/endpoint.yaml": ENDPOINT,
    "src/domains/mill/deploy/nightly.yaml": JOBS,
    "src/domains/mill/environment/Dockerfile": DOCKERFILE,
    "src/domains/mill/grind.py": SCRIPT,
    "src/domains/mill/pipeline.yaml": PIPELINE,
}
