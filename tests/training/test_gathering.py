"""Two processes (gloo) with half the videos each, in chunks, give the gradient of one process with all of them at once.

The objectives one by one: test_distributed_objectives.py. Here is the whole of a training step under Lightning.
"""

import os
import socket
from functools import partial

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, TensorDataset

from videossl.data import Augment
from videossl.models import GaussianLatent, MLPEditor, MLPProjector, VideoTransformer, WorldModel
from videossl.objectives import FixedBeta, MVInfoNCE
from videossl.training.pretraining import Pretraining
from videossl.training.settings import TrainingSettings
from videossl.types import ViewBatch


def module(encode_chunk=None):
    torch.manual_seed(0)
    model = WorldModel(
        VideoTransformer(width=12, depth=1, num_heads=2, patch_size=4),
        partial(MLPProjector, embedding_dim=6, hidden_dim=8),
        partial(GaussianLatent, latent_dim=2, hidden_dim=8),
        partial(MLPEditor, hidden_dim=8),
    )
    # No noise in r, so that one process and two draw the same: a posterior with almost no variance.
    with torch.no_grad():
        model.latent.posterior_net[-1].bias[2:] = -10.0
        model.latent.posterior_net[-1].weight[2:] = 0.0
        model.editor.net[-1].weight.normal_(0, 0.1)
    augment = Augment(size=8)
    augment.eval()
    settings = TrainingSettings(max_steps=1, encode_chunk=encode_chunk)
    return Pretraining(model, MVInfoNCE(graph="forward"), FixedBeta(0.1), augment, settings)


CLIPS = torch.randint(0, 256, (8, 2, 2, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))


def batches(items):
    clips = torch.stack([item[0] for item in items])
    size = clips.shape[:3]
    zeros = torch.zeros(len(clips), dtype=torch.int64)
    return ViewBatch(clips, torch.zeros(size, dtype=torch.int64), torch.zeros(size, dtype=torch.float64), zeros, zeros)


def train_one_step(rank, world_size, port, queue):
    os.environ |= {
        "MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank), "NODE_RANK": "0",
        "WORLD_SIZE": str(world_size),
    }  # fmt: skip
    torch.set_num_threads(1)
    trained = module(encode_chunk=3 if world_size > 1 else None)
    trained.on_train_start = lambda: trained.augment.eval()  # the same pixels, however the videos are shared out
    gradients = {}
    trained.on_before_optimizer_step = lambda _: gradients.update(
        {name: p.grad.clone() for name, p in trained.named_parameters() if p.grad is not None}
    )
    share = CLIPS[rank * len(CLIPS) // world_size : (rank + 1) * len(CLIPS) // world_size]
    heldout = CLIPS if world_size == 1 else CLIPS.split([5, 3])[rank]
    trainer = Trainer(
        max_steps=1, accelerator="cpu", devices=world_size, logger=False, enable_checkpointing=False,
        strategy="ddp" if world_size > 1 else "auto", enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False, gradient_clip_val=None, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(trained, *[DataLoader(TensorDataset(x), batch_size=8, collate_fn=batches) for x in (share, heldout)])
    if rank == 0:
        losses = {name: float(value) for name, value in trainer.callback_metrics.items()}
        queue.put(({name: gradient.numpy() for name, gradient in gradients.items()}, losses))
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def gradients_of(world_size):
    context = mp.get_context("spawn")
    queue, port = context.Queue(), free_port()
    processes = [
        context.Process(target=train_one_step, args=(rank, world_size, port, queue)) for rank in range(world_size)
    ]
    for process in processes:
        process.start()
    result = queue.get(timeout=120)
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    return result


def test_two_processes_have_the_gradient_of_one_with_the_whole_batch():
    (one, losses), (two, losses_of_two) = gradients_of(1), gradients_of(2)
    assert one.keys() == two.keys()
    assert len(one) > 20
    for name in one:
        torch.testing.assert_close(torch.tensor(two[name]), torch.tensor(one[name]), rtol=1e-3, atol=2e-6)
    # Held-out videos are shared out 5 and 3.
    assert {"train/loss", "heldout/loss", "heldout/kl_nats"} <= losses.keys()
    for name in losses:
        assert losses_of_two[name] == pytest.approx(losses[name], rel=1e-3, abs=1e-5), name
