"""The cache: gives back what was put, survives damage and company, stays under its size."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from qcompile.cache import Cache, default_cache, key
from qcompile.errors import UsageError


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def entry(cache, name):
    return cache.folder / name[:2] / name[2:]


def test_a_value_comes_back(cache):
    cache.put(key("a"), b"value")
    assert cache.get(key("a")) == b"value"


def test_an_unknown_key_gives_nothing(cache):
    assert cache.get(key("a")) is None


def test_an_empty_value_is_a_value(cache):
    cache.put(key("a"), b"")
    assert cache.get(key("a")) == b""


@pytest.mark.parametrize(
    "damage",
    [slice(0, -1), slice(1, None), slice(0, 0), slice(0, 3)],
    ids=["end cut", "start cut", "empty", "stub"],
)
def test_a_damaged_entry_is_gone(cache, damage):
    cache.put(key("a"), b"value")
    path = entry(cache, key("a"))
    path.write_bytes(path.read_bytes()[damage])
    assert cache.get(key("a")) is None
    assert not path.exists()


def test_keys_tell_parts_apart():
    assert len({key("ab", "c"), key("a", "bc"), key("abc"), key("abc", ""), key(b"ab", "d")}) == 5
    assert key("ab", "c") == key(b"ab", b"c")


def test_trim_drops_what_was_not_used_for_longest(cache):
    small = Cache(cache.folder, limit=2 * 132)
    small.put(key("a"), bytes(100))
    small.put(key("b"), bytes(100))
    small.put(key("c"), bytes(100))
    os.utime(entry(small, key("a")), ns=(1, 3))
    os.utime(entry(small, key("b")), ns=(1, 1))
    os.utime(entry(small, key("c")), ns=(1, 2))
    small.trim()
    assert [small.get(key(name)) is None for name in "abc"] == [False, True, False]


def test_trim_leaves_files_of_others_alone(cache):
    cache.put(key("a"), bytes(100))
    other = cache.folder / "ab" / "thesis.txt"
    other.parent.mkdir(exist_ok=True)
    other.write_text("years of work")
    Cache(cache.folder, limit=0).trim()
    assert cache.get(key("a")) is None
    assert other.read_text() == "years of work"


def test_trim_takes_what_a_killed_process_left_half_written(cache):
    cache.put(key("a"), b"value")
    left = cache.folder / key("a")[:2] / ".new-left"
    left.write_bytes(b"half")
    Cache(cache.folder, limit=0).trim()
    assert not left.exists()


def test_a_get_counts_as_use(cache):
    cache.put(key("a"), b"value")
    os.utime(entry(cache, key("a")), ns=(1, 1))
    cache.get(key("a"))
    assert entry(cache, key("a")).stat().st_mtime_ns > 1


def test_nothing_is_left_half_written(cache):
    cache.put(key("a"), b"value")
    assert [path.name for path in cache.folder.rglob("*") if path.is_file()] == [key("a")[2:]]


def test_many_may_write_the_same_entry(cache):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(cache.put, [key("a")] * 100, [bytes(10000)] * 100))
    assert cache.get(key("a")) == bytes(10000)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file cannot be written .* name another folder"):
        Cache(tmp_path / "file").put(key("a"), b"value")


def test_the_default_is_the_cache_folder_of_the_desktop_standard(tmp_path):
    environment = {"XDG_CACHE_HOME": str(tmp_path), "HOME": "/elsewhere"}
    assert default_cache(environment) == tmp_path / "qcompile"


@pytest.mark.parametrize("first", ["", "relative"])
def test_without_one_it_is_in_the_home_folder(tmp_path, first):
    environment = {"XDG_CACHE_HOME": first, "HOME": str(tmp_path)}
    assert default_cache(environment) == tmp_path / ".cache" / "qcompile"


def test_without_a_home_there_is_none():
    assert default_cache({}) is None


def test_where_nothing_can_be_written_there_is_none(tmp_path):
    (tmp_path / "file").write_text("")
    assert default_cache({"XDG_CACHE_HOME": str(tmp_path / "file")}) is None
