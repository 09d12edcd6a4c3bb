"""The names that `publish-image` gives a signed image."""

from __future__ import annotations

from tools.samples.image import Imaged


def test_a_protected_tag_gets_an_image(imaged: Imaged) -> None:
    pushed = imaged.digest("1.0.0-candidate")
    done = imaged.release.retry("verify-image", "publish-image")
    assert done.results == {"verify-image": "passed", "publish-image": "passed"}, done.output
    assert imaged.tags() == {"1.0.0-candidate", "1.0.0", "latest", "signatures"}
    assert {imaged.digest(tag) for tag in ("1.0.0-candidate", "1.0.0", "latest")} == {pushed}
    link = imaged.release.artifact("publish-image", "links/image").read_text(encoding="utf-8")
    assert link.split() == [f"{imaged.name}:1.0.0@{pushed}", f"{imaged.project_url}/container_registry", "image"]
    # No login is left on the runner.
    assert not list(imaged.release.path.rglob(".registry"))


def test_the_name_of_the_package_in_the_tag_is_not_in_that_of_the_image(imaged: Imaged) -> None:
    done = imaged.release.retry("publish-image", event="tag another-v1.0.0")
    assert done.results == {"publish-image": "passed"}, done.output
    assert imaged.tags() == {"1.0.0-candidate", "1.0.0", "latest", "signatures"}


def test_a_version_that_is_there_is_not_replaced(imaged: Imaged, evil: str) -> None:
    imaged.skopeo("copy", f"docker://{imaged.name}:evil", f"docker://{imaged.name}:1.0.0")
    done = imaged.release.retry("publish-image")
    assert done.results == {"publish-image": "failed"}
    assert done.last_line("publish-image").startswith("The registry has another image of this version.")
    assert imaged.digest("1.0.0") == evil
    assert "latest" not in imaged.tags()


def test_a_release_can_be_published_again(imaged: Imaged) -> None:
    for _ in range(2):
        assert imaged.release.retry("publish-image").results == {"publish-image": "passed"}


def test_the_latest_is_the_highest_release(imaged: Imaged, evil: str) -> None:
    # Neither an older release nor one before the next is higher.
    for other in ("0.10.0", "1.0.1rc1"):
        imaged.skopeo("copy", f"docker://{imaged.name}:evil", f"docker://{imaged.name}:{other}")
    assert imaged.release.retry("publish-image").results == {"publish-image": "passed"}
    assert imaged.digest("latest") == imaged.digest("1.0.0") != evil
    for newest in ("1.10.0", "latest"):
        imaged.skopeo("copy", f"docker://{imaged.name}:evil", f"docker://{imaged.name}:{newest}")
    assert imaged.release.retry("publish-image").results == {"publish-image": "passed"}
    assert imaged.digest("latest") == evil
