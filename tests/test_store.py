"""Claims about bench.base.store: writes are whole or absent, damage is as absence, locks hold among processes."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from bench.base import store
from bench.base.errors import StoreError
from bench.base.store import RowCache, Store, read_json, write_json, write_text

# --- whole or not at all ---


def test_write_replaces_a_file_whole(tmp_path):
    path = tmp_path / "deep" / "file.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": "ü"})
    assert read_json(path) == {"a": "ü"}
    assert [p.name for p in path.parent.iterdir()] == ["file.json"]


@pytest.mark.parametrize("broken", ["os.fsync", "os.replace"])
def test_kill_in_the_middle_of_a_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, broken):
    path = tmp_path / "file.json"
    write_json(path, {"a": 1})

    def kill(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(broken, kill)
    with pytest.raises(KeyboardInterrupt):
        write_json(path, {"a": 2})
    monkeypatch.undo()
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]


def test_document_with_nan_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "file.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_failed_array_write_leaves_no_record(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="No space"):
        store.write_arrays("runs", "abc", {"x": 1}, docs=np.zeros(3))
    assert list((tmp_path / "store" / "runs" / "abc").iterdir()) == []
    assert store.read_arrays("runs", "abc") is None


def test_written_files_are_ordinary_files_that_others_may_read(tmp_path):
    reference = tmp_path / "reference"
    reference.touch()
    assert write_text(tmp_path / "file", "x").stat().st_mode == reference.stat().st_mode


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "does not exist"), (b'{"a": 1', "is not JSON .* may be cut off"), (b"\xff\xfe", "is not JSON")],
)
def test_unreadable_json_is_named(tmp_path, content, sentence):
    path = tmp_path / "file.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=sentence) as found:
        read_json(path)
    assert str(path) in str(found.value)


# --- format numbers ---


def test_store_of_another_format_is_refused_and_says_what_to_do(tmp_path):
    write_json(tmp_path / "format.json", {"format": 99})
    with pytest.raises(StoreError, match=r"has format 99; this version reads format 1\. Delete the folder"):
        Store(tmp_path)


def test_store_whose_marker_is_no_object_is_refused(tmp_path):
    write_json(tmp_path / "format.json", [1])
    with pytest.raises(StoreError):
        Store(tmp_path)


def test_store_is_made_on_first_write_only_and_keeps_itself_out_of_git(tmp_path):
    store = Store(tmp_path / "store")
    assert not store.root.exists()
    store.prepare()
    assert read_json(store.root / "format.json") == {"format": 1}
    assert (store.root / ".gitignore").read_text() == "*\n"
    Store(store.root)


# --- arrays ---


def stored(tmp_path):
    store = Store(tmp_path / "store")
    store.write_arrays("runs", "abc", {"name": "x"}, docs=np.arange(6).reshape(2, 3), scores=np.ones(2))
    return store, tmp_path / "store" / "runs" / "abc"


def test_arrays_come_back_equal(tmp_path):
    store, _ = stored(tmp_path)
    document, arrays = store.read_arrays("runs", "abc")
    assert document == {"format": 1, "name": "x"}
    assert arrays["docs"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert store.read_arrays("runs", "other") is None
    assert store.sizes()["runs"][0] == 1


@pytest.mark.parametrize("keep", [0, 1, 10, 100, -1, -30])
def test_truncated_arrays_are_as_if_they_were_not_there(tmp_path, keep):
    store, folder = stored(tmp_path)
    data = (folder / "arrays.npz").read_bytes()
    (folder / "arrays.npz").write_bytes(data[:keep])
    assert store.read_arrays("runs", "abc") is None


def test_arrays_with_a_flipped_byte_are_as_if_they_were_not_there(tmp_path):
    store, folder = stored(tmp_path)
    data = bytearray((folder / "arrays.npz").read_bytes())
    # The last byte of the first array's data: the archive's checksum says so.
    place = data.index(b"\x93NUMPY") + 128 + 8
    data[place] ^= 0xFF
    (folder / "arrays.npz").write_bytes(bytes(data))
    assert store.read_arrays("runs", "abc") is None


@pytest.mark.parametrize("record", ["", "{", '{"format": 2}', "{}", "[1]", "null"])
def test_damaged_record_is_as_if_it_were_not_there(tmp_path, record):
    store, folder = stored(tmp_path)
    (folder / "record.json").write_text(record)
    assert store.read_arrays("runs", "abc") is None


def test_record_is_written_last_so_that_arrays_alone_say_nothing(tmp_path):
    store, folder = stored(tmp_path)
    (folder / "record.json").unlink()
    assert store.read_arrays("runs", "abc") is None


# --- rows by the text they were made from ---


KEYS = [RowCache.key(text) for text in ("a", "b", "c")]
ROWS = np.arange(6, dtype=np.float32).reshape(3, 2)


def test_rows_come_back_in_the_order_asked_for_and_from_a_fresh_cache(tmp_path):
    RowCache(tmp_path).put(KEYS[:2], ROWS[:2])
    RowCache(tmp_path).put(KEYS[2:], ROWS[2:])
    cache = RowCache(tmp_path)
    wanted = [KEYS[2], KEYS[0], KEYS[2], KEYS[1]]
    assert cache.missing(wanted) == []
    assert np.array_equal(cache.get(wanted), ROWS[[2, 0, 2, 1]])


def test_equal_texts_are_asked_for_once(tmp_path):
    cache = RowCache(tmp_path)
    assert cache.missing([KEYS[0], KEYS[1], KEYS[0], KEYS[1]]) == [0, 1]
    cache.put(KEYS[:1], ROWS[:1])
    assert cache.missing([KEYS[0], KEYS[1], KEYS[0]]) == [1]


def test_key_separates_query_from_document():
    assert RowCache.key("ab", "c") != RowCache.key("a", "bc")
    assert RowCache.key("a") == RowCache.key("a")


def test_row_written_by_another_process_is_found(tmp_path):
    cache = RowCache(tmp_path)
    assert cache.missing(KEYS) == [0, 1, 2]
    RowCache(tmp_path).put(KEYS, ROWS)
    assert cache.missing(KEYS) == []


def test_process_reads_a_shard_once_and_notices_what_happens_to_it(tmp_path, monkeypatch):
    RowCache(tmp_path).put(KEYS[:2], ROWS[:2])
    read = []
    read_npz = store._read_npz
    monkeypatch.setattr(store, "_read_npz", lambda path: read.append(path.name) or read_npz(path))
    for _ in range(3):
        cache = RowCache.open(tmp_path)
        assert cache.missing(KEYS) == [2]
        np.testing.assert_array_equal(cache.get(KEYS[:2]), ROWS[:2])
    assert len(read) == 1
    RowCache(tmp_path).put(KEYS[2:], ROWS[2:])
    assert RowCache.open(tmp_path).missing(KEYS) == []
    for shard in tmp_path.glob("*.npz"):
        shard.unlink()
    assert RowCache.open(tmp_path).missing(KEYS) == [0, 1, 2]


def test_process_keeps_no_more_rows_than_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "KEPT_BYTES", ROWS.nbytes)
    for name in ("one", "two"):
        RowCache(tmp_path / name).put(KEYS, ROWS)
        assert RowCache.open(tmp_path / name).missing(KEYS) == []
    RowCache.open(tmp_path / "two")
    kept = sum(rows.nbytes for cache in RowCache._opened.values() for rows in cache._shards.values())
    assert kept <= ROWS.nbytes
    np.testing.assert_array_equal(RowCache.open(tmp_path / "two").get(KEYS), ROWS)


def damaged(kind, folder):
    (path,) = folder.glob("*.npz")
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-40])
    elif kind == "half":
        path.write_bytes(path.read_bytes()[:200])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "not an archive":
        path.write_bytes(b"hello")
    else:
        keys = np.frombuffer(b"".join(KEYS), dtype=np.uint8).reshape(3, 16)
        rows = {"nan": np.where(ROWS == 3, np.nan, ROWS), "infinite": np.where(ROWS == 3, np.inf, ROWS),
                "one row short": ROWS[:2]}[kind]  # fmt: skip
        np.savez(path, keys=keys, rows=rows.astype(np.float32))


DAMAGE = ["truncated", "half", "empty", "not an archive", "nan", "infinite", "one row short"]


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_shard_is_as_if_it_were_not_there(tmp_path, kind):
    RowCache(tmp_path).put(KEYS, ROWS)
    damaged(kind, tmp_path)
    assert RowCache(tmp_path).missing(KEYS) == [0, 1, 2]


@pytest.mark.parametrize("kind", DAMAGE)
def test_rows_of_a_damaged_shard_can_be_made_again(tmp_path, kind):
    RowCache(tmp_path).put(KEYS, ROWS)
    damaged(kind, tmp_path)
    cache = RowCache(tmp_path)
    # The same keys make a shard of the same name: the new one must be read, not the memory of the damage.
    assert cache.missing(KEYS) == [0, 1, 2]
    cache.put(KEYS, ROWS)
    assert np.array_equal(cache.get(KEYS), ROWS)
    assert RowCache(tmp_path).missing(KEYS) == []


# --- locks ---


def test_lock_is_held_among_processes_and_freed_when_its_holder_dies(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(f"""
            import time
            from bench.base.store import Store
            with Store({str(tmp_path)!r}).lock("x"):
                print("held", flush=True)
                time.sleep(60)
        """)],
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        assert holder.stdout.readline() == "held\n"
        store = Store(tmp_path)
        with store.lock("another"):
            pass
        with pytest.raises(StoreError, match="held by another process"), store.lock("x", timeout_s=0.3):
            pass
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    with store.lock("x", timeout_s=5):
        pass
    with store.lock("x", timeout_s=5):
        pass


def test_processes_that_write_one_entry_at_once_leave_one_whole_entry(tmp_path):
    program = textwrap.dedent(f"""
        import numpy as np
        from bench.base.store import Store
        for _ in range(20):
            Store({str(tmp_path)!r}).write_arrays("runs", "abc", {{"n": 1}}, docs=np.arange(1000))
    """)
    writers = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    document, arrays = Store(tmp_path).read_arrays("runs", "abc")
    assert json.dumps(document) == '{"format": 1, "n": 1}'
    assert np.array_equal(arrays["docs"], np.arange(1000))
    assert sorted(p.name for p in (tmp_path / "runs" / "abc").iterdir()) == ["arrays.npz", "record.json"]
