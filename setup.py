"""Packaging of OctoPrint-FaceSculpt: plain setuptools, no import of OctoPrint."""

from pathlib import Path

from setuptools import find_namespace_packages, setup

setup(
    name="OctoPrint-FaceSculpt",
    version="0.1.0",
    description="Turns one photo of a face into a printed bust, from the OctoPrint dashboard",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="AGPL-3.0-or-later",
    python_requires=">=3.11,<4",
    packages=find_namespace_packages(include=["octoprint_facesculpt", "octoprint_facesculpt.*"]),
    include_package_data=True,
    zip_safe=False,
    install_requires=[
        "octoprint>=1.11.8,<3",
        "torch>=2.2,<3",
        "numpy>=1.26",
        "scipy>=1.11",
        "opencv-python-headless>=4.8",
        "pillow>=10",
        "pillow-heif>=0.16",
        "scikit-image>=0.22",
        # Before 4.6 a 3MF file is read as a scene, before 3.2 a solid cannot be simplified.
        "trimesh>=4.6",
        "manifold3d>=3.2",
        # trimesh writes 3MF with these two.
        "lxml>=5",
        "networkx>=3",
        "safetensors>=0.4",
        "requests>=2.31",
        "peewee>=3.17",
        "psutil>=5.9",
    ],
    extras_require={
        "test": [
            "pytest>=8",
            "pytest-xdist>=3",
            "babel>=2.12",
            "hypothesis>=6",
            "playwright>=1.40",
            "gcode-thumbnail-tool>=0.1",
            "pyyaml>=6",
            "build>=1",
            # trimesh measures distances to a surface with it.
            "rtree>=1",
            "numba>=0.60",
            # Two releases of a formatter or type checker seldom agree.
            "ruff==0.17.*",
            "mypy==2.4.*",
        ],
        "training": ["numba>=0.60"],
    },
    entry_points={
        "octoprint.plugin": [
            "facesculpt = octoprint_facesculpt",
            "facesculpt_curaengine = octoprint_facesculpt.slicing.cura_plugin",
        ]
    },
)
