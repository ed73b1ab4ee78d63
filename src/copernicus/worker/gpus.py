"""The GPUs of this machine: NVIDIA's by NVML, AMD's by their own tool; and how programs are told.

What ``CUDA_VISIBLE_DEVICES`` or ``ROCR_VISIBLE_DEVICES`` leave to this process is respected.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from copernicus.model.gpus import Gpu

NVIDIA, AMD = "nvidia", "amd"
VARIABLES = {NVIDIA: "CUDA_VISIBLE_DEVICES", AMD: "ROCR_VISIBLE_DEVICES"}
_ROCM = ("rocm-smi", "--showproductname", "--showmeminfo", "vram", "--json")
_ASK_S = 20.0
_MB = 1 << 20


def find_gpus(environment: Mapping[str, str] = os.environ) -> tuple[Gpu, ...]:
    """The GPUs that this process may use."""
    nvidia = visible(nvidia_gpus(), environment.get(VARIABLES[NVIDIA]), NVIDIA)
    amd = visible(amd_gpus(environment.get("PATH")), environment.get(VARIABLES[AMD]), AMD)
    return (*nvidia, *amd)


def visible(found: Sequence[Gpu], mask: str | None, vendor: str) -> tuple[Gpu, ...]:
    """Those that a mask names; what it names and nobody has found is taken on trust."""
    if mask is None:
        return tuple(found)
    names = [name.strip() for name in mask.split(",") if name.strip() not in ("", "-1")]
    known = {gpu.id: gpu for gpu in found}
    return tuple(known.get(name, Gpu(name, vendor)) for name in names)


def nvidia_gpus() -> tuple[Gpu, ...]:
    """NVIDIA's, in the order of the bus; none without its driver, or without pynvml."""
    try:
        import pynvml
    except ImportError:
        return ()
    try:
        pynvml.nvmlInit()
        return tuple(_nvidia(pynvml, place) for place in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError:
        return ()


def _nvidia(nvml: Any, place: int) -> Gpu:
    device = nvml.nvmlDeviceGetHandleByIndex(place)
    name = nvml.nvmlDeviceGetName(device)
    text = name.decode() if isinstance(name, bytes) else str(name)
    memory = int(nvml.nvmlDeviceGetMemoryInfo(device).total) // _MB
    return Gpu(str(place), NVIDIA, memory, text)


def amd_gpus(path: str | None = None) -> tuple[Gpu, ...]:
    """AMD's, as ``rocm-smi --json`` tells of them; none without it."""
    tool = shutil.which(_ROCM[0], path=path)
    if tool is None:
        return ()
    try:
        told = subprocess.run(
            [tool, *_ROCM[1:]], capture_output=True, text=True, timeout=_ASK_S, check=True
        )
        return read_rocm(json.loads(told.stdout))
    except (OSError, subprocess.SubprocessError, ValueError):
        return ()


def read_rocm(told: Mapping[str, Any]) -> tuple[Gpu, ...]:
    """The GPUs in what ``rocm-smi --json`` prints: a table for each card."""
    found = []
    for card, facts in told.items():
        place = re.fullmatch(r"card(\d+)", card)
        if place is None or not isinstance(facts, dict):
            continue
        size = str(facts.get("VRAM Total Memory (B)", "0"))
        names = (facts.get(key) for key in ("Card series", "Card Series", "Card model"))
        name = next((str(one) for one in names if one), "")
        memory = int(size) // _MB if size.isdigit() else 0
        found.append((int(place[1]), Gpu(place[1], AMD, memory, name)))
    return tuple(gpu for _, gpu in sorted(found))


def told_to_programs(owned: Iterable[Gpu], taken: Sequence[Gpu]) -> dict[str, str]:
    """The variables by which a program sees the GPUs it was given, and no other of the worker."""
    told = {}
    for vendor in sorted({gpu.vendor or NVIDIA for gpu in owned}):
        ids = [gpu.id for gpu in taken if (gpu.vendor or NVIDIA) == vendor]
        told[VARIABLES.get(vendor, VARIABLES[NVIDIA])] = ",".join(ids)
        if vendor == NVIDIA:
            told["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    return told
