"""Build of the compiled modules of ``mftcore`` and ``mftpy``; everything static is in ``pyproject.toml``.

Environment
-----------
MFTCORE_DEBUG=1
    No optimisation, debug symbols, C assertions on.
MFTCORE_SANITIZE=address,undefined
    Passed to ``-fsanitize=``; run the result with the sanitiser's runtime preloaded.
"""

import multiprocessing
import os
import shutil
import sys
from pathlib import Path

if sys.platform != "linux":  # before anything that might not be there
    sys.exit(f"mftpy needs Linux (memfd, futex, eventfd, pidfd); this is {sys.platform}, so the build stops here.")

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).parent
CORES = len(os.sched_getaffinity(0))
DEBUG = os.environ.get("MFTCORE_DEBUG") == "1"
SANITIZE = os.environ.get("MFTCORE_SANITIZE", "")

compile_args = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wno-unused-parameter", "-fvisibility=hidden"]
compile_args += ["-O0", "-g3"] if DEBUG else ["-O3", "-g0", "-DNDEBUG"]
link_args = []
if SANITIZE:
    sanitize = [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g"]
    compile_args += sanitize
    link_args += sanitize

# each product is rounded by itself, as in the Numba code: the same input gives the same decision on every machine
EXACT = ["-ffp-contract=off"]
PACKAGES = {"mftcore": [], "mftpy/strategy": EXACT}
HEADERS = sorted(str(path.relative_to(HERE)) for path in (HERE / "mftcore/include/mftcore").glob("*.h"))


class BuildInPlaceToo(build_ext):
    """Build as asked, and put the modules beside their sources as well.

    Run from a clone, the source folders come before the installed packages on the path; without the compiled modules
    in them, ``pip install . && python -m mftpy`` would fail there.
    """

    def finalize_options(self):
        super().finalize_options()
        if self.parallel is None:  # one compiler per module and core; --parallel says otherwise
            self.parallel = CORES

    def run(self):
        super().run()
        if self.inplace:
            return
        for extension in self.extensions:
            built = Path(self.get_ext_fullpath(extension.name))
            beside_source = HERE / Path(*extension.name.split(".")[:-1]) / built.name
            # a new file under a temporary name: a running process may have the old one mapped
            fresh = beside_source.with_suffix(".new")
            shutil.copy2(built, fresh)
            fresh.replace(beside_source)


setup(
    ext_modules=cythonize(
        [
            Extension(
                ".".join([*package.split("/"), path.stem]),
                [str(path.relative_to(HERE))],
                include_dirs=["mftcore/include"],
                depends=HEADERS,
                extra_compile_args=compile_args + flags,
                extra_link_args=link_args,
            )
            for package, flags in PACKAGES.items()
            for path in sorted((HERE / package).glob("*.pyx"))
        ],
        build_dir="build/cython",
        # side by side where a child is a fork; another kind of child would run this file once more
        nthreads=CORES if CORES > 1 and multiprocessing.get_start_method() == "fork" else 0,
        include_path=["."],
        compiler_directives={"language_level": 3, "embedsignature": True, "binding": True},
    ),
    cmdclass={"build_ext": BuildInPlaceToo},
)
