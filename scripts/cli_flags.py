"""The flags that scripts share: how they are defined, read, and checked before the work starts."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from absl import flags

from a2d_tf import Bounds, InvalidInputError, UnsuitableClassifierError
from a2d_tf.images.bounds import check_bounds
from a2d_tf.storage import limits, places

FLAGS = flags.FLAGS
DATASET_HELP = (
    "digits, mnist, cifar10, FILE.npz with x_train, y_train, x_test and y_test, or FOLDER/ of "
    "images: subfolders for classes, or files whose names begin with the number of their class."
)
_RENAMED: dict[str, str] = {}  # old flags and new ones
_PATHS: set[str] = set()  # flags with paths, in which ~ is the home folder
_FILES: dict[str, tuple[str, ...]] = {}  # flags with files to write, and suffixes of files beside
_FOLDERS: dict[str, Callable[[], str]] = {}  # flags with folders to write, and their defaults
_NAMES: set[str] = set()  # flags that must name something if they are given

flags.disclaim_key_flags()  # what is defined here belongs to the script, and to its --help


def parse(argv: list[str]) -> list[str]:
    """Reads the command line; what is wrong with it gives one line and exit 1."""
    try:
        rest = FLAGS(argv)
    except flags.Error as error:
        fail(error)
    except SystemExit:  # absl leaves with 1 after --help
        sys.exit(0)
    for old, new in _RENAMED.items():
        if FLAGS[old].present:
            print(f"note: --{old} is deprecated; use --{new}", file=sys.stderr)
            FLAGS[new].value = FLAGS[old].value
    for name in _PATHS:
        if FLAGS[name].value:
            FLAGS[name].value = os.path.expanduser(FLAGS[name].value)
    for name in sorted(_NAMES):
        if FLAGS[name].present and not FLAGS[name].value:
            fail(f"expected --{name} to name something, got nothing; leave it out or name some")
    if len(rest) > 1:
        fail(f"expected flags alone, got {rest[1]!r}; write --name=value")
    return rest


def check_places() -> None:
    """Finds out before the work starts whether everything can be written."""
    for name, beside in sorted(_FILES.items()):
        if FLAGS[name].value is not None:
            with about(name):
                path = places.check_file_place(FLAGS[name].value)
                for suffix in beside:
                    places.check_file_place(path.with_suffix(suffix))
    for name in sorted(_FOLDERS):
        with about(name):
            check = places.check_workdir_place if name == "workdir" else places.check_folder_place
            check(folder(name))


@contextmanager
def about(*names: str) -> Iterator[None]:
    """Names the flags that an error of the block is about."""
    try:
        yield
    except UnsuitableClassifierError as error:
        others = "model" if "model" in FLAGS else "detector"  # a detector has a classifier
        flag = "init" if "init" in names else others
        raise UnsuitableClassifierError(f"--{flag}: {error}") from error
    except InvalidInputError as error:
        message = str(error)
        if not message.startswith("--"):  # a block within has named it
            message = f"{', '.join(f'--{name}' for name in names)}: {message}"
        raise InvalidInputError(message) from error


def fail(error: object) -> NoReturn:
    """Ends the script with one line about an error."""
    line = " ".join(str(error).split())
    sys.exit(f"{os.path.basename(sys.argv[0])}: {line}")


def define_model_flags(*, otherwise: str | None = None) -> None:
    """The flags that `load_classifier` and `loading` read.

    Args:
      otherwise: what happens without a model; None if it must be given.
    """
    define_path(
        "model", "; ".join(filter(None, ["A trained .keras, .h5 or SavedModel", otherwise])) + ".",
        required=otherwise is None,
    )
    flags.DEFINE_string("signature", None, "Of a SavedModel; serving_default, or the only one.")
    flags.DEFINE_string("output", None, "Of several: the logits, probabilities or labels.")
    flags.DEFINE_bool("probabilities", None, "Whether the outputs are probabilities. By default "
                      "the outputs themselves tell.")
    define_imports()
    define_bounds()
    define_limit()


def define_detector() -> None:
    """The flags that `load_detector` reads."""
    define_path("detector", "Folder that fit_detector.py wrote.", required=True)
    define_imports()
    define_limit()


def define_json() -> None:
    """The flag --json, which `report` obeys."""
    flags.DEFINE_bool("json", False, "Print one JSON object in place of tables and lines.")


def define_limit() -> None:
    """The flag --max_decoded_gib, which is obeyed by all that reads files."""
    flags.DEFINE_float(
        "max_decoded_gib", limits.MAX_DECODED_GIB, "Memory that a file may take when it is "
        f"decoded, unless that is less than {limits.USUAL_RATIO} times its size.",
    )


def define_imports() -> None:
    """The flags for code of one's own."""
    flags.DEFINE_list("import_modules", [], "Python modules with features or layers of your own.")
    flags.DEFINE_bool("safe_mode", True, "Refuse Keras files that can run any code (Lambda).")


def define_bounds() -> None:
    """The flag that `bounds` reads."""
    flags.DEFINE_list(
        "bounds", ["0", "1"],
        "The model's pixel range: lower,upper; or the lower limits of all channels and then the "
        "upper ones.",
    )


def define_seed(what: str) -> None:
    """The flag --seed, within NumPy's range."""
    flags.DEFINE_integer("seed", 0, what, lower_bound=0, upper_bound=2**32 - 1)


def define_path(name: str, what: str, *, required: bool = False) -> None:
    """A flag with the path of something to read; `~` is the home folder."""
    flags.DEFINE_string(name, None, what, required=required)
    _PATHS.add(name)


def define_out(what: str, *, required: bool = True, beside: tuple[str, ...] = ()) -> None:
    """The flag --out, a file to write; its place is checked before the work starts.

    Args:
      what: it is.
      required: whether it must be given.
      beside: the suffixes of other files that are written beside it.
    """
    define_path("out", what, required=required)
    _FILES["out"] = beside


def define_folder(
    name: str, what: str, *, default: Callable[[], str] | str | None = None
) -> None:
    """A flag with a folder to write, which `folder` reads; required if there is no default.

    Args:
      name: of the flag.
      what: the folder is for.
      default: the folder, or what gives it once the flags are known.
    """
    shown = default if isinstance(default, str) else None
    flags.DEFINE_string(name, shown, what, required=default is None)
    _PATHS.add(name)
    _FOLDERS[name] = default if callable(default) else lambda: ""


def folder(name: str) -> str:
    """The folder in a flag."""
    given = FLAGS[name].value
    return str(_FOLDERS[name]() if given is None else given)


def define_names(
    name: str, default: list[str], what: str, *, may_be_empty: bool = False
) -> None:
    """A flag that takes different names, at least one unless it is left out."""
    flags.DEFINE_list(name, default, what)
    flags.register_validator(
        name, lambda names: len(set(names)) == len(names), "must name each but once"
    )
    if not may_be_empty:
        _NAMES.add(name)


def define_renamed(old: str, new: str) -> None:
    """Keeps an old spelling of a list or integer flag, with a note that it is deprecated."""
    define = flags.DEFINE_list if isinstance(FLAGS[new].default, list) else flags.DEFINE_integer
    define(old, None, f"Deprecated: --{new}.")
    _RENAMED[old] = new


def bounds() -> Bounds:
    """The pixel range in the flags."""
    try:
        limits = list(map(float, FLAGS.bounds))
        channels, odd = divmod(len(limits), 2)
        if odd or not channels:
            raise ValueError
    except ValueError:
        fail(f"expected --bounds=lower,upper as two numbers, got {','.join(FLAGS.bounds)!r}")
    if channels == 1:
        return Bounds(*limits)
    return check_bounds((limits[:channels], limits[channels:]))


def numbers(flag: str) -> list[int]:
    """The positive integers in a list flag."""
    try:
        values = [int(value) for value in FLAGS[flag].value]
        if not values or min(values) < 1:
            raise ValueError
    except ValueError:
        fail(f"expected --{flag}=N,N,... of numbers >= 1, got {','.join(FLAGS[flag].value)!r}")
    return values


def check_each(flag: str, check: Callable[[str], object]) -> None:
    """Lets `check` raise an error about one of the names in a list flag."""
    with about(flag):
        for name in FLAGS[flag].value:
            check(name)


def reals(flag: str) -> list[float]:
    """The numbers in a list flag."""
    try:
        values = [float(value) for value in FLAGS[flag].value]
        if not values:
            raise ValueError
    except ValueError:
        fail(f"expected --{flag}=X,X,... of numbers, got {','.join(FLAGS[flag].value)!r}")
    return values
