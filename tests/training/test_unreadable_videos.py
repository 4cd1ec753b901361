"""Videos that could not be read are counted and listed, on whatever process they were met."""

import csv
from types import SimpleNamespace

import pytest

from videossl.data.dataset import ReplacedFailure
from videossl.errors import WorkError
from videossl.training.callbacks import UnreadableVideos
from videossl.types import Failure


class Module:
    def __init__(self):
        self.logged = {}

    def log(self, name, value, **options):
        self.logged[name] = value


def step(watch, module, failures, number, world_size=1):
    trainer = SimpleNamespace(world_size=world_size, global_step=number, log_every_n_steps=2, max_steps=100)
    watch.on_train_batch_end(trainer, module, None, SimpleNamespace(failures=failures), 0)


def listed(path):
    with path.open(newline="") as file:
        return [(row["video"], row["cause"]) for row in csv.DictReader(file)]


def test_every_replaced_sample_is_counted_and_every_video_listed_once(tmp_path):
    path, module = tmp_path / "unreadable.csv", Module()
    watch = UnreadableVideos(path, [Failure("a", "empty.")], num_videos=10, max_share=0.5)
    step(watch, module, (ReplacedFailure("b", "hung."), Failure("c", "gone.")), 1)
    step(watch, module, (ReplacedFailure("b", "hung."),), 2)
    assert watch.num_replaced == 2
    assert module.logged["train/replaced_samples"] == 2
    assert listed(path) == [("a", "empty."), ("c", "gone."), ("b", "hung.")]


def test_videos_that_were_left_out_on_purpose_are_listed_and_do_not_count(tmp_path):
    path = tmp_path / "unreadable.csv"
    watch = UnreadableVideos(path, [], num_videos=4, max_share=0.25)
    watch.leave_out([Failure("short", "left out."), Failure("shorter", "left out.")])
    assert [video for video, _ in listed(path)] == ["short", "shorter"]
    step(watch, Module(), (ReplacedFailure("b", "hung."),), 1)
    with pytest.raises(WorkError, match="2 of 4 videos are unreadable"):
        step(watch, Module(), (ReplacedFailure("c", "crashed."),), 2)


def test_several_processes_tell_each_other_at_the_same_steps(tmp_path, monkeypatch):
    path = tmp_path / "unreadable.csv"
    watch = UnreadableVideos(path, [], num_videos=10, max_share=0.5)
    told = []

    def gather(into, mine):
        told.append(list(mine))
        into[:] = [mine, [ReplacedFailure("theirs", "gone.")]]

    monkeypatch.setattr("torch.distributed.all_gather_object", gather)
    step(watch, Module(), (ReplacedFailure("ours", "hung."),), 1, world_size=2)
    assert told == []
    step(watch, Module(), (), 2, world_size=2)
    assert told == [[ReplacedFailure("ours", "hung.")]]
    assert watch.num_replaced == 2
    assert {video for video, _ in listed(path)} == {"ours", "theirs"}
