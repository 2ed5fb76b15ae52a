"""Names of images, resolved among the images of a machine."""

from collections.abc import Mapping


def image_id(images: Mapping[str, str], image: str) -> str | None:
    """The id of the local image that Podman would run for the name `image`; None when there is none.

    `images`: reference -> id. A name without a tag means `latest`. Podman looks for a name without a registry on
    localhost first, then on docker.io.
    """
    tagged = image if ":" in image.rsplit("/", 1)[-1] or "@" in image else f"{image}:latest"
    for reference in (tagged, f"localhost/{tagged}", f"docker.io/library/{tagged}", f"docker.io/{tagged}"):
        if reference in images:
            return images[reference]
    return None
