"""What `./do container` reads in the Dockerfile, .dockerignore and compose.yaml. The run itself needs root."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from repository.container import Base, read_base, read_database, read_sources

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
SOURCES = read_sources((ROOT / ".dockerignore").read_text(encoding="utf-8"))


def test_the_base_image_says_its_python_and_its_debian() -> None:
    text = "FROM python:3.14-slim-forky AS build\nRUN true\nFROM python:3.14-slim-forky\n"
    assert read_base(text) == Base("python:3.14-slim-forky", "3.14", "forky")
    assert read_base(DOCKERFILE).image.startswith("python:3.")


@pytest.mark.parametrize(
    "text",
    [
        "FROM python:3.13-slim\n",
        "FROM debian:trixie\n",
        "FROM python:3.13-slim-trixie AS build\nFROM python:3.14-slim-trixie\n",
        "RUN true\n",
    ],
)
def test_a_base_image_that_does_not_say_its_debian_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="python:VERSION-slim-RELEASE"):
        read_base(text)


def test_compose_names_a_version_of_postgresql() -> None:
    image, version = read_database(COMPOSE)
    assert image == f"postgres:{version}"
    with pytest.raises(ValueError, match="no image"):
        read_database(COMPOSE.replace("image: postgres", "image: mysql"))


def test_what_the_dockerfile_copies_is_let_through_to_the_build_and_nothing_else() -> None:
    copied = {name for line in re.findall(r"^COPY ([^-].*) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()}
    assert copied == {name for name in SOURCES if "*" not in name}
    assert all((ROOT / name).exists() for name in copied)


def test_the_volume_of_compose_is_what_the_image_gives_its_user() -> None:
    (home,) = re.findall(r"useradd .*--home-dir (\S+)", DOCKERFILE)
    assert re.search(rf"install --directory --owner testlab --mode 0700 {home}$", DOCKERFILE, re.MULTILINE)
    assert f"- data:{home}\n" in COMPOSE
