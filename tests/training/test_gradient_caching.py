"""Chunks computed twice have the gradient of the whole batch, and the memory of one chunk."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from videossl.data import Augment
from videossl.errors import UsageError
from videossl.models import GaussianLatent, MLPEditor, MLPProjector, VideoTransformer, WorldModel
from videossl.objectives import FixedBeta, MVInfoNCE, mv_infonce
from videossl.training.gradient_caching import encode_in_chunks
from videossl.training.pretraining import Pretraining
from videossl.training.settings import TrainingSettings
from videossl.types import ViewBatch

B, V, C = 10, 3, 4  # the last chunk is smaller


class Encoder(nn.Module):
    """(b, V, E) -> (V, b, D), and a second output; deep enough that activations outweigh inputs and outputs."""

    def __init__(self, dropout: float = 0.0, width: int = 32) -> None:
        super().__init__()
        layers = [layer for _ in range(4) for layer in (nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout))]
        self.net = nn.Sequential(nn.Linear(6, width), *layers)
        self.head = nn.Linear(width, 5)
        self.calls = 0

    def forward(self, views: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.calls += 1
        hidden = self.net(views.transpose(0, 1))
        return hidden, self.head(hidden)


def encoder(dropout: float = 0.0) -> Encoder:
    torch.manual_seed(0)
    return Encoder(dropout).double()


def views(num_videos: int = B) -> torch.Tensor:
    return torch.randn(num_videos, V, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def in_chunks_without_recomputing(encode, inputs, chunk_size):
    encoded = [encode(chunk) for chunk in inputs.split(chunk_size)]
    return tuple(torch.cat(parts, dim=1) for parts in zip(*encoded, strict=True))


def gradients(net, encode_all):
    torch.manual_seed(7)
    hidden, embeddings = encode_all(net, views())
    loss = mv_infonce(embeddings, temperature=0.1) + hidden.square().mean()
    loss.backward()
    drawn = torch.rand(1)  # where the stream of random numbers is afterwards
    return loss.item(), drawn.item(), {name: p.grad for name, p in net.named_parameters()}


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_gradients_are_those_of_one_pass_with_the_same_dropout(dropout):
    loss, drawn, got = gradients(encoder(dropout), lambda net, x: encode_in_chunks(net, x, C))
    expected_loss, expected_drawn, wanted = gradients(
        encoder(dropout), lambda net, x: in_chunks_without_recomputing(net, x, C)
    )
    assert (loss, drawn) == (expected_loss, expected_drawn)
    for name in wanted:
        torch.testing.assert_close(got[name], wanted[name], rtol=1e-12, atol=0)


@pytest.mark.parametrize("chunk_size", [1, 4, 10, 11])
def test_gradients_are_those_of_the_whole_batch_at_once(chunk_size):
    loss, _, got = gradients(encoder(), lambda net, x: encode_in_chunks(net, x, chunk_size))
    expected_loss, _, wanted = gradients(encoder(), lambda net, x: encode_in_chunks(net, x, None))
    assert loss == pytest.approx(expected_loss, rel=1e-12)
    for name in wanted:
        torch.testing.assert_close(got[name], wanted[name], rtol=1e-9, atol=1e-12)


def test_every_chunk_is_computed_twice_with_gradients_and_once_without():
    net = encoder()
    gradients(net, lambda net, x: encode_in_chunks(net, x, C))
    assert net.calls == 2 * 3
    net.calls = 0
    with torch.no_grad():
        got = encode_in_chunks(net, views(), C)
    assert net.calls == 3
    for part, wanted in zip(got, net(views()), strict=True):
        torch.testing.assert_close(part, wanted)
        assert not part.requires_grad


def test_a_function_may_return_a_tensor():
    net = encoder()
    got = encode_in_chunks(lambda x: net(x)[1], views(), C)
    torch.testing.assert_close(got, net(views())[1])


def test_autocast_is_on_in_the_second_pass_too():
    net = encoder().float()
    types = []
    hook = net.net[0].register_forward_hook(lambda _, __, output: types.append(output.dtype))

    def run(encode_all):
        net.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            _, embeddings = encode_all(net, views().float(), C)
            loss = mv_infonce(embeddings, temperature=0.1)
        loss.backward()
        return [p.grad.clone() for p in net.parameters()]

    chunked, wanted = run(encode_in_chunks), run(in_chunks_without_recomputing)
    hook.remove()
    assert types == [torch.bfloat16] * 3 * 3
    for got, expected in zip(chunked, wanted, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-6, atol=0)


def test_a_chunk_of_no_video_is_refused():
    with pytest.raises(UsageError, match="at least 1 video"):
        encode_in_chunks(encoder(), views(), 0)


def bytes_kept_for_the_backward_pass(chunk_size, num_videos):
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    net = encoder()
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        _, embeddings = encode_in_chunks(net, views(num_videos), chunk_size)
    weights = {p.untyped_storage().data_ptr() for p in net.parameters()}
    del embeddings
    return sum(size for place, size in kept.items() if place not in weights)


class PeakBytes(TorchDispatchMode):
    """Largest size of all storages alive at once that came out of any operation, forward or backward."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.alive = {key: kept for key, kept in self.alive.items() if not kept[0].expired()}
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self.alive[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.peak = max(self.peak, sum(size for _, size in self.alive.values()))
        return result


def peak(chunk_size):
    net, inputs = encoder(), views(256)
    with PeakBytes() as counter:
        hidden, embeddings = encode_in_chunks(net, inputs, chunk_size)
        (embeddings.square().mean() + hidden.mean()).backward()
    return counter.peak


def test_activations_are_not_kept_between_the_passes():
    assert bytes_kept_for_the_backward_pass(None, 256) > 10 * max(1, bytes_kept_for_the_backward_pass(8, 256))


def test_the_peak_of_both_passes_falls():
    # What is left are the two outputs of all videos with their gradients, and the activations of 8 videos.
    assert peak(8) < peak(None) / 3


def pretraining(chunk):
    torch.manual_seed(0)
    model = WorldModel(
        VideoTransformer(width=12, depth=1, num_heads=2, patch_size=4),
        partial(MLPProjector, embedding_dim=6, hidden_dim=8),
        partial(GaussianLatent, latent_dim=2, hidden_dim=8),
        partial(MLPEditor, hidden_dim=8),
    )
    settings = TrainingSettings(encode_chunk=chunk, inference_view=True)
    return Pretraining(model, MVInfoNCE(graph="forward"), FixedBeta(0.1), Augment(size=8), settings).double()


def test_pretraining_in_chunks_has_the_gradient_of_the_whole_batch():
    clips = torch.randint(0, 256, (5, 2, 2, 3, 8, 8), dtype=torch.uint8)
    rows = torch.zeros(5, dtype=torch.int64)
    batch = ViewBatch(clips, torch.zeros(5, 2, 2, dtype=torch.int64), torch.zeros(5, 2, 2), rows, rows)
    found = []
    for chunk in (None, 2):
        module = pretraining(chunk)
        module.augment.forward = lambda clips: clips.double() / 255  # the same pixels, however the batch is cut
        torch.manual_seed(3)
        loss, embeddings = module._loss(batch, 0)
        loss.total.backward()
        found.append((loss.total, embeddings, [p.grad for p in module.parameters() if p.grad is not None]))
    (one, embeddings, wanted), (two, chunked, got) = found
    torch.testing.assert_close(two, one, rtol=1e-12, atol=0)
    torch.testing.assert_close(chunked, embeddings)
    assert len(got) == len(wanted) > 20
    for left, right in zip(got, wanted, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-12)


def test_the_augmentation_of_a_chunk_is_drawn_once():
    clips = torch.randint(0, 256, (4, 2, 2, 3, 16, 16), dtype=torch.uint8)
    augment = Augment(size=8)
    pixels = []

    def encode(chunk):
        augmented = augment(chunk)
        pixels.append(augmented)
        return (augmented.mean((2, 3, 4, 5)).T[..., None] * weight).exp()

    weight = torch.ones(3, requires_grad=True)
    encode_in_chunks(encode, clips, 2).sum().backward()
    first, second, *again = pixels
    torch.testing.assert_close(again, [second, first])  # the backward pass begins at the end
