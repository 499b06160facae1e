"""Builds ``ring_level``, in a copy of this folder that the suite makes; MFTCORE_INCLUDE names the C headers."""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

setup(
    name="ring_level",
    ext_modules=cythonize(
        [
            Extension(
                "ring_level",
                ["ring_level.pyx"],
                include_dirs=[os.environ["MFTCORE_INCLUDE"]],
                extra_compile_args=["-std=c11", "-D_GNU_SOURCE", "-O3"],
            )
        ]
    ),
)
