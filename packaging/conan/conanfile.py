"""pgcoro for Conan 2: `conan create packaging/conan`.

libpg_query is not in ConanCenter and comes from the system (Debian: libpg-query-dev); so does Chart.js
(libjs-chart.js), without which there is no pgcoro::monitor.
"""
import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load
from conan.tools.gnu import PkgConfigDeps
from conan.tools.system.package_manager import Apt


class Pgcoro(ConanFile):
    name = "pgcoro"
    description = "Coroutine-native PostgreSQL access for C++20 services, on Boost.Asio and libpq"
    topics = ("postgresql", "coroutines", "asio", "connection-pool")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "fPIC": [True, False], "command": [True, False],
               "prometheus": [True, False], "testing": [True, False]}
    default_options = {"shared": False, "fPIC": True, "command": False, "prometheus": False, "testing": False,
                       "boost/*:without_json": False}

    @property
    def _root(self):
        return os.path.join(self.recipe_folder, "..", "..")

    def set_version(self):
        header = load(self, os.path.join(self._root, "include", "pgcoro", "version.hpp"))
        self.version = re.search(r'PGCORO_VERSION_STRING "([^"]+)"', header).group(1)

    def export_sources(self):
        for pattern in ("CMakeLists.txt", "cmake/*", "include/*", "src/*", "LICENSE"):
            copy(self, pattern, self._root, self.export_sources_folder)

    def validate(self):
        check_min_cppstd(self, 20)

    def configure(self):
        if self.options.shared:
            self.options.rm_safe("fPIC")

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        self.requires("boost/[>=1.81.0]", transitive_headers=True, transitive_libs=True)
        self.requires("libpq/[>=14]", transitive_headers=True)
        self.requires("openssl/[>=1.1 <4]")
        if self.options.prometheus:
            self.requires("prometheus-cpp/[>=1.0]", transitive_headers=True)
        if self.options.command:
            self.requires("cli11/[>=2.3]")

    def build_requirements(self):
        self.tool_requires("cmake/[>=3.25]")

    def system_requirements(self):
        Apt(self).install(["libpg-query-dev"])

    def generate(self):
        CMakeDeps(self).generate()
        PkgConfigDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables.update({
            "PGCORO_BUILD_CLI": bool(self.options.command),
            "PGCORO_BUILD_TESTING": bool(self.options.testing),
            "PGCORO_BUILD_MONITOR": False,
            "PGCORO_BUILD_REDIS": False,
            "PGCORO_BUILD_TESTS": False,
            "PGCORO_BUILD_EXAMPLES": False,
            "PGCORO_BUILD_BENCH": False,
            "CMAKE_DISABLE_FIND_PACKAGE_prometheus-cpp": not self.options.prometheus,
        })
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))

    def package_info(self):
        # Its own files for CMake would look for pkg-config's libpq; those that Conan makes know the requirements.
        self.cpp_info.set_property("cmake_file_name", "pgcoro")
        self.cpp_info.components["pgcoro"].set_property("cmake_target_name", "pgcoro::pgcoro")
        self.cpp_info.components["pgcoro"].set_property("pkg_config_name", "pgcoro")
        self.cpp_info.components["pgcoro"].libs = ["pgcoro"]
        self.cpp_info.components["pgcoro"].system_libs = ["pg_query", "pthread"]
        self.cpp_info.components["pgcoro"].requires = ["boost::headers", "boost::json", "libpq::libpq",
                                                        "openssl::openssl"]
        if self.options.command: # the command alone uses it
            self.cpp_info.components["pgcoro"].requires.append("cli11::cli11")
        if self.options.prometheus:
            self._component("prometheus", ["pgcoro", "prometheus-cpp::prometheus-cpp"])
        if self.options.testing:
            self._component("testing", ["boost::headers"])

    def _component(self, name, requires):
        component = self.cpp_info.components[name]
        component.set_property("cmake_target_name", f"pgcoro::{name}")
        component.libs = [f"pgcoro_{name}"]
        component.requires = requires
