"""Scoring on the processor: ours against torch-fidelity and clean-fid, with the same weights, images and threads.

    python benches/score.py IMAGES_A IMAGES_B --weights inception.pth [--threads 2] [--repeat 3] [--only pre,net,all]

IMAGES_A and IMAGES_B are folders of images. Three tables, each the best of the repeats, every method in turn so that a
loaded machine slows all alike:

pre     decoding and resizing to 299x299 alone, one thread: milliseconds of processor time an image
net     the network alone on one batch of 8: milliseconds of processor time an image
all     from two folders to the number: seconds, and the number

clean-fid's network is a download, so it gets pytorch-fid's with the weights given; everything else is its own.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import cleanfid.fid
import numpy as np
import pytorch_fid.inception
import torch
import torch_fidelity
from cleanfid.resize import build_resizer
from PIL import Image
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from gantools.metrics.images.stored import Stored
from gantools.metrics.networks.protocols import PROTOCOLS
from gantools.metrics.scorer import score
from gantools.pretrained import inception


def compare(
    title: str, methods: dict[str, Callable[[], object]], repeat: int, clock: Callable[[], float], per: int
) -> None:
    best = dict.fromkeys(methods, float("inf"))
    result: dict[str, object] = {}
    for _ in range(repeat):
        for name, method in methods.items():
            began = clock()
            result[name] = method()
            best[name] = min(best[name], clock() - began)
    print(f"\n{title}")
    ours = {name: seconds for name, seconds in best.items() if name.startswith("gantools")}
    for name, seconds in best.items():
        rule = name.split()[-1]
        mine = ours.get(f"gantools {rule}", min(ours.values()))
        unit = f"{seconds / per * 1e3:8.2f} ms" if per else f"{seconds:8.2f} s"
        value = f"  {result[name]:.6f}" if isinstance(result[name], float) else ""
        print(f"  {name:32s} {unit}  {seconds / mine:5.2f}x{value}")


def preprocessing(folder: Path, n: int) -> dict[str, Callable[[], object]]:
    files = sorted(p for p in folder.iterdir() if p.is_file())[:n]
    source = Stored.of_files(folder, [f.relative_to(folder).as_posix() for f in files])
    resizer = build_resizer("clean")

    def ours(protocol: str) -> Callable[[], object]:
        return lambda: [source.read(i, min(i + 32, n), [PROTOCOLS[protocol].input]) and None for i in range(0, n, 32)]

    def clean_fid() -> object:
        # What cleanfid.utils.ResizeDataset does for a file, and the collation into batches.
        for start in range(0, n, 32):
            batch = []
            for path in files[start : start + 32]:
                resized = resizer(np.array(Image.open(path).convert("RGB")))
                batch.append(torch.tensor(resized.transpose((2, 0, 1))))
            torch.stack(batch)
        return None

    def fidelity() -> object:
        for start in range(0, n, 32):
            images = [np.array(Image.open(p).convert("RGB")) for p in files[start : start + 32]]
            batch = torch.stack([torch.from_numpy(i).permute(2, 0, 1) for i in images]).float()
            interpolate_bilinear_2d_like_tensorflow1x(batch, size=(299, 299), align_corners=False)
        return None

    return {
        "gantools clean": ours("clean"),
        "clean-fid clean": clean_fid,
        "gantools tf": ours("tf"),
        "torch-fidelity tf": fidelity,
    }


def networks(weights: Path) -> dict[str, Callable[[], object]]:
    ours = inception.load(weights)
    fidelity = FeatureExtractorInceptionV3("fid", ["2048"], feature_extractor_weights_path=str(weights)).eval()
    fid = peer_network(weights)
    x = (torch.rand(8, 299, 299, 3) * 255).round()
    bytes_ = x.permute(0, 3, 1, 2).contiguous().to(torch.uint8)
    scaled = (x.permute(0, 3, 1, 2).contiguous() - 128) / 128

    def run(net: Callable[..., object], *given: object) -> Callable[[], object]:
        def once() -> object:
            with torch.inference_mode():
                net(*given)
            return None

        return once

    return {
        "gantools": run(ours, x),
        "torch-fidelity (with resize)": run(fidelity, bytes_),
        "pytorch-fid": run(fid, scaled),
    }


def peer_network(weights: Path) -> torch.nn.Module:
    state = torch.load(weights, weights_only=True)
    pytorch_fid.inception.load_state_dict_from_url = lambda *a, **k: state
    return pytorch_fid.inception.InceptionV3(resize_input=False, normalize_input=False).eval()


def everything(a: Path, b: Path, weights: Path, batch: int) -> dict[str, Callable[[], object]]:
    net = peer_network(weights)

    def ours(protocol: str) -> Callable[[], object]:
        def once() -> object:
            with contextlib.redirect_stderr(io.StringIO()):
                # Without intervals, which the others do not have.
                options = {"weights": weights, "device": "cpu", "cache": False, "batch": batch, "interval": False}
                return score(a, ref=b, protocol=protocol, **options).value

        return once

    def fidelity() -> object:
        found = torch_fidelity.calculate_metrics(
            input1=str(a), input2=str(b), fid=True, cuda=False, cache=False, verbose=False, save_cpu_ram=True,
            feature_extractor_weights_path=str(weights), batch_size=batch,
        )  # fmt: skip
        return float(found["frechet_inception_distance"])

    def model(x: torch.Tensor) -> torch.Tensor:
        return net((x - 128) / 128)[0].flatten(1)

    def clean_fid() -> object:
        return float(
            cleanfid.fid.compare_folders(
                str(a), str(b), model, "clean", num_workers=0, batch_size=batch, device=torch.device("cpu"),
                verbose=False,
            )
        )  # fmt: skip

    return {
        "gantools tf": ours("tf"),
        "torch-fidelity tf": fidelity,
        "gantools clean": ours("clean"),
        "clean-fid clean": clean_fid,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", type=Path)
    parser.add_argument("b", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--only", default="pre,net,all")
    args = parser.parse_args()
    wanted = args.only.split(",")
    # One thread for ours, too: the extension asks the machine, which counts what this process may run on.
    cores = sorted(os.sched_getaffinity(0))
    n = min(256, sum(p.is_file() for p in args.a.iterdir()))
    print(f"{platform.machine()}, {len(cores)} cores, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")
    if "pre" in wanted or "net" in wanted:
        os.sched_setaffinity(0, cores[:1])
        torch.set_num_threads(1)
        if "pre" in wanted:
            title = f"pre: {n} images, one core"
            compare(title, preprocessing(args.a, n), args.repeat, time.process_time, n)
        if "net" in wanted:
            compare("net: batches of 8, one core", networks(args.weights), args.repeat, time.process_time, 8)
        os.sched_setaffinity(0, cores)
    if "all" in wanted:
        os.sched_setaffinity(0, cores[: args.threads])
        torch.set_num_threads(args.threads)
        title = f"all: two folders of {n}, {args.threads} threads"
        compare(title, everything(args.a, args.b, args.weights, args.batch), args.repeat, time.perf_counter, 0)


if __name__ == "__main__":
    main()
