"""Where a result came from: versions and machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

LIBRARIES = ("numpy", "cryptography", "msgspec")


def versions() -> dict[str, str]:
    """Versions of securefl, Python and what the core rests on."""
    import securefl

    return {
        "securefl": securefl.__version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def machine() -> dict[str, str | int]:
    """The processor, its cores and the operating system, as far as the system says."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
