"""Helpers of the tests of `cluster/`: its files, and the pods and commands in them."""

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
"""Folder of the presets in the image."""

Tree = dict[str, Any]


@cache
def documents() -> list[Tree]:
    """Return all Kubernetes objects of `kuberay/`. They are cached: do not change them."""
    return [tree for file in sorted(KUBERAY.glob("*.yaml")) for tree in yaml.safe_load_all(file.read_text())]


def objects_of_kind(kind: str) -> list[Tree]:
    """Return the objects of one kind."""
    return [tree for tree in documents() if tree["kind"] == kind]


def ray_clusters() -> dict[str, Tree]:
    """Return the specs of both Ray clusters, by the kind of object that contains them."""
    [cluster], [job] = objects_of_kind("RayCluster"), objects_of_kind("RayJob")
    return {"RayCluster": cluster["spec"], "RayJob": job["spec"]["rayClusterSpec"]}


@dataclass(frozen=True)
class Pod:
    """A pod template with a descriptive name."""

    name: str
    template: Tree
    ray: bool
    """True for Ray nodes."""

    @property
    def spec(self) -> Tree:
        spec: Tree = self.template["spec"]
        return spec


def pods() -> list[Pod]:
    """Return all pods of the manifests: heads, workers, the submitter, and the job that downloads models."""
    result: list[Pod] = []
    for kind, spec in ray_clusters().items():
        result.append(Pod(f"{kind} head", spec["headGroupSpec"]["template"], ray=True))
        result += [
            Pod(f"{kind} {group['groupName']}", group["template"], ray=True) for group in spec["workerGroupSpecs"]
        ]
    [job], [ray_job] = objects_of_kind("Job"), objects_of_kind("RayJob")
    result.append(Pod("submitter", ray_job["spec"]["submitterPodTemplate"], ray=False))
    result.append(Pod("model cache", job["spec"]["template"], ray=False))
    return result


def code_blocks(markdown: str, language: str) -> list[str]:
    """Return the fenced code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)


def shell_commands(script: str) -> Iterator[list[str]]:
    """Yield the words of each command of a shell script: without comments, and with pipes and lists split up.

    Variables are replaced by `1`, which is enough to check the options of a command, and `"$@"` by nothing. Leading
    assignments (`NAME=value command`) and keywords that only open a block are dropped.
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
        except ValueError:  # a quoted string over several lines: not one of our commands
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
