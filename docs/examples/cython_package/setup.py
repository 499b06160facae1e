"""Build of the compiled module; no include directory and no header of mftcore is needed."""

from Cython.Build import cythonize
from setuptools import Extension, setup

setup(
    ext_modules=cythonize(
        [Extension("trade_summary.follower", ["trade_summary/follower.pyx"])],
        compiler_directives={"language_level": 3},
    )
)
