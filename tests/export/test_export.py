import copy
import json

import onnx
import onnxruntime
import pytest
import torch
from command_line import videossl as command
from small_models import CONFIG, frames, write_run

import videossl
from videossl.errors import UsageError, WorkError
from videossl.export import export_run, formats


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run")


def onnx_file(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda clips: [torch.from_numpy(output) for output in session.run(None, {"frames": clips.numpy()})]


USERS = {
    "onnx": onnx_file,
    "torchscript": torch.jit.load,
    "pt2": lambda path: torch.export.load(path).module(),
}


@pytest.fixture(scope="module", params=USERS)
def exported(request, run, tmp_path_factory):
    """A format, its file, and what runs it as a user would."""
    path = tmp_path_factory.mktemp("exported") / f"encoder.{request.param}"
    assert export_run(run, format=request.param, out=path) < 1e-4
    return request.param, path, USERS[request.param](path)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_an_exported_encoder_gives_the_vectors_of_embed_for_any_batch(run, exported, batch):
    _, _, encode = exported
    clips = frames().repeat(4, 1, 1, 1, 1)[:batch]
    expected = videossl.load(run).embed(clips)
    representation, vectors = encode(clips)
    torch.testing.assert_close(representation, expected.representation, rtol=0, atol=1e-4)
    torch.testing.assert_close(vectors, expected.frames, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", USERS)
def test_an_encoder_with_a_convolutional_stem_is_exported_for_any_batch_too(name, tmp_path):
    config = copy.deepcopy(CONFIG)
    stem = {"class_path": "videossl.models.ConvStem", "init_args": {"channels": [8], "strides": [4, 2]}}
    config["model"]["init_args"]["encoder"]["init_args"]["stem"] = stem
    run = write_run(tmp_path / "run", config)
    path = tmp_path / f"encoder.{name}"
    assert export_run(run, format=name, out=path) < 1e-4
    clips = frames().repeat(4, 1, 1, 1, 1)[:7]
    representation, _ = USERS[name](path)(clips)
    expected = videossl.load(run).embed(clips).representation
    torch.testing.assert_close(representation, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "clips",
    [
        frames(length=6),  # another clip length
        frames()[..., :8, :8],
        frames().float(),
        frames()[0],
    ],
    ids=["length", "size", "type", "axes"],
)
def test_frames_that_it_was_not_made_for_are_refused(exported, clips):
    _, _, encode = exported
    with pytest.raises(Exception, match=r"."):
        encode(clips)


def test_the_file_says_what_it_is(run, exported):
    name, path, _ = exported
    if name == "onnx":
        about = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    else:
        extra = {"videossl.json": ""}
        (torch.jit.load if name == "torchscript" else torch.export.load)(
            path, **{"_extra_files" if name == "torchscript" else "extra_files": extra}
        )
        about = json.loads(extra["videossl.json"])
    assert about["input"] == "frames: (B, 4, 3, 16, 16) uint8, RGB"
    assert len(about["weights_sha256"]) == 64
    assert (about["pooling"], about["frame_stride"], about["target_fps"]) == ("mean_max", "2", "null")


def test_an_onnx_file_names_its_axes(run, exported):
    name, path, _ = exported
    if name == "onnx":
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        shapes = {value.name: value.shape for value in [*session.get_inputs(), *session.get_outputs()]}
        assert shapes == {
            "frames": ["batch", 4, 3, 16, 16],
            "representation": ["batch", 48],
            "frame_vectors": ["batch", 2, 24],
        }
        assert not list(path.parent.glob("*.data"))


def test_other_lengths_and_sizes_can_be_asked_for(run, tmp_path):
    export_run(run, format="torchscript", out=tmp_path / "long.pt", num_frames=6, frame_size=32)
    clips = torch.zeros(1, 6, 3, 32, 32, dtype=torch.uint8)
    expected = videossl.load(run).embed(clips).representation
    torch.testing.assert_close(torch.jit.load(tmp_path / "long.pt")(clips)[0], expected, rtol=0, atol=1e-4)


def wrong_by(amount):
    def write(encoder, path, about):
        class Wrong(torch.nn.Module):
            def forward(self, frames):
                representation, vectors = encoder(frames)
                return representation, vectors + amount

        torch.jit.save(torch.jit.trace(Wrong(), encoder.clips(2, seed=0), check_trace=False), path)

    return write


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("amount", [1e-2, float("nan")])
def test_a_file_that_differs_from_the_model_is_not_kept(run, tmp_path, monkeypatch, amount):
    monkeypatch.setitem(formats.FORMATS, "torchscript", (wrong_by(amount), formats.read_torchscript))
    with pytest.raises(WorkError, match=r"differs from the model by .* in the frame_vectors of a batch of 1"):
        export_run(run, format="torchscript", out=tmp_path / "out.pt")
    assert not list(tmp_path.iterdir())


def test_a_file_that_knows_one_batch_size_only_is_not_kept(run, tmp_path, monkeypatch):
    def write(encoder, path, about):
        program = torch.export.export(encoder, (encoder.clips(2, seed=0),))
        torch.export.save(program, path)

    monkeypatch.setitem(formats.FORMATS, "pt2", (write, formats.read_pt2))
    with pytest.raises(WorkError, match="does not run"):
        export_run(run, format="pt2", out=tmp_path / "out.pt2")
    assert not list(tmp_path.iterdir())


def test_an_encoder_too_large_for_onnx_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "MOST_BYTES_OF_ONNX", 1000)
    with pytest.raises(UsageError, match=r"2 GiB at most.*--format pt2"):
        export_run(run, format="onnx", out=tmp_path / "out.onnx")


def test_without_onnxruntime_the_extra_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'videossl\[onnx\]'"):
        export_run(run, format="onnx", out=tmp_path / "out.onnx")


def test_the_command_exports_and_replaces_nothing_unasked(run, tmp_path):
    out = tmp_path / "encoder.pt"
    done = command("export", "--run", run, "--format", "torchscript", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "largest difference from the model" in done.stdout
    before = out.stat().st_mtime_ns
    done = command("export", "--run", run, "--format", "torchscript", "--out", out)
    assert done.returncode == 2
    assert "--overwrite true" in done.stderr
    assert out.stat().st_mtime_ns == before
    with pytest.raises(UsageError, match="multiples of the patch size 8"):
        export_run(run, format="torchscript", out=tmp_path / "odd.pt", frame_size=20)
    with pytest.raises(UsageError, match="num_frames of at least 1, got 0"):
        export_run(run, format="torchscript", out=tmp_path / "none.pt", num_frames=0)
    with pytest.raises(UsageError, match="a file name with a suffix"):
        export_run(run, format="pt2", out=tmp_path / "encoder")
    with pytest.raises(UsageError, match="is a folder"):
        export_run(run, format="torchscript", out=tmp_path, overwrite=True)
