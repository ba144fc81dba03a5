"""The Python environment of the benchmark: made once, in the cache folder."""

import os
import subprocess
import sys

from . import paths
from .errors import BenchError

REQUIREMENTS = paths.BENCH / "requirements.txt"


def pip_install(python, *arguments):
    """Install packages with pip into the environment of an interpreter."""
    answer = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *arguments], text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    if answer.returncode != 0:
        raise BenchError(f"pip install failed:\n{answer.stdout}")


def ensure():
    """Path of the interpreter of an environment that meets requirements.txt."""
    folder = paths.cache() / "venv"
    python = folder / "bin" / "python"
    stamp = folder / "requirements.txt"
    wanted = REQUIREMENTS.read_text()
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    print("bench: making a Python environment (once)", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder],
                   check=True)
    pip_install(python, "-r", REQUIREMENTS)
    stamp.write_text(wanted)
    return python


def reenter(python, module, arguments):
    """Become that interpreter, running a module."""
    environment = os.environ | {"PYTHONPATH": str(paths.BENCH),
                                "PYTHONUNBUFFERED": "1",
                                "PYTHONDONTWRITEBYTECODE": "1"}
    os.execve(python, [str(python), "-m", module, *arguments], environment)
