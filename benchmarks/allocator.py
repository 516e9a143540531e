"""What it costs a step on a CPU that freed memory goes back to the operating system, and what keeping it saves.

    python benchmarks/allocator.py [--batch 64] [--steps 4] [--size 129]

Steps of MobileNetV2 (fine-tuned, channels_last, one thread), in a process with `keep_freed_memory` and in one without.
Seconds of the kernel and page faults are the cause; wall seconds depend on what else the machine does. Both processes
must end with the same loss, bit for bit.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time

_KEPT = {"default": False, "kept": True}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--size", type=int, default=129, help="side of the images in pixels")
    parser.add_argument("--child", choices=_KEPT, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        found = measured(arguments.batch, arguments.steps, arguments.size, keep=_KEPT[arguments.child])
        print(json.dumps(found))
        return
    show({kind: in_a_process(kind) for kind in _KEPT})


def in_a_process(kind: str) -> dict[str, float]:
    command = [sys.executable, *sys.argv, "--child", kind]
    single = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=single)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measured(batch: int, steps: int, size: int, *, keep: bool) -> dict[str, float]:
    """Seconds and page faults per step, after two steps that are not counted."""
    import torch

    from trainables.backbones.build import build_backbone
    from trainables.backbones.config import MobileNetV2
    from trainables.memory import keep_freed_memory

    if keep and not keep_freed_memory():
        raise SystemExit("this C library is not glibc: there is nothing to compare")
    torch.manual_seed(0)
    network = build_backbone(MobileNetV2(), channels=3, seed=0).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(network.parameters())
    images = torch.rand(batch, 3, size, size).contiguous(memory_format=torch.channels_last)

    def train(count: int) -> float:
        for _ in range(count):
            optimizer.zero_grad(set_to_none=True)
            loss = network(images).square().mean()
            loss.backward()
            optimizer.step()
        return float(loss)

    train(2)
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    loss = train(steps)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    return {
        "wall": wall / steps,
        "user": (after.ru_utime - before.ru_utime) / steps,
        "system": (after.ru_stime - before.ru_stime) / steps,
        "faults": (after.ru_minflt - before.ru_minflt) / steps,
        "peak MB": after.ru_maxrss / 1024,
        "loss": loss,
    }


def show(found: dict[str, dict[str, float]]) -> None:
    from trainables.provenance import device_name, package_versions

    versions = json.loads(package_versions())
    shown = ", ".join(f"{name} {versions[name]}" for name in ("dml-study", "python", "torch"))
    about = {
        "command": " ".join(["python", *sys.argv]),
        "machine": f"{os.cpu_count()} CPUs, {device_name('cpu')}, {platform.platform()}",
        "versions": f"{shown}, {' '.join(platform.libc_ver())}",
    }
    print("\n".join(f"{key}: {value}" for key, value in about.items()), end="\n\n")
    print(f"{'per step':8} {'wall s':>8} {'user s':>8} {'kernel s':>8} {'faults':>10} {'peak MB':>8}")
    for kind, row in found.items():
        seconds = " ".join(f"{row[key]:8.2f}" for key in ("wall", "user", "system"))
        print(f"{kind:8} {seconds} {row['faults']:10,.0f} {row['peak MB']:8,.0f}")
    same = len({row["loss"] for row in found.values()}) == 1
    print(f"the loss is {'the same, bit for bit' if same else 'ANOTHER ONE'}")


if __name__ == "__main__":
    main()
