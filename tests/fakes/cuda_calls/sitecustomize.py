"""With this folder on PYTHONPATH, each process writes down its calls of torch.cuda, and whether it is a job.

With PYTORCH_NVML_BASED_CUDA_CHECK, is_available and its device_count ask the library of the driver, not CUDA.
"""

import importlib.abc
import importlib.machinery
import os
import sys
import traceback

WATCHED = ("is_available", "device_count", "_lazy_init", "init", "get_device_name", "get_device_properties")
FILE = os.environ.get("CUDA_CALLS")


def watched(name, call):
    def recorded(*given, **named):
        place = "job" if os.environ.get("FUSIONLAB_PROGRESS") else "no job"
        if name in ("is_available", "device_count") and os.environ.get("PYTORCH_NVML_BASED_CUDA_CHECK") == "1":
            place += ", without CUDA"
        stack = " < ".join(f"{one.filename}:{one.lineno}" for one in traceback.extract_stack()[-6:-1])
        with open(FILE, "a") as file:
            file.write(f"{place}\t{os.getpid()}\t{name}\t{stack}\n")
        return call(*given, **named)

    return recorded


class Loader(importlib.abc.Loader):
    def __init__(self, own):
        self.own = own

    def create_module(self, spec):
        return self.own.create_module(spec)

    def exec_module(self, module):
        self.own.exec_module(module)
        for name in WATCHED:
            setattr(module, name, watched(name, getattr(module, name)))


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "torch.cuda":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        spec.loader = Loader(spec.loader)
        return spec


if FILE:
    sys.meta_path.insert(0, Finder())
