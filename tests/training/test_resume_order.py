"""What is trained on when depends on the seed and the step only: not on workers, deaths of workers, stops or ranks."""

import os
import signal
import threading
import time
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import Dataset

from videossl.data import Sample, collate
from videossl.data.clips import ClipPlan, ClipPlanner
from videossl.errors import WorkError
from videossl.training.loaders import train_loader
from videossl.training.settings import TrainingSettings
from videossl.training.surviving import MOST_DEATHS_IN_A_ROW, SurvivingLoader

SECONDS = torch.arange(20).double().numpy() / 10
PLANNER = ClipPlanner(num_frames=2, gap_frames=(0, 3))


class Numbered(Dataset):
    """Views of videos that hold nothing but their sample number; `before` is called with every number."""

    skipped = ()
    num_lengthened = 0

    def __init__(self, num_videos=10, before=lambda number: None, weights=None):
        self.videos = [SimpleNamespace(weight=1.0 if weights is None else weights[i]) for i in range(num_videos)]
        self.before = before

    def __len__(self):
        return len(self.videos)

    def __getitem__(self, number):
        self.before(number)
        epoch, video = divmod(number, len(self))
        plan = PLANNER.plan(SECONDS, epoch=epoch, sample=video, seed=0)
        clips = torch.full((2, 2, 3, 4, 4), number % 256, dtype=torch.uint8)
        return Sample(clips, ClipPlan(plan.frames, plan.seconds), video, -1)


def loader(views=None, *, rank=0, world_size=1, start_step=0, max_steps=12, **settings):
    process = SimpleNamespace(global_rank=rank, world_size=world_size)
    training = TrainingSettings(max_steps=max_steps, batch_size=4, warmup_steps=1, **settings)
    return train_loader(process, views or Numbered(), training, seed=3, start_step=start_step)


def contents(batches):
    """Videos, clips and their places in time, comparable."""
    return [(batch.videos.tolist(), batch.frames.tolist(), batch.clips[:, 0, 0, 0, 0, 0].tolist()) for batch in batches]


@pytest.fixture(scope="module")
def undisturbed():
    return contents(loader())


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_stopped_anywhere_and_gone_on_with_any_number_of_workers_gives_the_same_batches(num_workers, undisturbed):
    assert contents(loader(num_workers=num_workers)) == undisturbed
    for stop in (1, 5, 11):
        first = contents(batch for batch, _ in zip(loader(num_workers=num_workers), range(stop), strict=False))
        rest = contents(loader(num_workers=(num_workers + 1) % 3, start_step=stop))
        assert first + rest == undisturbed
    assert len(loader(start_step=5)) == 12  # Lightning counts the batches of the whole training


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_several_processes_share_the_stream_and_go_on_together(num_workers):
    one = [number for batch in loader(max_steps=12) for number in batch.clips[:, 0, 0, 0, 0, 0].tolist()]
    ranks = [
        [
            number
            for start, stop in ((0, 2), (2, 6))
            for batch, _ in zip(
                loader(rank=rank, world_size=2, max_steps=6, start_step=start, num_workers=num_workers),
                range(stop - start),
                strict=False,
            )
            for number in batch.clips[:, 0, 0, 0, 0, 0].tolist()
        ]
        for rank in range(2)
    ]
    assert [number for pair in zip(*ranks, strict=True) for number in pair] == one


def kill_once(flags, signal_number):
    """Kill the worker that comes to one of these samples, the first time."""

    def before(number):
        flag = flags / str(number)
        if flag.exists():
            flag.unlink()
            os.kill(os.getpid(), signal_number)

    return before


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGSEGV])
def test_two_workers_killed_in_mid_epoch_change_nothing(tmp_path, capfd, undisturbed, signal_number):
    samples = [sample for batch in undisturbed for sample in batch[2]]
    for place in (9, 34):
        (tmp_path / str(samples[place])).touch()
    batches = loader(Numbered(before=kill_once(tmp_path, signal_number)), num_workers=2)
    assert contents(batches) == undisturbed
    assert batches.num_deaths == 2
    said = capfd.readouterr().err
    assert f"a loader worker died ({signal.Signals(signal_number).name})" in said
    assert "(death 2 of this training)" in said


def test_workers_killed_from_outside_while_training_computes_change_nothing(undisturbed):
    batches = loader(Numbered(before=lambda number: time.sleep(0.005)), num_workers=2)
    children = f"/proc/{os.getpid()}/task/{os.getpid()}/children"
    got = []
    for number, batch in enumerate(batches):
        got.append(batch)
        if number == 2:
            for child in open(children).read().split():  # noqa: SIM115, PTH123
                os.kill(int(child), signal.SIGKILL)
            time.sleep(0.1)  # "training": nothing is raised here
    assert contents(got) == undisturbed
    assert batches.num_deaths >= 1


def test_a_batch_that_kills_its_workers_every_time_ends_training_with_a_clear_error(undisturbed):
    fatal = undisturbed[2][2][0]

    def before(number):
        if number == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    batches = loader(Numbered(before=before), num_workers=1)
    got = []
    with pytest.raises(WorkError, match=r"died 3 times in a row at the same batch \(SIGKILL\).*--ckpt last"):
        got.extend(batches)
    assert contents(got) == undisturbed[: len(got)]
    assert len(got) <= 2
    assert batches.num_deaths == MOST_DEATHS_IN_A_ROW


@pytest.mark.parametrize("num_workers", [0, 1])
def test_errors_of_the_data_are_told_in_one_line_and_are_no_deaths(num_workers):
    def before(number):
        raise WorkError("64 videos in a row could not be read.")

    batches = loader(Numbered(before=before), num_workers=num_workers)
    with pytest.raises(WorkError) as caught:
        list(batches)
    assert str(caught.value) == "64 videos in a row could not be read."
    assert batches.num_deaths == 0


def test_weighted_videos_resume_the_same_way():
    weights = [5.0, *[1.0] * 8, 0.0]
    whole = contents(loader(Numbered(weights=weights)))
    assert whole[7:] == contents(loader(Numbered(weights=weights), start_step=7, num_workers=2))
    assert all(9 not in videos for videos, _, _ in whole)


class Seen(LightningModule):
    """Does nothing with its batches but to remember their videos."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen += batch.clips[:, 0, 0, 0, 0, 0].tolist()
        return self.weight * 0

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class StopAt(Callback):
    def __init__(self, step, path):
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True


@pytest.mark.filterwarnings("ignore")
def test_a_training_that_stopped_in_mid_epoch_goes_on_with_the_very_next_sample(tmp_path, undisturbed):
    def train(start_step, callbacks, checkpoint=None):
        trainer = Trainer(
            accelerator="cpu", max_steps=12, callbacks=callbacks, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
        )  # fmt: skip
        module = Seen()
        trainer.fit(module, loader(start_step=start_step, num_workers=1), ckpt_path=checkpoint, weights_only=True)
        return module.seen

    checkpoint = tmp_path / "middle.ckpt"
    first = train(0, [StopAt(5, checkpoint)])
    rest = train(5, [], checkpoint)
    assert first + rest == [sample for batch in undisturbed for sample in batch[2]]


def test_a_loader_works_outside_the_main_thread(undisturbed):
    got = []
    thread = threading.Thread(target=lambda: got.extend(loader(num_workers=1)))
    thread.start()
    thread.join(30)
    assert contents(got) == undisturbed


def test_a_loader_is_read_again_from_its_start(undisturbed):
    batches = SurvivingLoader(
        Numbered(), lambda skip: iter([[0, 1], [2, 3]][skip:]), num_batches=2, num_workers=0, collate_fn=collate
    )
    assert contents(batches) == contents(batches)
    assert len(batches) == 2
