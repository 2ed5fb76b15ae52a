"""Names of images, resolved among the images of a machine."""

import re
from collections.abc import Mapping
from typing import Final

_ID: Final = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_PART_OF_AN_ID: Final = re.compile(r"(?:sha256:)?[0-9a-f]{12,63}")


def image_id(images: Mapping[str, str], image: str) -> str | None:
    """The id of the local image that Podman would run for the name `image`; None when there is none.

    `images`: names with a tag, names with a digest, and ids -> id. A name without a tag means `latest`. The tag before
    a digest does not count (Podman 5.4). A name without a registry is looked for on localhost first, then on docker.io.
    """
    if whole := _ID.fullmatch(image):
        return images.get(whole[1])
    name, at, digest = image.partition("@")
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    full = f"{folder}{slash}{last}" + (f"@{digest}" if at else f":{tag or 'latest'}")
    for reference in (full, f"localhost/{full}", f"docker.io/library/{full}", f"docker.io/{full}"):
        if reference in images:
            return images[reference]
    return None


def missing(image: str) -> str:
    """What to say of an image that is not on the machine, with what mends it."""
    if _ID.fullmatch(image):
        return f"no image on this machine has the id {image}; `podman images --no-trunc` lists the ids"
    absent = f"{image} is not on this machine"
    if _PART_OF_AN_ID.fullmatch(image):
        return f"{absent}; an id has 64 digits: `podman images --no-trunc` lists the ids"
    registry = image.split("/", 1)[0] if "/" in image else ""
    if registry == "localhost":
        return f"{absent}; build it with `podman build --tag {image}`, or load it with `podman load`"
    if "." not in registry and ":" not in registry:
        fetch = f"fetch it from its registry, as in `podman pull docker.io/{image}`"
        return f"{absent}; build it as localhost/{image}, or {fetch}"
    return f"{absent}; fetch it with `podman pull {image}`"
