#!/usr/bin/env python3
"""Can the port and the recipe be read, and do they say what the sources say? Neither vcpkg nor conan is needed."""
import ast
import json
import pathlib
import re
import subprocess
import sys
import tempfile

here = pathlib.Path(__file__).resolve().parent
root = here.parent
version = re.search(r'VERSION_STRING "([^"]+)"', (root / "include/pgcoro/version.hpp").read_text()).group(1)
options = set(re.findall(r"option\((PGCORO_\w+)", (root / "CMakeLists.txt").read_text()))
failures = []

port = here / "vcpkg/ports/pgcoro"
manifest = json.loads((port / "vcpkg.json").read_text())
if manifest["version-semver"] != version:
    failures.append(f"vcpkg.json has version {manifest['version-semver']}, the header {version}")
portfile = (port / "portfile.cmake").read_text()
for feature in re.findall(r"^\s+(\w+) (?:PGCORO_\w+|CMAKE_DISABLE\S+)$", portfile, re.M):
    if feature not in manifest["features"]:
        failures.append(f"portfile.cmake knows the feature {feature}, vcpkg.json does not")

recipe = (here / "conan/conanfile.py").read_text()
ast.parse(recipe)
for name, text in (("portfile.cmake", portfile), ("conanfile.py", recipe)):
    for option in set(re.findall(r"PGCORO_BUILD_\w+", text)) - options:
        failures.append(f"{name} sets {option}, which CMakeLists.txt does not have")

# CMake itself reads the portfile, with vcpkg's own functions as nothing.
functions = set(re.findall(r"^\s*(vcpkg_\w+)\(", portfile, re.M))
with tempfile.TemporaryDirectory() as folder:
    script = pathlib.Path(folder) / "read.cmake"
    packages = pathlib.Path(folder) / "packages"
    script.write_text("cmake_minimum_required(VERSION 3.25)\n" + "".join(f"function({f})\nendfunction()\n" for f in sorted(functions))
                      + f'set(FEATURES command)\nset(CURRENT_PACKAGES_DIR "{packages}")\ninclude("{port}/portfile.cmake")\n')
    read = subprocess.run(["cmake", "-P", str(script)], capture_output=True, text=True)
    if read.returncode != 0:
        failures.append(f"CMake cannot read portfile.cmake:\n{read.stderr}")

for failure in failures:
    print(f"packaging: {failure}", file=sys.stderr)
if failures:
    sys.exit(1)
print("packaging: the vcpkg port and the Conan recipe can be read, and fit the sources")
