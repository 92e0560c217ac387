"""What leaves the process is named by code: whatever was named at run time is not told."""

from __future__ import annotations

import collections
import functools
import importlib
import json
import json.decoder
import sys
import threading
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from opentelemetry.instrumentation.memory._attribution.class_names import type_name
from opentelemetry.instrumentation.memory._attribution.naming import (
    LONGEST_NAME,
    attribute_name,
    function_name,
    module_name,
    site_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "alice_secret"  # noqa: S105 - a person's name, as it could be in any data
HERE = __name__


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """A module of an application, imported from a file as applications are."""
    folder = tmp_path / "home" / SECRET / "shop_naming"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("from .views import *\nShown.__module__ = __name__")
    (folder / "views.py").write_text(
        """
import collections
import dataclasses
import enum
import functools

Point = collections.namedtuple("Point", "x y")
Colour = enum.Enum("Colour", "RED GREEN")

@dataclasses.dataclass(slots=True)
class Order:
    total: int

class Shown:
    def show(self): ...

globals()["Tenant"] = type("Tenant", (), {})

class Session:
    class Cursor: ...

def wrap(function):
    @functools.wraps(function)
    def inner(*args): return function(*args)
    return inner

@wrap
def make():
    class Local: ...
    return Local

def make_handler():
    def handler(): return make_handler
    return handler

def make_dynamic(name):
    return type(name, (Session,), {})
"""
    )
    monkeypatch.syspath_prepend(str(tmp_path / "home" / SECRET))
    yield importlib.import_module("shop_naming.views")
    del sys.modules["shop_naming.views"], sys.modules["shop_naming"]


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (dict, "dict"),
        (collections.deque, "collections.deque"),
        (functools._lru_cache_wrapper, "functools._lru_cache_wrapper"),
        (types.FunctionType, "function"),
        (json.decoder.JSONDecoder, "json.decoder.JSONDecoder"),
        (threading.Thread, "threading.Thread"),
    ],
)
def test_a_class_of_python_has_its_full_name(cls: type, name: str) -> None:
    assert type_name(cls) == name


def test_a_class_of_the_application_has_its_full_name(shop: Any) -> None:
    assert type_name(shop.Session) == "shop_naming.views.Session"


def test_a_class_within_a_class_has_its_full_name(shop: Any) -> None:
    assert type_name(shop.Session.Cursor) == "shop_naming.views.Session.Cursor"


def test_a_class_within_a_decorated_function_has_its_full_name(shop: Any) -> None:
    assert type_name(shop.make()) == "shop_naming.views.make.<locals>.Local"


def test_a_class_made_at_run_time_is_told_by_its_base_and_module(shop: Any) -> None:
    assert (
        type_name(shop.make_dynamic(SECRET))
        == "shop_naming.views.Session subclass made at run time in shop_naming.views"
    )


def test_a_class_that_its_module_has_under_a_name_from_data_is_not_named(shop: Any) -> None:
    name = f"Orders_of_{SECRET}"
    setattr(shop, name, shop.make_dynamic(name))
    assert type_name(getattr(shop, name)).startswith("shop_naming.views.Session subclass made at")


def test_a_class_that_a_class_has_under_a_name_from_data_is_not_named(shop: Any) -> None:
    cls = shop.make_dynamic(SECRET)
    cls.__qualname__ = f"Session.{SECRET}"
    setattr(shop.Session, SECRET, cls)
    assert SECRET not in type_name(cls)


def test_a_function_under_a_name_from_data_does_not_name_its_classes(shop: Any) -> None:
    cls = shop.make()
    cls.__qualname__ = f"{SECRET}.<locals>.Local"
    setattr(shop, SECRET, shop.make)
    assert SECRET not in type_name(cls)


@pytest.mark.parametrize("name", ["Point", "Colour", "Order", "Tenant"])
def test_a_class_that_a_call_makes_under_a_name_in_code_is_named(shop: Any, name: str) -> None:
    assert type_name(getattr(shop, name)) == f"shop_naming.views.{name}"


def test_a_class_that_a_package_shows_as_its_own_is_named(shop: Any) -> None:
    assert type_name(shop.Shown) == "shop_naming.Shown"


def test_a_name_that_only_a_comment_or_a_longer_text_has_is_not_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = f'"""Made for {SECRET}."""\n# class {SECRET}: ...\nclass {SECRET}_x: ...\n'
    module = imported("shop_commented", source, tmp_path, monkeypatch)
    setattr(module, SECRET, type(SECRET, (), {"__module__": "shop_commented"}))
    assert type_name(getattr(module, SECRET)) == "class made at run time in shop_commented"


def test_classes_in_a_large_file_are_named_by_their_statements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "x = 1  # long\n" * 20_000 + "class Order: ...\n"
    module = imported("shop_large", source, tmp_path, monkeypatch)
    assert type_name(module.Order) == "shop_large.Order"
    module.Other = type("Other", (), {"__module__": "shop_large"})
    assert type_name(module.Other) == "class made at run time in shop_large"


def test_classes_without_source_are_named_where_code_in_memory_uses_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "class Order: ...\ndef order(): return Order()\n"
    module = imported("shop_packed", source, tmp_path, monkeypatch)
    monkeypatch.setattr(module, "__file__", f"{module.__file__}c")
    Path(str(module.__file__)).touch()
    assert type_name(module.Order) == "shop_packed.Order"
    module.Other = type("Other", (), {"__module__": "shop_packed"})
    assert type_name(module.Other) == "class made at run time in shop_packed"


def test_a_class_that_was_made_from_a_text_is_not_named(shop: Any) -> None:
    exec(f"class {SECRET}:\n def use(self): return {SECRET}()", vars(shop))  # noqa: S102 - as generators do
    assert type_name(getattr(shop, SECRET)) == "class made at run time in shop_naming.views"


def test_a_class_whose_methods_claim_a_file_that_is_gone_is_not_named(shop: Any) -> None:
    source = f"class {SECRET}:\n def use(self): return {SECRET}()"
    exec(compile(source, f"/home/{SECRET}/gone.py", "exec"), vars(shop))  # noqa: S102 - as generators do
    assert type_name(getattr(shop, SECRET)) == "class made at run time in shop_naming.views"


def test_a_message_of_a_protobuf_module_is_named() -> None:
    assert type_name(Resource) == "opentelemetry.proto.resource.v1.resource_pb2.Resource"


def imported(name: str, source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (folder / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))
    module = importlib.import_module(name)
    # Once more, to be removed again afterwards.
    monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, name, module)
    return module


def test_a_module_that_takes_the_name_of_one_of_pythons_is_read_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "name = 'Tenant' + '_ann'\nglobals()[name] = type(name, (), {})\n"
    module = imported("antigravity", source, tmp_path, monkeypatch)
    assert "ann" not in type_name(module.Tenant_ann)


def test_a_class_that_says_it_is_local_is_not_believed(shop: Any) -> None:
    cls = shop.make_dynamic("x")
    cls.__qualname__ = f"make.<locals>.{SECRET}"
    assert SECRET not in type_name(cls)


def test_a_class_that_hides_its_module_is_told_without_it(shop: Any) -> None:
    cls = shop.make_dynamic("x")
    cls.__module__ = SECRET
    assert type_name(cls) == "shop_naming.views.Session subclass made at run time"


def test_a_class_whose_module_is_no_text_is_told_without_it() -> None:
    assert type_name(type("x", (), {"__module__": property(repr)})) == "class made at run time"


def test_a_reachable_class_that_bears_a_number_is_not_named(shop: Any) -> None:
    cls = shop.make_dynamic("User4711081512")
    shop.User4711081512 = cls
    assert "4711081512" not in type_name(cls)


def test_a_metaclass_is_not_asked(shop: Any) -> None:
    def fail(*_: object) -> Any:
        raise AssertionError

    everything = dict.fromkeys(
        ("__getattribute__", "__eq__", "__hash__", "__repr__", "__instancecheck__"), fail
    )
    meta = type("Meta", (type,), everything | {"__module__": property(fail)})
    assert type_name(meta("x", (shop.Session,), {})).endswith("made at run time in " + HERE)


def test_a_site_is_relative_to_where_it_was_imported_from(shop: Any) -> None:
    assert site_name(shop.__file__, 42) == "shop_naming/views.py:42"


def test_a_site_in_the_standard_library_is_relative_to_it() -> None:
    assert site_name(json.__file__, 3) == "json/__init__.py:3"


def test_a_site_outside_of_every_import_folder_has_its_last_part_only(tmp_path: Path) -> None:
    file = tmp_path / SECRET / "job.py"
    file.parent.mkdir()
    file.touch()
    assert site_name(str(file), 1) == "job.py:1"


def test_the_root_as_an_import_folder_does_not_make_paths_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "job.py").touch()
    monkeypatch.syspath_prepend("/")
    assert site_name(str(tmp_path / "job.py"), 1) == "job.py:1"


@pytest.mark.parametrize(
    ("filename", "site"),
    [
        ("<string>", "<string>:7"),
        (f"<attrs generated init {SECRET}>", "<dynamic>:7"),
        (f"/home/{SECRET}/gone.py", "<dynamic>:7"),
        (SECRET, "<dynamic>:7"),
        ("\0", "<dynamic>:7"),
        ("x" * 100_000, "<dynamic>:7"),
    ],
)
def test_a_name_that_was_given_to_compiled_code_is_not_told(filename: str, site: str) -> None:
    assert site_name(filename, 7) == site


@pytest.mark.parametrize("name", ["json.decoder", "os", "os.path", "sys", "__main__"])
def test_a_module_of_python_has_its_name(name: str) -> None:
    assert name in sys.modules
    assert module_name(name) == name


def test_a_module_that_was_made_at_run_time_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, SECRET, types.ModuleType(SECRET))
    assert module_name(SECRET) == "(module)"


def test_a_module_of_another_name_than_its_file_has_no_name(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, SECRET, shop)
    assert module_name(SECRET) == "(module)"


def test_a_module_that_is_something_else_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, SECRET, object())
    assert module_name(SECRET) == "(module)"


def test_a_function_is_named_with_its_module(shop: Any) -> None:
    code = shop.make_dynamic.__code__
    assert function_name(code, shop.__name__) == "shop_naming.views.make_dynamic"


def test_a_function_from_text_has_no_name() -> None:
    code = compile(f"def {SECRET}(): ...", "<string>", "exec").co_consts[0]
    assert function_name(code, HERE) == "(function)"


def test_an_attribute_that_code_contains_is_named() -> None:
    assert attribute_name("_cache", {"_cache"}) == "_cache"


@pytest.mark.parametrize("name", ["other", 1, None, type("Text", (str,), {})("_cache")])
def test_an_attribute_that_code_does_not_contain_is_not_named(name: object) -> None:
    assert attribute_name(name, {"_cache"}) == "(attribute)"


@given(secret=st.text(min_size=6), module=st.text())
def test_no_name_given_at_run_time_gets_out(secret: str, module: str) -> None:
    try:
        cls = type(f"K{secret}", (), {"__module__": module})
    except (ValueError, UnicodeEncodeError):  # a null, or half a character
        return
    assume(module not in sys.modules)
    assert type_name(cls) == "class made at run time"


@given(parts=st.lists(st.from_regex(r"[a-z]{1,50}", fullmatch=True), min_size=1, max_size=8))
def test_a_name_is_never_too_long(parts: list[str]) -> None:
    names = {part: types.ModuleType(part) for part in parts}
    with pytest.MonkeyPatch.context() as patch:
        for part, module in names.items():
            patch.setitem(sys.modules, part, module)
        cls = type("x", (json.JSONDecoder,), {"__module__": ".".join(parts)})
        assert len(type_name(cls)) <= LONGEST_NAME


@given(filename=st.text(), line=st.integers(1, 10**6))
def test_no_text_makes_a_site_absolute(filename: str, line: int) -> None:
    assert not Path(site_name(filename, line)).is_absolute()
