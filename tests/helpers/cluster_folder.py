"""What the tests of `cluster/` share: its files, the pods in them, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from tests.helpers.paths import ROOT

CLUSTER = ROOT / "cluster"
KUBERAY = CLUSTER / "kuberay"
PRESETS = CLUSTER / "presets"
IMAGE_PRESETS = "/opt/amia/presets"
"""Where the image has them."""

Tree = dict[str, Any]


@cache
def documents() -> list[Tree]:
    """Every Kubernetes object of `kuberay/`; read them, never write to them."""
    return [tree for file in sorted(KUBERAY.glob("*.yaml")) for tree in yaml.safe_load_all(file.read_text())]


def of_kind(kind: str) -> list[Tree]:
    """The objects of one kind."""
    return [tree for tree in documents() if tree["kind"] == kind]


def ray_clusters() -> dict[str, Tree]:
    """The specs of both clusters, by the kind that holds them."""
    [cluster], [job] = of_kind("RayCluster"), of_kind("RayJob")
    return {"RayCluster": cluster["spec"], "RayJob": job["spec"]["rayClusterSpec"]}


@dataclass(frozen=True)
class Pod:
    """A pod template, and what it is for."""

    name: str
    template: Tree
    ray: bool
    """Whether it is a Ray node."""

    @property
    def spec(self) -> Tree:
        spec: Tree = self.template["spec"]
        return spec


def pods() -> list[Pod]:
    """Every pod that the manifests make: heads, workers, the submitter, the job that fetches models."""
    found: list[Pod] = []
    for kind, spec in ray_clusters().items():
        found.append(Pod(f"{kind} head", spec["headGroupSpec"]["template"], ray=True))
        found += [Pod(f"{kind} {each['groupName']}", each["template"], ray=True) for each in spec["workerGroupSpecs"]]
    [job], [ray_job] = of_kind("Job"), of_kind("RayJob")
    found.append(Pod("submitter", ray_job["spec"]["submitterPodTemplate"], ray=False))
    found.append(Pod("model cache", job["spec"]["template"], ray=False))
    return found


def fenced(markdown: str, language: str) -> list[str]:
    """The blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)


def shell_commands(script: str) -> Iterator[list[str]]:
    """The commands of a shell script as words: lines joined, comments gone, pipes and lists taken apart.

    Variables become `1`, which is enough to see whether a command takes its options, and `"$@"` nothing. Leading
    assignments (`NAME=value command`) and words that only open a block are dropped.
    """
    joined = re.sub(r"\\\n\s*", " ", script)
    joined = re.sub(r"\$\(\([^)]*\)\)", "1", joined).replace('"$@"', "")
    for line in joined.splitlines():
        if line.lstrip().startswith("#"):
            continue
        lexer = shlex.shlex(re.sub(r"\$\{?\w+[^}\s\"'/.]*\}?", "1", line), posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split, lexer.commenters = True, "#"
        try:
            words = list(lexer)
        except ValueError:  # a quotation over several lines: no command of ours has one
            continue
        command: list[str] = []
        for word in [*words, ";"]:
            if set(word) <= set("|&;<>"):
                if command := _without_prefix(command):
                    yield command
                command = []
            else:
                command.append(word)


def _without_prefix(words: list[str]) -> list[str]:
    while words and (re.fullmatch(r"[A-Za-z_]\w*=.*", words[0]) or words[0] in {"until", "do", "if", "then", "(", "{"}):
        words = words[1:]
    return words
