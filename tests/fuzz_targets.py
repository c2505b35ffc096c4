"""What is fuzzed: every reader of a file that a stranger may have written, and whole files to begin from."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import tempfile
import wave
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import nn

import convscope
import data_makers as made
from convscope.data.inputs.array_file import read_array
from convscope.data.inputs.sound import read_sound
from convscope.data.open import probe
from convscope.data.pixels.decode import decode_image
from convscope.data.preprocessing import Normalization, Preprocessing
from convscope.data.records import Decoding
from convscope.errors import RunError
from convscope.experiments.ablation.plan import read_plan
from convscope.files.regular import refused_as
from convscope.nets.weights.read import as_tensor, read_weights
from convscope.recipe.recipe import Recipe
from convscope.recipe.recipe_file import load_recipe, to_toml
from convscope.runs.atomic_files import MANIFEST
from convscope.runs.checkpoint import PLAN, STATE, TENSORS, load_checkpoint, load_optimizer, load_plan, save_plan
from convscope.runs.events import EpochRow, StepProgress, event_line, read_event, read_status
from convscope.runs.layer_norms import NormSample, norm_line, read_norms
from convscope.runs.live_files import LiveProgress
from convscope.runs.model_spec import ModelSpec, read_spec
from convscope.runs.progress import RunProgress
from convscope.runs.run_directory import Run
from convscope.runs.tensor_files import load_weights, sealed_bytes, tensor_bytes
from convscope.training.timing.step_plan import StepPlan

SIZE = Decoding(size=(16, 16), channels=3)
ROW = EpochRow(
    epoch=1, seconds=1.0, train_loss=1.0, train_accuracy=0.5, val_loss=None, val_accuracy=None, learning_rate=0.1,
    images_per_second=9.0, data_wait=0.0, best=True,
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """One reader.

    Args:
        seeds: whole files.
        read: writes changed bytes into a folder of its own and reads them; only ConvscopeError may come out.
        json: whether the files are JSON, whose values are then changed as well as its bytes.
        words: what the format is made of, to be put in.
    """

    seeds: Callable[[], list[bytes]]
    read: Callable[[Path, bytes], object]
    json: bool = False
    words: tuple[bytes, ...] = ()


def _images() -> list[bytes]:
    picture = made.image(0, 24)
    kinds: list[tuple[str, str, dict[str, object]]] = [
        ("JPEG", "RGB", {}), ("JPEG", "L", {"progressive": True}), ("JPEG", "CMYK", {}),
        ("JPEG", "RGB", {"exif": _exif()}),
        ("PNG", "RGB", {}), ("PNG", "P", {"transparency": 3}), ("PNG", "RGBA", {}), ("PNG", "1", {}),
        ("WEBP", "RGB", {}), ("WEBP", "RGBA", {"lossless": True}), ("GIF", "P", {}), ("BMP", "RGB", {}),
        ("PPM", "RGB", {}), ("TIFF", "RGB", {}), ("TIFF", "L", {"compression": "tiff_lzw"}),
        ("TIFF", "RGB", {"compression": "tiff_adobe_deflate"}), ("TIFF", "RGB", {"compression": "jpeg"}),
        ("TIFF", "1", {"compression": "group4"}), ("TIFF", "F", {}),
        ("TIFF", "RGB", {"compression": "packbits", "big_tiff": True}),
    ]  # fmt: skip
    found = []
    for name, mode, settings in kinds:
        stream = io.BytesIO()
        picture.convert(mode).save(stream, name, **settings)
        found.append(stream.getvalue())
    return found


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()


def _decode(folder: Path, data: bytes) -> object:
    path = folder / "image.jpg"
    path.write_bytes(data)
    # Floats have no range of their own.
    return decode_image(path, replace(SIZE, value_range="percentile") if data[:2] == b"II" else SIZE)


def _layers() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def _torch_saved(value: object, *, older: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=not older)
    return stream.getvalue()


def _weights() -> list[bytes]:
    state = _layers().state_dict()
    wrapped = {"model": state, "epoch": 3, "note": "a", "lr": [0.1, None, True]}
    return [
        tensor_bytes(state), sealed_bytes(state, note="{}"), _torch_saved(state), _torch_saved(wrapped),
        _torch_saved(state, older=True), _torch_saved(wrapped, older=True),
    ]  # fmt: skip


def _read_weights(folder: Path, data: bytes) -> object:
    path = folder / "weights.pth"
    path.write_bytes(data)
    return [as_tensor(tensor).sum() for tensor in read_weights(path).tensors.values()]


def _probed(source: Path, images: int = 3) -> object:
    """Find what a source holds, and read its first images."""
    found = probe(str(source))
    for row in range(min(images, len(found.listing.names))):
        with refused_as(RunError, "row"):
            found.listing.read(row, SIZE)
    return found


TABLES = (
    "image,label\na.png,cat\nb.png,dog\nc.png,cat\nd.png,dog\n",
    "filepaths;labels\r\na.png;x y\r\nb.png;z\r\n",
    "image,cat,dog\na.png,1,0\nb.png,0,1\nc.png,1,0\nd.png,0,1\n",
    'file\tclass\tsplit\na.png\t"a, ""b"""\ttrain\nb.png\tc\ttrain\nc.png\tc\ttest\n',
    "a.png,cat\nb.png,dog\nc.png,cat\nd.png,dog\n",
    "id_code,diagnosis,patient\na,0,p1\nb,1,p2\nc,0,p1\nd,1,p2\n",
    "image,labels\na.png,x|y\nb.png,y\nc.png,\nd.png,x\n",
)


def _read_table(folder: Path, data: bytes) -> object:
    if not (folder / "a.png").exists():
        for number, name in enumerate("abcd"):
            made.image(number, 8).save(folder / f"{name}.png")
    (folder / "labels.csv").write_bytes(data)
    return _probed(folder / "labels.csv")


def _recipes() -> list[bytes]:
    return [to_toml(Recipe(epochs=3, data="x")).encode(), b'format = 2\nmodel = "lenet5"\nlearning_rate = 0.1\n']


def _read_recipe(folder: Path, data: bytes) -> object:
    path = folder / "recipe.toml"
    path.write_bytes(data)
    return load_recipe(path)


@cache
def _idx_files() -> list[bytes]:
    images = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)
    header = bytes((0, 0, 8, 3)) + np.array(images.shape, ">u4").tobytes()
    labels = bytes((0, 0, 8, 1)) + np.array([6], ">u4").tobytes() + bytes([0, 1, 2, 0, 1, 2])
    plain = [header + images.tobytes(), labels]
    return plain + [gzip.compress(data, mtime=0) for data in plain]


def _read_idx(folder: Path, data: bytes) -> object:
    whole = _idx_files()
    ending = ".gz" if data[:1] == b"\x1f" else ""
    # The length shows which of the two files was changed; the other one is whole.
    number = int(len(data) < 60)
    names = [folder / f"train-{kind}{ending}" for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    for old in folder.iterdir():
        old.unlink()
    names[number].write_bytes(data)
    names[1 - number].write_bytes(whole[2 * bool(ending) + 1 - number])
    return _probed(folder)


@cache
def _cifar_files() -> list[bytes]:
    names = b"".join(b"%d\n" % number for number in range(10))
    return [made.cifar_records(2, label_bytes=1, classes=10).tobytes(), names]


def _read_cifar(folder: Path, data: bytes) -> object:
    # A class list is text; records are not.
    names = len(data) < 1000
    records, whole = _cifar_files()
    (folder / "batches.meta.txt").write_bytes(data if names else whole)
    (folder / "data_batch_1.bin").write_bytes(records if names else data)
    return _probed(folder)


def _shards() -> list[bytes]:
    png = io.BytesIO()
    made.image(0, 8).save(png, "PNG")
    samples = {
        "a.png": png.getvalue(), "a.cls": b"0", "b.png": png.getvalue(), "b.json": b'{"label": "dog", "group": "g"}',
        "c.jpg": png.getvalue(), "c.cls": b"1", "c.txt": b"more",
    }  # fmt: skip
    found = []
    for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=kind) as archive:
            for name, content in samples.items():
                entry = tarfile.TarInfo(f"{'long' * 40 if kind != tarfile.USTAR_FORMAT else 'x'}/{name}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        found.append(stream.getvalue())
    return found


def _read_shard(folder: Path, data: bytes) -> object:
    (folder / "train-000.tar").write_bytes(data)
    return _probed(folder)


def _classes() -> list[bytes]:
    card = {"classes": ["cat", "dog"], "splits": {"train": {"shards": 1, "images": 3}}}
    lists: tuple[object, ...] = (["cat", "dog"], {"0": "cat", "1": "dog"}, {"cat": 0, "dog": 1}, card)
    return [json.dumps(one).encode() for one in lists]


def _read_card(folder: Path, data: bytes) -> object:
    (folder / "train-000.tar").write_bytes(_first_shard())
    for name in ("classes.json", "dataset.json"):
        (folder / name).unlink(missing_ok=True)
    (folder / ("dataset.json" if b"splits" in data else "classes.json")).write_bytes(data)
    return _probed(folder)


@cache
def _first_shard() -> bytes:
    return _shards()[0]


def _records() -> list[bytes]:
    """The JSON files of a run: model.json, status.json, scores.json, ablation.json, those of live/, lines of others."""
    spec = ModelSpec(
        name="lenet5",
        options={},
        preprocessing=Preprocessing(
            decoding=SIZE, normalization=Normalization(mean=(0.5,) * 3, std=(0.2,) * 3), classes=("a", "b")
        ),
        loss="softmax",
    )
    status = {
        "state": "training", "epoch": 1, "epochs": 3, "reason": "", "started": 1.0, "time": 2.0, "pid": 9, "host": "h",
    }  # fmt: skip
    plan = {
        "format": 1, "variants": ["baseline", "dropout"], "seeds": [0, 1], "data": "x",
        "costs": {"baseline": {"parameters": 3, "macs": 9}, "dropout": {"parameters": 3, "macs": None}},
    }  # fmt: skip
    norms = NormSample(step=20, epoch=0.5, outputs={"conv": 1.0}, gradients={"conv": None})
    within = StepProgress(
        epoch=1, epochs=2, batch=1, batches=2, step=1, steps=4, loss=1.0, accuracy=0.5, learning_rate=0.1,
        images_per_second=9.0, seconds_left=1.0,
    )  # fmt: skip
    live = LiveProgress(time=1.0, phase="training", within=within)
    score = {"name": "a", "images": 3, "precision": None, "recall": 0.5, "f1": 0.5}
    whole = {"split": "test", "images": 3, "accuracy_top1": 0.5, "loss": 1.0, "macro_f1": 0.5}
    scores = {"format": 1, **whole, "per_class": [score]}
    return [json.dumps(spec.to_dict()).encode(), json.dumps(status).encode(), event_line(ROW, time=1.0).encode(),
            json.dumps(plan).encode(), norm_line(norms).encode(), json.dumps(live.to_dict()).encode(),
            json.dumps(scores).encode()]  # fmt: skip


def _read_records(folder: Path, data: bytes) -> object:
    for name in ("model.json", "status.json", "ablation.json"):
        (folder / name).write_bytes(data)
    # Both say None for what is no record.
    read_event(data.decode("utf-8", "replace"))
    read_status(folder / "status.json")
    read_norms(data.decode("utf-8", "replace"))
    run = Run(folder)
    run.live.folder.mkdir(exist_ok=True)
    for path in (run.scores_path, run.live.progress_path):
        path.write_bytes(data)
    run.live.read_progress()
    reads = (lambda: read_spec(folder / "model.json").build(check=False), lambda: read_plan(run), run.scores)
    for read in reads:
        try:
            read()
        except RunError:
            continue
    return None


@cache
def _state() -> list[bytes]:
    progress = RunProgress(
        epoch=1, step=3, seconds=1.0, best={"epoch": 1, "accuracy": 0.5, "loss": 1.0}, rows=(ROW,), data="x",
        bits_depend_on={"torch": "2"},
    )  # fmt: skip
    return [json.dumps({"format": 1, **progress.to_dict()}).encode()]


@cache
def _checkpoint_tensors() -> bytes:
    tensors = {f"{part}/{name}": value for part in ("model", "best") for name, value in _layers().state_dict().items()}
    tensors["optimizer/0.weight/momentum_buffer"] = torch.ones(2, 1, 3, 3)
    return tensor_bytes(tensors)


def _entry(content: bytes) -> dict[str, object]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _manifest() -> list[bytes]:
    files = {TENSORS: _checkpoint_tensors(), STATE: _state()[0]}
    return [json.dumps({name: _entry(content) for name, content in files.items()}).encode()]


def _read_checkpoint(folder: Path, state: bytes, tensors: bytes, manifest: bytes | None = None) -> object:
    """Read a checkpoint as a run that goes on does; the manifest is right unless it is given."""
    step = folder / "step-000000003"
    step.mkdir(exist_ok=True)
    files = {TENSORS: tensors, STATE: state}
    files[MANIFEST] = manifest or json.dumps({name: _entry(content) for name, content in files.items()}).encode()
    for name, content in files.items():
        (step / name).write_bytes(content)
    found = load_checkpoint(folder)
    assert found is not None
    with refused_as(RunError, folder):
        RunProgress.of(found.values)
    network = _layers()
    load_weights(network, found.model, where=str(folder))
    # Its state is all that is written, and torch's take seconds to import.
    load_optimizer(network, cast(Any, SimpleNamespace(state=defaultdict(dict))), found.optimizer)
    return found


def _read_state(folder: Path, data: bytes) -> object:
    if data.lstrip()[:1] != b"{":
        return _read_checkpoint(folder, _state()[0], data)
    if b"sha256" in data:
        return _read_checkpoint(folder, _state()[0], _checkpoint_tensors(), data)
    return _read_checkpoint(folder, data, _checkpoint_tensors())


def _states() -> list[bytes]:
    return [*_state(), *_manifest(), _checkpoint_tensors()]


def _plans() -> list[bytes]:
    """Plans of steps as a resume writes them beside its checkpoint: whole, and made again twice."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        plan = StepPlan.of(90, epoch_steps=10)
        for made in (plan, plan.replanned(at=30, steps=40).replanned(at=35, steps=70)):
            save_plan(Path(folder), step=3, plan=made.to_dict())
            found.append((Path(folder) / PLAN).read_bytes())
    return found


def _read_plan(folder: Path, data: bytes) -> object:
    (folder / PLAN).write_bytes(data)
    with refused_as(RunError, folder / PLAN):
        plan = load_plan(folder, step=3)
        return None if plan is None else StepPlan.from_fields(plan).in_epochs_of(7)


def _inputs() -> list[bytes]:
    found = []
    for numbers in (np.arange(12.0).reshape(3, 4), np.ones((2, 3), np.uint8, order="F"), np.array(3, np.float16)):
        plain, packed = io.BytesIO(), io.BytesIO()
        np.save(plain, numbers)
        np.savez_compressed(packed, x=numbers)
        found += [plain.getvalue(), packed.getvalue()]
    for width in (1, 2, 3):
        stream = io.BytesIO()
        with wave.open(stream, "wb") as file:
            file.setparams((2, width, 8000, 0, "NONE", ""))
            file.writeframes(bytes(range(240)))
        found.append(stream.getvalue())
    return found


def _read_input(folder: Path, data: bytes) -> object:
    return read_sound(data) if data.startswith(b"RIFF") else read_array(data)


def _onnx_files() -> list[bytes]:
    import onnx
    from onnx import helper, numpy_helper

    def weight(name: str, *shape: int) -> Any:
        return numpy_helper.from_array(np.full(shape, 0.1, np.float32), name)

    def model(nodes: list[Any], weights: list[Any]) -> bytes:
        x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 3, 8, 8])
        y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
        made = helper.make_model(helper.make_graph(nodes, "g", [x], [y], weights), ir_version=8)
        return bytes(made.SerializeToString())

    def node(kind: str, reads: str, makes: str, **settings: Any) -> Any:
        return helper.make_node(kind, reads.split(), makes.split(), **settings)

    plain = model(
        [
            node("Conv", "x w b", "c", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
            node("BatchNormalization", "c b b b b", "n"),
            node("Relu", "n", "r"),
            node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
            node("Flatten", "p", "f", axis=1),
            node("Gemm", "f g", "y", transB=1),
        ],
        [weight("w", 4, 3, 3, 3), weight("b", 4), weight("g", 5, 64)],
    )
    shapes = numpy_helper.from_array(np.array([1, -1], np.int64), "parts")
    arithmetic = model(
        [
            node("Shape", "x", "s"),
            node("Gather", "s i", "n", axis=0),
            node("Unsqueeze", "n i", "u"),
            node("Concat", "u m", "t", axis=0),
            node("Reshape", "x t", "q"),
            node("Resize", "x _ k", "z", mode="linear", coordinate_transformation_mode="align_corners"),
            node("Transpose", "z", "v", perm=[0, 2, 3, 1]),
            node("ReduceMean", "v", "a", axes=[1, 2], keepdims=0),
            node("Softmax", "a", "y", axis=-1),
        ],
        [
            shapes, numpy_helper.from_array(np.array(0, np.int64), "i"), weight("_"),
            numpy_helper.from_array(np.array([-1], np.int64), "m"),
            numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "k"),
        ],
    )  # fmt: skip
    return [plain, arithmetic]


def _read_onnx(folder: Path, data: bytes) -> object:
    path = folder / "model.onnx"
    path.write_bytes(data)
    return convscope.inspect(str(path), (3, 8, 8))


TARGETS = {
    "images": Target(_images, _decode, words=tuple(b"\xff\xd8 \xff\xda \xff\xc4 IDAT IEND tRNS VP8X acTL".split())),
    "weights": Target(_weights, _read_weights, words=tuple(b'PK\x01\x02 F32 BF16 "shape" } tR Q \x8a .data'.split())),
    "csv": Target(
        lambda: [table.encode() for table in TABLES],
        _read_table,
        words=(*b', ; " a.png ../ \xef\xbb\xbf 1 0 nan label split \x00 =1'.split(), b"\t", b"\n", b"\r", b" "),
    ),
    "toml": Target(
        _recipes, _read_recipe, words=tuple(b'nan inf [[ ]] """ = auto -1 1e400 true 1979-05-27 {} . # 0x'.split())
    ),
    "idx": Target(_idx_files, _read_idx),
    "cifar": Target(_cifar_files, _read_cifar, words=(b"\n",)),
    "json": Target(_records, _read_records, json=True),
    "shards": Target(_shards, _read_shard, words=tuple(b".cls .json .png ustar 0000000 \x80 path= /".split())),
    "cards": Target(_classes, _read_card, json=True),
    "state": Target(_states, _read_state, json=True),
    "plans": Target(_plans, _read_plan, json=True),
    "onnx": Target(
        _onnx_files, _read_onnx, words=tuple(b"Conv Gemm Shape ../w \x08\x80 \xff\xff\xff\xff\x0f x y".split())
    ),
    "inputs": Target(_inputs, _read_input, words=tuple(b"descr ( ) '<f8' '|O' data LIST \x93NUMPY L True".split())),
}
