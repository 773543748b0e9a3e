"""What every script shares: quiet start-up, one-line errors and progress on stderr."""

import importlib
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from absl import app, flags, logging

FLAGS = flags.FLAGS
COMMAND = "a2d-"  # how the commands of an installation begin


@contextmanager
def _native_stderr_silenced() -> Iterator[None]:
    """TensorFlow writes to the raw stderr while it loads, whatever its log level is."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


try:
    with _native_stderr_silenced():
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
        tf.constant(0)  # starts the devices

    from a2d_tf import A2D, A2DError, Classifier, features
    import a2d_baselines  # noqa: F401, registers its features
except ValueError as wrong_backend:  # an A2DError, which could not be imported
    sys.exit(f"{os.path.basename(sys.argv[0])}: {wrong_backend}")
except KeyboardInterrupt:  # the imports take seconds
    sys.exit(f"{os.path.basename(sys.argv[0])}: stopped")
from a2d_tf.storage import limits  # noqa: E402
from cli_flags import (  # noqa: E402
    DATASET_HELP, about, bounds, check_each, check_places, define_bounds, define_detector,
    define_folder, define_imports, define_json, define_limit, define_model_flags, define_names,
    define_out, define_path, define_renamed, define_seed, fail, folder, numbers, parse, reals,
)
from cli_terminal import NOTES, Shown, TerminalProgress, measuring, show  # noqa: E402

__all__ = [
    "DATASET_HELP", "NOTES", "TerminalProgress", "about", "bounds", "check_each", "define_bounds",
    "define_detector", "define_folder", "define_imports", "define_json", "define_limit",
    "define_model_flags", "define_names", "define_out", "define_path", "define_renamed",
    "define_seed", "fail", "folder", "measuring", "numbers", "reals", "show",
]


def run(main: Callable[[], None]) -> None:
    """Parses the flags and calls `main`; an error of the user gives one line and exit 1."""
    logging.set_verbosity(logging.ERROR)  # TensorFlow logs what it saves
    sys.path.append(os.getcwd())  # a module of one's own is found where the script is called
    script = sys.modules["__main__"]
    script.__doc__ = as_commands(script.__doc__ or "")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names need not be UTF-8
    try:
        try:
            app.run(lambda argv: _guarded(main), flags_parser=parse)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # who reads the output, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)


def as_commands(text: str) -> str:
    """A text in which scripts are called as this one was: a2d-craft, or python scripts/craft.py."""
    if not os.path.basename(sys.argv[0]).startswith(COMMAND):
        return text
    return re.sub(
        r"(?:python scripts/)?\b(\w+)\.py\b",
        lambda found: COMMAND + found[1].replace("_", "-")
        if os.path.exists(os.path.join(os.path.dirname(__file__), f"{found[1]}.py")) else found[0],
        text,
    )


def _guarded(main: Callable[[], None]) -> None:
    with NOTES.catching():
        try:
            check_places()
            if "max_decoded_gib" in FLAGS:
                with about("max_decoded_gib"):
                    limits.set_max_decoded_gib(FLAGS.max_decoded_gib)
            main()
        except BrokenPipeError:
            raise
        except (A2DError, OSError) as error:
            fail(_with_notes(str(error)))
        except SystemExit as error:  # of a check in the script itself
            if isinstance(error.code, str):
                sys.exit(_with_notes(error.code))
            raise
        except KeyboardInterrupt:
            NOTES.print_pending()
            fail("stopped")
        NOTES.print_pending()


def _with_notes(message: str) -> str:
    return "".join([message, *(f" (note: {note})" for note in NOTES.take())])


def report(values: Mapping[str, Any], *lines: str, tables: Iterable[Shown] = ()) -> None:
    """Prints the result: tables and lines for people, or with --json its values for machines.

    Args:
      values: JSON values, such as the file that was written and the main figures.
      lines: the same in words.
      tables: shown above the lines.
    """
    if FLAGS.json:
        print(json.dumps(values))
    else:
        show(tables, *lines)


def load_classifier() -> Classifier:
    """The classifier in the flags, after the modules of its layers have been imported."""
    settings = loading()
    with about("model"):
        return Classifier.load(FLAGS.model, bounds(), **settings)


def loading() -> dict[str, Any]:
    """How a classifier is loaded, after the modules of its layers have been imported."""
    _import_modules()
    names = ("signature", "output", "probabilities", "safe_mode")
    return {name: FLAGS[name].value for name in names}


def load_detector(flag: str = "detector", folder: str | None = None) -> A2D:
    """A saved detector, after the modules of its features have been imported.

    Args:
      flag: the flag that names it.
      folder: the folder, if the flag names several.
    """
    _import_modules()
    with about(flag):
        return A2D.load(folder or FLAGS[flag].value, safe_mode=FLAGS.safe_mode)


def _import_modules() -> None:
    for module in FLAGS.import_modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            fail(
                f"expected --import_modules to name modules, got {module!r} ({error}); set "
                "PYTHONPATH"
            )


def feature_names() -> list[str]:
    """The features that are known by name, besides attacks."""
    return [name for name in features.REGISTRY if name != features.AttackCost.name]
