"""docs/evaluation.md: its program runs as it stands there, and its tables name what there is."""

import inspect
import json
import re

import pytest
from command_line import REPOSITORY, videossl

from videossl import evaluation

PAGE = (REPOSITORY / "docs/evaluation.md").read_text(encoding="utf-8")
CLASSES = dict(re.findall(r"^\| `(\w+)[^`]*` \| ([^|]+) \|", PAGE, re.MULTILINE))


def test_the_program_of_the_page_runs(capsys):
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(program, "docs/evaluation.md", "exec"), {})
    said = [float(value) for value in re.findall(r"tensor\(([\d.]+)\)", capsys.readouterr().out)]
    assert said[:2] == pytest.approx([1, 1], abs=0.2)


def test_every_metric_class_is_on_the_page_with_the_arguments_of_its_update():
    metrics = {name for name in evaluation.__all__ if hasattr(getattr(evaluation, name), "higher_is_better")}
    assert set(CLASSES) & set(evaluation.__all__) == metrics
    for name in metrics:
        parameters = list(inspect.signature(getattr(evaluation, name).update).parameters.values())[1:]
        said = re.sub(r" \([^)]*\)", "", CLASSES[name]).split(", ")
        assert said == [
            each.name if each.default is each.empty else f"{each.name}={each.default}" for each in parameters
        ]


def test_every_key_of_metrics_json_is_on_the_page(small_run):
    done = videossl("evaluate", "--run", small_run, "--num_contexts", 20, "--num_samples", 4)
    assert done.returncode == 0, done.stderr
    keys = set(json.loads((small_run / "evaluation/metrics.json").read_text()))
    said = set(re.findall(r"`(\w+)`", PAGE[PAGE.index("## What is in") :]))
    assert keys - {"format"} <= said
