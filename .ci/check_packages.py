"""Check that the sdist holds what a build needs and the wheel what users need: check_packages.py DIST."""

import sys
import tarfile
import zipfile
from pathlib import Path


def missing(names: set[str], wanted: list[str]) -> list[str]:
    return [want for want in wanted if not any(name.endswith(want) for name in names)]


def main() -> int:
    dist = Path(sys.argv[1])
    (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    stems = sorted(str(path.with_suffix("")) for top in ("mftcore", "mftpy") for path in Path(top).rglob("*.pyx"))
    headers = [str(path) for path in Path("mftcore/include/mftcore").glob("*.h")]
    with tarfile.open(sdist) as archive:
        in_sdist = set(archive.getnames())
    sources = [f"{stem}{end}" for stem in stems for end in (".pyx", ".pxd", ".pyi")]
    absent = missing(in_sdist, [*sources, *headers, "mftcore/py.typed", "mftpy/py.typed", "LICENSE", "conftest.py"])
    pictures = [str(path) for path in Path("docs").glob("*.svg")]
    absent += missing(in_sdist, pictures or ["docs/*.svg"])
    built = [str(path) for end in ("c", "pyx", "toml") for path in Path("docs/examples").rglob(f"*.{end}")]
    golden = [str(path) for path in Path("tests/golden").rglob("*.z")]
    absent += missing(in_sdist, [*(built or ["docs/examples/**"]), *(golden or ["tests/golden/**.z"])])
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    compiled = [f"{stem}.cpython" for stem in stems]
    typed = [f"{stem}{end}" for stem in stems for end in (".pxd", ".pyi")]
    absent += missing(
        in_wheel,
        [*typed, *headers, "mftcore/__init__.pxd", "mftpy/strategy/__init__.pxd", "mftcore/py.typed", "mftpy/py.typed"],
    )
    absent += [
        stem for stem in compiled if not any(name.startswith(stem) and name.endswith(".so") for name in in_wheel)
    ]
    strays = [name for name in in_sdist if name.endswith((".so", ".pyc"))]
    strays += [name for name in in_wheel if name.endswith((".c", ".pyc")) or name.startswith("tests/")]
    for name in absent:
        print(f"missing: {name}")
    for name in strays:
        print(f"should not be there: {name}")
    print(f"{sdist.name}: {len(in_sdist)} entries; {wheel.name}: {len(in_wheel)} entries")
    return 1 if absent or strays else 0


if __name__ == "__main__":
    sys.exit(main())
