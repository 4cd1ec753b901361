"""The tables that scripts/bench/futures.py writes into docs/results.md."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench" / "futures.py"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_futures", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench_futures", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def scored(bench: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], list[dict[str, float]]]:
    """World and row -> figures of every seed, in the place of runs on disk."""
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    monkeypatch.setattr(bench, "scores", lambda name, row, _: found.get((name, row), []))
    monkeypatch.setattr(bench, "num_steps", lambda *_: "1,000")
    return found


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def shown(bench: ModuleType, name: str, tmp_path: Path) -> list[dict[str, str]]:
    """The table, row by row: head -> cell."""
    head, _, *rows = bench.table(name, tmp_path).splitlines()
    assert all(len(cells(row)) == len(cells(head)) for row in rows)
    return [dict(zip(cells(head), cells(row), strict=True)) for row in rows]


def test_the_mean_stands_before_the_least_and_the_greatest(bench, scored, tmp_path):
    scored["one-8-large", "best"] = [
        {"coverage": 0.9, "coverage_tuned_noise": 0.5, "nll": 2.0, "kl_nats": 3.0},
        {"coverage": 1.0, "coverage_tuned_noise": 0.7, "nll": 2.0, "kl_nats": 3.0},
    ]
    (row,) = shown(bench, "one-8-large", tmp_path)
    assert row["coverage / noise"] == "0.95 (0.90 to 1.00) / 0.60 (0.50 to 0.70)"
    assert (row["seeds"], row["steps"]) == ("2", "1,000")


def test_what_no_row_has_is_no_column_and_what_one_lacks_is_an_empty_cell(bench, scored, tmp_path):
    scored["one-8", "gaussian"] = [{"coverage": 0.9, "coverage_tuned_noise": 0.5, "kl_nats": 3.0}]
    scored["one-8", "twin"] = [{"coverage": 0.1, "coverage_tuned_noise": 0.5, "velocity_r2": 0.8}]
    gaussian, twin = shown(bench, "one-8", tmp_path)
    assert (gaussian["KL"], twin["KL"]) == ("3.00", "")
    assert (gaussian["velocity R²"], twin["velocity R²"]) == ("", "0.80")
    assert "steering" not in gaussian


@pytest.mark.parametrize(("with_it", "is_shown"), [(1, False), (2, True)])
def test_figures_of_free_motion_are_shown_where_half_of_the_rows_with_an_r_have_them(
    bench, scored, tmp_path, with_it, is_shown
):
    rows = ["gaussian", "learned-prior", "mixture-prior"]
    for number, row in enumerate(rows):
        free = {"steering_rate_free": 0.9} if number < with_it else {}
        scored["sweeps", row] = [{"coverage": 0.9, "coverage_tuned_noise": 0.5, "kl_nats": 3.0, **free}]
    scored["sweeps", "twin"] = [{"coverage": 0.1, "coverage_tuned_noise": 0.5}]  # has no r, and no say in it
    assert ("steering where nothing bounces" in shown(bench, "sweeps", tmp_path)[0]) is is_shown


def test_a_page_gets_the_tables_of_what_has_been_run_and_keeps_all_else(bench, scored, tmp_path):
    scored["one-8", "gaussian"] = [{"coverage": 0.9, "coverage_tuned_noise": 0.5, "kl_nats": 3.0}]
    page = tmp_path / "results.md"
    page.write_text(
        "before\n\n<!-- table one-8 -->\n\nold\n\n<!-- end one-8 -->\n\nbetween\n\n"
        "<!-- table two-16 -->\n\nkept\n\n<!-- end two-16 -->\n\nafter\n"
    )
    bench.write_page(page, tmp_path)
    text = page.read_text()
    assert "old" not in text
    assert "0.90 / 0.50" in text
    assert all(
        part in text
        for part in ("before\n\n<!-- table one-8 -->\n\n|", "\n\n<!-- end one-8 -->\n\nbetween", "kept", "after\n")
    )
    bench.write_page(page, tmp_path)
    assert page.read_text() == text
