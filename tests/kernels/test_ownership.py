"""Code is loaded from where nobody but us and root can put something, and from nowhere else."""

import os
from pathlib import Path

import pytest

from raylax.kernels import ownership
from raylax.kernels.errors import UntrustedPath
from raylax.kernels.ownership import check_all_ours, check_ours

NOBODY = 65534
ANOTHER_GROUP = ANOTHER_USER = 54321
AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root makes files of another user")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """`ours/store/library`, closed to others."""
    made = tmp_path / "ours" / "store"
    made.mkdir(parents=True)
    (made / "library").write_bytes(b"")
    for path in (made.parent, made, made / "library"):
        path.chmod(0o700)
    return made / "library"


def test_what_is_ours_alone_is_loaded(place: Path) -> None:
    check_ours(place)
    check_all_ours(place.parent)


@pytest.mark.parametrize("of", [0, 1, 2], ids=["file", "directory", "above"])
@pytest.mark.parametrize("mode", [0o777, 0o722, 0o707])
def test_what_others_may_write_is_refused(place: Path, of: int, mode: int) -> None:
    """Whichever part of the path it is. The remedy is said."""
    part = [place, *place.parents][of]
    part.chmod(mode)

    with pytest.raises(UntrustedPath, match=rf"can be written by other users .*chmod go-w {part},"):
        check_ours(place)


def test_what_others_may_only_read_is_loaded(place: Path) -> None:
    for path in [place, *list(place.parents)[:2]]:
        path.chmod(0o755)

    check_ours(place)


@AS_ROOT
@pytest.mark.parametrize("of", [0, 1, 2], ids=["file", "directory", "above"])
def test_what_belongs_to_another_user_is_refused(place: Path, of: int) -> None:
    """He may put another one there, whatever its mode."""
    part = [place, *place.parents][of]
    os.chown(part, NOBODY, NOBODY)

    with pytest.raises(UntrustedPath, match=rf"{part} belongs to nobody.*chown root {part},"):
        check_ours(place)


@AS_ROOT
def test_a_link_of_another_user_is_refused(place: Path) -> None:
    """It leads elsewhere whenever he likes."""
    link = place.parent.parent / "link"
    link.symlink_to(place.parent)
    check_ours(link / place.name)
    os.lchown(link, NOBODY, NOBODY)

    with pytest.raises(UntrustedPath, match=rf"{link} belongs to nobody"):
        check_ours(link / place.name)


@pytest.mark.parametrize("target", ["{0}/open/file", "../{1}/open/file", "../other/open/file"])
def test_where_a_link_leads_is_looked_at_too(tmp_path: Path, target: str) -> None:
    """Its target's path is as good as its own."""
    (tmp_path / "other" / "open").mkdir(parents=True)
    (tmp_path / "other" / "open" / "file").touch(mode=0o600)
    (tmp_path / "ours").mkdir(mode=0o700)
    link = tmp_path / "ours" / "link"
    link.symlink_to(target.format(tmp_path / "other", "other"))
    check_ours(link)
    (tmp_path / "other" / "open").chmod(0o777)

    with pytest.raises(UntrustedPath, match="/other/open can be written"):
        check_ours(link)


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    with pytest.raises(OSError, match="symbolic links"):
        check_ours(tmp_path / "a")


def test_a_place_open_to_all_where_nobody_touches_what_is_ours_is_fine(place: Path) -> None:
    """As /tmp is."""
    place.parent.chmod(0o1777)

    check_ours(place)


@AS_ROOT
def test_what_is_put_there_by_another_user_is_refused(place: Path) -> None:
    place.parent.chmod(0o1777)
    os.chown(place, NOBODY, NOBODY)

    with pytest.raises(UntrustedPath):
        check_ours(place)


def test_what_does_not_exist_yet_is_fine(place: Path) -> None:
    check_ours(place.parent / "later" / "still later")


def test_the_way_back_is_taken_from_where_a_link_leads(tmp_path: Path) -> None:
    (tmp_path / "far" / "inner").mkdir(parents=True)
    (tmp_path / "far" / "file").touch()
    (tmp_path / "far" / "file").chmod(0o666)
    (tmp_path / "link").symlink_to("far/inner")

    with pytest.raises(UntrustedPath, match="/far/file can be written"):
        check_ours(tmp_path / "link" / ".." / "file")


@AS_ROOT
def test_every_file_of_an_artefact_counts(place: Path) -> None:
    inner = place.parent / "inner"
    inner.mkdir()
    (inner / "weights.bin").touch()
    os.chown(inner / "weights.bin", NOBODY, NOBODY)
    check_ours(place.parent)

    with pytest.raises(UntrustedPath, match=r"inner/weights\.bin belongs to nobody"):
        check_all_ours(place.parent)


@AS_ROOT
@pytest.mark.parametrize(
    ("members", "fine"), [({"root"}, True), (set[str](), True), ({"root", "eve"}, False)]
)
def test_a_group_of_ones_own_may_write(
    place: Path, members: set[str], fine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many systems give each user one, and a umask that leaves it open."""
    monkeypatch.setattr(ownership, "members", lambda gid: frozenset(members))
    place.chmod(0o770)
    os.chown(place, 0, ANOTHER_GROUP)

    if fine:
        check_ours(place)
    else:
        with pytest.raises(UntrustedPath):
            check_ours(place)


@AS_ROOT
def test_a_group_that_nobody_knows_may_not_write(place: Path) -> None:
    place.chmod(0o770)
    os.chown(place, 0, ANOTHER_GROUP)

    with pytest.raises(UntrustedPath):
        check_ours(place)


@AS_ROOT
def test_a_user_may_use_what_root_has_made(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But not what a third one has."""
    monkeypatch.setattr("os.geteuid", lambda: ANOTHER_USER)
    check_ours(place)
    os.chown(place, NOBODY, NOBODY)

    with pytest.raises(UntrustedPath, match=f"belongs to nobody.*chown {ANOTHER_USER} "):
        check_ours(place)
