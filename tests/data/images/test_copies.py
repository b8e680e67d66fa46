import pytest

from firstorder.data.images import wnids
from firstorder.data.images.copies import choose_images


def test_the_lists_choose_images_of_imagenet_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wnids, "IMAGES", 4)
    names = ["n01_11.JPEG", "n01_2.JPEG", "n01_300.JPEG", "n01_45.JPEG", "n01_7.JPEG"]
    assert choose_images("n01", names, None) == [
        "n01_2.JPEG",
        "n01_7.JPEG",
        "n01_11.JPEG",
        "n01_45.JPEG",
    ]
    assert choose_images("n01", names, ["n0100000005.jpg", "n0100000002.jpg"]) == [
        names[2],
        names[4],
    ]
    assert choose_images("n01", names, names[:2]) == names[:2]
    for wanted in (["n0100000006.jpg"], ["n0100000000.jpg"], ["other.jpg"]):
        with pytest.raises(ValueError, match="name images of n01 which are not there"):
            choose_images("n01", names, wanted)
